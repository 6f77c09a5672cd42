"""Draws differences to the baseline with their intervals, an arm a line."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.table_result import ArmResult, SceneDifference, TableResult
from bench.metrics.registry import metric_named
from bench.report.figures.figure import Figure, Row, slugify
from bench.report.figures.style import COLORS, INK, escape_lines, figure_style, make_canvas, shorten
from bench.report.figures.svg import to_svg
from bench.report.tables.cells import verdict_tone

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BETTER_SIDE = {True: "right is better", False: "left is better", None: "neither side is better"}
"""By a metric's `higher_is_better`."""


SCENE_IN = 0.09
"""Height of a scene's line in inches, where an arm has several."""

SCENES_BELOW = (0.22, 0.56)
"""Where an arm's scenes begin and end below its own mark, as shares of the distance between arms."""


def draw_forest(result: TableResult, metric: str) -> Figure:
    """Draw the differences under one metric; only what is resolved has a colour.

    Where scenes are too few for a verdict, each scene's difference is there too, with its interval over views.

    Args:
        result: The table.
        metric: Which.
    """
    entries = [entry for entry in result.column(metric) if entry.difference is not None]
    of_scenes = [each for each in result.scene_differences if each.metric == metric]
    rows: list[Row] = []
    for entry in entries:
        rows.append(_arm_row(entry))
        rows += [_scene_row(each) for each in of_scenes if each.arm == entry.arm]
    with figure_style():
        num_scenes = len({each.cluster for each in of_scenes})
        arm_in = 0.3 + SCENE_IN * max(0, num_scenes - 1)
        figure, axes = make_canvas(3.9, 0.72 + arm_in * max(1, len(entries)) + 0.17 * bool(of_scenes))
        for place, entry in enumerate(reversed(entries)):
            _draw_scenes(axes, place, [each for each in of_scenes if each.arm == entry.arm])
            color = COLORS[verdict_tone(entry)]
            limits = [x for x in (entry.difference_low, entry.difference_high) if x is not None]
            axes.plot(limits, [place] * len(limits), color=color, lw=2.2, solid_capstyle="round")
            axes.plot([entry.difference or 0.0], [place], "o", color=color, ms=6)
        axes.axvline(0, color=INK, lw=0.8, alpha=0.55, zorder=0)
        axes.set_yticks(range(len(entries)), [shorten(entry.arm) for entry in reversed(entries)])
        axes.set_ylim(-0.7 if num_scenes > 1 else -0.6, len(entries) - 0.4)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", alpha=0.18, color=INK, lw=0.6)
        axes.locator_params(axis="x", nbins=5)
        # Below the figure, not the axes: long names make those narrow.
        lines = axis_label(metric) + (["thin: one scene, 95% over its views"] if of_scenes else [])
        figure.supxlabel(escape_lines(lines), fontsize=9)
        name = f"{slugify(result.table)}-forest-{slugify(metric)}"
        svg = to_svg(figure, name)
    title = f"{metric_named(metric).title}: differences to {result.baseline}"
    scenes = list(dict.fromkeys(each.cluster for each in of_scenes))
    if len(scenes) > 1:
        title += f"; thin lines, from above: {', '.join(scenes)}"
    return Figure(name, title, svg, tuple(rows))


def _arm_row(entry: ArmResult) -> Row:
    ends = {"low": entry.difference_low, "high": entry.difference_high}
    outcome = {"verdict": entry.verdict, "num_pairs": entry.num_pairs}
    return {"arm": entry.arm, "cluster": "", "difference": entry.difference, **ends, **outcome}


def _scene_row(scene: SceneDifference) -> Row:
    ends = {"low": scene.low, "high": scene.high}
    outcome = {"verdict": "", "num_pairs": len(scene.views)}
    return {"arm": scene.arm, "cluster": scene.cluster, "difference": scene.mean, **ends, **outcome}


def _draw_scenes(axes: Axes, place: int, scenes: Sequence[SceneDifference]) -> None:
    """Draw the scenes of an arm as thin lines below its mark; one alone, whose mean is the arm's, through it."""
    offsets = np.linspace(*SCENES_BELOW, len(scenes)) if len(scenes) > 1 else [0.0]
    for scene, offset in zip(scenes, offsets, strict=False):
        height = place - offset
        limits = [x for x in (scene.low, scene.high) if x is not None]
        axes.plot(limits, [height] * len(limits), color=COLORS["quiet"], lw=1.1, solid_capstyle="butt")
        axes.plot([scene.mean], [height], "|", color=COLORS["quiet"], ms=4)


def axis_label(metric: str) -> list[str]:
    """Write the label of the axis in lines: what is shown, and which side is better."""
    known = metric_named(metric)
    unit = f" [{known.unit}]" if known.unit else ""
    quantity = f"difference in {known.title}{unit}"
    better_side = BETTER_SIDE[known.higher_is_better]
    if len(quantity) < 34:
        return [f"{quantity}, {better_side}"]
    return [*textwrap.wrap(quantity, 56, break_on_hyphens=False), better_side]
