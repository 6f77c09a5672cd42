"""Ranks arms after votes between pairs of them: Bradley-Terry scores; a pure function of arrays.

n: votes, a: arms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.special
from jaxtyping import Float, Int

from bench.analysis import statistics

MAX_STEPS = 100
"""Newton's method takes about ten."""

LONGEST_STEP = 2.0
"""Log odds by which any score moves in one step."""

CONVERGED = 1e-10
"""Step below which scores have come to rest."""

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

    Newton's method finds the largest likelihood; a tie is half a win for each. The scores are finite only if
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
    from scipy import stats
    from scipy.sparse.csgraph import connected_components

    check_votes(first, second, outcomes)
    num_arms = int(max(first.max(), second.max())) + 1
    wins = np.zeros((num_arms, num_arms))
    np.add.at(wins, (first, second), outcomes)
    np.add.at(wins, (second, first), 1 - outcomes)
    is_joined = connected_components(wins > 0, connection="weak", return_labels=False) == 1
    is_finite = connected_components(wins > 0, connection="strong", return_labels=False) == 1
    num_clusters = 0 if clusters is None else len(np.unique(clusters))
    if not is_finite or num_clusters < max(FEWEST_CLUSTERS, 2 * num_arms):
        num_clusters = 0
    votes = PairedVotes(first, second, np.asarray(outcomes, np.float64), num_arms)
    scores = fit_scores(votes, has_prior=not is_finite)
    covariance = votes.inverse_information(scores, has_prior=not is_finite)
    if clusters is not None and num_clusters:
        covariance = votes.robust_covariance(scores, covariance, np.unique(clusters, return_inverse=True)[1])
    errors = np.sqrt(np.diag(covariance))
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


class PairedVotes:
    """Votes as a graph of arms, so that thousands of arms take no matrix of votes by arms.

    Args:
        first: One arm of each vote.
        second: The other one.
        outcomes: Wins of the first.
        num_arms: Number of arms.
    """

    def __init__(
        self,
        first: Int[np.ndarray, " n"],
        second: Int[np.ndarray, " n"],
        outcomes: Float[np.ndarray, " n"],
        num_arms: int,
    ) -> None:
        self.first = first
        self.second = second
        self.outcomes = outcomes
        self.num_arms = num_arms

    def chances(self, scores: Float[np.ndarray, " a"]) -> Float[np.ndarray, " n"]:
        """Compute the chance of the first arm in each vote."""
        return scipy.special.expit(scores[self.first] - scores[self.second])

    def gradient(self, scores: Float[np.ndarray, " a"], *, has_prior: bool) -> Float[np.ndarray, " a"]:
        """Compute the gradient of the log likelihood."""
        residuals = self.outcomes - self.chances(scores)
        found = np.bincount(self.first, residuals, self.num_arms) - np.bincount(self.second, residuals, self.num_arms)
        return found + (0.5 - scipy.special.expit(scores)) if has_prior else found

    def inverse_information(self, scores: Float[np.ndarray, " a"], *, has_prior: bool) -> Float[np.ndarray, "a a"]:
        """Invert the information matrix among scores whose mean is zero: the covariance of independent votes."""
        chances = self.chances(scores)
        information = np.zeros((self.num_arms, self.num_arms))
        np.add.at(information, (self.first, self.second), -chances * (1 - chances))
        information += information.T
        np.fill_diagonal(information, -information.sum(axis=1))
        if has_prior:
            own = scipy.special.expit(scores)
            information[np.diag_indices(self.num_arms)] += own * (1 - own)
        centre = np.eye(self.num_arms) - 1 / self.num_arms
        constant = 1 / self.num_arms  # a matrix of these is added, and taken away again: it makes an inverse
        return np.linalg.inv(centre @ information @ centre + constant) - constant

    def robust_covariance(
        self, scores: Float[np.ndarray, " a"], inverse: Float[np.ndarray, "a a"], clusters: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, "a a"]:
        """Compute a covariance that holds where votes on one cluster are not independent, with the usual correction."""
        residuals = self.outcomes - self.chances(scores)
        num_clusters = int(clusters.max()) + 1
        sums = np.zeros((num_clusters, self.num_arms))
        np.add.at(sums, (clusters, self.first), residuals)
        np.add.at(sums, (clusters, self.second), -residuals)
        num_votes = len(residuals)
        few = num_clusters / (num_clusters - 1) * (num_votes - 1) / (num_votes - (self.num_arms - 1))
        return few * inverse @ (sums.T @ sums) @ inverse


def fit_scores(votes: PairedVotes, *, has_prior: bool) -> Float[np.ndarray, " a"]:
    """Find the scores of the largest likelihood, their mean zero.

    Newton's method, with steps of at most `LONGEST_STEP`, so that it does not leave the range where the chances of wins
    are neither 0 nor 1. The likelihood is concave: there is one maximum.

    Args:
        votes: The votes.
        has_prior: Whether each arm has a tie with an arm of score zero.

    Raises:
        ValueError: It has not come there after `MAX_STEPS`.
    """
    scores = np.zeros(votes.num_arms)
    for _ in range(MAX_STEPS):
        gradient = votes.gradient(scores, has_prior=has_prior)
        step = votes.inverse_information(scores, has_prior=has_prior) @ gradient
        scores = scores + step * min(1.0, LONGEST_STEP / max(float(np.abs(step).max()), 1e-300))
        scores -= scores.mean()
        if np.abs(step).max() < CONVERGED:
            return scores
    raise ValueError(f"bradley_terry: expected scores after {MAX_STEPS} steps, got none that stay")


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
