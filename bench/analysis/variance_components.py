"""Splits the variance of a metric between scenes or captions, seeds and views; pure functions of arrays.

The array of a cluster has the axes seed, view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bench.analysis import statistics


class VarianceComponents(NamedTuple):
    """A metric's variance by its source, in the metric's unit squared; none is negative.

    Attributes:
        cluster: Between scenes or captions. With one seed it includes the variance between seeds, which is not known.
        seed: Between seeds of a cluster; None with one seed.
        view: Between views of a cluster, the same for all its seeds. With one seed it includes the rest.
        rest: The remainder: a seed does one view better than another. None with one seed.
    """

    cluster: float
    seed: float | None
    view: float
    rest: float | None


def variance_components(clusters: Sequence[Float[np.ndarray, "_ _"]]) -> VarianceComponents:
    """Split the variance of numbers of views into parts of clusters, seeds and views.

    A number is y = mean + C + S + V + E, all random and independent: C of its cluster, S of its seed within the
    cluster, V of its view within the cluster, E of seed and view together. Seeds and views are nested in clusters and
    crossed within them, because the same cameras see all seeds. If views were nested in seeds, their spread would count
    as noise of the seeds' means, and the seeds' part would come out too small, often zero.

    Each part is the variance of means at its level less what the parts below add to it. Where all clusters have equally
    many seeds and views this is the analysis of variance, and the answer of REML where no part is negative. A negative
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
    seed = 0.0
    rest = 0.0
    if num_seeds > 1:
        left = [x - x.mean(axis=0) - x.mean(axis=1, keepdims=True) + x.mean() for x in arrays]
        rest = sum(float(np.sum(x**2)) for x in left) / float(np.sum((num_seeds - 1) * (num_views - 1)))
        spreads = [float(np.var(x.mean(axis=1), ddof=1)) for x in arrays]
        seed = float(np.mean(spreads - rest / num_views))
    spreads = [float(np.var(x.mean(axis=0), ddof=1)) for x in arrays]
    view = float(np.average(spreads, weights=num_views - 1)) - rest / num_seeds
    below = seed / num_seeds + view / num_views + rest / (num_seeds * num_views)
    cluster = float(np.var([x.mean() for x in arrays], ddof=1) - np.mean(below))
    cluster, seed, view, rest = (max(0.0, x) for x in (cluster, seed, view, rest))
    if num_seeds == 1:
        return VarianceComponents(cluster, None, view, None)
    return VarianceComponents(cluster, seed, view, rest)
