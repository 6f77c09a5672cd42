"""Decides what guides read besides the caption: captions that an object must not fit, and words for its shape."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeVar

from bench.errors import UsageError
from tasks.captions.caption_sets import normalized
from tasks.captions.caption_task import CaptionData
from tasks.closed_world import grammar
from tasks.closed_world.meanings import KINDS, Meaning, ObjectSpec

Negatives = Literal["kinds", "set"]

NUM_NEGATIVES = len(KINDS) - 1
"""Captions beside the trial's own. All trials have as many, so that they fit into one pack."""

T = TypeVar("T")


def choose_negatives(data: CaptionData, source: Negatives, given: Sequence[str]) -> list[str]:
    """Choose captions that an object of a caption must not fit, at most `NUM_NEGATIVES` if they are not given.

    Args:
        data: The caption with its retrieval set.
        source: "kinds" for the caption with every other kind of thing in place of its own; if the caption is not of
            the closed world, and for "set", other captions of the retrieval set.
        given: Captions of the user's, which count instead; the trial's own is left out.

    Raises:
        UsageError: There is none.
    """
    found = [other for other in given if normalized(other) != normalized(data.caption)]
    meaning = parse_if_known(data.caption)
    if not given and source == "kinds" and meaning is not None:
        found = spread_choice([grammar.caption(other) for other in with_other_kinds(meaning)], NUM_NEGATIVES)
    elif not given:
        found = spread_choice([other for other in data.captions.captions if not means(other, data)], NUM_NEGATIVES)
    if not found:
        raise UsageError(
            f"dream_fields: expected captions that differ from {data.caption!r} for negative_weight and "
            "contrast_weight, got none; name some in negative_captions"
        )
    return found


def with_other_kinds(meaning: Meaning) -> list[Meaning]:
    """List a meaning with other kinds of things: each thing of a pair is changed while the other one stays.

    Example:
        >>> [grammar.caption(other) for other in with_other_kinds(ObjectSpec("ball", "red", "matte"))[:2]]
        ['a red cube', 'a red cone']
    """
    return list(_changed(meaning))


def _changed(meaning: Meaning) -> Iterator[Meaning]:
    if isinstance(meaning, ObjectSpec):
        for kind in KINDS:
            if kind != meaning.kind:
                yield dataclasses.replace(meaning, kind=kind)
        return
    for part in ("first", "second"):
        for kind in KINDS:
            thing: ObjectSpec = getattr(meaning, part)
            if kind == thing.kind:
                continue
            changed: Any = {part: dataclasses.replace(thing, kind=kind)}
            try:
                yield dataclasses.replace(meaning, **changed)
            except UsageError:  # nothing stands on this kind, or both are of one kind
                continue


def shape_words(caption: str) -> str | None:
    """Return the word for the kind of a single thing of the closed world, without its colour; None for all else.

    Example:
        >>> shape_words("a red metallic chair"), shape_words("a blue mug on a green cube")
        ('chair', None)
    """
    meaning = parse_if_known(caption)
    return meaning.kind if isinstance(meaning, ObjectSpec) else None


def parse_if_known(caption: str) -> Meaning | None:
    """Parse a caption of the closed world; None for any other."""
    try:
        return grammar.parse(caption)
    except UsageError:
        return None


def means(other: str, data: CaptionData) -> bool:
    """Tell whether a caption is the trial's own, or means the same in the closed world."""
    if normalized(other) == normalized(data.caption):
        return True
    meaning = parse_if_known(data.caption)
    return meaning is not None and parse_if_known(other) == meaning


def spread_choice(values: Sequence[T], most: int) -> list[T]:
    """Choose values at even distances, at most so many.

    Example:
        >>> spread_choice("abcdefgh", 4), spread_choice("ab", 4)
        (['a', 'c', 'e', 'g'], ['a', 'b'])
    """
    if len(values) <= most:
        return list(values)
    return [values[i * len(values) // most] for i in range(most)]
