"""What stands in a table, word by word, before any format: rows of cells, captions and what they come to.

`bench.report.tables.formats` and `bench.report.page.page` turn grids into text, Markdown, LaTeX and HTML, and escape there; here
texts are plain. A column that would say the same in every row becomes a sentence of the caption instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from bench.analysis import statistics
from bench.analysis.table_result import FEWEST_CLUSTERS, ArmResult, ReferenceRow, TableResult
from bench.metrics.metric_key import MetricKey
from bench.metrics.registry import metric_named
from bench.metrics.task_kinds import kind_named
from bench.suites.suite import Published

Tone = Literal["", "better", "worse", "quiet"]

DASH = "–"
"""Where there is no number."""


BOLD = (
    "bold: the best mean, where resolved as better than the baseline (the baseline's, where all others are resolved as "
    "worse), not tested against the runner-up"
)
"""What `best_arm` marks, for the legend."""


class TableCell(NamedTuple):
    """A field of a table.

    Attributes:
        text: What it says.
        aside: What follows in a quieter voice: the half width of an interval, with its sign, or both of its ends.
        below: A second line, for formats that have room.
        tone: How the second line, or a cell without one, is coloured.
        strong: Whether it is the best of its column and resolved.
        is_number: Whether it is set as a number.
    """

    text: str
    aside: str = ""
    below: str = ""
    tone: Tone = ""
    strong: bool = False
    is_number: bool = False


class TableGrid(NamedTuple):
    """A table as rows of cells; columns are set to the right, but for those named in `left`."""

    header: tuple[str, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    left: tuple[int, ...] = (0,)


def published_grid(result: TableResult) -> TableGrid | None:
    """What papers print of the same question: a row a row of theirs; None where none is named."""
    if not result.published:
        return None
    columns = tuple(dict.fromkeys(p.column for p in result.published))
    by_row: dict[str, dict[str, Published]] = {}
    for p in result.published:
        by_row.setdefault(p.row, {})[p.column] = p
    rows = []
    for name, found in by_row.items():
        first = next(iter(found.values()))
        values = (
            TableCell(found[c].value, is_number=True) if c in found else TableCell(DASH, tone="quiet") for c in columns
        )
        rows.append(
            (
                TableCell(name),
                *values,
                TableCell(first.source, tone="quiet"),
                TableCell(first.apart or "yes", tone="quiet"),
            )
        )
    head = ("as published", *columns, "source", "may ours be set against it?")
    return TableGrid(head, tuple(rows), left=(0, len(columns) + 1, len(columns) + 2))


def number(value: float | None, digits: int, *, signed: bool = False) -> str:
    """A number with so many digits after the point; a dash for none, and no sign before a zero.

    Example:
        >>> number(-0.004, 2, signed=True), number(1.2345, 2, signed=True), number(None, 2)
        ('0.00', '+1.23', '–')
    """
    if value is None:
        return DASH
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text


def half_width(mean: float | None, low: float | None, high: float | None, digits: int) -> str:
    """Half of an interval; both ends of one that is cut, so that it does not lie evenly; empty where there is none.

    Example:
        >>> half_width(0.5, 0.25, 0.75, 2), half_width(0.875, 0.477, 1.0, 2), half_width(0.5, None, None, 2)
        ('±0.25', '[0.48, 1.00]', '')
    """
    if mean is None or low is None or high is None:
        return ""
    if is_cut(mean, low, high):
        return f"[{number(low, digits)}, {number(high, digits)}]"
    return f"±{number((high - low) / 2, digits)}"


def is_cut(mean: float, low: float, high: float) -> bool:
    """Whether an interval does not lie evenly about its mean."""
    return not math.isclose(high - mean, mean - low, rel_tol=1e-6, abs_tol=1e-9)


def mean_cell(entry: ArmResult, strong: bool = False) -> TableCell:
    """An arm's mean with its interval."""
    digits = metric_named(entry.metric).digits
    aside = half_width(entry.mean, entry.low, entry.high, digits)
    return TableCell(number(entry.mean, digits), aside, strong=strong, is_number=entry.mean is not None)


def difference_cell(entry: ArmResult) -> TableCell:
    """Its difference to the baseline with its interval."""
    if entry.verdict == "baseline":
        return TableCell("baseline", tone="quiet")
    digits = metric_named(entry.metric).digits
    aside = half_width(entry.difference, entry.difference_low, entry.difference_high, digits)
    return TableCell(number(entry.difference, digits, signed=True), aside, is_number=entry.difference is not None)


def tone(entry: ArmResult) -> Tone:
    """Only what is resolved has a colour, and only where a metric has a direction."""
    if entry.verdict == "better" or entry.verdict == "worse":
        return entry.verdict
    return "quiet"


def verdict_cell(entry: ArmResult, noun: str) -> TableCell:
    """The verdict in words, with what would be needed for another one."""
    text = word(entry)
    if entry.verdict == "too few":
        text = f"too few: {entry.num_pairs} of {counted(FEWEST_CLUSTERS, noun)}"
    if entry.verdict == "not resolved":
        text = f"not resolved, {clusters_needed(entry, noun)}"
    return TableCell(text, tone=tone(entry))


def clusters_needed(entry: ArmResult, noun: str) -> str:
    """How many clusters would resolve a difference, two digits of it at most: it is a rough guide."""
    if entry.clusters_to_resolve is None:
        return f">{statistics.MOST_CLUSTERS} {plural(noun)}"
    size = 10 ** max(0, len(str(entry.clusters_to_resolve)) - 2)
    return f"~{math.ceil(entry.clusters_to_resolve / size) * size} {plural(noun)}"


def trials_cell(entry: ArmResult) -> TableCell:
    """How many trials gave a number, and of how many where some are lost."""
    if entry.num_lost:
        return TableCell(f"{entry.num_trials} of {entry.num_planned}", tone="worse")
    return TableCell(str(entry.num_trials), is_number=True)


def so_far(entry: ArmResult) -> str:
    """Of how many trials a number is, while some have not run; empty where all have."""
    return f"({entry.num_trials} of {entry.num_planned})" if entry.num_absent else ""


def steps_cell(entry: ArmResult) -> TableCell:
    """Steps trained; a range where trials of one arm differ."""
    if entry.num_steps is None or entry.fewest_steps is None:
        return TableCell(DASH)
    if entry.fewest_steps != entry.num_steps:
        return TableCell(f"{entry.fewest_steps}-{entry.num_steps}", tone="worse")
    return TableCell(str(entry.num_steps), is_number=True)


def seconds_cell(entry: ArmResult) -> TableCell:
    """Mean seconds of a trial."""
    return three_digits(entry.wall_s)


def three_digits(amount: float | None) -> TableCell:
    """Seconds or MiB with three digits."""
    digits = 0 if (amount or 0) >= 99.5 else 1 if (amount or 0) >= 9.95 else 2
    return TableCell(number(amount, digits), is_number=amount is not None)


def run_columns(result: TableResult, metric: str) -> list[tuple[str, tuple[TableCell, ...]]]:
    """What it took: trials, steps where arms differ in them, seconds."""
    column = result.column(metric)
    found = [("trials", tuple(trials_cell(e) for e in column))]
    if same_steps(result) is None and any(e.num_steps for e in column):
        found.append(("steps", tuple(steps_cell(e) for e in column)))
    return [*found, ("s/trial", tuple(seconds_cell(e) for e in column))]


def metric_grid(result: TableResult, metric: str, *, with_p: bool = False, with_run: bool = True) -> TableGrid:
    """One metric in full: a row an arm.

    Args:
        result: The table.
        metric: Which.
        with_p: With the corrected p and the smallest that it could have been.
        with_run: With trials, steps and seconds.
    """
    column, best = result.column(metric), best_arm(result, metric)
    columns = [
        ("arm", tuple(TableCell(e.arm) for e in column)),
        ("mean", tuple(mean_cell(e, e.arm == best) for e in column)),
        ("difference", tuple(difference_cell(e) for e in column)),
    ]
    if with_p:
        columns.append(("p", tuple(TableCell(p_text(e.p_holm), is_number=e.p_holm is not None) for e in column)))
        columns.append(
            ("lowest p", tuple(TableCell(p_text(e.p_floor), is_number=e.p_floor is not None) for e in column))
        )
    columns.append(("verdict", tuple(verdict_cell(e, result.cluster_noun) for e in column)))
    if with_run or any(entry.num_absent for entry in column):  # while trials run, each number says of how many it is
        columns += run_columns(result, metric)[: None if with_run else 1]
    header, cells = zip(*columns, strict=True)
    rows = (*zip(*cells, strict=True), *bound_rows(result, [metric], len(header)))
    return TableGrid(header, rows, left=(0, header.index("verdict")))


def p_text(p: float | None) -> str:
    """A p with two digits that count.

    Example:
        >>> p_text(0.0390625), p_text(1.0), p_text(0.00012), p_text(None)
        ('0.039', '1.00', '<0.001', '–')
    """
    if p is None:
        return DASH
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def summary_grid(result: TableResult, metrics: Sequence[str]) -> TableGrid:
    """All metrics side by side, as papers print them: a row an arm, its differences in the second lines."""
    columns = [("arm", tuple(TableCell(arm) for arm in result.arms))]
    for metric in metrics:
        best, cells = best_arm(result, metric), []
        for entry in result.column(metric):
            difference = difference_cell(entry)
            said = " ".join(filter(None, (difference.text, difference.aside, word(entry), so_far(entry))))
            cells.append(mean_cell(entry, entry.arm == best)._replace(below=said, tone=tone(entry)))
        columns.append((heading(metric), tuple(cells)))
    columns += run_columns(result, metrics[0])
    header, cells_by_column = zip(*columns, strict=True)
    return TableGrid(header, (*zip(*cells_by_column, strict=True), *bound_rows(result, metrics, len(header))))


def bound_rows(result: TableResult, metrics: Sequence[str], num_columns: int) -> list[tuple[TableCell, ...]]:
    """Rows below the arms: what their numbers are read beside, a metric a column behind the first."""
    found = {(bound.name, bound.metric): bound for bound in result.bounds if bound.metric in metrics}
    rows = []
    for name in dict.fromkeys(name for name, _ in found):
        cells = [TableCell(name, tone="quiet"), *(bound_cell(found.get((name, metric))) for metric in metrics)]
        rows.append((*cells, *[TableCell("")] * (num_columns - len(cells))))
    return rows


def bound_cell(bound: ReferenceRow | None) -> TableCell:
    """A number that others are read beside, with its interval."""
    if bound is None:
        return TableCell("")
    digits = metric_named(bound.metric).digits
    aside = half_width(bound.mean, bound.low, bound.high, digits)
    return TableCell(number(bound.mean, digits), aside, tone="quiet", is_number=True)


def bounds_text(result: TableResult, metric: str) -> str:
    """The same of one metric on a line; empty where there are none."""
    found = [(bound.name, bound_cell(bound)) for bound in result.bounds if bound.metric == metric]
    return "; ".join(f"{name} {cell.text} {cell.aside}".rstrip() for name, cell in found)


def word(entry: ArmResult) -> str:
    """The verdict where there is little room; "baseline" is said already."""
    return "" if entry.verdict == "baseline" else entry.verdict


def scenes_grid(result: TableResult, metric: str) -> TableGrid:
    """One metric cluster by cluster: a row an arm, a column a scene, the mean at the end; of captions a row each."""
    digits = metric_named(metric).digits
    if kind_named(result.cluster_noun).has_many_clusters:
        by_arm = result.by_cluster[metric]
        lines = [(cluster, [by_arm[arm][cluster] for arm in result.arms]) for cluster in result.clusters]
        lines.append(("mean", [result.entry(arm, metric).mean for arm in result.arms]))
        return TableGrid(
            (result.cluster_noun, *result.arms),
            tuple(
                (TableCell(name), *(TableCell(number(x, digits), is_number=x is not None) for x in xs))
                for name, xs in lines
            ),
        )
    rows = []
    for arm in result.arms:
        values = [*result.by_cluster[metric][arm].values(), result.entry(arm, metric).mean]
        rows.append((TableCell(arm), *(TableCell(number(x, digits), is_number=x is not None) for x in values)))
    return TableGrid(("arm", *result.clusters, "mean"), tuple(rows))


def best_arm(result: TableResult, metric: str) -> str | None:
    """The arm to set in bold: the best mean, if its difference to the baseline is resolved.

    The baseline itself is the best where every other arm that was compared with it is resolved to be worse. No arm is
    tested against the runner-up, and where neither way is better none is best.
    """
    column, higher_is_better = (
        [e for e in result.column(metric) if e.mean is not None],
        metric_named(metric).higher_is_better,
    )
    if not column or higher_is_better is None:
        return None
    sign = 1 if higher_is_better else -1
    best = max(column, key=lambda e: sign * (e.mean or 0.0))
    others = [e.verdict for e in column if e.verdict != "baseline"]
    if best.verdict == "baseline":
        return best.arm if others and set(others) == {"worse"} else None
    return best.arm if best.verdict == "better" else None


def heading(metric: str) -> str:
    """A column's head: title, unit and which way is up.

    Example:
        >>> heading("psnr"), heading("lpips_vgg"), heading("opacity")
        ('PSNR [dB] ↑', 'LPIPS, VGG ↓', 'mean opacity')
    """
    arrow = {True: " ↑", False: " ↓", None: ""}[metric_named(metric).higher_is_better]
    return named(metric) + arrow


def named(metric: str) -> str:
    """Title and unit."""
    known = metric_named(metric)
    return known.title + (f" [{known.unit}]" if known.unit else "")


def direction(metric: str) -> str:
    """A block's title: `PSNR [dB], higher is better`."""
    return f"{named(metric)}, {better_way(metric)}"


def better_way(metric: str) -> str:
    """Which way is better, in words.

    Example:
        >>> better_way("psnr"), better_way("lpips_vgg"), better_way("repeats")
        ('higher is better', 'lower is better', 'to be read beside that of true renders')
    """
    higher_is_better = metric_named(metric).higher_is_better
    if higher_is_better is None:
        return "to be read beside that of true renders"
    return f"{'higher' if higher_is_better else 'lower'} is better"


def caption(result: TableResult) -> str:
    """How the numbers were made, and of how many."""
    steps = same_steps(result)
    told = "steps differ between arms" if any(e.num_steps for e in result.entries) else ""
    at_most = "at most " if len({e.num_planned for e in result.entries}) > 1 else ""
    parts = [
        f"protocol {result.protocol}",
        f"budget {', '.join(result.budgets)}" if result.budgets else "nothing run yet",
        f"{at_most}{counted(len(result.clusters), result.cluster_noun)} × {counted(result.num_seeds, 'seed')} an arm",
        f"{steps} steps a trial" if steps is not None else told,
    ]
    return "; ".join(filter(None, parts))


def legend(result: TableResult, *, with_needs: bool = True) -> str:
    """How to read it; what `~ 40 scenes` means only where that is said."""
    noun = plural(result.cluster_noun)
    directed = [metric_named(metric).higher_is_better is not None for metric in result.metrics]
    words = ["better and worse"] * any(directed) + ["higher and lower"] * (not all(directed))
    judge = primary_judge(result.metrics)
    family = "all baselines that are read together" if result.tests_beside else "the arms"
    return (
        f"± is half a 95% interval over {noun}{cut_ends(result)}; differences to {result.baseline}, paired by "
        f"{result.cluster_noun} and seed; {', '.join(words)}: p < {statistics.ALPHA} by sign flips, corrected over "
        f"{family} (Holm), and the interval leaves out zero"
        + ("; higher and lower: where neither way is better" if len(words) == 2 else "")
        + ("; " + BOLD if any(directed) else "")
        + (f"; where no judge is named: by {judge}; in-loop numbers conclude nothing" if judge else "")
        + (f"; ~ {noun}: so many would resolve it" if with_needs else "")
    )


def cut_ends(result: TableResult) -> str:
    """What two ends in brackets are, for the legend; empty where no interval is cut."""
    ends = ((e.mean, e.low, e.high) for e in result.entries)
    some = any(m is not None and low is not None and high is not None and is_cut(m, low, high) for m, low, high in ends)
    return ", [low, high] one that is cut where the metric ends" if some else ""


def resolution(result: TableResult, metric: str) -> str:
    """What this design could have seen under a metric: the floor of p, and the differences that it resolves."""
    tested = [e for e in result.column(metric) if e.p_floor is not None]
    if not tested:
        return f"no verdict with fewer than {counted(FEWEST_CLUSTERS, result.cluster_noun)} that both arms have"
    floors = sorted({e.p_floor for e in tested if e.p_floor is not None})
    least = min(e.num_pairs for e in tested)
    num_tests = result.num_tests(metric)
    design = f"{counted(least, result.cluster_noun)}, {counted(num_tests, 'comparison')}"
    if floors[0] >= statistics.ALPHA:
        enough = statistics.clusters_for_any(num_tests)
        few = f"the smallest possible p is {p_text(floors[0])}, so nothing can be resolved"
        return f"{design}: {few}; {counted(enough, result.cluster_noun)} could"
    floor = f"{design}: the smallest possible p is {p_text(floors[-1])}"
    seen = sorted(e.resolvable for e in tested if e.resolvable is not None)
    if not seen:
        return floor
    known = metric_named(metric)
    low, high = (number(x, known.digits) for x in (seen[0], seen[-1]))
    unit = f" {known.unit}" if known.unit else ""
    return f"{floor}; the smallest resolvable difference about " + (
        f"{low}{unit}" if low == high else f"{low} to {high}{unit}, by arm"
    )


def conclusion(result: TableResult) -> list[tuple[Tone, str]]:
    """What the table comes to: a sentence a verdict and the metrics under which it holds, with its arms.

    Nothing is concluded from what a guide says of its own objects, or from what has no direction.
    """
    titles = short_titles(result)
    found: list[tuple[Tone, str]] = []
    unresolved = [e for e in result.entries if e.verdict == "not resolved" and e.metric in titles]
    hopeless = all((e.p_floor or 0) >= statistics.ALPHA for e in unresolved)
    clause = f", nor could it be with so few {plural(result.cluster_noun)}" if hopeless else ""
    for told, phrase, how in (
        ("better", f"Better than {result.baseline}", "better"),
        ("worse", f"Worse than {result.baseline}", "worse"),
        ("not resolved", f"Not resolved{clause}", "quiet"),
        ("too few", f"Too few {plural(result.cluster_noun)} for a verdict", "quiet"),
        ("no data", "No data", "quiet"),
    ):
        where = {arm: [m for m in titles if result.entry(arm, m).verdict == told] for arm in result.arms}
        found += [(how, f"{phrase}{under}: {arms}") for under, arms in by_metrics(where, titles)]  # type: ignore[misc]
    return found


def short_titles(result: TableResult) -> dict[str, str]:
    """Metrics that something can be concluded from; the judge of the first is named only beside another one's."""
    known = {m: metric_named(m).title for m in result.metrics if metric_named(m).higher_is_better is not None}
    judge = primary_judge(result.metrics)
    return {
        metric: title.removesuffix(f", by {judge}")
        for metric, title in known.items()
        if not MetricKey.parse(metric).is_of_guide
    }


def primary_judge(metrics: Sequence[str]) -> str:
    """The encoder that a table's first columns are by.

    Example:
        >>> primary_judge(("rprec1@guide", "margin@embedded-judge-rn", "repeats"))
        'embedded-judge-rn'
    """
    keys = [MetricKey.parse(metric) for metric in metrics]
    return next((key.encoder for key in keys if key.encoder and not key.is_of_guide), "")


def by_metrics(where: Mapping[str, Sequence[str]], titles: Mapping[str, str]) -> list[tuple[str, str]]:
    """Under which metrics something holds, in words, and the arms of which it does; what holds under all comes first.

    Example:
        >>> titles = {"p": "PSNR", "s": "SSIM", "l": "LPIPS"}
        >>> by_metrics({"a": "psl", "b": "p", "c": "ps", "d": "", "e": "p", "f": "psl"}, titles)
        [('', 'a · f'), (' in all but LPIPS', 'c'), (' in PSNR', 'b · e')]
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for arm, metrics in where.items():
        if metrics:
            groups.setdefault(tuple(metrics), []).append(arm)
    said = []
    for metrics, arms in sorted(groups.items(), key=lambda group: -len(group[0])):
        left = [title for m, title in titles.items() if m not in metrics]
        if left and len(left) < len(metrics):
            under = f" in all but {'; '.join(left)}"
        else:
            under = f" in {'; '.join(titles[m] for m in metrics)}" if left else ""
        said.append((under, " · ".join(arms)))
    return said


def missing_number_lines(result: TableResult) -> list[str]:
    """Where trials or numbers are missing, and why: a line an arm and cause."""
    return [line for _, line in losses_by_arm(result)]


def losses_by_arm(result: TableResult, metrics: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """The same, each with its arm; of some metrics only, or None for all."""
    metrics = result.metrics if metrics is None else metrics
    found: dict[tuple[str, str], list[str]] = {}
    for entry in (entry for entry in result.entries if entry.metric in metrics):
        kinds = (("failed", entry.num_failed), ("not run", entry.num_absent), ("without a number", entry.num_missing))
        parts = [f"{num} {kind}" for kind, num in kinds if num]
        if entry.num_views_missing:
            parts.append(f"{counted(entry.num_views_missing, 'view')} without a number")
        if parts:
            why = "; ".join(f"{reason} ({num})" for reason, num in entry.reasons.items())
            line = f"{entry.arm}, of {entry.num_planned} trials: {', '.join(parts)}" + (f": {why}" if why else "")
            found.setdefault((entry.arm, line), []).append(metric_named(entry.metric).title)
    everywhere = len(metrics)
    return [
        (arm, line if len(where) == everywhere else f"{line} [{'; '.join(where)}]")
        for (arm, line), where in found.items()
    ]


def same_steps(result: TableResult) -> int | None:
    """The number of steps of every trial; None where they differ or none ran."""
    found = {x for e in result.entries for x in (e.num_steps, e.fewest_steps) if x is not None}
    return found.pop() if len(found) == 1 else None


def plural(noun: str) -> str:
    """More than one of it."""
    return f"{noun}s"


def counted(num: int, noun: str) -> str:
    """So many of it: `1 scene`, `8 scenes`."""
    return f"{num} {noun if num == 1 else plural(noun)}"
