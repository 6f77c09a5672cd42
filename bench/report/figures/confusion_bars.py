"""Draws which wrong captions a judge takes the baseline's objects for."""

from __future__ import annotations

from bench.analysis.table_result import TableResult
from bench.report.caption_context import CaptionTableContext
from bench.report.figures.figure import Figure, slugify
from bench.report.figures.style import COLORS, escape_lines, figure_style, make_canvas, shorten
from bench.report.figures.svg import to_svg

NUM_BARS = 12
"""Number of confusions in the figure; its CSV holds all."""


def draw_confusions(result: TableResult, context: CaptionTableContext) -> Figure | None:
    """Draw the most frequent confusions; None where the judge errs nowhere.

    Args:
        result: The table.
        context: Its judge and confusions.
    """
    of_baseline = [row for row in context.confusions if row["arm"] == result.baseline and row["num_first"]]
    bars = of_baseline[:NUM_BARS]
    if not bars:
        return None
    name = f"{slugify(result.table)}-confusions"
    bars.reverse()  # the first stands at the top
    with figure_style():
        figure, axes = make_canvas(5.2, 0.7 + 0.4 * len(bars))
        shares = [bar["num_first"] / bar["num_views"] for bar in bars]
        labels = [escape_lines((shorten(bar["caption"], 44), f"→ {shorten(bar['wrong'], 44)}")) for bar in bars]
        axes.barh(range(len(bars)), shares, height=0.55, color=COLORS["quiet"])
        axes.set_yticks(range(len(bars)), labels, fontsize=7.5)
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, 1)
        axes.set_xlabel("share of views")
        svg = to_svg(figure, name)
    title = f"Captions that {context.judge} takes objects of {result.baseline} for (all arms in the CSV)"
    return Figure(name, title, svg, context.confusions)
