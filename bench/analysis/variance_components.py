"""Where the variance of a metric lies: between scenes or captions, between seeds, between views; pure on arrays.

An array of a cluster goes by seed, then by view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bench.analysis import statistics


class VarianceComponents(NamedTuple):
    """A metric's variance by where it comes from, in its unit squared; none is negative.

    Attributes:
        cluster: Between scenes or captions. With one seed it holds what seeds add, which then cannot be told apart.
        seed: Between seeds of a cluster; None with one seed.
        view: Between views of a cluster that its seeds share. With one seed it holds the rest.
        rest: What is left: a seed does one view better than another. None with one seed.
    """

    cluster: float
    seed: float | None
    view: float
    rest: float | None


def variance_components(clusters: Sequence[Float[np.ndarray, "_ _"]]) -> VarianceComponents:
    """Splits the variance of numbers of a view into what clusters, seeds and views bring.

    A number is y = mean + C + S + V + E, all random and independent: C of its cluster, S of its seed within the
    cluster, V of its view within the cluster, E of seed and view together. Seeds and views are nested in clusters and
    crossed within them, because all seeds are seen by the same cameras: were views nested in seeds, their spread would
    be taken for noise of the seeds' means, and the seeds' share would come out too small, often zero.

    Each part is the variance of means at its level less what the parts below add to it. Where all clusters have as many
    seeds and views that is the analysis of variance, and REML's answer where no part comes out negative. A negative
    part is set to zero.

    Args:
        clusters: An array each; at least two of them, each with at least two views. A missing number is not allowed.

    Raises:
        ValueError: Fewer clusters or views, clusters of unlike numbers of seeds, or a number that is not finite.

    References:
        Searle, Casella and McCulloch, Variance Components, 1992, chapter 4.

    Example:
        >>> [round(x, 2) for x in variance_components([np.array([[1.0, 3], [2, 4]]), np.array([[9.0, 11], [8, 10]])])]
        [23.25, 0.5, 2.0, 0.0]
        >>> variance_components([np.array([[1.0, 3]]), np.array([[9.0, 11]])])
        VarianceComponents(cluster=31.0, seed=None, view=2.0, rest=None)
    """
    arrays = [np.asarray(values, np.float64) for values in clusters]
    if len(arrays) < 2 or any(values.ndim != 2 or values.shape[1] < 2 or len(values) < 1 for values in arrays):
        shapes = [values.shape for values in arrays]
        raise ValueError(f"variance_components: expected two clusters of a seed and two views at least, got {shapes}")
    if len({len(values) for values in arrays}) > 1:
        raise ValueError("variance_components: expected as many seeds in each cluster; leave out those that have fewer")
    statistics.checked(np.concatenate([values.ravel() for values in arrays]), "variance_components", at_least=4)
    num_seeds = len(arrays[0])
    num_views = np.array([values.shape[1] for values in arrays])
    seed, rest = 0.0, 0.0
    if num_seeds > 1:
        left = [x - x.mean(axis=0) - x.mean(axis=1, keepdims=True) + x.mean() for x in arrays]
        rest = sum(float(np.sum(x**2)) for x in left) / float(np.sum((num_seeds - 1) * (num_views - 1)))
        spreads = [float(np.var(x.mean(axis=1), ddof=1)) for x in arrays]
        seed = float(np.mean(spreads - rest / num_views))
    spreads = [float(np.var(x.mean(axis=0), ddof=1)) for x in arrays]
    view = float(np.average(spreads, weights=num_views - 1)) - rest / num_seeds
    below = seed / num_seeds + view / num_views + rest / (num_seeds * num_views)
    cluster = float(np.var([x.mean() for x in arrays], ddof=1) - np.mean(below))
    kept = [max(0.0, x) for x in (cluster, seed, view, rest)]
    return VarianceComponents(*kept) if num_seeds > 1 else VarianceComponents(kept[0], None, kept[2], None)
