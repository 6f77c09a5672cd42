"""Computes what a quiz needs of statistics: shares and Cohen's kappa, with intervals over captions.

Answers to pictures of one caption hang together, so intervals resample or count captions, never single answers.

n: answers, c: captions, b: draws of the bootstrap, k: categories.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

NUM_DRAWS = 2000
"""Draws of the bootstrap."""

SEED = 0

Z = 1.959963984540054
"""Of a normal interval of 95%."""


class Estimate(NamedTuple):
    """A number with its 95% interval.

    Attributes:
        value: None where nothing decides it.
        low: Lower end; None where there are too few captions.
        high: Upper end.
        num: Answers that it is made of.
    """

    value: float | None
    low: float | None
    high: float | None
    num: int


NOTHING = Estimate(None, None, None, 0)


def share_estimate(right: Bool[np.ndarray, " n"], cluster: Int[np.ndarray, " n"]) -> Estimate:
    """Estimate a share with Wilson's interval, for as many independent answers as captions that hang together leave.

    The number of independent answers is p (1 - p) over the variance of the share between captions; where all answers
    are alike it is the number of captions, so that a share of 1 has an interval too.

    Args:
        right: The answers.
        cluster: Caption of each.

    References:
        Wilson 1927; the effective sample size is that of Korn and Graubard 1998.

    Example:
        >>> alone = share_estimate(np.asarray([True] * 30 + [False] * 10), np.arange(40))
        >>> [round(x, 3) for x in alone[:3]]
        [0.75, 0.596, 0.859]
        >>> [round(x, 2) for x in share_estimate(np.ones(40, bool), np.arange(40) // 2)[:3]]
        [1.0, 0.84, 1.0]
    """
    num = len(right)
    if num == 0:
        return NOTHING
    share = float(right.mean())
    sums = np.bincount(cluster, right - share)[np.bincount(cluster) > 0]
    num_clusters = len(sums)
    if num_clusters < 2:
        return Estimate(share, None, None, num)
    variance = num_clusters / (num_clusters - 1) * float(np.square(sums).sum()) / num**2
    spread = share * (1 - share)
    num_free = min(num, spread / variance) if variance > 0 and spread > 0 else float(num_clusters)
    middle = (share + Z**2 / (2 * num_free)) / (1 + Z**2 / num_free)
    half = Z / (1 + Z**2 / num_free) * math.sqrt(spread / num_free + Z**2 / (4 * num_free**2))
    return Estimate(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)), num)


def kappa_estimate(first: Sequence[Hashable], second: Sequence[Hashable], cluster: Int[np.ndarray, " n"]) -> Estimate:
    """Estimate Cohen's kappa of two who answered the same pictures, with an interval by resampling captions.

    Args:
        first: Answers of the one.
        second: Answers of the other.
        cluster: Caption of each picture.

    References:
        Cohen 1960: (observed - expected) / (1 - expected).

    Example:
        >>> alike = kappa_estimate(["a", "a", "b", "b"], ["a", "a", "b", "b"], np.arange(4))
        >>> alike.value, kappa_estimate(["a", "b", "a", "b"], ["a", "a", "b", "b"], np.arange(4)).value
        (1.0, 0.0)
        >>> kappa_estimate(["a", "a"], ["a", "a"], np.arange(2)).value is None  # chance alone agrees as well
        True
    """
    if len(first) == 0:
        return NOTHING
    places = {value: place for place, value in enumerate(dict.fromkeys([*first, *second]))}
    one = np.asarray([places[value] for value in first])
    other = np.asarray([places[value] for value in second])
    weights = _draw_clusters(cluster)
    value = float(cohen_kappa(one, other, np.ones((1, len(one))))[0])
    draws = cohen_kappa(one, other, weights)
    draws = draws[np.isfinite(draws)]
    if not math.isfinite(value):
        return Estimate(None, None, None, len(one))
    if len(np.unique(cluster)) < 2 or len(draws) < NUM_DRAWS / 2:
        return Estimate(value, None, None, len(one))
    low, high = np.percentile(draws, [2.5, 97.5])
    return Estimate(value, float(low), float(high), len(one))


def cohen_kappa(
    first: Int[np.ndarray, " n"], second: Int[np.ndarray, " n"], weights: Float[np.ndarray, "b n"]
) -> Float[np.ndarray, " b"]:
    """Compute Cohen's kappa under several weightings of the answers; NaN where chance agrees fully.

    Args:
        first: Category of each answer.
        second: Category of each answer to the same picture.
        weights: How often each answer counts.
    """
    num_categories = int(max(first.max(), second.max())) + 1
    one = np.eye(num_categories)[first]
    other = np.eye(num_categories)[second]
    total = weights.sum(axis=1)
    observed = weights @ (first == second) / total
    expected = ((weights @ one) * (weights @ other)).sum(axis=1) / total**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected < 1 - 1e-12, (observed - expected) / (1 - expected), np.nan)


def _draw_clusters(cluster: Int[np.ndarray, " n"]) -> Float[np.ndarray, "b n"]:
    """Draw captions with replacement; give how often each answer is in each draw."""
    names, own = np.unique(cluster, return_inverse=True)
    random = np.random.default_rng(SEED)
    drawn = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=NUM_DRAWS)
    return drawn[:, own].astype(np.float64)
