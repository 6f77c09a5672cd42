"""Asks every judge about the pictures of a quiz, as `recognition-v1` asks: the pictures that people saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bench.analysis.quiz.key import QuizKey, decode_pictures
from bench.errors import UsageError
from bench.metrics import recognition
from bench.metrics.caption_protocols import encoder_of
from models.clip.checkpoints import catalog
from models.clip.encoder import Encoder


class JudgedQuiz(NamedTuple):
    """Holds a judge's answers.

    Attributes:
        answers: By question of `recognition.PROPERTY_OF`, one answer for each picture.
        reason: Why there are none; None where there are.
    """

    answers: Mapping[str, Sequence[str]]
    reason: str | None = None


def judge_names() -> tuple[str, ...]:
    """List the encoders that are asked: all that come with the project, and published ones that are on disk.

    The project's judges come first. Encoders that guide are asked too, but they never judge what they guided.
    """
    others = [name for name in catalog.EMBEDDED if name not in catalog.JUDGES]
    here = [name for name in catalog.ENTRIES if catalog.find_weights(name) is not None]
    return (*catalog.JUDGES, *others, *here)


def judge_pictures(
    key: QuizKey, names: Sequence[str], load_encoder: Callable[[str], Encoder | str] = encoder_of
) -> dict[str, JudgedQuiz]:
    """Ask encoders about all pictures of a quiz.

    Args:
        key: The quiz.
        names: Encoders.
        load_encoder: Gives an encoder, or the reason in one line why it cannot be had.
    """
    images = decode_pictures(key)
    found = {}
    for name in names:
        encoder = load_encoder(name)
        if isinstance(encoder, str):
            found[name] = JudgedQuiz({}, encoder)
            continue
        try:
            found[name] = JudgedQuiz(ask_by_size(encoder, images))
        except UsageError as error:
            found[name] = JudgedQuiz({}, " ".join(str(error).split()))
    return found


def ask_by_size(encoder: Encoder, images: Sequence[Float[np.ndarray, "h w 3"]]) -> dict[str, list[str]]:
    """Ask an encoder about pictures of several sizes: about those of one size at once."""
    found = {question: [""] * len(images) for question in recognition.PROPERTY_OF}
    for size in sorted({len(image) for image in images}):
        places = [place for place, image in enumerate(images) if len(image) == size]
        answers = recognition.ask_encoder(encoder, np.stack([images[place] for place in places]))
        for question, said in answers.items():
            for place, word in zip(places, said, strict=True):
                found[question][place] = word
    return found
