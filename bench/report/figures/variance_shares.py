"""Draws where a metric's variance lies: between clusters, seeds and views. It says what would make numbers surer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float

from bench.analysis import variance_components
from bench.analysis.table_result import FEWEST_CLUSTERS, TableResult
from bench.counted_nouns import pluralize
from bench.metrics.registry import metric_named
from bench.report.figures.figure import Figure, Row, slugify
from bench.report.figures.score_selection import select_scores
from bench.report.figures.style import escape_math, figure_style, make_canvas, shorten
from bench.report.figures.svg import to_svg
from bench.suites.suite import TrialSlot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = ("cluster", "seed", "view", "rest")
"""Parts of a variance, as `bench.analysis.variance_components.VarianceComponents` names them."""

PARTS_OF_ONE_SEED = ("cluster", "view")

SHADES = {"cluster": "#2f5d8a", "seed": "#d98032", "view": "#7fa8cf", "rest": "#b9bec6"}

LEAST_WRITTEN = 0.07
"""Share of a bar below which there is no room for its number."""


def draw_variance_shares(
    frame: pd.DataFrame, cells: Sequence[TrialSlot], result: TableResult, metric: str
) -> Figure | None:
    """Draw the shares of a metric's variance, one bar for each arm; see `bench.analysis.variance_components`.

    Args:
        frame: Scores, as `bench.storage.store.Store.frame` gives them.
        cells: Places of trials in tables.
        result: The table.
        metric: Which.

    Returns:
        The figure; None where no arm has enough clusters with two views each.
    """
    rows = variance_rows(frame, cells, result, metric)
    if not rows:
        return None
    # Shares of one seed mean something else, and do not stand beside the others.
    of_several_seeds = [row for row in rows if row["seed"] is not None]
    bars = of_several_seeds or rows
    parts = PARTS if of_several_seeds else PARTS_OF_ONE_SEED
    clusters = pluralize(result.cluster_noun)
    names = {"cluster": clusters, "seed": "seeds", "view": "views", "rest": "seed by view"}
    with figure_style():
        figure, axes = make_canvas(5.2, 1.25 + 0.33 * len(bars))
        for place, row in enumerate(reversed(bars)):
            draw_bar(axes, place, row, parts)
        for part in parts:  # one entry each, whatever the bars hold
            axes.barh([0], [0], color=SHADES[part], label=escape_math(names[part]))
        axes.set_yticks(range(len(bars)), [escape_math(shorten(row["arm"])) for row in reversed(bars)])
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, 1)
        axes.set_ylim(-0.5, len(bars) - 0.5)
        axes.set_xlabel("share of the variance, between")
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
        axes.spines["left"].set_visible(False)
        figure.legend(
            *axes.get_legend_handles_labels(),
            loc="outside lower center",
            ncols=len(parts),
            frameon=False,
            handlelength=1.0,
            columnspacing=1.4,
        )
        name = f"{slugify(result.table)}-variance-{slugify(metric)}"
        svg = to_svg(figure, name)
    title = f"Where the variance of {metric_named(metric).title} lies"
    if not of_several_seeds:
        title += f"; of one seed: {clusters} hold what seeds add"
    elif len(bars) < len(rows):
        title += "; arms of several seeds, all in the CSV"
    return Figure(name, title, svg, tuple(rows))


def draw_bar(axes: Axes, place: int, row: Row, parts: Sequence[str]) -> None:
    """Draw one arm's shares, one after the other, with their numbers where there is room."""
    start = 0.0
    for part in parts:
        share = row[f"{part}_share"] or 0.0
        axes.barh([place], [share], left=[start], height=0.62, color=SHADES[part])
        if share >= LEAST_WRITTEN:
            ink = "#ffffff" if part == "cluster" else "#14161a"
            axes.text(start + share / 2, place, f"{share:.0%}", ha="center", va="center", fontsize=8, color=ink)
        start += share


def variance_rows(frame: pd.DataFrame, cells: Sequence[TrialSlot], result: TableResult, metric: str) -> list[Row]:
    """Compute the parts by arm, in the metric's unit squared and as shares.

    Clusters that lack one of the arm's seeds are left out.
    """
    scores = select_scores(frame, cells, result, metric, ["view", "value"])
    rows: list[Row] = []
    for arm in result.arms:
        arrays = complete_arrays(scores[scores["arm"] == arm])
        if len(arrays) < FEWEST_CLUSTERS:
            continue
        parts = variance_components.variance_components(arrays)._asdict()
        total = sum(part for part in parts.values() if part is not None)
        if total <= 0:
            continue
        shares = {f"{name}_share": None if part is None else part / total for name, part in parts.items()}
        num_views = max(array.shape[1] for array in arrays)
        counts = {"num_clusters": len(arrays), "num_seeds": len(arrays[0]), "num_views": num_views}
        rows.append({"arm": arm, **parts, **shares, **counts})
    return rows


def complete_arrays(scores: pd.DataFrame) -> list[Float[np.ndarray, "s _"]]:
    """Make an array a cluster, by seed and view, of clusters that have all seeds.

    Of their views, those that all seeds have are kept. Clusters with fewer than two of them are left out.

    Args:
        scores: Numbers of one arm: `place` (the cluster), `turn` (the seed), `view`, `value`.
    """
    num_seeds = scores["turn"].nunique()
    arrays = []
    for _, mine in scores.groupby("place", sort=True):  # not `pivot_table`, which takes ten milliseconds a cluster
        seeds, rows = np.unique(mine["turn"].to_numpy(np.int64), return_inverse=True)
        views, columns = np.unique(mine["view"].to_numpy(np.int64), return_inverse=True)
        array = np.full((len(seeds), len(views)), np.nan)
        array[rows, columns] = mine["value"].to_numpy(np.float64)
        array = array[:, ~np.isnan(array).any(axis=0)]
        if len(array) == num_seeds and array.shape[1] >= 2:
            arrays.append(array)
    return arrays
