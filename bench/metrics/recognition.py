"""Asks what a picture of the closed world shows: its kind, colour and finish, each by forced choice, without a caption.

A picture of a pair is recognised if the answer is true of one of its two things. `ask_encoder` gives an encoder's
answers. How it is asked is part of the protocol `recognition-v1`:

- `kind`, `color`, `finish`: that of the thing whose canonical caption ("a red metallic chair") is nearest to the
  picture, among all things of the world;
- `kind_word`: the kind whose word alone ("chair") is nearest, for encoders that were trained on such words.

n: pictures, h and w: pixels, f: features.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bench.metrics import r_precision
from models.clip.encoder import Encoder
from tasks.captions.caption_sets import CaptionSet
from tasks.closed_world import grammar
from tasks.closed_world.meanings import KINDS, Meaning, things, things_of

PROPERTY_OF = {"kind": "kind", "color": "color", "finish": "finish", "kind_word": "kind"}
"""By a question's name, the property that it asks for: a key of `tasks.closed_world.meanings.PROPERTIES`."""


PART = 128
"""Captions that are embedded at once."""


class Question(NamedTuple):
    """A forced choice: the caption that is nearest to a picture decides.

    Attributes:
        captions: What an encoder reads.
        answers: What each caption stands for.
    """

    captions: CaptionSet
    answers: tuple[str, ...]


@functools.cache
def question_named(name: str) -> Question:
    """Make the question of a name.

    Args:
        name: A key of `PROPERTY_OF`.

    Example:
        >>> words = question_named("kind_word")
        >>> words.captions.captions[:2], words.answers[:2], len(question_named("kind").answers)
        (('ball', 'cube'), ('ball', 'cube'), 2952)
    """
    if name == "kind_word":
        return Question(_caption_set("words of kinds", KINDS), KINDS)
    captions = _caption_set("all things", [grammar.caption(thing) for thing in things()])
    return Question(captions, tuple(getattr(thing, PROPERTY_OF[name]) for thing in things()))


def true_answers(meaning: Meaning, name: str) -> tuple[str, ...]:
    """List the right answers to a question: one, or two of a pair whose things differ.

    Example:
        >>> from tasks.closed_world.meanings import meaning_of
        >>> pair = meaning_of("blue-matte-mug--on--green-matte-cube")
        >>> true_answers(pair, "kind"), true_answers(pair, "finish")
        (('mug', 'cube'), ('matte',))
    """
    return tuple(dict.fromkeys(getattr(thing, PROPERTY_OF[name]) for thing in things_of(meaning)))


def ask_encoder(
    encoder: Encoder, images: Float[np.ndarray, "n h w 3"], names: Sequence[str] = tuple(PROPERTY_OF)
) -> dict[str, list[str]]:
    """Ask an encoder what pictures show.

    Args:
        encoder: In float32.
        images: In [0, 1], square, before neutral grey.
        names: The questions, keys of `PROPERTY_OF`.

    Returns:
        By question, one answer for each picture.

    Raises:
        UsageError: The encoder reads no text, or cannot read these captions.
    """
    return answer_questions(encoder, r_precision.image_embeddings(encoder, images), names)


def answer_questions(
    encoder: Encoder, embeddings: Float[np.ndarray, "n f"], names: Sequence[str]
) -> dict[str, list[str]]:
    """Answer questions about pictures that are embedded already; see `ask_encoder`."""
    found: dict[str, list[str]] = {}
    for name in names:
        question = question_named(name)
        cosines = embeddings @ embed_question(encoder, question).T
        found[name] = [question.answers[place] for place in cosines.argmax(axis=1)]
    return found


def embed_question(encoder: Encoder, question: Question) -> Float[np.ndarray, "m f"]:
    """Embed the captions of a question, with length 1; those of one encoder are embedded once for all trials.

    They are taken in parts of one size, that of the set `closed-world`, whose program a judge has compiled already.
    """
    captions = question.captions.captions
    parts = [
        r_precision.text_embeddings(encoder, _part_of(question.captions, start))
        for start in range(0, len(captions), PART)
    ]
    return np.concatenate(parts)[: len(captions)]


@functools.lru_cache(maxsize=64)
def _part_of(captions: CaptionSet, start: int) -> CaptionSet:
    """Take captions from a place on, and go on at the first one after the last."""
    num = len(captions.captions)
    part = [captions.captions[(start + i) % num] for i in range(PART)]
    return _caption_set(f"{captions.name}, from {start}", part)


def _caption_set(name: str, captions: Sequence[str]) -> CaptionSet:
    digest = hashlib.sha256(("\n".join(captions) + "\n").encode()).hexdigest()
    return CaptionSet(name, tuple(captions), digest)
