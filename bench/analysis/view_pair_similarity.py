"""Measures the similarity of pairs of photographs: cosines of their features, within scenes and across.

v: photographs, s: scenes, f: features, p: pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from bench.analysis import statistics
from bench.analysis.statistics import Interval
from bench.analysis.table_result import FEWEST_CLUSTERS

FAR_DEG = 90.0
"""From this angle on two cameras see different sides."""

Kind = Literal["within", "across"]


class SimilarityPairs(NamedTuple):
    """Pairs of different photographs, each once.

    Attributes:
        cosines: Of their features.
        angles_deg: Between their cameras, seen from the origin.
        first: Number of the first photograph's scene.
        second: Number of the second photograph's scene.
    """

    cosines: Float[np.ndarray, " p"]
    angles_deg: Float[np.ndarray, " p"]
    first: Int[np.ndarray, " p"]
    second: Int[np.ndarray, " p"]

    @property
    def scenes(self) -> Int[np.ndarray, " s"]:
        """Numbers of the scenes in these pairs."""
        return np.union1d(self.first, self.second)

    def of(self, kind: Kind) -> SimilarityPairs:
        """Choose the pairs within scenes, or those across."""
        return self.where((self.first == self.second) == (kind == "within"))

    def where(self, chosen: Bool[np.ndarray, " p"]) -> SimilarityPairs:
        """Choose some of the pairs."""
        return SimilarityPairs(*(x[chosen] for x in self))


def pairs_of(
    features: Float[np.ndarray, "v f"], poses: Float[np.ndarray, "v 4 4"], scenes: Int[np.ndarray, " v"]
) -> SimilarityPairs:
    """Make all pairs of different photographs.

    Args:
        features: Of any length but zero.
        poses: Camera to world.
        scenes: Number of each photograph's scene.

    Example:
        >>> poses = np.stack([np.eye(4)] * 2)
        >>> poses[:, :3, 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
        >>> found = pairs_of(np.array([[1.0, 0.0], [1.0, 0.0]]), poses, np.array([0, 0]))
        >>> found.cosines.tolist(), found.angles_deg.tolist()
        ([1.0], [90.0])
    """
    first, second = np.triu_indices(len(scenes), 1)
    angles = np.degrees(np.arccos(_cosines(poses[:, :3, 3])))
    return SimilarityPairs(_cosines(features)[first, second], angles[first, second], scenes[first], scenes[second])


def _cosines(vectors: Float[np.ndarray, "v f"]) -> Float[np.ndarray, "v v"]:
    unit = np.asarray(vectors, np.float64)
    unit = unit / np.linalg.norm(unit, axis=-1, keepdims=True)
    return np.clip(unit @ unit.T, -1, 1)


def auc(pairs: SimilarityPairs) -> float | None:
    """Compute how often a pair within a scene has a higher cosine than a pair across scenes; a tie is half.

    It compares all pairs with all pairs, by ranks, so it is exact.

    Example:
        >>> scenes = np.array([0, 0, 1, 1])
        >>> poses = np.stack([np.eye(4)] * 4); poses[:, 0, 3] = 1
        >>> auc(pairs_of(np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]), poses, scenes))
        1.0
    """
    from scipy import stats

    within = pairs.of("within").cosines
    across = pairs.of("across").cosines
    if not len(within) or not len(across):
        return None
    ranks = stats.rankdata(np.concatenate([within, across]))[: len(within)]
    return float((ranks.sum() - len(within) * (len(within) + 1) / 2) / (len(within) * len(across)))


def overlap(pairs: SimilarityPairs) -> float | None:
    """Compute the overlap of the densities of cosines within and across scenes, if they cross once; no bins are needed.

    It is one minus the largest distance between the two distribution functions: 0 where a threshold separates them.

    Example:
        >>> two = np.array([0, 0])
        >>> one = np.array([0, 1])
        >>> overlap(SimilarityPairs(np.array([0.5, 0.7, 0.6, 0.1]), np.zeros(4), np.r_[two, two], np.r_[two, one + 1]))
        0.5
    """
    within = np.sort(pairs.of("within").cosines)
    across = np.sort(pairs.of("across").cosines)
    if not len(within) or not len(across):
        return None
    places = np.concatenate([within, across])
    below = [np.searchsorted(values, places, side="right") / len(values) for values in (within, across)]
    return float(1 - np.max(np.abs(below[0] - below[1])))


def far(pairs: SimilarityPairs) -> SimilarityPairs:
    """Choose pairs of one scene from different sides."""
    within = pairs.of("within")
    return within.where(within.angles_deg >= FAR_DEG)


def mean_within(pairs: SimilarityPairs) -> float | None:
    """Average the cosines of pairs of one scene, at all angles."""
    return mean_cosine(pairs.of("within"))


def far_within(pairs: SimilarityPairs) -> float | None:
    """Average the cosines of pairs of one scene from different sides."""
    return mean_cosine(far(pairs))


def mean_across(pairs: SimilarityPairs) -> float | None:
    """Average the cosines of pairs of different scenes, at all angles."""
    return mean_cosine(pairs.of("across"))


def far_gap(pairs: SimilarityPairs) -> float | None:
    """Subtract the mean cosine across scenes from that of one scene's different sides."""
    sides = far_within(pairs)
    across = mean_across(pairs)
    return None if sides is None or across is None else sides - across


def mean_cosine(pairs: SimilarityPairs) -> float | None:
    """Average the cosines; None without pairs."""
    return float(np.mean(pairs.cosines)) if len(pairs.cosines) else None


def leave_one_out(
    number: Callable[[SimilarityPairs], float | None], pairs: SimilarityPairs, *, is_share: bool = False
) -> Interval | None:
    """Compute a number of pairs with an interval over scenes, by the jackknife with Student's t.

    Each scene is left out with all of its pairs. For scenes with equally many pairs, the interval of a mean within
    scenes is the t interval of the scenes' means. A share is transformed to log odds: with eight simulated scenes and a
    true AUC of 0.98, the interval held it in 97 of 100 cases, in 76 without log odds, and that of the bootstrap in 77.

    Args:
        number: Of pairs; None where it is not defined.
        pairs: All of them.
        is_share: Whether the number is a share, between 0 and 1.

    Returns:
        The number of all pairs with its interval; None where the number is None. The ends are None with fewer than
        `FEWEST_CLUSTERS` scenes, where no scene makes a difference, and where a share is 0 or 1: a few scenes that all
        agree do not tell how far others would be.

    Example:
        >>> scenes = np.repeat(np.arange(5), 2)
        >>> within = SimilarityPairs(np.linspace(0.5, 0.9, 10), np.zeros(10), scenes, scenes)
        >>> [round(x, 2) for x in leave_one_out(mean_cosine, within)]
        [0.7, 0.53, 0.87]
    """
    from scipy import special

    found = number(pairs)
    scenes = pairs.scenes
    if found is None:
        return None
    without = [number(pairs.where((pairs.first != scene) & (pairs.second != scene))) for scene in scenes]
    others = np.array([x for x in without if x is not None], np.float64)
    unsure = Interval(found, None, None)
    if len(scenes) < FEWEST_CLUSTERS or len(others) < len(scenes) or np.ptp(others) <= 1e-12:
        return unsure
    if is_share and not (0 < found < 1 and np.all((others > 0) & (others < 1))):
        return unsure
    middle = special.logit(found) if is_share else found
    if is_share:
        others = special.logit(others)
    spread = statistics.t_interval(len(scenes) * middle - (len(scenes) - 1) * others)
    assert spread.high is not None
    ends = middle + np.array([-1.0, 1.0]) * (spread.high - spread.mean)
    low, high = special.expit(ends) if is_share else ends
    return Interval(found, float(low), float(high))
