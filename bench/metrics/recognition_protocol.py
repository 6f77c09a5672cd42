"""Scores a field made from a caption by what judges see in its views without being told the caption.

`recognition-v1` puts the views of `std-v1` before neutral grey and asks each judge for the kind among 41, the colour
among 12 and the finish among 6, as `bench.metrics.recognition` asks; people answer the same in a blind quiz
(`python -m bench quiz`). A view is right if the answer is true of what the caption means, of a pair if it is true of
one of its two things. Single things and pairs have numbers of their own besides.

Whoever sees several versions of one object learns from the clearer ones. Two observers of a quiz, who saw all its 480
pictures (true renders, and six arms that share their captions), recognised 0.79 [0.67, 0.88] of the single things of
one arm. Two others, who saw only that arm, 59 of its objects once and 5 twice, and true renders, recognised 0.66
[0.53, 0.77]. So a quiz is dealt into forms that show nothing twice, a person answers one, and `votes` warns where
somebody saw objects more than once.

n: scored views.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Shaped

from bench.errors import UsageError
from bench.metrics import r_precision, recognition
from bench.metrics.caption_protocols import (
    JudgedProtocol,
    choose_rows,
    describe_judging,
    encoder_of,
    held_out_judge,
    is_encoder_name,
    named_encoders,
    resize_notes,
)
from bench.metrics.caption_scorers import RING, JudgedViews, ScoreCollector, read_views
from bench.metrics.metric_key import MetricKey
from bench.metrics.protocols import EncoderLoader
from bench.metrics.registry import NOT_A_PAIR, NOT_SINGLE, RECOGNITION_METRICS
from bench.metrics.scores import NOT_A_THING, Scores
from models.clip.encoder import Encoder
from tasks.captions.caption_task import CaptionData
from tasks.closed_world import grammar
from tasks.closed_world.meanings import PROPERTIES, Meaning, ObjectSpec

SINGLE = "kind_single"

PAIR = "kind_pair"

NOT_OF_THE_WORLD = "the caption is not of the closed world: nobody knows which answer is right"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecognitionProtocol(JudgedProtocol):
    """Asks judges what the views of an object show, in float32.

    Attributes:
        questions: How judges are asked: keys of `recognition.PROPERTY_OF`. Each is a metric, `QUESTION@JUDGE`.
    """

    questions: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [name for name in self.questions if name not in recognition.PROPERTY_OF]
        if unknown:
            raise ValueError(f"protocol {self.name}: expected questions of recognition.PROPERTY_OF, got {unknown[0]!r}")

    @property
    def stems(self) -> tuple[str, ...]:
        """The metrics that each judge makes, in front of the @."""
        return (*self.questions, SINGLE, PAIR)

    def has_metric(self, metric: str) -> bool:
        """Tell whether the protocol makes a metric.

        Example:
            >>> names = ("kind@embedded-judge-rn", "kind@guide", "rprec1@embedded-judge-rn", "kind")
            >>> [RECOGNITION_PROTOCOLS["recognition-v1"].has_metric(name) for name in names]
            [True, False, False, False]
        """
        key = MetricKey.parse(metric)
        return key.encoder is not None and key.stem in self.stems and is_encoder_name(key.encoder)

    def metric_names(self) -> tuple[str, ...]:
        """List the metrics that it makes, by every encoder that has a name."""
        return tuple(f"{stem}@{name}" for name in named_encoders() for stem in self.stems)

    def crash_score(self, metric: str) -> tuple[tuple[int, ...], float] | None:
        """Give None: a trial that crashed leaves a gap."""

    def score(
        self,
        data: CaptionData,
        views: Mapping[str, Shaped[np.ndarray, "..."]],
        guides: Sequence[str] = (),
        load_encoder: EncoderLoader | None = None,
    ) -> Scores:
        """Make a trial's numbers from its stored views. See `Protocol.score`.

        If a judge cannot be loaded, its numbers are missing and the reason is stored; all other scores are made.

        Args:
            data: The task's caption, judges and cameras.
            views: "color" on the task's background, "opacity" and "ids", as float16; the views in any order.
            guides: Names of the encoders that guided the trial: they do not judge it.
            load_encoder: Gives the judges; None takes `encoder_of`.

        Raises:
            UsageError: The views are not views of this task.
        """
        load = load_encoder or encoder_of
        rows, departs = choose_rows(self, data, views)
        judged_views = read_views(data, views, rows)
        numbers = ScoreCollector.of_views(judged_views)
        meaning = meaning_or_none(data.caption)
        encoders: dict[str, Encoder | str] = {}
        for name in data.judges:
            encoders[name] = held_out_judge(name, guides, load)
            self.add_judge(name, encoders[name], meaning, judged_views, numbers)
        departs += resize_notes(judged_views.opacity.shape[1], encoders)
        view_ids = tuple(int(views["ids"][row]) for row in rows)
        about = describe_judging(data, guides) | self.describe_questions()
        return self.make_scores(view_ids, judged_views, numbers, departs, about)

    def describe_questions(self) -> dict[str, Any]:
        """Describe what judges chose among, and what chance would give of single things."""
        sets = {name: recognition.question_named(name).captions for name in self.questions}
        return {
            "asked": {name: {"sha256": found.sha256, "size": len(found.captions)} for name, found in sets.items()},
            "chance_of": {name: 1 / len(values) for name, values in PROPERTIES.items()},
        }

    def add_judge(
        self,
        name: str,
        encoder: Encoder | str,
        meaning: Meaning | None,
        views: JudgedViews,
        numbers: ScoreCollector,
    ) -> None:
        """Add the numbers of one judge, and what it chose."""
        said = encoder if isinstance(encoder, str) else ask_judge(encoder, self.questions, views, self.background)
        if not isinstance(said, str):
            for question, words in said.items():
                known = PROPERTIES[recognition.PROPERTY_OF[question]]
                numbers.context[f"chosen_{question}@{name}"] = [
                    known.index(word) if ok else None for word, ok in zip(words, views.finite, strict=True)
                ]
        if isinstance(said, str) or meaning is None:
            reason = said if isinstance(said, str) else NOT_OF_THE_WORLD
            for stem in self.stems:
                numbers.miss(f"{stem}@{name}", len(views.finite), reason)
            return
        for question, words in said.items():
            add_answers(f"{question}@{name}", mark_answers(words, meaning, question), views, numbers)
        right = mark_answers(said["kind"], meaning, "kind")
        is_single = isinstance(meaning, ObjectSpec)
        add_answers(f"{SINGLE if is_single else PAIR}@{name}", right, views, numbers)
        other = PAIR if is_single else SINGLE
        numbers.miss(f"{other}@{name}", len(right), NOT_A_PAIR if is_single else NOT_SINGLE)


def meaning_or_none(caption: str) -> Meaning | None:
    """Return what a caption means; None if it is not of the closed world."""
    try:
        return grammar.parse(caption)
    except UsageError:
        return None


def ask_judge(
    encoder: Encoder, questions: Sequence[str], views: JudgedViews, background: float
) -> dict[str, list[str]] | str:
    """Ask a judge about views; give the reason in one line where it cannot read the captions."""
    try:
        embeddings = r_precision.image_embeddings(encoder, views.on(background))
        return recognition.answer_questions(encoder, embeddings, questions)
    except UsageError as error:
        return " ".join(str(error).split())


def mark_answers(words: Sequence[str], meaning: Meaning, question: str) -> Bool[np.ndarray, " n"]:
    """Say which answers are true of a meaning."""
    right = recognition.true_answers(meaning, question)
    return np.asarray([word in right for word in words])


def add_answers(name: str, right: Bool[np.ndarray, " n"], views: JudgedViews, numbers: ScoreCollector) -> None:
    """Add which views are recognised; an empty or solid field is a miss in every view."""
    if views.state in NOT_A_THING:
        reason = f"the field is {views.state}: a miss in every view"
        numbers.add(name, np.zeros(len(right)), views.finite, reason)
        return
    numbers.add(name, right.astype(np.float64), views.finite)


RECOGNITION_PROTOCOLS: dict[str, RecognitionProtocol] = {
    "recognition-v1": RecognitionProtocol(
        name="recognition-v1",
        version="1.0",
        about="8 azimuths at elevations of 15 and 45 degrees on mid-grey: kind, colour and finish of the thing whose "
        "caption is nearest among all 2,952 of the closed world, and the kind whose word alone is nearest; of a pair "
        "either thing counts; an empty or solid field is a miss",
        questions=tuple(recognition.PROPERTY_OF),
        view_ids=RING,
        background=0.5,
    )
}
"""All protocols of recognition, by name."""

assert all(stem in RECOGNITION_METRICS for protocol in RECOGNITION_PROTOCOLS.values() for stem in protocol.stems)
