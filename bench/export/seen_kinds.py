"""Says what a generated object is taken for: by the judge, which is not told the caption, and by people in quizzes."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from bench.analysis.quiz.answers import describe_confusions
from bench.errors import UsageError
from bench.metrics.scores import NOT_A_THING
from bench.suites.trial import Trial
from tasks.captions import judge_agreement
from tasks.captions.caption_task import CaptionTask
from tasks.closed_world import grammar
from tasks.closed_world.meanings import KINDS, things_of

RECOGNITION = "recognition-v1"

LEAST_PX = 32
"""In smaller views nobody recognises anything: they are not asked about."""

MOST_TOLD = 3
"""Kinds that are named, the most frequent first."""


def protocols_for(trial: Trial, protocol: str) -> tuple[str, ...]:
    """Name the protocols that score an object: also that of recognition, where its answers can be right."""
    task = trial.task
    if not isinstance(task, CaptionTask) or (task.view_px or 0) < LEAST_PX or not kinds_of_caption(task.caption):
        return (protocol,)
    return protocol, RECOGNITION


def kinds_of_caption(caption: str) -> tuple[str, ...]:
    """List the kinds that a caption means; none if it is not of the closed world.

    Example:
        >>> kinds_of_caption("a blue mug on a green cube"), kinds_of_caption("a snail")
        (('mug', 'cube'), ())
    """
    try:
        return tuple(thing.kind for thing in things_of(grammar.parse(caption)))
    except UsageError:
        return ()


def count_seen_kinds(scores: Mapping[str, Any] | None, judge: str) -> dict[str, int]:
    """Count the views in which a judge sees each kind, the most frequent first; empty where it was not asked.

    Args:
        scores: Of `recognition-v1`; None where there are none.
        judge: Encoder that judges.

    Example:
        >>> count_seen_kinds({"field_state": "ok", "context": {"chosen_kind@a": [0, 1, 1, None]}}, "a")
        {'cube': 2, 'ball': 1}
    """
    if not scores or scores["field_state"] in NOT_A_THING:
        return {}
    chosen = scores["context"].get(f"chosen_kind@{judge}") or []
    counts = collections.Counter(KINDS[place] for place in chosen if place is not None)
    return dict(sorted(counts.items(), key=lambda found: (-found[1], found[0])))


def describe_seen_kinds(seen: Mapping[str, int]) -> str:
    """Say what a judge sees without the caption.

    Example:
        >>> describe_seen_kinds({"chair": 9, "sofa": 4, "bench": 2, "bed": 1})
        'seen without its caption as chair in 9 of 16 views, sofa in 4, bench in 2, others in 1'
    """
    total = sum(seen.values())
    (first, num), *rest = seen.items()
    parts = [f"{first} in {num} of {total} views", *(f"{kind} in {n}" for kind, n in rest[: MOST_TOLD - 1])]
    others = sum(n for _, n in rest[MOST_TOLD - 1 :])
    return "seen without its caption as " + ", ".join([*parts, *([f"others in {others}"] if others else [])])


def describe_people(caption: str) -> Sequence[str]:
    """Say what people in quizzes took objects of the caption's kinds for; empty where nobody was asked."""
    taken_for = judge_agreement.stored_agreement().get("taken_for", {})
    lines = (describe_confusions(kind, taken_for) for kind in kinds_of_caption(caption))
    return [line for line in lines if line]
