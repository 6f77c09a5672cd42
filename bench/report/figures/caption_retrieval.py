"""Draws R-Precision of captions beside chance: round the object, and among fewer captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.analysis import upper_bounds
from bench.analysis.table_result import TableResult
from bench.counted_nouns import format_count
from bench.metrics import multiview_consistency, r_precision
from bench.metrics.metric_key import MetricKey
from bench.metrics.registry import ENCODER_METRICS, metric_named
from bench.report.caption_context import CaptionTableContext
from bench.report.figures.figure import Figure, Row, slugify
from bench.report.figures.score_selection import select_scores
from bench.report.figures.style import (
    INK,
    add_grid_and_legend,
    arm_colors,
    escape_math,
    figure_style,
    line_figure_height,
    make_canvas,
    shorten,
)
from bench.report.figures.svg import to_svg
from bench.suites.suite import TrialSlot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHANCE_LINE: dict[str, Any] = {"color": INK, "lw": 0.8, "ls": (0, (4, 3)), "alpha": 0.7, "label": "chance"}

OFFSET_DEG = 15.0
"""Width over which the points of the arms at one azimuth are spread."""

OFFSET_FACTOR = 1.12
"""Factor over which the points of the arms at one number of captions are spread."""


# --- round the object -------------------------------------------------------------------------------------------------


def draw_by_azimuth(
    frame: pd.DataFrame, cells: Sequence[TrialSlot], result: TableResult, context: CaptionTableContext
) -> Figure | None:
    """Draw R-Precision round the object: a thing that has a front is not found from everywhere alike.

    Args:
        frame: Scores, as `bench.storage.store.Store.frame` gives them.
        cells: Places of trials in tables.
        result: The table.
        context: Its retrieval set and judge.

    Returns:
        The figure, or None where no azimuths are known.
    """
    metric = f"rprec1@{context.judge}"
    rows = azimuth_rows(frame, cells, result, context, metric)
    if not rows:
        return None
    name = f"{slugify(result.table)}-azimuth-{slugify(metric)}"

    def finish(axes: Axes) -> None:
        axes.axhline(r_precision.chance(context.size), **CHANCE_LINE)
        axes.set_xticks(range(0, 360, 45))
        axes.set_xlabel("azimuth [degrees]")

    svg = draw_shares(rows, result, metric, name, shift_azimuths, finish)
    return Figure(name, f"{metric_named(metric).title}, round the object", svg, tuple(rows))


def azimuth_rows(
    frame: pd.DataFrame,
    cells: Sequence[TrialSlot],
    result: TableResult,
    context: CaptionTableContext,
    metric: str,
) -> list[Row]:
    """Compute means and intervals over captions by arm and azimuth."""
    if "azimuth_deg" not in frame:
        return []
    scores = select_ordered_scores(frame, cells, result, metric, ["view", "value", "azimuth_deg"])
    scores = scores[scores["azimuth_deg"].notna()]
    chance = r_precision.chance(context.size)
    rows = []
    for arm in result.arms:
        of_arm = scores[scores["arm"] == arm]
        values = of_arm["value"].to_numpy(np.float64)
        azimuths_deg = of_arm["azimuth_deg"].to_numpy(np.float64)
        by_azimuth = multiview_consistency.by_azimuth(values, azimuths_deg, list(of_arm["place"]))
        for azimuth, means in by_azimuth.items():
            interval = upper_bounds.metric_interval(metric, means)._asdict()
            counts = {"chance": chance, "num_clusters": len(means)}
            rows.append({"arm": arm, "azimuth_deg": azimuth, **interval, **counts})
    return rows


def shift_azimuths(of_arm: pd.DataFrame, offset: float) -> pd.Series:
    """Spread the points of the arms at one azimuth."""
    return of_arm["azimuth_deg"] + OFFSET_DEG * offset


# --- among fewer captions ---------------------------------------------------------------------------------------------


def draw_by_distractors(
    frame: pd.DataFrame, cells: Sequence[TrialSlot], result: TableResult, context: CaptionTableContext
) -> Figure | None:
    """Draw R-Precision against the number of wrong captions, exactly, from ranks in the whole set.

    Args:
        frame: Scores, as `bench.storage.store.Store.frame` gives them.
        cells: Places of trials in tables.
        result: The table.
        context: Its retrieval set and judge.

    Returns:
        The figure, or None where no ranks are known.
    """
    metric = f"rprec1@{context.judge}"
    sizes = set_sizes(context.size)
    rows = distractor_rows(frame, cells, result, context, metric)
    if not rows:
        return None
    name = f"{slugify(result.table)}-distractors-{slugify(metric)}"

    def finish(axes: Axes) -> None:
        axes.plot(sizes, [1 / size for size in sizes], **CHANCE_LINE)
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel("captions to choose from")

    svg = draw_shares(rows, result, metric, name, shift_sizes, finish)
    return Figure(name, f"{metric_named(metric).title}, among fewer captions", svg, tuple(rows))


def distractor_rows(
    frame: pd.DataFrame,
    cells: Sequence[TrialSlot],
    result: TableResult,
    context: CaptionTableContext,
    metric: str,
) -> list[Row]:
    """Compute means and intervals over captions by arm and number of wrong captions."""
    scores = select_ordered_scores(frame, cells, result, f"rank@{context.judge}", ["view", "value"])
    all_ranks = np.arange(1, context.size + 1)
    rows = []
    for arm in result.arms:
        of_arm = scores[scores["arm"] == arm]
        ranks = of_arm["value"].to_numpy(np.int64)
        for size in set_sizes(context.size) if len(of_arm) else []:
            precision = r_precision.precision_at(all_ranks, context.size, size - 1)
            hits = pd.Series(precision[ranks - 1], index=of_arm["place"])
            means = hits.groupby(level=0, sort=True).mean().to_numpy(np.float64)
            interval = upper_bounds.metric_interval(metric, means)._asdict()
            counts = {"chance": 1 / size, "num_clusters": len(means)}
            rows.append({"arm": arm, "num_distractors": size - 1, **interval, **counts})
    return rows


def set_sizes(size: int) -> list[int]:
    """List the powers of two below the size of a retrieval set, and that size.

    Example:
        >>> set_sizes(8), set_sizes(10)
        ([2, 4, 8], [2, 4, 8, 10])
    """
    powers = [2**i for i in range(1, size.bit_length())]
    return [power for power in powers if power < size] + [size]


def shift_sizes(of_arm: pd.DataFrame, offset: float) -> pd.Series:
    """Spread the points of the arms at one number of captions, on a logarithmic axis."""
    return (of_arm["num_distractors"] + 1) * OFFSET_FACTOR**offset


# --- shared -----------------------------------------------------------------------------------------------------------


def select_ordered_scores(
    frame: pd.DataFrame, cells: Sequence[TrialSlot], result: TableResult, metric: str, columns: Sequence[str]
) -> pd.DataFrame:
    """Select scores in an order that does not depend on that of the frame."""
    scores = select_scores(frame, cells, result, metric, columns)
    return scores.sort_values(["trial_id", "view"], kind="stable")


def draw_shares(
    rows: Sequence[Row],
    result: TableResult,
    metric: str,
    name: str,
    shift: Callable[[pd.DataFrame, float], pd.Series],
    finish: Callable[[Axes], None],
) -> str:
    """Draw one line for each arm with its intervals, as SVG.

    Args:
        rows: Means and intervals by arm.
        result: The table.
        metric: A share.
        name: What ids begin with.
        shift: Places an arm's points on the horizontal axis, by an offset between -0.5 and 0.5.
        finish: Draws chance, and the horizontal axis.
    """
    with figure_style():
        figure, axes = make_canvas(5.2, line_figure_height(len(result.arms) + 1))
        arms = [arm for arm in result.arms if any(row["arm"] == arm for row in rows)]
        for i, arm in enumerate(arms):
            of_arm = pd.DataFrame([row for row in rows if row["arm"] == arm])
            offset = (i + 0.5) / len(result.arms) - 0.5
            draw_arm(axes, shift(of_arm, offset), of_arm, result, arm)
        finish(axes)
        axes.set_ylim(-0.03, 1.03)
        # The judge stands in the figure's title.
        axes.set_ylabel(ENCODER_METRICS[MetricKey.parse(metric).base].title)
        add_grid_and_legend(figure, axes)
        return to_svg(figure, name)


def draw_arm(axes: Axes, x: pd.Series, of_arm: pd.DataFrame, result: TableResult, arm: str) -> None:
    """Draw an arm's line with its intervals; its label says if it has fewer captions than the table."""
    color = arm_colors(result)[arm]
    num_captions = int(of_arm["num_clusters"].max())
    label = shorten(arm)
    if num_captions < len(result.clusters):
        label += f" ({format_count(num_captions, result.cluster_noun)})"
    axes.plot(x, of_arm["mean"], "o-", color=color, ms=3.5, lw=1.3, label=escape_math(label))
    ends = of_arm[["low", "high"]].astype(np.float64)  # one caption has no interval
    axes.vlines(x, ends["low"], ends["high"], color=color, lw=1.1, alpha=0.6)
