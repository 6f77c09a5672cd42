"""How sure a number is: intervals, paired tests, and what a design of so many clusters could resolve; pure on arrays.

c: clusters (scenes or captions), s: seeds, m: tests that are corrected together.

A cluster is the unit that is drawn independently: seeds and views are averaged inside it before anything here is
called. `differences` are always an arm's cluster means minus the baseline's, over the clusters that both have.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

CONFIDENCE = 0.95
"""Of every interval."""

ALPHA = 0.05
"""A difference is resolved if its corrected p is below."""

POWER = 0.8
"""How often a design shall find a difference that is there, where this file speaks of needed sizes."""

NUM_FLIPS = 2**14
"""Sign patterns: all of them are tried up to this number (14 clusters); beyond, sums are counted on a grid."""

GRID = 2**20
"""Steps of that grid, from no difference to the sum of all."""

MOST_CLUSTERS = 10_000
"""A difference that would need more clusters is as good as none."""


class Interval(NamedTuple):
    """A mean and where it may lie.

    Attributes:
        mean: Of the values.
        low: Lower end, None where one value says nothing about the spread.
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
    """Student's interval of a mean.

    Args:
        values: One number a cluster; at least one.
        confidence: How often intervals made this way hold the true mean.
        limits: Where the true mean can lie, which Student does not know: the interval is cut there. A cut one is no
            longer even about its mean, and holds the true mean as often as before.

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
    from scipy import stats

    values = checked(values, "t_interval", at_least=1)
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, None, None)
    half = float(stats.t.isf((1 - confidence) / 2, len(values) - 1) * stats.sem(values))
    low, high = max(mean - half, limits[0]), min(mean + half, limits[1])
    return Interval(mean, min(low, mean), max(high, mean))  # rounding may put a mean beside its limit


def wilson_interval(num_hits: int, num_tries: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's interval of a share, such as R-Precision; unlike the usual one it is right near 0 and 1.

    Args:
        num_hits: How many succeeded.
        num_tries: Of how many; independent ones, so captions and not views.
        confidence: As in `t_interval`.

    Raises:
        ValueError: No try, or more hits than tries.

    Example:
        >>> [round(x, 3) for x in wilson_interval(92, 153)]
        [0.601, 0.522, 0.675]
    """
    from statsmodels.stats.proportion import proportion_confint

    if not 0 <= num_hits <= num_tries or num_tries < 1:
        raise ValueError(f"wilson_interval: expected 0 <= num_hits <= num_tries >= 1, got {num_hits} of {num_tries}")
    low, high = proportion_confint(num_hits, num_tries, alpha=1 - confidence, method="wilson")
    return Interval(num_hits / num_tries, float(low), float(high))


def sign_flip_p(differences: Float[np.ndarray, " c"]) -> float:
    """Two-sided p of paired differences: how often random signs give a mean at least this far from zero.

    It asks only that a difference and its opposite be equally likely if the arms are alike. All 2^c sign patterns are
    tried where there are at most `NUM_FLIPS`; beyond, `flips_beyond` counts them without trying each. Nothing is drawn:
    an error of drawing, however small, decides verdicts where a corrected p is near alpha.

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
    # as far out but for rounding: patterns tie where differences do
    far = abs(float(np.sum(differences))) - 1e-12 * float(np.sum(np.abs(differences)))
    if 2**num_clusters > NUM_FLIPS:
        return flips_beyond(np.abs(differences), far)
    signs = 1.0 - 2.0 * (np.arange(2**num_clusters)[:, None] >> np.arange(num_clusters) & 1)
    return float(np.mean(np.abs(signs @ differences) >= far))


def flips_beyond(sizes: Float[np.ndarray, " c"], far: float) -> float:
    """The share of sign patterns whose sum is at least so far from zero, with no pattern tried.

    Sizes are rounded to steps of a grid. What those with a minus come to is then a whole number, and how many patterns
    come to it grows size by size, as the numbers of Pascal's triangle do; only those are kept that are few enough steps
    for the sum to be far out. A sum that rounding may have brought nearer counts as far: the share is never too small,
    and too large by less than a hundredth of itself at 64 sizes.

    Args:
        sizes: At least zero.
        far: How far.

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
    # the sum is all steps minus twice those with a minus; rounding moves it by half a step a size at most
    most = math.floor((int(steps.sum()) - far / step + len(sizes) / 2) / 2)
    shares, reached = np.zeros(most + 1), 1  # by steps with a minus; none beyond those reached
    shares[0] = 1.0
    for size in steps:
        shares[:reached] *= 0.5
        num = min(reached, most + 1 - size)
        if num > 0:
            shares[size : size + num] += shares[:num].copy()
            reached = min(reached + size, most + 1)
    return min(1.0, 2.0 * float(shares.sum()))  # both sides


def smallest_p(num_clusters: int) -> float:
    """The smallest p that `sign_flip_p` can give: below it a design resolves nothing, whatever the data say.

    Args:
        num_clusters: Pairs.

    Example:
        >>> smallest_p(5), smallest_p(8)
        (0.0625, 0.0078125)
    """
    return 2.0 ** (1 - num_clusters)


def holm(p_values: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Holm's correction of tests that are read together: the chance of any false alarm stays below alpha.

    The corrected values never fall when a p rises, so that `holm` of the smallest possible p is the smallest possible
    corrected p.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
        [0.03, 0.06, 0.06]
    """
    # statsmodels has the same, but collects garbage in every call: a tenth of a second, for every table and metric
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(np.arange(len(p_values), 0, -1) * np.asarray(p_values, np.float64)[order])
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def power(effect: float, num_clusters: int, alpha: float = ALPHA) -> float:
    """How often a two-sided paired t test finds a difference that is there.

    The sign-flip test has no closed form; the t test comes close to it from about 12 clusters. With fewer its steps
    are coarse and the t test is too hopeful: 0.80 for a true 0.66 at 8 clusters and alpha 0.01. Where `smallest_p` is
    not below alpha the power is zero.

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
    critical = stats.t.isf(alpha / 2, num_clusters - 1)
    # The other tail, a significant difference of the wrong sign, is below alpha / 2 and no success. It is also where
    # scipy's non-central t, and so statsmodels' power, gives NaN for large effects.
    return float(stats.nct.sf(critical, num_clusters - 1, abs(effect) * math.sqrt(num_clusters)))


def clusters_to_resolve(
    differences: Float[np.ndarray, " c"], *, num_tests: int = 1, wanted_power: float = POWER
) -> int | None:
    """How many clusters would find this difference, were it and its spread exactly as observed.

    A rough guide: the spread of few clusters is itself uncertain. Careful about Holm: the level is alpha divided by the
    number of tests, as for the most extreme arm of a table.

    Args:
        differences: Arm minus baseline, one number a cluster; at least two.
        num_tests: Arms of the table that are tested together.
        wanted_power: How often it shall be found.

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
    alpha, effect = ALPHA / num_tests, effect_size(differences)

    def found(num_clusters: int) -> bool:
        return power(effect, num_clusters, alpha) >= wanted_power

    return _smallest(found, 1)  # power rises with the number of clusters


def seeds_to_resolve(differences: Float[np.ndarray, "c s"], *, num_tests: int = 1) -> int | None:
    """How many seeds a cluster would find this difference with as many clusters, were all exactly as observed.

    More seeds take away what seeds scatter, and nothing of what clusters differ in: often no number of them is enough.
    A rough guide, as `clusters_to_resolve`.

    Args:
        differences: Arm minus baseline, by cluster and seed; at least two of each.
        num_tests: As in `clusters_to_resolve`.

    Returns:
        The number, at least one; None where there is none up to `MOST_CLUSTERS`.

    Raises:
        ValueError: Fewer than two clusters or seeds, or a difference that is not finite.

    References:
        The spread of clusters is that of their means less the share of the seeds: one-way analysis of variance.

    Example:
        >>> seeds_to_resolve(np.array([[1.5, -0.5], [-0.5, 1.5]] * 4))
        11
        >>> seeds_to_resolve(np.repeat([[0.9], [-0.3], [0.6], [0.1], [0.8], [-0.1], [0.4], [0.0]], 2, axis=1)) is None
        True
    """
    by_cluster = checked(np.mean(differences, axis=1), "seeds_to_resolve", at_least=2)
    num_clusters, num_seeds = differences.shape
    checked(differences[0], "seeds_to_resolve", at_least=2)
    of_seeds = float(np.mean(np.var(differences, axis=1, ddof=1)))
    of_clusters = max(0.0, float(np.var(by_cluster, ddof=1)) - of_seeds / num_seeds)
    mean, alpha = abs(float(np.mean(by_cluster))), ALPHA / num_tests

    def found(num: int) -> bool:
        spread = math.sqrt(of_clusters + of_seeds / num)
        effect = mean / spread if spread > 1e-12 * mean else math.inf if mean > 0 else 0.0
        return power(effect, num_clusters, alpha) >= POWER

    return _smallest(found, 1)


def _smallest(found: Callable[[int], bool], low: int) -> int | None:
    """The smallest number from `low` to `MOST_CLUSTERS` that is found, where all beyond it are; None if none is."""
    if found(low):
        return low
    high = low + 1
    while not found(high):
        if high >= MOST_CLUSTERS:
            return None
        low, high = high, min(2 * high, MOST_CLUSTERS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


def resolvable_difference(
    differences: Float[np.ndarray, " c"], *, num_tests: int = 1, wanted_power: float = POWER
) -> float | None:
    """The smallest difference that as many clusters would find, at the observed spread.

    Args:
        differences: Arm minus baseline, one number a cluster; at least two. Only their spread counts.
        num_tests: As in `clusters_to_resolve`.
        wanted_power: As there.

    Returns:
        The difference, above zero (or zero where there is no spread); None where so few clusters can resolve nothing.

    Raises:
        ValueError: Fewer than two differences, or one that is not finite.

    Example:
        >>> spread = np.array([0.9, -0.3, 0.6, 0.1, 0.8, -0.1, 0.4, 0.0])
        >>> round(resolvable_difference(spread), 2), round(resolvable_difference(spread, num_tests=5), 2)
        (0.51, 0.7)
        >>> resolvable_difference(spread[:5]) is None
        True
    """
    from scipy import optimize

    differences = checked(differences, "resolvable_difference", at_least=2)
    num_clusters, alpha = len(differences), ALPHA / num_tests
    if smallest_p(num_clusters) >= alpha:
        return None
    effect = optimize.brentq(lambda x: power(x, num_clusters, alpha) - wanted_power, 0.0, 100.0)
    return float(effect * np.std(differences, ddof=1))


def clusters_for_any(num_tests: int) -> int:
    """The fewest clusters with which so many tests, read together, can resolve anything at all.

    Example:
        >>> clusters_for_any(1), clusters_for_any(5)
        (6, 8)
    """
    return next(n for n in itertools.count(2) if num_tests * smallest_p(n) < ALPHA)


def effect_size(differences: Float[np.ndarray, " c"]) -> float:
    """Mean difference in units of its spread between clusters; infinite where there is a mean and no spread.

    Example:
        >>> effect_size(np.array([1.0, 2.0, 3.0])), effect_size(np.array([0.5, 0.5])), effect_size(np.array([0.0, 0.0]))
        (2.0, inf, 0.0)
    """
    mean, spread = abs(float(np.mean(differences))), float(np.std(differences, ddof=1))
    if spread <= 1e-12 * mean:  # equal up to rounding
        return math.inf if mean > 0 else 0.0
    return mean / spread


def checked(values: Float[np.ndarray, " c"], name: str, at_least: int) -> Float[np.ndarray, " c"]:
    """The values in double precision; ValueError where they are too few or not finite.

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
