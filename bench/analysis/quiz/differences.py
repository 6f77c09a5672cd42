"""Compares the arms of a quiz, caption by caption: which arm is recognised more often than the first?

Every arm shows objects of the same captions, so that the shares of two arms may differ less than their intervals say:
hard captions are hard in both.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from bench.analysis.paired_comparison import TestedDifference, sign_flip_tests


class MarkedAnswer(NamedTuple):
    """A person's answer, marked.

    Attributes:
        arm: Whose object the picture shows.
        caption: What the object was made from.
        is_right: Whether the answer is true of the picture.
    """

    arm: str
    caption: str
    is_right: bool


def compare_arms(marked: Iterable[MarkedAnswer]) -> dict[str, Any]:
    """Subtract the first arm's shares from those of the others, by caption, and test the mean.

    Args:
        marked: Answers to pictures of trained objects. The first arm in the order of the alphabet is the baseline, as
            names of arms are that of their recipe and what is changed.

    Returns:
        The baseline, and each other arm's difference with its interval, p (Holm) and verdict. Captions that only one
        of both arms shows are left out.

    Example:
        >>> full = [MarkedAnswer("full", str(i), is_right=True) for i in range(8)]
        >>> found = compare_arms([*full, *(answer._replace(arm="plain", is_right=False) for answer in full)])
        >>> found["baseline"], found["arms"][0]["value"], found["arms"][0]["verdict"]
        ('full', -1.0, 'worse')
    """
    answers: dict[str, dict[str, list[bool]]] = collections.defaultdict(lambda: collections.defaultdict(list))
    for answer in marked:
        answers[answer.arm][answer.caption].append(answer.is_right)
    if not answers:
        return {"baseline": None, "arms": []}
    shares = {arm: {caption: np.mean(right) for caption, right in own.items()} for arm, own in answers.items()}
    baseline, *others = sorted(shares)
    by_arm = {}
    for arm in others:
        shared = [caption for caption in shares[arm] if caption in shares[baseline]]
        by_arm[arm] = np.array([shares[arm][caption] - shares[baseline][caption] for caption in shared], np.float64)
    tested = sign_flip_tests(by_arm)
    return {"baseline": baseline, "arms": [describe_difference(arm, tested[arm]) for arm in others]}


def describe_difference(arm: str, tested: TestedDifference) -> dict[str, Any]:
    """Convert a tested difference to plain values."""
    value, low, high = tested.interval or (None, None, None)
    return {
        "arm": arm,
        "value": value,
        "low": low,
        "high": high,
        "p_holm": tested.p_holm,
        "verdict": tested.verdict,
        "num_captions": tested.num_pairs,
    }
