"""Lays out tables as rows of cells, before any format: by metric, by arm, by cluster, and as papers print them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bench.analysis.table_result import ArmResult, SceneDifference, TableResult
from bench.counted_nouns import format_count
from bench.metrics.registry import metric_named
from bench.metrics.task_kinds import kind_named
from bench.report.photograph_notes import name_view
from bench.report.tables import cells
from bench.report.tables.cells import DASH, TableCell
from bench.report.tables.words import column_heading
from bench.suites.suite import Published

NUM_PRIMARY = 3
"""Number of metrics that are shown first if none are named: a suite lists the most telling first."""


class TableGrid(NamedTuple):
    """A table as rows of cells.

    Attributes:
        header: Headings of the columns.
        rows: Rows of as many cells.
        left: Columns that are set to the left; the others are set to the right.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    left: tuple[int, ...] = (0,)


Column = tuple[str, tuple[TableCell, ...]]
"""Heading and cells of a column."""


def grid_of_columns(columns: Sequence[Column], more_rows: Sequence[tuple[TableCell, ...]] = ()) -> TableGrid:
    """Set columns side by side, and more rows below them; a column named "verdict" is set to the left.

    Args:
        columns: Headings and cells, all of one length.
        more_rows: Rows of as many cells as there are columns.
    """
    header = tuple(heading for heading, _ in columns)
    rows = zip(*(column for _, column in columns), strict=True)
    left = (0, header.index("verdict")) if "verdict" in header else (0,)
    return TableGrid(header, (*rows, *more_rows), left)


def verdict_grid(result: TableResult, metric: str, *, with_p: bool = False, with_run: bool = True) -> TableGrid:
    """Lay out one metric in full: an arm a row.

    Args:
        result: The table.
        metric: Which.
        with_p: Whether to add the corrected p and the smallest that it could have been.
        with_run: Whether to add trials, steps and seconds. While trials run, trials are there in any case.
    """
    entries = result.column(metric)
    best = best_arm(result, metric)
    columns: list[Column] = [("arm", tuple(TableCell(entry.arm) for entry in entries))]
    columns.append(("mean", tuple(cells.mean_cell(entry, entry.arm == best) for entry in entries)))
    if result.has_baseline:
        columns += difference_columns(result, metric, with_p)
    if with_run:
        columns += run_columns(result, metric)
    elif any(entry.num_absent for entry in entries):
        columns.append(trials_column(result, metric))
    return grid_of_columns(columns, reference_rows(result, [metric], len(columns)))


def difference_columns(result: TableResult, metric: str, with_p: bool) -> list[Column]:
    """Lay out differences to the baseline, and what they come to."""
    entries = result.column(metric)
    columns: list[Column] = [("difference", tuple(cells.difference_cell(entry) for entry in entries))]
    if with_p:
        columns.append(("p", tuple(cells.p_cell(entry.p_holm) for entry in entries)))
        columns.append(("lowest p", tuple(cells.p_cell(entry.p_floor) for entry in entries)))
    columns.append(("verdict", tuple(cells.verdict_cell(entry, result.cluster_noun) for entry in entries)))
    return columns


def summary_grid(result: TableResult, metrics: Sequence[str]) -> TableGrid:
    """Lay out metrics side by side, as papers print them: an arm a row, its differences in the second lines."""
    columns: list[Column] = [("arm", tuple(TableCell(arm) for arm in result.arms))]
    for metric in metrics:
        best = best_arm(result, metric)
        column = tuple(summary_cell(entry, entry.arm == best) for entry in result.column(metric))
        columns.append((column_heading(metric), column))
    columns += run_columns(result, metrics[0])
    return grid_of_columns(columns, reference_rows(result, metrics, len(columns)))


def summary_cell(entry: ArmResult, strong: bool) -> TableCell:
    """Write an arm's mean, and its difference with the verdict in the second line."""
    if entry.verdict == "no baseline":
        return cells.mean_cell(entry)._replace(below=cells.trials_so_far(entry))
    difference = cells.difference_cell(entry)
    parts = (difference.text, difference.aside, cells.verdict_word(entry), cells.trials_so_far(entry))
    below = " ".join(part for part in parts if part)
    return cells.mean_cell(entry, strong)._replace(below=below, tone=cells.verdict_tone(entry))


def trials_column(result: TableResult, metric: str) -> Column:
    """Count the trials of each arm."""
    return "trials", tuple(cells.trials_cell(entry) for entry in result.column(metric))


def run_columns(result: TableResult, metric: str) -> list[Column]:
    """List what each arm took: trials, steps where arms differ in them, seconds."""
    entries = result.column(metric)
    columns = [trials_column(result, metric)]
    if same_steps(result) is None and any(entry.num_steps for entry in entries):
        columns.append(("steps", tuple(cells.steps_cell(entry) for entry in entries)))
    columns.append(("s/trial", tuple(cells.amount_cell(entry.wall_s) for entry in entries)))
    return columns


def same_steps(result: TableResult) -> int | None:
    """Return the number of steps of every trial; None where they differ or none ran."""
    found = {entry.num_steps for entry in result.entries} | {entry.fewest_steps for entry in result.entries}
    found.discard(None)
    return found.pop() if len(found) == 1 else None


def reference_rows(result: TableResult, metrics: Sequence[str], num_columns: int) -> list[tuple[TableCell, ...]]:
    """Lay out the rows below the arms, such as true renders and chance.

    Args:
        result: The table.
        metrics: A column each, behind the first.
        num_columns: Columns in all; those that are left over are empty.
    """
    found = {(row.name, row.metric): row for row in result.references if row.metric in metrics}
    rows = []
    for name in dict.fromkeys(name for name, _ in found):
        row = [TableCell(name, tone="quiet")]
        row += [cells.reference_cell(found.get((name, metric))) for metric in metrics]
        row += [TableCell("")] * (num_columns - len(row))
        rows.append(tuple(row))
    return rows


def cluster_grid(result: TableResult, metric: str) -> TableGrid:
    """Lay out one metric cluster by cluster, with the mean at the end.

    Scenes are few, and have a column each. Captions are many, and have a row each.
    """
    digits = metric_named(metric).digits
    by_arm = result.by_cluster[metric]
    means = [result.entry(arm, metric).mean for arm in result.arms]
    lines: list[tuple[str, list[float | None]]]
    if kind_named(result.cluster_noun).has_many_clusters:
        header = (result.cluster_noun, *result.arms)
        lines = [(cluster, [by_arm[arm][cluster] for arm in result.arms]) for cluster in result.clusters]
        lines.append(("mean", means))
    else:
        header = ("arm", *result.clusters, "mean")
        lines = [(arm, [*by_arm[arm].values(), mean]) for arm, mean in zip(result.arms, means, strict=True)]
    rows = [(TableCell(name), *(cells.number_cell(value, digits) for value in values)) for name, values in lines]
    return TableGrid(header, tuple(rows))


def scene_grid(result: TableResult, metric: str) -> TableGrid:
    """Lay out each arm's difference to the baseline on each scene by itself, and in how many views it is better."""
    digits = metric_named(metric).digits
    found = {(each.arm, each.cluster): each for each in result.scene_differences if each.metric == metric}
    has_direction = metric_named(metric).higher_is_better is not None
    arms = [arm for arm in result.arms if arm != result.baseline]
    columns: list[Column] = [("arm", tuple(map(TableCell, arms)))]
    for cluster in result.clusters:
        of_scene = [found.get((arm, cluster)) for arm in arms]
        columns.append((cluster, tuple(scene_cell(each, digits) for each in of_scene)))
        if has_direction:
            columns.append(("better in", tuple(better_views_cell(each) for each in of_scene)))
    return grid_of_columns(columns)


def scene_cell(found: SceneDifference | None, digits: int) -> TableCell:
    """Write a difference with its interval over views; a dash for None."""
    if found is None:
        return TableCell(DASH, tone="quiet")
    aside = cells.format_interval_ends(found.mean, found.low, found.high, digits)
    return TableCell(cells.format_number(found.mean, digits, signed=True), aside, is_number=True)


def better_views_cell(found: SceneDifference | None) -> TableCell:
    """Count the views in which an arm is better than the baseline."""
    if found is None:
        return TableCell(DASH, tone="quiet")
    return TableCell(f"{found.num_better} of {format_count(len(found.views), 'view')}", tone="quiet")


def view_grid(result: TableResult, metric: str, cluster: str) -> TableGrid:
    """Lay out each arm's difference to the baseline in each held-out view of a scene."""
    digits = metric_named(metric).digits
    here = [each for each in result.scene_differences if (each.metric, each.cluster) == (metric, cluster)]
    by_arm = {each.arm: dict(zip(each.views, each.by_view, strict=True)) for each in here}
    views = sorted({view for values in by_arm.values() for view in values})
    names = {int(number): name for number, name in result.view_names.get(cluster, {}).items()}
    columns: list[Column] = [("view", tuple(TableCell(name_view(view, names)) for view in views))]
    for arm, values in by_arm.items():
        columns.append((arm, tuple(cells.number_cell(values.get(view), digits, signed=True) for view in views)))
    return grid_of_columns(columns)


def best_arm(result: TableResult, metric: str) -> str | None:
    """Find the arm to set in bold: the best mean, if its difference to the baseline is resolved.

    The baseline itself is the best where every other arm that was compared with it is resolved to be worse. No arm is
    tested against the runner-up, and where neither way is better none is best.
    """
    entries = [entry for entry in result.column(metric) if entry.mean is not None]
    higher_is_better = metric_named(metric).higher_is_better
    if not entries or higher_is_better is None:
        return None
    sign = 1 if higher_is_better else -1
    best = max(entries, key=lambda entry: sign * (entry.mean or 0.0))
    if best.verdict == "baseline":
        others = {entry.verdict for entry in entries if entry.verdict != "baseline"}
        return best.arm if others == {"worse"} else None
    return best.arm if best.verdict == "better" else None


def published_grid(result: TableResult) -> TableGrid | None:
    """Lay out what papers print of the same question, a row of theirs each; None where none is named."""
    if not result.published:
        return None
    columns = tuple(dict.fromkeys(number.column for number in result.published))
    by_row: dict[str, dict[str, Published]] = {}
    for number in result.published:
        by_row.setdefault(number.row, {})[number.column] = number
    rows = [published_row(name, numbers, columns) for name, numbers in by_row.items()]
    header = ("as published", *columns, "source", "may ours be set against it?")
    return TableGrid(header, tuple(rows), left=(0, len(columns) + 1, len(columns) + 2))


def published_row(name: str, numbers: dict[str, Published], columns: Sequence[str]) -> tuple[TableCell, ...]:
    """Lay out one row of a paper: its numbers by column, its source, and whether ours may be compared with it."""
    first = next(iter(numbers.values()))
    row = [TableCell(name)]
    for column in columns:
        if column in numbers:
            row.append(TableCell(numbers[column].value, is_number=True))
        else:
            row.append(TableCell(DASH, tone="quiet"))
    row.append(TableCell(first.source, tone="quiet"))
    row.append(TableCell(first.apart or "yes", tone="quiet"))
    return tuple(row)
