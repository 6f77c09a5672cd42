"""What is said is understood: every paraphrase means what it was made of, and only that."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import UsageError
from tasks.closed_world import grammar
from tasks.closed_world import meanings as meanings_module
from tasks.closed_world.meanings import ObjectPairSpec, ObjectSpec

MUG, CUBE = ObjectSpec("mug", "blue", "matte"), ObjectSpec("cube", "green", "striped")

THINGS = st.sampled_from(meanings_module.things())

PAIRS = st.sampled_from(meanings_module.pairs("train", 200, 0) + meanings_module.pairs("held_out", 200, 0))


def test_canonical_captions_are_short_and_one_a_meaning():
    meanings = [
        *meanings_module.things(),
        *meanings_module.pairs("train", 300, 0),
        *meanings_module.pairs("held_out", 300, 0),
    ]
    captions = [grammar.caption(meaning) for meaning in meanings]
    assert len(set(captions)) == len(meanings)
    assert [grammar.parse(caption) for caption in captions] == meanings
    assert max(len(caption.split()) for caption in captions) == 10  # "a red striped mug next to a red striped cube"
    assert grammar.caption(MUG) == "a blue mug"
    assert grammar.caption(ObjectSpec("umbrella", "orange", "glossy")) == "an orange glossy umbrella"
    assert grammar.caption(ObjectPairSpec(MUG, "on", CUBE)) == "a blue mug on a green striped cube"


@settings(max_examples=150, deadline=None)
@given(st.one_of(THINGS, PAIRS))
def test_every_paraphrase_is_read_as_its_meaning(meaning):
    paraphrases = grammar.paraphrases(meaning)
    assert len(set(paraphrases)) == len(paraphrases) >= 20
    for caption in paraphrases:
        assert grammar.parse(caption) == meaning, caption
        assert len(grammar.split_words(caption)) <= grammar.LONGEST
        assert grammar.warning(caption) is None and grammar.unknown_words(caption) == ()


def test_paraphrases_use_all_of_the_vocabulary_and_no_other_word():
    said = {
        word
        for meaning in [
            *meanings_module.things()[::5],
            *meanings_module.things("held_out"),
            *meanings_module.pairs("train", 200, 3),
        ]
        for caption in grammar.paraphrases(meaning)
        for word in grammar.split_words(caption)
    }
    assert sorted(said) == list(grammar.vocabulary())
    assert 100 <= len(grammar.vocabulary()) <= 200


def test_there_are_many_ways_of_saying_it():
    said = set(grammar.paraphrases(ObjectSpec("chair", "red", "metallic")))
    assert {
        "a red metallic chair",
        "the metal red chair",
        "a photo of a red chair made of metal",
        "a chair that is red and metallic",
        "the chair is metal and red",
        "there is a red metal chair",
    } <= said
    shapes = {caption.replace("the ", "a ") for caption in grammar.paraphrases(ObjectPairSpec(MUG, "on", CUBE))}
    for wanted in ("on top of", "standing on", "above", "under", "below", "with a"):
        assert any(wanted in caption for caption in shapes)
    assert any(caption.endswith(" on top") and caption.index("green") < caption.index("blue") for caption in shapes)


def test_articles_fit_their_words():
    for meaning in (
        ObjectSpec("umbrella", "orange", "matte"),
        ObjectPairSpec(MUG, "next to", ObjectSpec("plane", "orange", "metallic")),
    ):
        for caption in grammar.paraphrases(meaning):
            words = caption.split()
            for article, word in zip(words[:-1], words[1:], strict=True):
                if article in ("a", "an"):
                    assert (article == "an") == (word[0] in "aeio"), caption


@pytest.mark.parametrize(
    ("caption", "id"),
    [
        ("RED, shiny: Couch!", "red-glossy-sofa"),
        ("a purple sphere", "purple-matte-ball"),
        ("violet ball with polka dots", "purple-dotted-ball"),
        ("a green cube under a blue mug", "blue-matte-mug--on--green-matte-cube"),
        ("a green cube with stripes with a blue mug with dots on top", "blue-dotted-mug--on--green-striped-cube"),
        ("yellow cone next to red ball", "red-matte-ball--next-to--yellow-matte-cone"),
        ("a red ball and a yellow cone side by side", "red-matte-ball--next-to--yellow-matte-cone"),
    ],
)
def test_captions_of_people_are_read(caption, id):
    assert grammar.parse(caption).id == id


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        (
            "a red dragon with wings",
            "expected words of the closed world, got 'dragon', 'wings'; known: a colour .red, ",
        ),
        ("", "expected one thing or two, got 0; known: .* a thing .ball, cube"),
        ("a ball, a cube and a cone", "expected one thing or two, got 3"),
        ("a chair", "expected for each thing one colour and at most one finish, got chair"),
        ("a red blue chair", "got red, blue, chair"),
        ("a striped dotted red chair", "got red, striped, dotted, chair"),
        ("a red ball on a cube", "expected for each thing one colour and at most one finish, got cube"),
        ("a red ball a blue cube", "expected two things with a relation between them, got none; say on, under"),
        ("a red cube on a red ball", "expected a kind that carries others, got 'ball'"),
    ],
)
def test_what_is_no_caption_of_the_world_is_told(caption, message):
    with pytest.raises(UsageError, match=message):
        grammar.parse(caption)
    assert grammar.warning(caption)


@given(st.text(max_size=60) | st.lists(st.sampled_from(grammar.vocabulary()), max_size=12).map(" ".join))
def test_any_text_is_read_or_refused(text):
    try:
        meaning = grammar.parse(text)
    except UsageError:
        return
    assert grammar.parse(grammar.caption(meaning)) == meaning
