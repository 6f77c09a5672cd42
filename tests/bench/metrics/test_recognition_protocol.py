"""What judges see in views, against views painted as captions that an encoder of made-up words reads."""

from __future__ import annotations

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from bench.metrics import recognition
from bench.metrics.caption_protocols import IN_LOOP
from bench.metrics.caption_scorers import RING
from bench.metrics.recognition_protocol import NOT_OF_THE_WORLD, RECOGNITION_PROTOCOLS
from bench.metrics.registry import NOT_A_PAIR, NOT_SINGLE
from bench.metrics.scores import Scores
from models.clip.encoder import Encoder
from models.clip.tokenizers import WordTokenizer
from tasks.captions import caption_task
from tasks.captions.caption_sets import CaptionSet
from tasks.captions.caption_task import CaptionData
from tasks.closed_world import grammar
from tasks.closed_world.meanings import COLORS, FINISHES, KINDS, meaning_of, things

PX = 8

LENGTH = 21

V1 = RECOGNITION_PROTOCOLS["recognition-v1"]

READER = WordTokenizer(grammar.vocabulary(), LENGTH)

WORD_VECTORS = np.random.default_rng(0).normal(size=(len(grammar.vocabulary()) + 8, PX * PX * 3)).astype(np.float32)
WORD_VECTORS[:4] = 0


@dataclasses.dataclass(frozen=True)
class PaintedTowers:
    """Reads the sum of its words' vectors, and sees that vector in a picture that was painted with it."""

    image_px: int = PX
    context_length: int = LENGTH
    image_feature_names: tuple[str, ...] = ("embedding",)
    text_feature_names: tuple[str, ...] = ("embedding",)

    def image(self, params, images, feature):
        return (images - 0.5).reshape(len(images), -1)

    def text(self, params, tokens, feature):
        return jnp.asarray(WORD_VECTORS)[tokens].sum(axis=1)

    def logit_scale(self, params):
        return jnp.ones(())


JUDGE = Encoder(
    name="judge", params={}, towers=PaintedTowers(), tokenizer=READER, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
    sha256="painted",
)  # fmt: skip


def paint(caption):
    """A picture that the judge takes for a caption."""
    vector = WORD_VECTORS[np.asarray(READER.encode([caption]))[0]].sum(axis=0)
    return 0.5 + 0.45 * (vector / np.abs(vector).max()).reshape(PX, PX, 3)


def views_of(captions, opacity=0.9):
    """Stored views that look like captions, in turn."""
    color = np.stack([paint(captions[i % len(captions)]) for i in range(17)])
    return {
        "color": color.astype(np.float16),
        "opacity": np.full((17, PX, PX), opacity, np.float16),
        "ids": np.arange(17, dtype=np.int32),
    }


def data_of(caption, judges=("judge",)):
    return CaptionData(
        caption=caption, captions=CaptionSet("some", (caption, "a green boat"), "f" * 64), place=0, judges=judges,
        test=caption_task.views(PX), near=1.9, far=6.1, pixel_center=0.5, background=0.5,
    )  # fmt: skip


def score(caption, views, judges=("judge",), guides=()):
    def load(name):
        return JUDGE if name == "judge" else f"{name}: there is none"

    return V1.score(data_of(caption, judges), views, guides, load)


SHOWN = ("a red metallic chair", "a red hat", "a blue metallic hat", "a gray dotted chair")


@pytest.mark.parametrize(
    ("caption", "right"),
    [
        ("a red metallic chair", {"kind": (1, 0, 0, 1), "color": (1, 1, 0, 0), "finish": (1, 0, 1, 0)}),
        ("a gray hat", {"kind": (0, 1, 1, 0), "color": (0, 0, 0, 1), "finish": (0, 1, 0, 0)}),
        ("a red hat on a gray cube", {"kind": (0, 1, 1, 0), "color": (1, 1, 0, 1), "finish": (0, 1, 0, 0)}),
        ("a blue dotted hat next to a red chair", {"kind": (1,) * 4, "color": (1, 1, 1, 0), "finish": (0, 1, 0, 1)}),
    ],
)
def test_a_view_is_right_if_the_answer_is_true_of_one_of_its_things(caption, right):
    scores = score(caption, views_of(SHOWN))
    assert scores.view_ids == RING
    for question, expected in right.items():
        assert scores.per_view[f"{question}@judge"] == [float(x) for x in expected * 4], question
    is_pair = " on " in caption or " next to " in caption
    own, other = ("kind_pair", "kind_single") if is_pair else ("kind_single", "kind_pair")
    assert scores.per_view[f"{own}@judge"] == scores.per_view["kind@judge"]
    assert scores.per_view[f"{other}@judge"] == [None] * 16
    assert scores.reasons[f"{other}@judge"] == (NOT_SINGLE if is_pair else NOT_A_PAIR)
    chosen = [KINDS[i] for i in scores.context["chosen_kind@judge"][:4]]
    assert chosen == ["chair", "hat", "hat", "chair"]
    assert [COLORS[i] for i in scores.context["chosen_color@judge"][:4]] == ["red", "red", "blue", "gray"]
    assert [FINISHES[i] for i in scores.context["chosen_finish@judge"][:4]] == [
        "metallic",
        "matte",
        "metallic",
        "dotted",
    ]
    assert Scores.from_json(json.loads(json.dumps(scores.to_json()))) == scores


def test_words_alone_are_another_question():
    scores = score("a gray hat", views_of(("hat", "chair")))
    assert scores.per_view["kind_word@judge"] == [1.0, 0.0] * 8
    assert scores.about["asked"]["kind_word"]["size"] == 41 and scores.about["asked"]["kind"]["size"] == len(things())
    assert scores.about["chance_of"] == {"kind": 1 / 41, "color": 1 / 12, "finish": 1 / 6}
    assert "2,952" in V1.about and len(things()) == 2952


def test_every_kind_color_and_finish_can_be_answered():
    shown = [thing for thing in things() if fits(thing)]
    images = np.stack([paint(grammar.caption(thing)) for thing in shown]).astype(np.float32)
    answers = recognition.ask_encoder(JUDGE, images)
    assert answers["kind"] == [thing.kind for thing in shown]
    assert answers["color"] == [thing.color for thing in shown]
    assert answers["finish"] == [thing.finish for thing in shown]


def fits(thing):
    """One thing of each kind, each with another colour and finish."""
    place = KINDS.index(thing.kind)
    return thing.color == COLORS[place % 12] and thing.finish == FINISHES[place % 6]


@pytest.mark.parametrize(("opacity", "state"), [(0.0, "empty"), (1.0, "solid")])
def test_an_empty_or_solid_field_is_a_miss(opacity, state):
    scores = score("a red hat", views_of(("a red hat",), opacity))
    assert scores.per_view["kind@judge"] == [0.0] * 16 == scores.per_view["color@judge"]
    assert scores.reasons["kind@judge"] == f"the field is {state}: a miss in every view"


def test_a_view_that_is_not_finite_has_no_number():
    views = views_of(("a red hat",))
    views["color"][3] = np.nan
    scores = score("a red hat", views)
    assert scores.per_view["kind@judge"] == [None if i == 3 else 1.0 for i in range(16)]
    assert scores.context["chosen_kind@judge"][3] is None


def test_captions_of_elsewhere_have_answers_and_no_truth():
    scores = score("a snail made of harp", views_of(SHOWN))
    assert scores.per_view["kind@judge"] == [None] * 16
    assert scores.reasons["kind@judge"] == NOT_OF_THE_WORLD
    assert KINDS[scores.context["chosen_kind@judge"][0]] == "chair"


def test_a_guide_never_judges_and_one_that_is_missing_is_named():
    scores = score("a red hat", views_of(("a red hat",)), ("judge", "gone", "embedded-vit-8"), ("embedded-vit-8",))
    assert scores.per_view["kind@judge"] == [1.0] * 16
    assert scores.reasons["kind@gone"] == "gone: there is none"
    assert scores.reasons["kind_word@embedded-vit-8"] == IN_LOOP


@pytest.mark.parametrize(
    ("meaning", "question", "right"),
    [
        ("red-metallic-chair", "kind_word", ("chair",)),
        ("blue-matte-mug--on--green-matte-cube", "color", ("blue", "green")),
        ("blue-matte-mug--on--green-matte-cube", "finish", ("matte",)),
    ],
)
def test_true_answers(meaning, question, right):
    assert recognition.true_answers(meaning_of(meaning), question) == right


def test_an_unknown_question_is_refused():
    with pytest.raises(ValueError, match="recognition-v1: expected questions of recognition.PROPERTY_OF, got 'size'"):
        dataclasses.replace(V1, questions=("size",))
