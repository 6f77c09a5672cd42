"""Ranks arms after votes between pairs of them: Bradley-Terry scores; a pure function of arrays.

n: votes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bench.analysis import statistics

FEWEST_CLUSTERS = 5
"""With fewer clusters the spread between them is not estimated."""


class BradleyTerryScores(NamedTuple):
    """Scores of arms after votes between pairs of them; one an arm, in the order of the arms.

    Attributes:
        scores: Log odds, their mean zero: an arm that is 1 above another wins 73 of 100 votes against it.
        low: Lower ends of the 95% intervals.
        high: Upper ends.
        prior: Ties with an arm of score zero that were added to each arm; 0 where the votes alone were enough.
        num_clusters: Clusters that the intervals are robust over; 0 where votes count as independent.
        is_joined: Whether every arm met every other, directly or through others.
    """

    scores: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    prior: float
    num_clusters: int
    is_joined: bool


def bradley_terry(
    first: Int[np.ndarray, " n"],
    second: Int[np.ndarray, " n"],
    outcomes: Float[np.ndarray, " n"],
    clusters: Int[np.ndarray, " n"] | None = None,
) -> BradleyTerryScores:
    """Fit scores to votes between two arms: the chance of a win is a logistic curve of the difference.

    statsmodels fits it as a regression without a constant; a tie is half a win for each. The scores are finite only if
    no group of arms won all votes against the others, or lost all, or never met them. Otherwise every arm gets one tie
    with an arm of score zero, with the weight of one vote.

    Intervals use the cluster-robust covariance if there are at least five clusters, twice as many as arms, and no such
    prior; else the information matrix, as if votes were independent.

    Args:
        first: Number of one arm of each vote, from 0 on; every number up to the highest is an arm.
        second: Of the other one.
        outcomes: 1 where the first won, 0 where the second did, 0.5 for a tie.
        clusters: Number of the caption or scene that each vote was about: votes on one are not independent.

    Raises:
        ValueError: No vote, a vote between an arm and itself, or an outcome that is none of the three.

    References:
        Bradley and Terry, Rank Analysis of Incomplete Block Designs, 1952.

    Example:
        >>> first = np.array([0, 0, 0, 0])
        >>> second = np.array([1, 1, 1, 1])
        >>> found = bradley_terry(first, second, np.array([1.0, 1.0, 1.0, 0.0]))
        >>> [round(x, 3) for x in found.scores], found.prior
        ([0.549, -0.549], 0.0)
        >>> bradley_terry(first, second, np.ones(4)).prior
        1.0
    """
    import statsmodels.api as sm
    from scipy import stats
    from scipy.sparse.csgraph import connected_components

    check_votes(first, second, outcomes)
    num_arms = int(max(first.max(), second.max())) + 1
    wins = np.zeros((num_arms, num_arms))
    np.add.at(wins, (first, second), outcomes)
    np.add.at(wins, (second, first), 1 - outcomes)
    is_joined = connected_components(wins > 0, connection="weak", return_labels=False) == 1
    is_finite = connected_components(wins > 0, connection="strong", return_labels=False) == 1
    basis = np.eye(num_arms)[:, :-1] - 1 / num_arms  # scores that add up to zero
    rows = (np.eye(num_arms)[first] - np.eye(num_arms)[second]) @ basis
    wins_of_first = np.asarray(outcomes, np.float64)
    num_clusters = 0 if clusters is None else len(np.unique(clusters))
    if not is_finite or num_clusters < max(FEWEST_CLUSTERS, 2 * num_arms):
        num_clusters = 0
    if not is_finite:
        rows = np.concatenate([rows, basis])
        wins_of_first = np.concatenate([wins_of_first, np.full(num_arms, 0.5)])
    model = sm.GLM(wins_of_first, rows, family=sm.families.Binomial())
    covariance = {"cov_type": "cluster", "cov_kwds": {"groups": clusters}} if num_clusters else {}
    fitted = model.fit(**covariance)
    scores = basis @ fitted.params
    errors = np.sqrt(np.diag(basis @ fitted.cov_params() @ basis.T))
    tail = (1 - statistics.CONFIDENCE) / 2
    half = errors * (stats.t.isf(tail, num_clusters - 1) if num_clusters else stats.norm.isf(tail))
    return BradleyTerryScores(
        scores=tuple(map(float, scores)),
        low=tuple(map(float, scores - half)),
        high=tuple(map(float, scores + half)),
        prior=0.0 if is_finite else 1.0,
        num_clusters=num_clusters,
        is_joined=is_joined,
    )


def check_votes(first: Int[np.ndarray, " n"], second: Int[np.ndarray, " n"], outcomes: Float[np.ndarray, " n"]) -> None:
    """Refuse votes that are none.

    Raises:
        ValueError: There is no vote, one between an arm and itself, or an outcome that is none of the three.

    Example:
        >>> check_votes(np.array([0]), np.array([0]), np.array([1.0]))
        Traceback (most recent call last):
            ...
        ValueError: bradley_terry: expected votes between two arms, got one between 0 and itself
    """
    if not len(first):
        raise ValueError("bradley_terry: expected at least one vote, got none")
    if np.any(same := np.asarray(first) == np.asarray(second)):
        raise ValueError(f"bradley_terry: expected votes between two arms, got one between {first[same][0]} and itself")
    if not np.all(np.isin(outcomes, (0, 0.5, 1))):
        raise ValueError(f"bradley_terry: expected outcomes 1, 0.5 and 0, got {sorted(set(outcomes.tolist()))}")
