"""Computes intervals, paired tests, and what a design of so many clusters can resolve; pure functions of arrays.

c: clusters (scenes or captions), s: seeds, m: tests that are corrected together.

A cluster is the unit that is drawn independently: seeds and views are averaged inside it before anything here is
called. `differences` are always an arm's cluster means minus the baseline's, over the clusters that both have.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

CONFIDENCE = 0.95
"""Level of every interval."""

ALPHA = 0.05
"""A difference is resolved if its corrected p is below."""

POWER = 0.8
"""The chance to find a difference that is there, for which needed sizes are computed."""

NUM_FLIPS = 2**14
"""Up to so many sign patterns (14 clusters) all are tried; with more, sums are counted on a grid."""

GRID = 2**20
"""Steps of that grid, from 0 to the sum of all absolute differences."""

MOST_HALVINGS = 1000
"""So often 1 is halved without loss; the smallest normal double is 2 ** -1022."""

MOST_CLUSTERS = 10_000
"""A difference that would need more clusters counts as unresolvable."""


class Interval(NamedTuple):
    """A mean with its interval.

    Attributes:
        mean: Of the values.
        low: Lower end; None with a single value, which has no spread.
        high: Upper end, likewise.
    """

    mean: float
    low: float | None
    high: float | None


def t_interval(
    values: Float[np.ndarray, " c"],
    confidence: float = CONFIDENCE,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Compute Student's interval of a mean.

    Args:
        values: One number a cluster; at least one.
        confidence: The share of such intervals that hold the true mean.
        limits: The range of the true mean, at which the interval is cut. A cut interval is not symmetric about its
            mean, and holds the true mean as often as before.

    Raises:
        ValueError: No value, or one that is not finite.

    Example:
        >>> [round(x, 3) for x in t_interval(np.array([21.0, 23.0, 25.0]))]
        [23.0, 18.032, 27.968]
        >>> [round(x, 3) for x in t_interval(np.array([1.0, 1.0, 0.5, 1.0]), limits=(0.0, 1.0))]
        [0.875, 0.477, 1.0]
        >>> t_interval(np.array([21.0]))
        Interval(mean=21.0, low=None, high=None)
    """
    from scipy import special  # not scipy.stats, which takes a second to import, for the same quantile

    values = checked(values, "t_interval", at_least=1)
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, None, None)
    standard_error = np.std(values, ddof=1) / np.sqrt(len(values))
    half = float(-special.stdtrit(len(values) - 1, (1 - confidence) / 2) * standard_error)
    low = max(mean - half, limits[0])
    high = min(mean + half, limits[1])
    return Interval(mean, min(low, mean), max(high, mean))  # rounding may put a mean just outside its limit


def sign_flip_p(differences: Float[np.ndarray, " c"]) -> float:
    """Compute the two-sided p of paired differences: the share of sign patterns with a mean at least as far from zero.

    It assumes only that a difference and its opposite are equally likely if the arms are alike. All 2^c sign patterns
    are tried where there are at most `NUM_FLIPS`; with more, `flips_beyond` counts them without trying each. No pattern
    is sampled: where a corrected p is near alpha, even a small sampling error would decide the verdict.

    Args:
        differences: Arm minus baseline, one number a cluster; at least one.

    Raises:
        ValueError: No difference, or one that is not finite.

    Example:
        >>> sign_flip_p(np.array([0.5, 0.7, 0.4, 0.9, 0.3])), smallest_p(5)
        (0.0625, 0.0625)
        >>> sign_flip_p(np.linspace(1.0, 2.0, 40)) == smallest_p(40) == 2**-39
        True
    """
    differences = checked(differences, "sign_flip_p", at_least=1)
    num_clusters = len(differences)
    # Equal up to rounding counts as far: patterns tie where differences do.
    far = abs(float(np.sum(differences))) - 1e-12 * float(np.sum(np.abs(differences)))
    if 2**num_clusters > NUM_FLIPS:
        return flips_beyond(np.abs(differences), far)
    signs = 1.0 - 2.0 * (np.arange(2**num_clusters)[:, None] >> np.arange(num_clusters) & 1)
    return float(np.mean(np.abs(signs @ differences) >= far))


def flips_beyond(sizes: Float[np.ndarray, " c"], far: float) -> float:
    """Compute the share of sign patterns whose sum is at least `far` from zero, without trying each pattern.

    Sizes are rounded to steps of a grid. The sum of the sizes with a minus is then a whole number of steps, and the
    number of patterns with each sum is built up size by size, like the rows of Pascal's triangle. Only sums small
    enough for the total to be far out are kept. A sum that rounding may have brought nearer counts as far: the share is
    never too small, and too large by less than 1% of itself at 64 sizes.

    Args:
        sizes: Absolute differences.
        far: The least distance from zero.

    References:
        Pagano and Tritchler, On Obtaining Permutation Distributions in Polynomial Time, 1983.

    Example:
        >>> flips_beyond(np.ones(4), far=2.0), flips_beyond(np.ones(4), far=4.0)
        (0.625, 0.125)
    """
    if far <= 0:
        return 1.0
    step = float(np.sum(sizes)) / GRID
    steps = np.rint(np.sort(sizes) / step).astype(int)
    # The sum is all steps minus twice those with a minus; rounding moves it by at most half a step a size.
    most = math.floor((int(steps.sum()) - far / step + len(sizes) / 2) / 2)
    shares = np.zeros(most + 1)  # by the number of steps with a minus
    # Each size halves every share. Halving is exact, so it is done at once, up to where doubles end.
    num_at_once = min(len(steps), MOST_HALVINGS)
    shares[0] = 0.5**num_at_once
    reached = 1  # entries that are not zero end here
    for i, size in enumerate(steps):
        if i >= num_at_once:
            shares[:reached] *= 0.5
        num = min(reached, most + 1 - size)
        if num > 0:
            shares[size : size + num] += shares[:num].copy()
            reached = min(reached + size, most + 1)
    return min(1.0, 2.0 * float(shares.sum()))  # both sides


def smallest_p(num_clusters: int) -> float:
    """Compute the smallest p that `sign_flip_p` can give for a number of pairs.

    A design whose smallest p is not below alpha resolves nothing, whatever the data.

    Example:
        >>> smallest_p(5), smallest_p(8)
        (0.0625, 0.0078125)
    """
    return 2.0 ** (1 - num_clusters)


def holm(p_values: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Correct tests that are read together by Holm's method: the chance of any false alarm stays below alpha.

    The corrected values never fall when a p rises. So `holm` of the smallest possible p is the smallest possible
    corrected p.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
        [0.03, 0.06, 0.06]
    """
    # statsmodels has this too, but collects garbage in every call: 0.1 s for every table and metric.
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(np.arange(len(p_values), 0, -1) * np.asarray(p_values, np.float64)[order])
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def power(effect: float, num_clusters: int, alpha: float = ALPHA) -> float:
    """Compute the power of a two-sided paired t test: how often it finds a difference that is there.

    The sign-flip test has no closed form; the t test comes close to it from about 12 clusters. With fewer clusters the
    sign-flip test has coarse steps and the t test is too optimistic: 0.80 for a true 0.66 at 8 clusters and alpha 0.01.
    Where `smallest_p` is not below alpha the power is zero.

    Args:
        effect: Mean difference in units of the spread of differences between clusters.
        num_clusters: Pairs; at least two.
        alpha: Significance level of this one test.

    Example:
        >>> round(power(1.0, 8), 2), power(1.0, 5)
        (0.68, 0.0)
    """
    from scipy import stats

    if num_clusters < 2 or smallest_p(num_clusters) >= alpha:
        return 0.0
    if math.isinf(effect):
        return 1.0
    critical = critical_t(alpha, num_clusters - 1)
    # The other tail, a significant difference of the wrong sign, is below alpha / 2 and no success. For large effects
    # scipy's non-central t gives NaN there, and so does statsmodels' power.
    return float(stats.nct.sf(critical, num_clusters - 1, abs(effect) * math.sqrt(num_clusters)))


@functools.lru_cache(maxsize=4096)
def critical_t(alpha: float, num_free: int) -> float:
    """Compute the t from which a two-sided t test finds a difference; a search asks for the same ones again and again.

    Args:
        alpha: Significance level.
        num_free: Degrees of freedom.

    Example:
        >>> round(critical_t(0.05, 7), 3)
        2.365
    """
    from scipy import stats

    return float(stats.t.isf(alpha / 2, num_free))


def clusters_to_resolve(
    differences: Float[np.ndarray, " c"], *, num_tests: int = 1, wanted_power: float = POWER
) -> int | None:
    """Estimate how many clusters would resolve a difference, if it and its spread are exactly as observed.

    This is a rough guide: the spread of few clusters is itself uncertain. The level is alpha divided by the number of
    tests, as Holm's method has it for the most extreme arm of a table.

    Args:
        differences: Arm minus baseline, one number a cluster; at least two.
        num_tests: Arms of the table that are tested together.
        wanted_power: The chance to resolve it.

    Returns:
        The number, or None where it is above `MOST_CLUSTERS`, as for a difference of zero.

    Raises:
        ValueError: Fewer than two differences, or one that is not finite.

    Example:
        >>> clusters_to_resolve(np.array([0.9, -0.3, 0.6, 0.1, 0.8, -0.1, 0.4, 0.0]))
        19
        >>> clusters_to_resolve(np.array([0.5, -0.5])) is None
        True
    """
    differences = checked(differences, "clusters_to_resolve", at_least=2)
    alpha = ALPHA / num_tests
    effect = effect_size(differences)

    def is_enough(num_clusters: int) -> bool:
        return power(effect, num_clusters, alpha) >= wanted_power

    return _smallest(is_enough, 1)  # power rises with the number of clusters


def seeds_to_resolve(differences: Float[np.ndarray, "c s"], *, num_tests: int = 1) -> int | None:
    """Estimate how many seeds a cluster would resolve a difference with as many clusters, if all is as observed.

    More seeds reduce the variance between seeds, and none of that between clusters: often no number of seeds is enough.
    This is a rough guide, as `clusters_to_resolve` is.

    Args:
        differences: Arm minus baseline, by cluster and seed; at least two of each.
        num_tests: As in `clusters_to_resolve`.

    Returns:
        The number, at least one; None where there is none up to `MOST_CLUSTERS`.

    Raises:
        ValueError: Fewer than two clusters or seeds, or a difference that is not finite.

    References:
        The variance of clusters is that of their means less the part of the seeds: one-way analysis of variance.

    Example:
        >>> seeds_to_resolve(np.array([[1.5, -0.5], [-0.5, 1.5]] * 4))
        11
        >>> seeds_to_resolve(np.repeat([[0.9], [-0.3], [0.6], [0.1], [0.8], [-0.1], [0.4], [0.0]], 2, axis=1)) is None
        True
    """
    by_cluster = checked(np.mean(differences, axis=1), "seeds_to_resolve", at_least=2)
    num_clusters, num_seeds = differences.shape
    checked(differences[0], "seeds_to_resolve", at_least=2)
    seed_variance = float(np.mean(np.var(differences, axis=1, ddof=1)))
    cluster_variance = max(0.0, float(np.var(by_cluster, ddof=1)) - seed_variance / num_seeds)
    mean = abs(float(np.mean(by_cluster)))
    alpha = ALPHA / num_tests

    def is_enough(num: int) -> bool:
        spread = math.sqrt(cluster_variance + seed_variance / num)
        return power(mean_in_spreads(mean, spread), num_clusters, alpha) >= POWER

    return _smallest(is_enough, 1)


def _smallest(is_enough: Callable[[int], bool], low: int) -> int | None:
    """Find the smallest number from `low` to `MOST_CLUSTERS` that is enough; None if none is.

    Every number above one that is enough must be enough too.
    """
    if is_enough(low):
        return low
    high = low + 1
    while not is_enough(high):
        if high >= MOST_CLUSTERS:
            return None
        low = high
        high = min(2 * high, MOST_CLUSTERS)
    while high - low > 1:
        middle = (low + high) // 2
        if is_enough(middle):
            high = middle
        else:
            low = middle
    return high


def resolvable_difference(
    differences: Float[np.ndarray, " c"], *, num_tests: int = 1, wanted_power: float = POWER
) -> float | None:
    """Estimate the smallest difference that as many clusters would resolve, at the observed spread.

    Args:
        differences: Arm minus baseline, one number a cluster; at least two. Only their spread counts.
        num_tests: As in `clusters_to_resolve`.
        wanted_power: As there.

    Returns:
        The difference, above zero (zero without any spread); None where so few clusters can resolve nothing.

    Raises:
        ValueError: Fewer than two differences, or one that is not finite.

    Example:
        >>> spread = np.array([0.9, -0.3, 0.6, 0.1, 0.8, -0.1, 0.4, 0.0])
        >>> round(resolvable_difference(spread), 2), round(resolvable_difference(spread, num_tests=5), 2)
        (0.51, 0.7)
        >>> resolvable_difference(spread[:5]) is None
        True
    """
    differences = checked(differences, "resolvable_difference", at_least=2)
    num_clusters = len(differences)
    alpha = ALPHA / num_tests
    if smallest_p(num_clusters) >= alpha:
        return None
    return float(resolvable_effect(num_clusters, alpha, wanted_power) * np.std(differences, ddof=1))


@functools.lru_cache(maxsize=4096)
def resolvable_effect(num_clusters: int, alpha: float, wanted_power: float) -> float:
    """Find the effect, in units of the spread of differences, that a t test finds with a wanted power.

    Args:
        num_clusters: Pairs; so many that `smallest_p` is below alpha.
        alpha: Significance level of this one test.
        wanted_power: The chance to find it.

    Example:
        >>> round(resolvable_effect(8, 0.05, 0.8), 2)
        1.16
    """
    from scipy import optimize

    return float(optimize.brentq(lambda x: power(x, num_clusters, alpha) - wanted_power, 0.0, 100.0))


def clusters_for_any(num_tests: int) -> int:
    """Compute the fewest clusters with which tests that are read together can resolve anything at all.

    Example:
        >>> clusters_for_any(1), clusters_for_any(5)
        (6, 8)
    """
    return next(n for n in itertools.count(2) if num_tests * smallest_p(n) < ALPHA)


def effect_size(differences: Float[np.ndarray, " c"]) -> float:
    """Compute the mean difference in units of its spread between clusters; infinite with a mean and no spread.

    Example:
        >>> effect_size(np.array([1.0, 2.0, 3.0])), effect_size(np.array([0.5, 0.5])), effect_size(np.array([0.0, 0.0]))
        (2.0, inf, 0.0)
    """
    return mean_in_spreads(abs(float(np.mean(differences))), float(np.std(differences, ddof=1)))


def mean_in_spreads(mean: float, spread: float) -> float:
    """Divide a mean by its spread; infinite with a mean and no spread, 0 without both.

    Example:
        >>> mean_in_spreads(2.0, 4.0), mean_in_spreads(2.0, 0.0), mean_in_spreads(0.0, 0.0)
        (0.5, inf, 0.0)
    """
    if spread > 1e-12 * mean:  # more than rounding
        return mean / spread
    return math.inf if mean > 0 else 0.0


def checked(values: Float[np.ndarray, " c"], name: str, at_least: int) -> Float[np.ndarray, " c"]:
    """Convert values to double precision.

    Raises:
        ValueError: They are too few or not finite.

    Example:
        >>> checked(np.array([1.0, np.nan]), "t_interval", 1)
        Traceback (most recent call last):
            ...
        ValueError: t_interval: expected finite numbers, got [ 1. nan]; leave missing ones out and count them
    """
    values = np.asarray(values, np.float64)
    if len(values) < at_least:
        raise ValueError(f"{name}: expected at least {at_least} numbers, got {len(values)}")
    if not np.all(np.isfinite(values)):
        raise ValueError(f"{name}: expected finite numbers, got {values}; leave missing ones out and count them")
    return values
