"""Draws a metric against the angle to the nearest training view: what few photos do not show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.analysis import statistics
from bench.analysis.table_result import TableResult
from bench.metrics.registry import metric_named
from bench.report.figures.figure import Figure, Row, slugify
from bench.report.figures.score_selection import select_scores
from bench.report.figures.style import (
    add_grid_and_legend,
    arm_colors,
    escape_math,
    figure_style,
    line_figure_height,
    make_canvas,
    shorten,
)
from bench.report.figures.svg import to_svg
from bench.report.tables.words import metric_title
from bench.suites.suite import TrialSlot

ANGLE_BIN_DEG = 10.0
"""Width of a bin: a few views of every scene fall into each."""

FEWEST_IN_BIN = 3
"""Clusters below which a bin is left out: its mean would be that of one odd scene."""

OFFSET_DEG = 0.35
"""Distance between the points of two arms in a bin, so that intervals do not hide one another."""


def draw_error_by_angle(
    frame: pd.DataFrame, cells: Sequence[TrialSlot], result: TableResult, metric: str
) -> Figure | None:
    """Draw a metric against the angle between a view and the nearest training camera.

    Args:
        frame: Scores, as `bench.storage.store.Store.frame` gives them.
        cells: Places of trials in tables.
        result: The table, for its name, arms and protocol.
        metric: Which.

    Returns:
        The figure, or None where no angles are known.
    """
    rows = angle_rows(frame, cells, result, metric)
    if not rows:
        return None
    colors = arm_colors(result)
    with figure_style():
        figure, axes = make_canvas(5.2, line_figure_height(len(result.arms)))
        for i, arm in enumerate(result.arms):
            of_arm = pd.DataFrame([row for row in rows if row["arm"] == arm])
            if of_arm.empty:
                continue
            angles = of_arm["angle_deg"] + OFFSET_DEG * (i - (len(result.arms) - 1) / 2)
            axes.plot(angles, of_arm["mean"], "o-", color=colors[arm], ms=4, label=escape_math(shorten(arm)))
            axes.vlines(angles, of_arm["low"], of_arm["high"], color=colors[arm], lw=1.1, alpha=0.6)
        axes.set_xlabel("angle to the nearest training view [degrees]")
        axes.set_ylabel(escape_math(metric_title(metric)))
        add_grid_and_legend(figure, axes)
        name = f"{slugify(result.table)}-angle-{slugify(metric)}"
        svg = to_svg(figure, name)
    title = f"{metric_named(metric).title} against the angle to the nearest training view"
    return Figure(name, title, svg, tuple(rows))


def angle_rows(frame: pd.DataFrame, cells: Sequence[TrialSlot], result: TableResult, metric: str) -> list[Row]:
    """Compute means and intervals by arm and bin, over clusters: views and seeds of a scene count as one."""
    scores = select_scores(frame, cells, result, metric, ["value", "angle_to_nearest_deg"])
    scores = scores[scores["angle_to_nearest_deg"].notna()]
    scores = scores.assign(bin=(scores["angle_to_nearest_deg"] // ANGLE_BIN_DEG).astype(int))
    means = scores.groupby(["arm", "bin", "place"], sort=True)["value"].mean()
    fewest = min(FEWEST_IN_BIN, len(result.clusters))
    rows = []
    for arm in result.arms:
        for number in sorted(set(scores.loc[scores["arm"] == arm, "bin"])):
            values = means[arm, number].to_numpy(np.float64)
            if len(values) >= fewest:
                interval = statistics.t_interval(values, limits=metric_named(metric).limits)
                angle = (number + 0.5) * ANGLE_BIN_DEG
                rows.append({"arm": arm, "angle_deg": angle, **interval._asdict(), "num_clusters": len(values)})
    return rows
