"""Draws a metric against the seconds of training: is what is better worth its time?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from bench.analysis.table_result import ArmResult, TableResult
from bench.metrics.registry import metric_named
from bench.report.figures.figure import Figure, Row, slugify
from bench.report.figures.style import INK, arm_colors, escape_math, figure_style, make_canvas, shorten
from bench.report.figures.svg import to_svg
from bench.report.tables.words import better_direction, metric_title
from bench.storage.record import Record
from bench.suites.suite import TrialSlot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MatplotlibFigure

LINE_IN = 0.17
"""Height of a label's line, in inches."""

BELOW_AXES_IN = 0.55
"""Height of what stands below the axes, about, in inches."""


def draw_quality_against_cost(
    result: TableResult, metric: str, cells: Sequence[TrialSlot], records: Sequence[Record]
) -> Figure | None:
    """Draw a metric against the seconds of training a trial, one point for each arm.

    What a program takes to compile is left out: it is paid once, by whichever arm comes first.

    Args:
        result: The table.
        metric: Which.
        cells: Places of trials in tables.
        records: Records of the trials.

    Returns:
        The figure. None where fewer than two arms have both, or where trials ran on unlike devices, whose seconds are
        not comparable.
    """
    seconds = train_seconds(result, cells, records)
    devices = list_devices(result, cells, records)
    entries = [entry for entry in result.column(metric) if entry.mean is not None and entry.arm in seconds]
    if len(entries) < 2 or len(devices) > 1:
        return None
    device = "".join(devices)
    rows = [cost_row(entry, seconds[entry.arm], device) for entry in entries]
    colors = arm_colors(result)
    with figure_style():
        figure, axes = make_canvas(5.2, max(2.9, 1.0 + LINE_IN * len(rows)))
        for row in rows:
            color = colors[row["arm"]]
            axes.plot([row["train_s"]], [row["mean"]], "o", color=color, ms=6, zorder=3)
            if row["low"] is not None:
                axes.vlines([row["train_s"]], [row["low"]], [row["high"]], color=color, lw=1.3, alpha=0.6)
        draw_seconds_axis(axes, [row["train_s"] for row in rows])
        axes.set_ylabel(escape_math(metric_title(metric)))
        axes.grid(axis="y", alpha=0.18, color=INK, lw=0.6)
        axes.margins(y=0.08)
        label_points(figure, axes, rows, colors)
        name = f"{slugify(result.table)}-cost-{slugify(metric)}"
        svg = to_svg(figure, name)
    where = f", on {device}" if device else ""
    title = f"{metric_named(metric).title} against training s/trial{where}; {better_direction(metric)}"
    return Figure(name, title, svg, tuple(rows))


def cost_row(entry: ArmResult, train_s: float, device: str) -> Row:
    """List the numbers of one arm."""
    interval = {"mean": entry.mean, "low": entry.low, "high": entry.high}
    counts = {"num_clusters": entry.num_clusters, "num_trials": entry.num_trials}
    return {"arm": entry.arm, "train_s": train_s, "wall_s": entry.wall_s, **interval, **counts, "device": device}


def train_seconds(result: TableResult, cells: Sequence[TrialSlot], records: Sequence[Record]) -> dict[str, float]:
    """Average the seconds of steps by arm over finished trials; a pack's are shared among its trials."""
    by_id = {record.trial_id: record.timings.get("train_s") for record in records if record.status == "finished"}
    found: dict[str, list[float]] = {}
    for cell in cells:
        seconds = by_id.get(cell.trial_id) if cell.table == result.table else None
        if seconds is not None and seconds > 0:  # no NaN
            found.setdefault(cell.arm, []).append(seconds)
    return {arm: float(np.mean(values)) for arm, values in found.items()}


def list_devices(result: TableResult, cells: Sequence[TrialSlot], records: Sequence[Record]) -> set[str]:
    """List the devices of a table's finished trials, as far as their records name them."""
    trial_ids = {cell.trial_id for cell in cells if cell.table == result.table}
    devices = set()
    for record in records:
        device = record.environment.get("device")
        if record.trial_id in trial_ids and record.status == "finished" and device:
            devices.add(f"{record.environment.get('num_devices', 1)} x {device}")
    return devices


def draw_seconds_axis(axes: Axes, seconds: Sequence[float]) -> None:
    """Draw a logarithmic axis of seconds, with round numbers at its ticks however short it is."""
    low = min(seconds) / 1.25
    high = max(seconds) * 1.25
    ticks = round_numbers(low, high)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("training s/trial (steps alone)")


def round_numbers(low: float, high: float) -> list[float]:
    """Find round numbers between two, in even steps of their logarithm as far as that goes.

    Example:
        >>> round_numbers(0.8, 130.0), round_numbers(1.1, 1.9), round_numbers(0.42, 0.66)
        ([1.0, 10.0, 100.0], [1.2, 1.4, 1.6, 1.8], [0.45, 0.5, 0.55, 0.6, 0.65])
    """
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for mantissas in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        tried = [mantissa * 10.0**exponent for exponent in exponents for mantissa in mantissas]
        found = [float(f"{x:.6g}") for x in tried if low <= x <= high]
        if len(found) >= 3:
            return found
    steps = [s * 10.0**exponent for exponent in reversed(exponents) for s in (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)]
    for step in steps:
        multiples = range(math.ceil(low / step), math.floor(high / step) + 1)
        found = [float(f"{step * i:.6g}") for i in multiples]
        if len(found) >= 3:  # at most eight: the step before, two and a half as long, had no more than two
            return found
    return found


def label_points(figure: MatplotlibFigure, axes: Axes, rows: Sequence[Row], colors: dict[str, Any]) -> None:
    """Name points in a column beside the axes, each as near to its point's height as the others leave room."""
    low, high = axes.get_ylim()
    rows = sorted(rows, key=lambda row: (row["mean"], row["arm"]))
    heights = np.array([(row["mean"] - low) / (high - low) for row in rows])
    places = spread_heights(heights, LINE_IN / (figure.get_figheight() - BELOW_AXES_IN))
    for row, place in zip(rows, places, strict=True):
        line = {"arrowstyle": "-", "color": colors[row["arm"]], "lw": 0.6, "alpha": 0.45, "shrinkA": 2, "shrinkB": 4}
        axes.annotate(
            escape_math(shorten(row["arm"])),
            (row["train_s"], row["mean"]),
            (1.02, place),
            xycoords="data",
            textcoords="axes fraction",
            va="center",
            fontsize=8.5,
            annotation_clip=False,
            arrowprops=line,
        )


def spread_heights(heights: Float[np.ndarray, " n"], gap: float) -> Float[np.ndarray, " n"]:
    """Move heights apart, in the same order and between 0 and 1, by as little as that needs.

    Args:
        heights: From the lowest to the highest.
        gap: Least distance; there must be room for all.

    Example:
        >>> spread_heights(np.array([0.5, 0.5, 0.9]), 0.1).round(2).tolist()
        [0.45, 0.55, 0.9]
        >>> spread_heights(np.array([0.0, 0.0, 0.0]), 0.1).round(2).tolist()
        [0.0, 0.1, 0.2]
    """
    from scipy import optimize

    steps = gap * np.arange(len(heights))
    found = optimize.isotonic_regression(heights - steps).x
    return np.clip(found, 0.0, max(0.0, 1.0 - steps[-1])) + steps
