"""Draws how a term of the loss fell during training: the median of an arm's trials, and the middle half of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.analysis.table_result import TableResult
from bench.report.figures.figure import Figure, Row, slugify
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
from bench.storage.record import Record
from bench.suites.suite import TrialSlot

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_training_curves(
    records: Sequence[Record], cells: Sequence[TrialSlot], result: TableResult, term: str = "loss"
) -> Figure | None:
    """Draw one curve by step; where the term has a target, that is the dashed line.

    Args:
        records: Records of the trials.
        cells: Places of trials in tables.
        result: The table, for its name and arms.
        term: Which curve.

    Returns:
        The figure, or None where no record has the curve.
    """
    rows = curve_rows(records, cells, result, term)
    if not rows:
        return None
    colors = arm_colors(result)
    quantity = term.replace("_", " ")
    with figure_style():
        figure, axes = make_canvas(5.2, line_figure_height(len(result.arms)))
        for arm in result.arms:
            of_arm = pd.DataFrame([row for row in rows if row["arm"] == arm])
            if of_arm.empty:
                continue
            axes.plot(of_arm["step"], of_arm["median"], color=colors[arm], lw=1.6, label=escape_math(shorten(arm)))
            axes.fill_between(of_arm["step"], of_arm["low"], of_arm["high"], color=colors[arm], alpha=0.14, lw=0)
        draw_targets(axes, rows, colors)
        if term == "loss" and min(row["low"] for row in rows) > 0:
            axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_ylabel(escape_math(quantity))
        add_grid_and_legend(figure, axes)
        name = f"{slugify(result.table)}-curves-{slugify(term)}"
        svg = to_svg(figure, name)
    title = f"Training: {quantity} by step, median and middle half of the trials"
    return Figure(name, title, svg, tuple(rows))


def draw_targets(axes: Axes, rows: Sequence[Row], colors: dict[str, Any]) -> None:
    """Draw the targets of a term; one that several arms share is one line, in ink."""
    by_arm: dict[str, tuple[tuple[float, float], ...]] = {}
    for row in rows:
        if row.get("target") is not None:
            by_arm[row["arm"]] = (*by_arm.get(row["arm"], ()), (row["step"], row["target"]))
    lines = list(dict.fromkeys(by_arm.values()))
    for i, line in enumerate(lines):
        color = INK if len(lines) == 1 else next(colors[arm] for arm, its in by_arm.items() if its == line)
        label = "_" if i else "target"
        axes.plot(*zip(*line, strict=True), color=color, lw=1.1, ls=(0, (4, 3)), alpha=0.8, label=label)


def curve_rows(records: Sequence[Record], cells: Sequence[TrialSlot], result: TableResult, term: str) -> list[Row]:
    """Compute median and quartiles by arm and step; points that are not finite are left out.

    Beside them stands the median of the target, where some trial has one.
    """
    by_id = {record.trial_id: record for record in records if term in record.curves and "step" in record.curves}
    target_term = f"{term}_target"
    has_target = any(target_term in record.curves for record in by_id.values())
    rows = []
    for arm in result.arms:
        places = [cell for cell in cells if cell.table == result.table and cell.arm == arm]
        of_arm = [by_id[cell.trial_id] for cell in places if cell.trial_id in by_id]
        targets = values_by_step(of_arm, target_term)
        for step, values in sorted(values_by_step(of_arm, term).items()):
            low, median, high = (float(x) for x in np.quantile(values, (0.25, 0.5, 0.75)))
            row = {"arm": arm, "step": step, "median": median, "low": low, "high": high}
            if has_target:
                row["target"] = float(np.median(targets[step])) if step in targets else None
            rows.append({**row, "num_trials": len(values)})
    return rows


def values_by_step(records: Sequence[Record], term: str) -> dict[float, list[float]]:
    """List the finite numbers of a curve at each step, of the records that have it."""
    found: dict[float, list[float]] = {}
    for record in records:
        if term not in record.curves:
            continue
        for step, value in zip(record.curves["step"], record.curves[term], strict=True):
            if np.isfinite(value):
                found.setdefault(step, []).append(value)
    return found
