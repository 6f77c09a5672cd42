"""Intervals and tests keep what they promise on made-up data, and agree with scipy, statsmodels and slow twins."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import ttest_power

from bench.analysis import statistics


def flips_twin(differences: list[float]) -> float:
    """Every sign pattern, one after the other."""
    observed = abs(sum(differences))
    patterns = list(itertools.product((-1, 1), repeat=len(differences)))
    hits = sum(abs(sum(s * d for s, d in zip(p, differences, strict=True))) >= observed - 1e-9 for p in patterns)
    return hits / len(patterns)


def holm_twin(p_values: list[float]) -> list[float]:
    """Holm's steps as he wrote them: the k-th smallest times what is left, never falling."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected


def test_t_interval_is_scipys():
    values = np.random.default_rng(0).normal(23, 2, 8)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = statistics.t_interval(values)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx(values.mean())


def test_t_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    found = [statistics.t_interval(rng.normal(5.0, 2.0, 8)) for _ in range(2000)]
    share = np.mean([interval.low <= 5.0 <= interval.high for interval in found])
    assert abs(share - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 2000)


def test_t_interval_is_cut_at_its_limits_and_nowhere_else():
    values = np.array([1.0, 1.0, 0.6, 1.0])
    free, cut = statistics.t_interval(values), statistics.t_interval(values, limits=(0.0, 1.0))
    assert free.high > 1.0 and cut == (free.mean, free.low, 1.0)
    assert statistics.t_interval(values, limits=(0.8, math.inf)) == (free.mean, 0.8, free.high)
    assert statistics.t_interval(np.full(3, -1e-17), limits=(0.0, 1.0)).low == -1e-17, "never beyond the mean"


def test_t_interval_without_spread_has_no_width_and_of_one_value_no_ends():
    assert statistics.t_interval(np.full(5, 2.0)) == (2.0, 2.0, 2.0)
    assert statistics.t_interval(np.array([2.0])) == (2.0, None, None)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=7))
def test_sign_flips_are_those_of_the_twin(values):
    """Small integers, so that patterns tie; a tie counts as far out."""
    found = statistics.sign_flip_p(np.array(values, np.float64))
    assert found == pytest.approx(min(1.0, flips_twin([float(v) for v in values])))


def test_sign_flips_of_ranks_are_wilcoxons_test():
    rng = np.random.default_rng(2)
    for _ in range(5):
        signed = rng.permutation(np.arange(1.0, 10.0)) * rng.choice([-1, 1], 9)
        expected = stats.wilcoxon(signed, method="exact").pvalue
        assert statistics.sign_flip_p(signed) == pytest.approx(expected)


def test_sign_flips_raise_false_alarms_no_more_often_than_they_say():
    """With 8 clusters p is a multiple of 2/256, so that the true rate at 0.05 is 12/256 = 0.047."""
    rng = np.random.default_rng(3)
    rate = np.mean([statistics.sign_flip_p(rng.normal(0, 1, 8)) < 0.05 for _ in range(1500)])
    assert abs(rate - 12 / 256) < 3 * math.sqrt(0.047 * 0.953 / 1500)


def every_flip(differences):
    """All patterns of up to twenty signs, at once."""
    num = len(differences)
    signs = 1 - 2 * (np.arange(2**num, dtype=np.int32)[:, None] >> np.arange(num, dtype=np.int32) & 1).astype(np.int8)
    return np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9)


@pytest.mark.parametrize(("num_clusters", "mean"), [(15, 0.1), (16, 0.4), (18, 0.6), (18, 0.0)])
def test_counted_sign_flips_are_all_of_them_and_never_fewer(num_clusters, mean):
    differences = np.random.default_rng(4).normal(mean, 1.0, num_clusters)
    exact, found = every_flip(differences), statistics.sign_flip_p(differences)
    assert exact * (1 - 1e-9) <= found <= exact * 1.01
    assert found == statistics.sign_flip_p(differences[::-1]), "whatever the order"


@pytest.mark.parametrize("far", [0.5, 3.0, 11.0, 16.0])
def test_counted_sign_flips_of_ties_are_exact(far):
    """Sixteenths, as shares of views are: whole steps of no grid, and many patterns tie."""
    sizes = np.array([1, 1, 2, 2, 3, 5, 5, 7, 8, 9, 9, 11, 13, 16]) / 16 * 3
    signs = np.array(list(itertools.product((-1, 1), repeat=len(sizes))))
    assert statistics.flips_beyond(sizes, far) == pytest.approx(np.mean(np.abs(signs @ sizes) >= far - 1e-9), rel=1e-12)


@pytest.mark.parametrize("num_steps", [None, 32])
def test_near_alpha_p_is_that_of_a_million_drawn_patterns(num_steps):
    """64 captions, continuous or in 32nds; eight such tests corrected together are near 0.05."""
    rng = np.random.default_rng(7)
    differences = rng.normal(0.0, 1.0, 64)
    differences = (differences - differences.mean()) / differences.std() + 0.366
    differences = np.round(differences * num_steps) / num_steps if num_steps else differences
    drawn, num = 0, 2**20
    for _ in range(num // 2**16):
        signs = 1.0 - 2.0 * rng.integers(0, 2, (2**16, 64), np.int8)
        drawn += np.count_nonzero(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9)
    found = statistics.sign_flip_p(differences)
    assert 0.004 < found < 0.009 and abs(found - drawn / num) < 4 * math.sqrt(found / num)


def test_sign_flips_of_no_difference_and_of_very_many_clusters():
    assert statistics.sign_flip_p(np.zeros(20)) == statistics.sign_flip_p(np.tile([1.0, -1.0], 10)) == 1.0
    assert statistics.sign_flip_p(np.full(500, 0.1)) == statistics.smallest_p(500) == 2.0**-499


@pytest.mark.parametrize("num_clusters", [1, 2, 5, 8, 12, 15, 40])
def test_smallest_p_is_reached_where_all_signs_agree(num_clusters):
    differences = np.linspace(1.0, 2.0, num_clusters)
    assert statistics.sign_flip_p(differences) == statistics.smallest_p(num_clusters)


def test_what_few_clusters_cannot_do():
    """Five clusters never go below 0.0625; eight do, and with five arms corrected together come to 0.039."""
    assert statistics.smallest_p(5) == 0.0625
    assert statistics.holm(np.full(5, statistics.smallest_p(8))).max() == pytest.approx(0.0390625)
    assert [statistics.clusters_for_any(m) for m in (1, 2, 5, 6, 7, 1000)] == [6, 7, 8, 8, 9, 16]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.data())
def test_holm_is_the_twin_and_never_falls_when_a_p_rises(p_values, data):
    found = statistics.holm(np.array(p_values))
    np.testing.assert_allclose(found, holm_twin(p_values), atol=1e-12)
    place = data.draw(st.integers(0, len(p_values) - 1))
    raised = [*p_values[:place], data.draw(st.floats(p_values[place], 1)), *p_values[place + 1 :]]
    assert (statistics.holm(np.array(raised)) >= found - 1e-12).all()


def test_holm_is_statsmodels():
    p_values = np.array([0.0078, 0.3, 0.0078, 0.02, 0.9, 0.011])
    np.testing.assert_allclose(statistics.holm(p_values), multipletests(p_values, method="holm")[1])
    assert statistics.holm(np.zeros(0)).shape == (0,)


@pytest.mark.parametrize(("effect", "num_clusters", "alpha"), [(0.8, 12, 0.05), (0.3, 100, 0.01), (1.2, 8, 0.05)])
def test_power_is_statsmodels(effect, num_clusters, alpha):
    """It counts significant differences of the wrong sign as successes, which are very few here."""
    expected = ttest_power(effect, num_clusters, alpha)
    assert statistics.power(effect, num_clusters, alpha) == pytest.approx(expected, abs=1e-4)


def test_power_where_statsmodels_gives_nan():
    assert math.isnan(ttest_power(1.0, 100, 0.01))
    assert statistics.power(1.0, 100, 0.01) == pytest.approx(1.0)
    assert statistics.power(math.inf, 8) == 1.0


def test_a_resolvable_difference_is_resolved_about_as_often_as_said():
    """At 12 clusters the sign-flip test is close to the t test: 0.77 was measured with 1,500 draws."""
    rng = np.random.default_rng(5)
    spread = rng.normal(0, 1, 12)
    shift = statistics.resolvable_difference(spread, num_tests=5) / np.std(spread, ddof=1)
    found = [statistics.sign_flip_p(rng.normal(shift, 1, 12)) < 0.05 / 5 for _ in range(200)]
    assert abs(np.mean(found) - 0.77) < 3 * math.sqrt(0.77 * 0.23 / 200)


@settings(max_examples=30, deadline=None)
@example(0.05078125, 4, 113)  # more clusters than are ever named
@given(st.floats(0.05, 2.0), st.integers(1, 6), st.integers(0, 1000))
def test_clusters_to_resolve_are_the_fewest(mean, num_tests, seed):
    differences = np.random.default_rng(seed).normal(0, 1, 8)
    differences += mean - differences.mean()
    found = statistics.clusters_to_resolve(differences, num_tests=num_tests)
    effect, alpha = statistics.effect_size(differences), statistics.ALPHA / num_tests
    if found is None:
        assert statistics.power(effect, statistics.MOST_CLUSTERS, alpha) < statistics.POWER
        return
    assert statistics.power(effect, found, alpha) >= statistics.POWER
    assert found == 2 or statistics.power(effect, found - 1, alpha) < statistics.POWER


def test_clusters_to_resolve_where_there_is_no_difference_or_no_spread():
    assert statistics.clusters_to_resolve(np.array([1.0, -1.0, 0.0])) is None
    assert statistics.clusters_to_resolve(np.full(8, 0.5), num_tests=5) == statistics.clusters_for_any(5)
    assert statistics.resolvable_difference(np.full(8, 0.5)) == 0.0


def test_resolvable_difference_has_the_wanted_power():
    differences = np.random.default_rng(6).normal(0.2, 0.7, 9)
    found = statistics.resolvable_difference(differences, num_tests=3)
    effect = found / np.std(differences, ddof=1)
    assert statistics.power(effect, 9, statistics.ALPHA / 3) == pytest.approx(statistics.POWER, abs=1e-6)
    assert statistics.resolvable_difference(differences[:5]) is None, "five clusters resolve nothing"


def test_seeds_to_resolve_takes_away_what_seeds_scatter():
    """With as many seeds the spread of cluster means has the wanted power, and with one fewer it has not."""
    rng = np.random.default_rng(4)
    clusters = 0.6 + rng.normal(0.0, 0.3, (10, 1))
    differences = clusters + rng.normal(0.0, 2.0, (10, 3))
    found = statistics.seeds_to_resolve(differences, num_tests=2)
    of_seeds = np.var(differences, axis=1, ddof=1).mean()
    of_clusters = max(0.0, np.var(differences.mean(axis=1), ddof=1) - of_seeds / 3)
    mean = abs(differences.mean())

    def power(num_seeds):
        spread = math.sqrt(of_clusters + of_seeds / num_seeds)
        return statistics.power(mean / spread, 10, statistics.ALPHA / 2)

    assert found > 1 and power(found) >= statistics.POWER > power(found - 1)


def test_seeds_to_resolve_where_they_cannot_help():
    by_cluster = np.array([[0.9], [-0.3], [0.6], [0.1], [0.8], [-0.1], [0.4], [0.0]])
    assert statistics.seeds_to_resolve(np.repeat(by_cluster, 3, axis=1)) is None, "scenes differ, seeds do not"
    assert statistics.seeds_to_resolve(np.full((5, 2), 0.5)) is None, "five clusters resolve nothing"
    assert statistics.seeds_to_resolve(np.full((8, 2), 0.5)) == 1
    assert statistics.seeds_to_resolve(np.zeros((8, 2))) is None
    with pytest.raises(ValueError, match="seeds_to_resolve: expected at least 2 numbers, got 1"):
        statistics.seeds_to_resolve(np.zeros((8, 1)))
    with pytest.raises(ValueError, match="seeds_to_resolve: expected at least 2 numbers, got 1"):
        statistics.seeds_to_resolve(np.zeros((1, 8)))


@pytest.mark.parametrize("function", [statistics.t_interval, statistics.sign_flip_p, statistics.clusters_to_resolve])
def test_missing_and_too_few_numbers_are_refused(function):
    with pytest.raises(ValueError, match="expected finite numbers, got .*nan.*; leave missing ones out and count them"):
        function(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match=r"expected at least \d numbers, got 0"):
        function(np.zeros(0))
