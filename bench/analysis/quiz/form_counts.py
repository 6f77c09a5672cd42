"""Counts who answered which form of a quiz, and who saw a thing more than once.

Whoever sees several pictures of one thing learns from the clearer ones, and recognises more than somebody who sees it
once; see `bench.metrics.recognition_protocol`.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

from bench.analysis.quiz.answers import QuizAnswers
from bench.analysis.quiz.key import QuizKey


def count_forms(key: QuizKey, found: Sequence[QuizAnswers]) -> list[dict[str, Any]]:
    """Count, of each form of a quiz, its pictures, those that somebody answered, and the people who did.

    Args:
        key: The quiz.
        found: Its answers.
    """
    counted = []
    for form, numbers in enumerate(key.numbers_of_forms, start=1):
        own = set(numbers)
        given = [(answer.number, its.person) for its in found for answer in its.answers if answer.number in own]
        counted.append(
            {
                "quiz": key.quiz,
                "form": form,
                "num_pictures": len(numbers),
                "num_answered": len({number for number, _ in given}),
                "num_people": len({person for _, person in given}),
            }
        )
    return counted


def count_repeated(key: QuizKey, found: Sequence[QuizAnswers]) -> dict[str, int]:
    """Count the things of which a person answered several pictures; people who saw each thing once are not there.

    Args:
        key: The quiz.
        found: Its answers. Files of one person count together.
    """
    numbers: dict[str, set[int]] = collections.defaultdict(set)
    for its in found:
        numbers[its.person] |= {answer.number for answer in its.answers}
    repeated = {}
    for person, seen in numbers.items():
        shown = collections.Counter(key.pictures[number - 1].meaning for number in seen)
        repeated[person] = sum(num > 1 for num in shown.values())
    return {person: num for person, num in sorted(repeated.items()) if num}
