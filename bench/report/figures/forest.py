"""Draws differences to the baseline with their intervals, an arm a line."""

from __future__ import annotations

import textwrap

from bench.analysis.table_result import TableResult
from bench.metrics.registry import metric_named
from bench.report.figures.figure import Figure, Row, slugify
from bench.report.figures.style import COLORS, INK, escape_lines, figure_style, make_canvas, shorten
from bench.report.figures.svg import to_svg
from bench.report.tables.cells import verdict_tone

BETTER_SIDE = {True: "right is better", False: "left is better", None: "neither side is better"}
"""By a metric's `higher_is_better`."""


def draw_forest(result: TableResult, metric: str) -> Figure:
    """Draw the differences under one metric; only what is resolved has a colour.

    Args:
        result: The table.
        metric: Which.
    """
    entries = [entry for entry in result.column(metric) if entry.difference is not None]
    rows: list[Row] = []
    for entry in entries:
        ends = {"low": entry.difference_low, "high": entry.difference_high}
        outcome = {"verdict": entry.verdict, "num_pairs": entry.num_pairs}
        rows.append({"arm": entry.arm, "difference": entry.difference, **ends, **outcome})
    with figure_style():
        figure, axes = make_canvas(3.9, 0.72 + 0.3 * max(1, len(entries)))
        for place, entry in enumerate(reversed(entries)):
            color = COLORS[verdict_tone(entry)]
            limits = [x for x in (entry.difference_low, entry.difference_high) if x is not None]
            axes.plot(limits, [place] * len(limits), color=color, lw=2.2, solid_capstyle="round")
            axes.plot([entry.difference or 0.0], [place], "o", color=color, ms=6)
        axes.axvline(0, color=INK, lw=0.8, alpha=0.55, zorder=0)
        axes.set_yticks(range(len(entries)), [shorten(entry.arm) for entry in reversed(entries)])
        axes.set_ylim(-0.6, len(entries) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", alpha=0.18, color=INK, lw=0.6)
        axes.locator_params(axis="x", nbins=5)
        # Below the figure, not the axes: long names make those narrow.
        figure.supxlabel(escape_lines(axis_label(metric)), fontsize=9)
        name = f"{slugify(result.table)}-forest-{slugify(metric)}"
        svg = to_svg(figure, name)
    title = f"{metric_named(metric).title}: differences to {result.baseline}"
    return Figure(name, title, svg, tuple(rows))


def axis_label(metric: str) -> list[str]:
    """Write the label of the axis in lines: what is shown, and which side is better."""
    known = metric_named(metric)
    unit = f" [{known.unit}]" if known.unit else ""
    quantity = f"difference in {known.title}{unit}"
    better_side = BETTER_SIDE[known.higher_is_better]
    if len(quantity) < 34:
        return [f"{quantity}, {better_side}"]
    return [*textwrap.wrap(quantity, 56, break_on_hyphens=False), better_side]
