"""Scores of votes come back as they were, and intervals hold them as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize

from bench.analysis import bradley_terry

TRUE = np.array([0.8, 0.1, -0.2, -0.7])


def votes(rng, num, true=TRUE, num_clusters=None, spread=0.0, share_of_ties=0.0):
    """Votes between random pairs; with a spread, what is liked differs from one cluster to the next."""
    first = rng.integers(len(true), size=num)
    second = (first + rng.integers(1, len(true), size=num)) % len(true)
    clusters = rng.integers(num_clusters or num, size=num)
    liked = np.asarray(true) + spread * rng.normal(size=(num_clusters or num, len(true)))
    chance = 1 / (1 + np.exp(liked[clusters, second] - liked[clusters, first]))
    outcomes = (rng.uniform(size=num) < chance).astype(np.float64)
    outcomes[rng.uniform(size=num) < share_of_ties] = 0.5
    return first, second, outcomes, clusters


def slow_scores(first, second, outcomes, num_arms):
    """Maximum likelihood, a vote after the other."""

    def cost(free):
        scores = [*free, -sum(free)]
        return -sum(
            y * math.log(p) + (1 - y) * math.log(1 - p)
            for i, j, y in zip(first, second, outcomes, strict=True)
            for p in [1 / (1 + math.exp(scores[j] - scores[i]))]
        )

    free = optimize.minimize(cost, np.zeros(num_arms - 1), tol=1e-10).x
    return [*free, -sum(free)]


def test_scores_of_many_votes_are_those_that_made_them():
    found = bradley_terry.bradley_terry(*votes(np.random.default_rng(0), 20_000))
    assert found.scores == pytest.approx(TRUE, abs=0.08) and sum(found.scores) == pytest.approx(0, abs=1e-9)
    assert found.prior == 0 and found.is_joined


def test_scores_are_those_of_a_slow_twin():
    first, second, outcomes, _ = votes(np.random.default_rng(1), 60, share_of_ties=0.2)
    found = bradley_terry.bradley_terry(first, second, outcomes)
    assert found.scores == pytest.approx(slow_scores(first, second, outcomes, 4), abs=1e-4)
    assert found.num_clusters == 0


def test_sides_do_not_matter():
    first, second, outcomes, clusters = votes(np.random.default_rng(2), 80, num_clusters=10, share_of_ties=0.1)
    turned = bradley_terry.bradley_terry(second, first, 1 - outcomes, clusters)
    found = bradley_terry.bradley_terry(first, second, outcomes, clusters)
    assert (*found.scores, *found.low) == pytest.approx((*turned.scores, *turned.low))


@pytest.mark.parametrize(("spread", "num_clusters"), [(0.0, None), (1.5, 30)])
def test_intervals_hold_the_scores_as_often_as_they_say(spread, num_clusters):
    """With tastes that differ by caption only the intervals over captions do."""
    rng, true = np.random.default_rng(3), np.array([0.5, 0.0, -0.5])
    if spread:  # the score of the mean vote lies nearer to zero than the mean of scores
        many = bradley_terry.bradley_terry(*votes(rng, 200_000, true, 20_000, spread))
        true = np.array(many.scores)
    held, plain = [], []
    for _ in range(300):
        drawn = votes(rng, 300, [0.5, 0.0, -0.5], num_clusters, spread)
        for of, arguments in ((held, drawn if num_clusters else drawn[:3]), (plain, drawn[:3])):
            found = bradley_terry.bradley_terry(*arguments)
            assert found.prior == 0
            of.append((np.array(found.low) <= true) & (true <= np.array(found.high)))
    assert 0.92 <= np.mean(held) <= 0.98
    if spread:
        assert np.mean(plain) < 0.85


def test_who_won_all_gets_a_finite_score_by_a_stated_prior():
    first, second = np.array([0, 0, 0, 1, 2]), np.array([1, 2, 1, 2, 1])
    found = bradley_terry.bradley_terry(first, second, np.array([1.0, 1.0, 1.0, 1.0, 1.0]), np.arange(5))
    assert found.prior == 1.0 and found.num_clusters == 0 and found.is_joined
    assert 0.5 < found.scores[0] < 3 and found.scores[1] == pytest.approx(found.scores[2], abs=0.3)
    more = bradley_terry.bradley_terry(np.tile(first, 10), np.tile(second, 10), np.ones(50))
    assert more.scores[0] > found.scores[0], "the prior weighs less beside more votes"


def test_arms_that_never_met():
    found = bradley_terry.bradley_terry(np.array([0, 0, 2, 2]), np.array([1, 1, 3, 3]), np.array([1.0, 0.0, 1.0, 0.0]))
    assert not found.is_joined and found.prior == 1.0


def test_few_clusters_are_said_to_be_none():
    first, second, outcomes, clusters = votes(np.random.default_rng(4), 60, num_clusters=7)
    assert bradley_terry.bradley_terry(first, second, outcomes, clusters).num_clusters == 0
    first, second, outcomes, clusters = votes(np.random.default_rng(4), 60, num_clusters=12)
    assert bradley_terry.bradley_terry(first, second, outcomes, clusters).num_clusters == 12


@pytest.mark.parametrize(
    ("first", "second", "outcomes", "said"),
    [
        ([], [], [], "expected at least one vote, got none"),
        ([0, 1], [1, 1], [1.0, 1.0], "expected votes between two arms, got one between 1 and itself"),
        ([0], [1], [0.3], r"expected outcomes 1, 0.5 and 0, got \[0.3\]"),
    ],
)
def test_what_is_no_vote(first, second, outcomes, said):
    with pytest.raises(ValueError, match=said):
        bradley_terry.bradley_terry(np.array(first, int), np.array(second, int), np.array(outcomes, float))


@pytest.mark.parametrize(("num_clusters", "only_wins"), [(None, False), (12, False), (None, True)])
def test_intervals_are_those_of_a_regression(num_clusters, only_wins):
    """The slow twin: statsmodels' regression of wins on a matrix of votes by arms."""
    import statsmodels.api as sm
    from scipy import stats

    first, second, outcomes, clusters = votes(np.random.default_rng(5), 90, num_clusters=num_clusters)
    if only_wins:
        outcomes = (first < second).astype(np.float64)
    given = clusters if num_clusters else None
    found = bradley_terry.bradley_terry(first, second, outcomes, given)
    basis = np.eye(4)[:, :-1] - 1 / 4
    rows = (np.eye(4)[first] - np.eye(4)[second]) @ basis
    wins = outcomes
    if only_wins:
        rows, wins = np.concatenate([rows, basis]), np.concatenate([wins, np.full(4, 0.5)])
    robust = {"cov_type": "cluster", "cov_kwds": {"groups": clusters}} if found.num_clusters else {}
    fitted = sm.GLM(wins, rows, family=sm.families.Binomial()).fit(**robust, tol=1e-12)
    errors = np.sqrt(np.diag(basis @ fitted.cov_params() @ basis.T))
    far = stats.t.isf(0.025, found.num_clusters - 1) if found.num_clusters else stats.norm.isf(0.025)
    assert bool(found.num_clusters) == bool(num_clusters) and found.prior == only_wins
    assert found.scores == pytest.approx(basis @ fitted.params, abs=1e-6)
    assert found.low == pytest.approx(basis @ fitted.params - far * errors, abs=1e-6)


def test_memory_and_steps_do_not_grow_with_votes_by_arms(monkeypatch):
    """Hundreds of arms: no array of votes by arms is made, and Newton's method takes as few steps as for four."""
    num_arms = 300
    drawn = votes(np.random.default_rng(6), 20_000, np.linspace(-1, 1, num_arms))
    steps = []
    inverse = bradley_terry.PairedVotes.inverse_information
    monkeypatch.setattr(
        bradley_terry.PairedVotes, "inverse_information", lambda *a, **k: steps.append(1) or inverse(*a, **k)
    )
    found = bradley_terry.bradley_terry(*drawn[:3])
    assert len(found.scores) == num_arms and len(steps) <= 12
    assert np.corrcoef(found.scores, np.linspace(-1, 1, num_arms))[0, 1] > 0.9
