"""Writes the fields of a table: numbers with their intervals, differences, verdicts and counts.

Texts are plain here. Each format (terminal, Markdown, LaTeX, HTML) escapes them for itself.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from bench.analysis import statistics
from bench.analysis.table_result import FEWEST_CLUSTERS, ArmResult, ReferenceRow
from bench.counted_nouns import format_count, pluralize
from bench.metrics.registry import metric_named

Tone = Literal["", "better", "worse", "quiet"]

DASH = "–"
"""Stands where there is no number."""


class TableCell(NamedTuple):
    """A field of a table.

    Attributes:
        text: Words or a number.
        aside: Interval of the number, in a quieter voice: its half-width with a sign, or both of its ends.
        below: A second line, for formats that have room.
        tone: Colour of the second line, or of a cell without one.
        strong: Whether it is the best of its column and resolved.
        is_number: Whether it is set as a number.
    """

    text: str
    aside: str = ""
    below: str = ""
    tone: Tone = ""
    strong: bool = False
    is_number: bool = False


def number_cell(value: float | None, digits: int, *, signed: bool = False) -> TableCell:
    """Write a number without an interval."""
    return TableCell(format_number(value, digits, signed=signed), is_number=value is not None)


def format_number(value: float | None, digits: int, *, signed: bool = False) -> str:
    """Write a number with so many digits after the point; a dash for none, and no sign before a zero.

    Example:
        >>> format_number(-0.004, 2, signed=True), format_number(1.2345, 2, signed=True), format_number(None, 2)
        ('0.00', '+1.23', '–')
    """
    if value is None:
        return DASH
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text


def format_interval_ends(mean: float | None, low: float | None, high: float | None, digits: int) -> str:
    """Write the half-width of an interval, or both ends of a truncated one; empty where there is none.

    Example:
        >>> format_interval_ends(0.5, 0.25, 0.75, 2), format_interval_ends(0.875, 0.477, 1.0, 2)
        ('±0.25', '[0.48, 1.00]')
        >>> format_interval_ends(0.5, None, None, 2)
        ''
    """
    if mean is None or low is None or high is None:
        return ""
    if is_truncated(mean, low, high):
        return f"[{format_number(low, digits)}, {format_number(high, digits)}]"
    return f"±{format_number((high - low) / 2, digits)}"


def is_truncated(mean: float, low: float, high: float) -> bool:
    """Tell whether an interval was truncated at the metric's range: it does not lie evenly about its mean."""
    return not math.isclose(high - mean, mean - low, rel_tol=1e-6, abs_tol=1e-9)


def mean_cell(entry: ArmResult, strong: bool = False) -> TableCell:
    """Write an arm's mean with its interval."""
    digits = metric_named(entry.metric).digits
    aside = format_interval_ends(entry.mean, entry.low, entry.high, digits)
    return TableCell(format_number(entry.mean, digits), aside, strong=strong, is_number=entry.mean is not None)


def difference_cell(entry: ArmResult) -> TableCell:
    """Write an arm's difference to the baseline with its interval."""
    if entry.verdict == "baseline":
        return TableCell("baseline", tone="quiet")
    digits = metric_named(entry.metric).digits
    aside = format_interval_ends(entry.difference, entry.difference_low, entry.difference_high, digits)
    text = format_number(entry.difference, digits, signed=True)
    return TableCell(text, aside, is_number=entry.difference is not None)


def reference_cell(reference: ReferenceRow | None) -> TableCell:
    """Write a number that others are read beside, with its interval; empty for None."""
    if reference is None:
        return TableCell("")
    digits = metric_named(reference.metric).digits
    aside = format_interval_ends(reference.mean, reference.low, reference.high, digits)
    return TableCell(format_number(reference.mean, digits), aside, tone="quiet", is_number=True)


def verdict_tone(entry: ArmResult) -> Tone:
    """Choose the colour of a verdict: only what is resolved, and where a metric has a direction, has one."""
    if entry.verdict == "better" or entry.verdict == "worse":
        return entry.verdict
    return "quiet"


def verdict_cell(entry: ArmResult, noun: str) -> TableCell:
    """Write the verdict, with the number of clusters that another one would take.

    Args:
        entry: Arm and metric.
        noun: What a cluster is called.
    """
    text = verdict_word(entry)
    if entry.verdict == "too few":
        text = f"{format_count(entry.num_pairs, noun)}, {FEWEST_CLUSTERS} needed"
    if entry.verdict == "not resolved":
        text = f"not resolved, {clusters_needed(entry, noun)}"
    return TableCell(text, tone=verdict_tone(entry))


def verdict_word(entry: ArmResult) -> str:
    """Write the verdict where there is little room; empty for the baseline, which its difference names already."""
    return "" if entry.verdict == "baseline" else entry.verdict


def clusters_needed(entry: ArmResult, noun: str) -> str:
    """Estimate how many clusters would resolve a difference, to two digits at most: it is a rough guide."""
    if entry.clusters_to_resolve is None:
        return f">{statistics.MOST_CLUSTERS} {pluralize(noun)}"
    size = 10 ** max(0, len(str(entry.clusters_to_resolve)) - 2)
    return f"~{math.ceil(entry.clusters_to_resolve / size) * size} {pluralize(noun)}"


def trials_cell(entry: ArmResult) -> TableCell:
    """Count the trials that gave a number, and the planned ones where some are lost."""
    if entry.num_lost:
        return TableCell(f"{entry.num_trials} of {entry.num_planned}", tone="worse")
    return TableCell(str(entry.num_trials), is_number=True)


def trials_so_far(entry: ArmResult) -> str:
    """Count the trials behind a number while others have not run; empty where all have."""
    return f"({entry.num_trials} of {entry.num_planned})" if entry.num_absent else ""


def steps_cell(entry: ArmResult) -> TableCell:
    """Write the number of steps; a range where trials of one arm differ."""
    if entry.num_steps is None or entry.fewest_steps is None:
        return TableCell(DASH)
    if entry.fewest_steps != entry.num_steps:
        return TableCell(f"{entry.fewest_steps}-{entry.num_steps}", tone="worse")
    return TableCell(str(entry.num_steps), is_number=True)


def amount_cell(amount: float | None) -> TableCell:
    """Write seconds or MiB with three digits.

    Example:
        >>> [amount_cell(x).text for x in (1.234, 12.34, 123.4, None)]
        ['1.23', '12.3', '123', '–']
    """
    size = amount or 0
    if size >= 99.5:
        return number_cell(amount, 0)
    return number_cell(amount, 1 if size >= 9.95 else 2)


def p_cell(p: float | None) -> TableCell:
    """Write a p value as a cell."""
    return TableCell(format_p(p), is_number=p is not None)


def format_p(p: float | None) -> str:
    """Write a p value with two digits that count.

    Example:
        >>> format_p(0.0390625), format_p(1.0), format_p(0.00012), format_p(None)
        ('0.039', '1.00', '<0.001', '–')
    """
    if p is None:
        return DASH
    if p < 0.001:
        return "<0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
