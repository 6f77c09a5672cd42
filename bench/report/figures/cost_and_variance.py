"""Draws what a study cost and where its numbers scatter: quality against seconds, variance by its sources.

A figure that the numbers cannot carry is None: seconds of unlike devices, one cluster, one view.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from bench.analysis import variance_components
from bench.analysis.table_result import FEWEST_CLUSTERS, TableResult
from bench.metrics.registry import metric_named
from bench.report.figures import standard
from bench.report.figures.standard import Figure, plain, shortened, slug
from bench.report.tables import contents
from bench.storage.record import Record
from bench.suites.suite import TrialSlot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MatplotlibFigure

LINE_IN = 0.17
"""Height of a label's line, in inches."""

PARTS = ("cluster", "seed", "view", "rest")
"""Of a variance, as `bench.analysis.variance_components.VarianceComponents` names them."""

SHADES = {"cluster": "#2f5d8a", "seed": "#d98032", "view": "#7fa8cf", "rest": "#b9bec6"}

LEAST_WRITTEN = 0.07
"""Share of a bar below which there is no room for its number."""


def of_table(
    result: TableResult, frame: pd.DataFrame, cells: Sequence[TrialSlot], records: Sequence[Record]
) -> tuple[Figure, ...]:
    """The figures of a table's first metric that its numbers carry.

    Args:
        result: The table.
        frame: As `bench.storage.store.Store.frame` gives it.
        cells: Places of trials in tables.
        records: Of the trials: they know the devices.
    """
    metric = result.metrics[0]
    found = (against_cost(result, metric, cells, records), parts(frame, cells, result, metric))
    return tuple(figure for figure in found if figure is not None)


# --- quality against cost ---------------------------------------------------------------------------------------------


def against_cost(
    result: TableResult, metric: str, cells: Sequence[TrialSlot], records: Sequence[Record]
) -> Figure | None:
    """A metric against the seconds of training a trial, a point an arm: is what is better worth its time?

    What a program takes to compile is left out: it is paid once, by whichever arm comes first.

    Args:
        result: The table.
        metric: Which.
        cells: Places of trials in tables.
        records: Of the trials.

    Returns:
        The figure; None where fewer than two arms have both, or where trials ran on unlike devices, whose seconds are
        not comparable.
    """
    seconds, devices = train_seconds(result, cells, records), devices_of(result, cells, records)
    entries = [e for e in result.column(metric) if e.mean is not None and e.arm in seconds]
    if len(entries) < 2 or len(devices) > 1:
        return None
    rows: tuple[dict[str, Any], ...] = tuple(
        {"arm": e.arm, "train_s": seconds[e.arm], "wall_s": e.wall_s, "mean": e.mean, "low": e.low, "high": e.high,
         "num_clusters": e.num_clusters, "num_trials": e.num_trials, "device": "".join(devices)}
        for e in entries
    )  # fmt: skip
    colors = standard.palette(result)
    with standard.style():
        figure, axes = standard.canvas(5.2, max(2.9, 1.0 + LINE_IN * len(rows)))
        for row in rows:
            color = colors[row["arm"]]
            axes.plot([row["train_s"]], [row["mean"]], "o", color=color, ms=6, zorder=3)
            if row["low"] is not None:
                axes.vlines([row["train_s"]], [row["low"]], [row["high"]], color=color, lw=1.3, alpha=0.6)
        seconds_axis(axes, [row["train_s"] for row in rows])
        axes.set_ylabel(plain(contents.named(metric)))
        axes.grid(axis="y", alpha=0.18, color=standard.INK, lw=0.6)
        axes.margins(y=0.08)
        label_aside(figure, axes, rows, colors)
        name = f"{slug(result.table)}-cost-{slug(metric)}"
        svg = standard.drawn(figure, name)
    on = f", on {next(iter(devices))}" if devices else ""
    title = f"{metric_named(metric).title} against seconds of training a trial{on}; {contents.better_way(metric)}"
    return Figure(name, title, svg, rows)


def train_seconds(result: TableResult, cells: Sequence[TrialSlot], records: Sequence[Record]) -> dict[str, float]:
    """Mean seconds of training, by arm, of the trials that finished; a pack's are shared among its trials."""
    by_id = {record.trial_id: record.timings.get("train_s") for record in records if record.status == "finished"}
    found: dict[str, list[float]] = {}
    for cell in cells:
        seconds = by_id.get(cell.trial_id) if cell.table == result.table else None
        if seconds is not None and seconds > 0:  # no NaN
            found.setdefault(cell.arm, []).append(seconds)
    return {arm: float(np.mean(values)) for arm, values in found.items()}


def devices_of(result: TableResult, cells: Sequence[TrialSlot], records: Sequence[Record]) -> set[str]:
    """What a table's finished trials ran on, as far as they say so."""
    mine = {cell.trial_id for cell in cells if cell.table == result.table}
    found = [r.environment for r in records if r.trial_id in mine and r.status == "finished"]
    return {f"{e.get('num_devices', 1)} x {e['device']}" for e in found if e.get("device")}


def seconds_axis(axes: Axes, seconds: Sequence[float]) -> None:
    """A logarithmic axis of seconds, with round numbers at its ticks however short it is."""
    low, high = min(seconds) / 1.25, max(seconds) * 1.25
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xticks(ticks := round_numbers(low, high), [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("seconds of training a trial")


def round_numbers(low: float, high: float) -> list[float]:
    """Round numbers between two, in even steps of their logarithm as far as that goes.

    Example:
        >>> round_numbers(0.8, 130.0), round_numbers(1.1, 1.9), round_numbers(0.42, 0.66)
        ([1.0, 10.0, 100.0], [1.2, 1.4, 1.6, 1.8], [0.45, 0.5, 0.55, 0.6, 0.65])
    """
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for mantissas in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        tried = [m * 10.0**e for e in exponents for m in mantissas]
        found = [float(f"{x:.6g}") for x in tried if low <= x <= high]
        if len(found) >= 3:
            return found
    for step in (s * 10.0**e for e in sorted(exponents, reverse=True) for s in (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)):
        found = [float(f"{step * i:.6g}") for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
        if len(found) >= 3:  # at most eight: the step before, two and a half as long, had no more than two
            return found
    return found


def label_aside(figure: MatplotlibFigure, axes: Axes, rows: Sequence[dict[str, Any]], colors: dict[str, Any]) -> None:
    """Names of points in a column beside the axes, each as near to its point's height as the others leave room."""
    low, high = axes.get_ylim()
    rows = sorted(rows, key=lambda row: (row["mean"], row["arm"]))
    heights = np.array([(row["mean"] - low) / (high - low) for row in rows])
    height_in = figure.get_figheight() - 0.55  # of the axes, about: what stands below them is left out
    places = spread(heights, LINE_IN / height_in)
    for row, place in zip(rows, places, strict=True):
        axes.annotate(
            plain(shortened(row["arm"])), (row["train_s"], row["mean"]), (1.02, place), xycoords="data",
            textcoords="axes fraction", va="center", fontsize=8.5, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colors[row["arm"]], "lw": 0.6, "alpha": 0.45, "shrinkA": 2,
                        "shrinkB": 4},
        )  # fmt: skip


def spread(heights: Float[np.ndarray, " n"], gap: float) -> Float[np.ndarray, " n"]:
    """Heights at least so far apart, in the same order and between 0 and 1, moved as little as that needs.

    Args:
        heights: From the lowest to the highest.
        gap: Least distance; there must be room for all.

    Example:
        >>> spread(np.array([0.5, 0.5, 0.9]), 0.1).round(2).tolist()
        [0.45, 0.55, 0.9]
        >>> spread(np.array([0.0, 0.0, 0.0]), 0.1).round(2).tolist()
        [0.0, 0.1, 0.2]
    """
    from scipy import optimize

    steps = gap * np.arange(len(heights))
    found = optimize.isotonic_regression(heights - steps).x
    return np.clip(found, 0.0, max(0.0, 1.0 - steps[-1])) + steps


# --- where numbers scatter --------------------------------------------------------------------------------------------


def parts(frame: pd.DataFrame, cells: Sequence[TrialSlot], result: TableResult, metric: str) -> Figure | None:
    """How much of a metric's variance lies between clusters, seeds and views: a bar an arm; see `bench.analysis.variance_components`.

    It says what would make numbers surer: more scenes, more seeds, or more views.

    Args:
        frame: As `bench.storage.store.Store.frame` gives it.
        cells: Places of trials in tables.
        result: The table.
        metric: Which.

    Returns:
        The figure; None where no arm has enough clusters with two views each.
    """
    rows = part_rows(frame, cells, result, metric)
    if not rows:
        return None
    with_seeds = [row for row in rows if row["seed"] is not None]
    bars = with_seeds or rows  # parts of one seed mean something else, and do not stand beside the others
    shown = PARTS if with_seeds else ("cluster", "view")
    names = {"cluster": contents.plural(result.cluster_noun), "seed": "seeds", "view": "views", "rest": "seed by view"}
    with standard.style():
        figure, axes = standard.canvas(5.2, 1.25 + 0.33 * len(bars))
        for place, row in enumerate(reversed(bars)):
            start = 0.0
            for part in shown:
                share = row[f"{part}_share"] or 0.0
                axes.barh([place], [share], left=[start], height=0.62, color=SHADES[part])
                if share >= LEAST_WRITTEN:
                    ink = "#ffffff" if part == "cluster" else "#14161a"
                    axes.text(start + share / 2, place, f"{share:.0%}", ha="center", va="center", fontsize=8, color=ink)
                start += share
        for part in shown:  # one entry each, whatever the bars hold
            axes.barh([0], [0], color=SHADES[part], label=plain(names[part]))
        axes.set_yticks(range(len(bars)), [plain(shortened(row["arm"])) for row in reversed(bars)])
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, 1)
        axes.set_ylim(-0.5, len(bars) - 0.5)
        axes.set_xlabel("share of the variance, between")
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
        axes.spines["left"].set_visible(False)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(shown),
                      frameon=False, handlelength=1.0, columnspacing=1.4)  # fmt: skip
        name = f"{slug(result.table)}-variance-{slug(metric)}"
        svg = standard.drawn(figure, name)
    few = "" if len(bars) == len(rows) else "; arms of several seeds, all in the CSV"
    said = few if with_seeds else f"; of one seed: {names['cluster']} hold what seeds add"
    return Figure(name, f"Where the variance of {metric_named(metric).title} lies{said}", svg, tuple(rows))


def part_rows(
    frame: pd.DataFrame, cells: Sequence[TrialSlot], result: TableResult, metric: str
) -> list[dict[str, Any]]:
    """The parts by arm, in the metric's unit squared and as shares: of clusters that have all of the arm's seeds."""
    places = pd.DataFrame(
        [(c.arm, c.trial_id, c.cluster, c.seed) for c in cells if c.table == result.table],
        columns=["arm", "trial_id", "place", "turn"],
    )
    chosen = frame[
        (frame["protocol"] == result.protocol) & (frame["metric"] == metric) & (frame["status"] == "finished")
        & frame["value"].notna()
    ]  # fmt: skip
    known = places.merge(chosen[["trial_id", "view", "value"]], on="trial_id")
    rows: list[dict[str, Any]] = []
    for arm in result.arms:
        arrays = complete(known[known["arm"] == arm])
        if len(arrays) < FEWEST_CLUSTERS:
            continue
        found = variance_components.variance_components(arrays)
        total = sum(part for part in found if part is not None)
        if total <= 0:
            continue
        shares = {f"{part}_share": None if x is None else x / total for part, x in found._asdict().items()}
        of = {"num_clusters": len(arrays), "num_seeds": len(arrays[0]), "num_views": max(x.shape[1] for x in arrays)}
        rows.append({"arm": arm, **found._asdict(), **shares, **of})
    return rows


def complete(known: pd.DataFrame) -> list[Float[np.ndarray, "s _"]]:
    """An array a cluster, by seed and view, of clusters that have all seeds; of their views, those that all seeds have.

    Args:
        known: Numbers of one arm: `place`, `turn` (the seed), `view`, `value`.
    """
    num_seeds, found = known["turn"].nunique(), []
    for _, mine in known.groupby("place", sort=True):
        array = mine.pivot_table(index="turn", columns="view", values="value").dropna(axis="columns")
        if len(array) == num_seeds and array.shape[1] >= 2:
            found.append(array.to_numpy(np.float64))
    return found
