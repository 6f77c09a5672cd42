"""Prints a comparison of one method with baselines in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from bench.analysis import findings
from bench.analysis.findings import PairedDifference
from bench.analysis.table_result import TableResult
from bench.counted_nouns import pluralize
from bench.metrics.registry import metric_named
from bench.metrics.task_kinds import kind_named
from bench.report.tables import costs, footers, grids, terminal
from bench.report.tables.cells import (
    TableCell,
    difference_cell,
    mean_cell,
    number_cell,
    p_cell,
    trials_cell,
    verdict_cell,
)
from bench.report.tables.costs import ArmCost
from bench.report.tables.grids import TableGrid
from bench.report.tables.words import metric_direction, metric_title, printable


def print_comparison(
    label: str,
    question: str,
    results: Sequence[TableResult],
    found: Sequence[PairedDifference],
    spent: Sequence[ArmCost],
) -> None:
    """Print a comparison: for each metric one row for each baseline; then scenes, cost, and what was lost.

    Args:
        label: Label of the method.
        question: The comparison's question.
        results: A table a baseline.
        found: Differences, baseline by baseline.
        spent: Cost of each arm.
    """
    first = results[0]
    noun = first.cluster_noun
    blocks: list[Any] = [
        Text(),
        _line(question, "bold"),
        _line(footers.table_caption(first)),
        _line(legend(label, first)),
    ]
    for metric in findings.primary_metrics(found):
        blocks += [Text(), _line(metric_direction(metric), "bold")]
        blocks.append(terminal.to_rich_table(metric_grid(label, found, metric, noun)))
        references = footers.describe_references(first, metric)
        if references:
            blocks.append(_line(references))
        if any(result.scene_differences for result in results):
            blocks += view_blocks(results, metric)
        else:
            blocks += [_line(line) for line in resolution_lines(results, metric)]
    title = f"{label} minus a baseline, by {noun}: {metric_title(findings.primary_metrics(found)[0])}"
    blocks += [Text(), _line(title, "bold"), terminal.to_rich_table(clusters_grid(found, first), gap=1)]
    blocks += [Text(), terminal.to_rich_table(costs.cost_grid(spent, "cost")), _line(costs.HOW_TIMED), Text()]
    blocks += [_line(line) for line in findings.secondary_findings(found, noun)]
    lost = dict.fromkeys(line for result in results for line in footers.missing_number_lines(result))
    blocks += [_line(f"missing from {line}", "yellow") for line in lost]
    notes = dict.fromkeys(note for result in results for note in result.notes)
    blocks += [_line(f"note: {note}") for note in notes]
    terminal.print_blocks(terminal.make_console(None), blocks)


def view_blocks(results: Sequence[TableResult], metric: str) -> list[Any]:
    """Set the differences of each scene by itself, with their intervals over views, a block for each baseline."""
    blocks: list[Any] = []
    for result in results:
        title = f"minus {result.baseline}, by {result.cluster_noun} ± over its views"
        blocks += [_line(title), terminal.to_rich_table(grids.scene_grid(result, metric))]
    return blocks


def _line(text: str, style: str = "dim") -> Text:
    """Make a line of text that a person may have written."""
    return Text(printable(text), style=style)


def legend(label: str, result: TableResult) -> str:
    """Explain how to read a comparison."""
    noun = pluralize(result.cluster_noun)
    if result.scene_differences:
        return f"{label} minus the baseline. {footers.table_legend(result)}"
    sentences = (
        f"Difference: {label} minus the baseline, paired by {result.cluster_noun} and seed.",
        footers.describe_intervals(result),
        "p is by sign flips, corrected over baselines (Holm).",
        "Better and worse mean p < 0.05 and an interval that leaves out zero.",
        f"~ n {noun} or seeds: about so many would resolve the difference.",
    )
    return footers.join_sentences(sentences)


def metric_grid(label: str, found: Sequence[PairedDifference], metric: str, noun: str) -> TableGrid:
    """Make the grid of one metric: one row for each baseline; numbers of trials only where some are lost."""
    of_metric = [each for each in found if each.metric == metric]
    is_short = any(each.method_result.num_lost or each.baseline_result.num_lost for each in of_metric)
    rows = [_metric_row(each, noun, is_short) for each in of_metric]
    header: tuple[str, ...] = ("against", "its mean", label, "difference", "p", "verdict")
    if is_short:
        header += ("its trials", "trials")
    return TableGrid(header, tuple(rows), left=(0, 5))


def _metric_row(each: PairedDifference, noun: str, is_short: bool) -> tuple[TableCell, ...]:
    """Make the row of one baseline."""
    verdict = verdict_cell(each.method_result, noun)
    if each.seeds_to_resolve:
        verdict = verdict._replace(text=f"{verdict.text} or ~{each.seeds_to_resolve} seeds")
    row = (
        TableCell(each.baseline),
        mean_cell(each.baseline_result),
        mean_cell(each.method_result),
        difference_cell(each.method_result),
        p_cell(each.method_result.p_holm),
        verdict,
    )
    return (*row, trials_cell(each.baseline_result), trials_cell(each.method_result)) if is_short else row


def resolution_lines(results: Sequence[TableResult], metric: str) -> list[str]:
    """Write which differences the design could resolve against each baseline; once where they are the same."""
    said: dict[str, list[str]] = {}
    for result in results:
        said.setdefault(footers.resolution_summary(result, metric), []).append(result.baseline)
    return list(said) if len(said) == 1 else [f"{', '.join(names)}: {line}" for line, names in said.items()]


def clusters_grid(found: Sequence[PairedDifference], result: TableResult) -> TableGrid:
    """Make the grid of the first metric's differences.

    Scenes are columns and baselines rows; captions, of which there are many, are rows and baselines columns.
    """
    metric = findings.primary_metrics(found)[0]
    of_metric = [each for each in found if each.metric == metric]
    rows: list[tuple[str, list[float | None]]]
    if not kind_named(result.cluster_noun).has_many_clusters:
        header = ("against", *result.clusters, "mean")
        rows = []
        for each in of_metric:
            by_scene = [each.by_cluster.get(name) for name in result.clusters]
            rows.append((each.baseline, [*by_scene, each.method_result.difference]))
    else:
        header = (result.cluster_noun, *(each.baseline for each in of_metric))
        rows = [(name, [each.by_cluster.get(name) for each in of_metric]) for name in result.clusters]
        rows.append(("mean", [each.method_result.difference for each in of_metric]))
    digits = metric_named(metric).digits
    return TableGrid(header, tuple((TableCell(name), *_difference_cells(values, digits)) for name, values in rows))


def _difference_cells(values: Sequence[float | None], digits: int) -> list[TableCell]:
    """Make a cell a difference, with its sign."""
    return [number_cell(value, digits, signed=True) for value in values]
