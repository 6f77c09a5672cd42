"""Writes the sentences around a table: how it was made, how to read it, what it comes to, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.analysis import statistics
from bench.analysis.table_result import FEWEST_CLUSTERS, ArmResult, TableResult, Verdict
from bench.counted_nouns import format_count, pluralize
from bench.metrics.metric_key import MetricKey
from bench.metrics.registry import NOT_ASKED, metric_named
from bench.report.tables.cells import Tone, format_number, format_p, is_truncated, reference_cell
from bench.report.tables.grids import same_steps
from bench.report.tables.words import primary_judge

BOLD = (
    "Bold: the best mean, where it is resolved as better than the baseline. The baseline is bold where all other arms "
    "are resolved as worse. The best arm is not tested against the runner-up."
)
"""Explains what `bench.report.tables.grids.best_arm` marks."""


ABOUT_SCENES = (
    "Differences of each {0} have a 95% interval over its held-out views, which says nothing about another {0}."
)
"""Explains what `bench.report.tables.grids.scene_grid` shows."""


NO_BASELINE = "There are no differences: {0}, the baseline, was not chosen; choose it too with --only to have them."
"""Said of a table in which no arm can be compared with the baseline."""


# --- how it was made and how to read it -------------------------------------------------------------------------------


def table_caption(result: TableResult) -> str:
    """Say how the numbers were made, and of how many trials."""
    num_planned = {entry.num_planned for entry in result.entries}
    at_most = "At most " if len(num_planned) > 1 else ""
    clusters = format_count(len(result.clusters), result.cluster_noun)
    budget = f"budget {', '.join(result.budgets)}" if result.budgets else "nothing run yet"
    sentences = [
        f"Protocol {result.protocol}, {budget}.",
        f"{at_most}{clusters} × {format_count(result.num_seeds, 'seed')} an arm.",
        describe_steps(result),
    ]
    return join_sentences(sentences)


def describe_steps(result: TableResult) -> str:
    """Say how many steps a trial took; empty where none ran."""
    steps = same_steps(result)
    if steps is not None:
        return f"{steps} steps a trial."
    return "Steps differ between arms." if any(entry.num_steps for entry in result.entries) else ""


def table_legend(result: TableResult, *, with_needs: bool = True) -> str:
    """Explain how to read a table.

    Args:
        result: The table; only what stands in it is explained.
        with_needs: Whether to explain what `~ 40 scenes` means.
    """
    noun = result.cluster_noun
    if result.scene_differences:
        paired = f"Differences to {result.baseline} are paired by {noun}, seed and view."
        has_interval = any(each.low is not None for each in result.scene_differences)
        about = ABOUT_SCENES.format(noun) if has_interval else ""
        return join_sentences([describe_intervals(result), paired, about])
    has_direction = {metric_named(metric).higher_is_better is not None for metric in result.metrics}
    judge = primary_judge(result.metrics)
    sentences = [describe_intervals(result)]
    if result.has_baseline:
        sentences.append(f"Differences to {result.baseline} are paired by {noun} and seed.")
        sentences.append(explain_verdicts(result, has_direction))
    else:
        sentences.append(NO_BASELINE.format(result.baseline))
    if True in has_direction and result.has_baseline:
        sentences.append(BOLD)
    if judge:
        sentences.append(f"Where no judge is named, it is {judge}. Nothing is concluded from in-loop numbers.")
    if with_needs and result.has_baseline:
        sentences.append(f"~ {pluralize(noun)}: about so many would resolve the difference.")
    return join_sentences(sentences)


def describe_intervals(result: TableResult) -> str:
    """Explain what stands beside a mean; empty where nothing does, as with a single scene."""
    shown = [entry.low for entry in result.entries] + [row.low for row in result.references]
    if not result.scene_differences:  # else differences are explained by `ABOUT_SCENES`
        shown += [entry.difference_low for entry in result.entries]
    if all(low is None for low in shown):
        return ""
    sentence = f"Mean ± half-width of the 95% confidence interval over {pluralize(result.cluster_noun)}."
    if any(has_truncated_interval(entry) for entry in result.entries):
        sentence += " [low, high] where the interval was truncated at the metric's range."
    return sentence


def has_truncated_interval(entry: ArmResult) -> bool:
    """Tell whether the interval of an arm's mean was truncated at the metric's range."""
    if entry.mean is None or entry.low is None or entry.high is None:
        return False
    return is_truncated(entry.mean, entry.low, entry.high)


def explain_verdicts(result: TableResult, has_direction: set[bool]) -> str:
    """Explain the verdicts on what is resolved.

    Args:
        result: The table.
        has_direction: Whether some metrics have a better side, and whether some have none.
    """
    family = "all baselines that are read together" if result.tests_beside else "the arms"
    test = (
        f"p < {statistics.ALPHA} by sign flips, corrected over {family} (Holm), and an interval that leaves out zero."
    )
    if has_direction == {True}:
        return f"Better and worse mean {test}"
    if has_direction == {False}:
        return f"Higher and lower mean {test}"
    return f"Better and worse, higher and lower mean {test} Higher and lower stand where neither way is better."


def resolution_summary(result: TableResult, metric: str) -> str:
    """Say what this design could have resolved: the smallest p and difference; empty where there is no baseline."""
    if not result.has_baseline:
        return ""
    tested = [entry for entry in result.column(metric) if entry.p_floor is not None]
    if not tested:
        enough = format_count(FEWEST_CLUSTERS, result.cluster_noun)
        return f"There is no verdict with fewer than {enough} that both arms have."
    floors = sorted({entry.p_floor for entry in tested if entry.p_floor is not None})
    fewest = min(entry.num_pairs for entry in tested)
    num_tests = result.num_tests(metric)
    design = f"{format_count(fewest, result.cluster_noun)} and {format_count(num_tests, 'comparison')}"
    if floors[0] >= statistics.ALPHA:
        enough = format_count(statistics.clusters_for_any(num_tests), result.cluster_noun)
        return (
            f"With {design}, the smallest possible p is {format_p(floors[0])}, so nothing can be resolved. "
            f"It takes {enough}."
        )
    sentences = [f"With {design}, the smallest possible p is {format_p(floors[-1])}."]
    differences = sorted(entry.resolvable for entry in tested if entry.resolvable is not None)
    if differences:
        sentences.append(describe_resolvable(metric, differences[0], differences[-1]))
    return join_sentences(sentences)


def describe_resolvable(metric: str, smallest: float, largest: float) -> str:
    """Say which differences a design resolves.

    Args:
        metric: Metric of the differences.
        smallest: Smallest resolvable difference of the arm where it is smallest.
        largest: That of the arm where it is largest.
    """
    known = metric_named(metric)
    low = format_number(smallest, known.digits)
    high = format_number(largest, known.digits)
    unit = f" {known.unit}" if known.unit else ""
    if low == high:
        return f"The smallest resolvable difference is about {low}{unit}."
    return f"The smallest resolvable difference is about {low} to {high}{unit}, by arm."


def describe_references(result: TableResult, metric: str) -> str:
    """List on one line what a metric's numbers are read beside; empty where there is nothing."""
    parts = []
    for row in result.references:
        if row.metric == metric:
            cell = reference_cell(row)
            parts.append(f"{row.name} {cell.text} {cell.aside}".rstrip())
    return ", ".join(parts)


def few_scenes(result: TableResult) -> str:
    """Say that there is no verdict across scenes, and what there is instead; empty where scenes are enough."""
    if not result.scene_differences:
        return ""
    count = format_count(len(result.clusters), result.cluster_noun)
    return f"{count}: no verdict across {pluralize(result.cluster_noun)}. {ABOUT_SCENES.format(result.cluster_noun)}"


def join_sentences(sentences: Sequence[str]) -> str:
    """Join sentences, but for empty ones."""
    return " ".join(sentence for sentence in sentences if sentence)


# --- what it comes to -------------------------------------------------------------------------------------------------


def conclude(result: TableResult) -> list[tuple[Tone, str]]:
    """Say what a table comes to: for each verdict, the arms and the metrics under which it holds.

    Nothing is concluded from what a guide says of its own objects, or from what has no direction.
    """
    titles = short_titles(result)
    unresolved = [entry for entry in result.entries if entry.verdict == "not resolved" and entry.metric in titles]
    is_hopeless = all((entry.p_floor or 0) >= statistics.ALPHA for entry in unresolved)
    clusters = pluralize(result.cluster_noun)
    not_resolved = f"Not resolved, nor could it be with so few {clusters}" if is_hopeless else "Not resolved"
    phrases: list[tuple[Verdict, str, Tone]] = [
        ("better", f"Better than {result.baseline}", "better"),
        ("worse", f"Worse than {result.baseline}", "worse"),
        ("not resolved", not_resolved, "quiet"),
        ("too few", f"Too few {clusters} for a verdict", "quiet"),
        ("no data", "No data", "quiet"),
    ]
    lines: list[tuple[Tone, str]] = []
    if result.scene_differences:
        count = format_count(len(result.clusters), result.cluster_noun)
        lines.append(("quiet", f"{count}: no verdict across {clusters}; differences by {result.cluster_noun} below"))
        phrases = [phrase for phrase in phrases if phrase[0] != "too few"]
    for verdict, phrase, tone in phrases:
        metrics_by_arm = {arm: metrics_with_verdict(result, arm, titles, verdict) for arm in result.arms}
        for under, arms in group_by_metrics(metrics_by_arm, titles):
            lines.append((tone, f"{phrase}{under}: {arms}"))
    return lines


def metrics_with_verdict(result: TableResult, arm: str, metrics: Iterable[str], verdict: Verdict) -> list[str]:
    """List the metrics under which an arm has a verdict."""
    return [metric for metric in metrics if result.entry(arm, metric).verdict == verdict]


def short_titles(result: TableResult) -> dict[str, str]:
    """Name the metrics that something can be concluded from; the first judge is named only beside another one's."""
    judge = primary_judge(result.metrics)
    titles = {}
    for metric in result.metrics:
        known = metric_named(metric)
        if known.higher_is_better is not None and not MetricKey.parse(metric).is_of_guide:
            titles[metric] = known.title.removesuffix(f", by {judge}")
    return titles


def group_by_metrics(where: Mapping[str, Sequence[str]], titles: Mapping[str, str]) -> list[tuple[str, str]]:
    """Group arms by the metrics under which something holds; what holds under all comes first.

    Args:
        where: Metrics by arm.
        titles: All metrics with their names.

    Returns:
        Pairs of the metrics in words, empty for all, and the arms.

    Example:
        >>> titles = {"p": "PSNR", "s": "SSIM", "l": "LPIPS"}
        >>> group_by_metrics({"a": "psl", "b": "p", "c": "ps", "d": "", "e": "p", "f": "psl"}, titles)
        [('', 'a · f'), (' in all but LPIPS', 'c'), (' in PSNR', 'b · e')]
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for arm, metrics in where.items():
        if metrics:
            groups.setdefault(tuple(metrics), []).append(arm)
    found = []
    for metrics, arms in sorted(groups.items(), key=lambda group: -len(group[0])):
        others = [title for metric, title in titles.items() if metric not in metrics]
        under = ""
        if others and len(others) < len(metrics):
            under = f" in all but {'; '.join(others)}"
        elif others:
            under = f" in {'; '.join(titles[metric] for metric in metrics)}"
        found.append((under, " · ".join(arms)))
    return found


# --- what is missing --------------------------------------------------------------------------------------------------


def missing_number_lines(result: TableResult) -> list[str]:
    """Say where trials or numbers are missing, and why: one line for each arm and cause."""
    return [line for _, line in losses_by_arm(result)]


def losses_by_arm(result: TableResult, metrics: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """List what is missing as pairs of an arm and a line.

    Args:
        result: The table.
        metrics: Which; None for all.
    """
    metrics = result.metrics if metrics is None else metrics
    found: dict[tuple[str, str], list[str]] = {}
    for entry in result.entries:
        loss = describe_loss(entry) if entry.metric in metrics else ""
        if loss:
            found.setdefault((entry.arm, loss), []).append(metric_named(entry.metric).title)
    losses = []
    for (arm, loss), titles in found.items():
        is_everywhere = len(titles) == len(metrics)
        losses.append((arm, f"{arm}: {loss}" if is_everywhere else f"{arm}, under {'; '.join(titles)}: {loss}"))
    return losses


def describe_loss(entry: ArmResult) -> str:
    """Count what an arm lost under one metric, with the reasons; empty where nothing is lost."""
    reasons = {reason: num for reason, num in entry.reasons.items() if reason not in NOT_ASKED}
    num_missing = entry.num_missing - (sum(entry.reasons.values()) - sum(reasons.values()))
    counts = {"failed": entry.num_failed, "not run": entry.num_absent, "without a number": num_missing}
    parts = [f"{num} {kind}" for kind, num in counts.items() if num]
    if entry.num_views_missing:
        parts.append(f"{format_count(entry.num_views_missing, 'view')} without a number")
    if not parts:
        return ""
    line = f"of {entry.num_planned} trials, {', '.join(parts)}."
    listed = "; ".join(f"{reason} ({num})" for reason, num in reasons.items())
    return f"{line} {'Reason' if len(reasons) == 1 else 'Reasons'}: {listed}." if reasons else line
