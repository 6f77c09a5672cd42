"""Ranks, margins and precision against loops and all subsets; embeddings against an encoder asked view by view."""

import dataclasses
import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from bench.errors import UsageError
from bench.metrics import r_precision
from bench.metrics.r_precision import precision_at, ranked
from models.clip import loading, preprocess
from tasks.captions.caption_sets import CaptionSet

RANDOM = np.random.default_rng(5)


def slow_rank(row, place):
    """By counting; ties count against."""
    return 1 + sum(other >= row[place] for i, other in enumerate(row) if i != place)


# Few levels, so that ties are many
COSINES = st.integers(2, 9).flatmap(
    lambda m: st.tuples(
        st.lists(st.lists(st.sampled_from([-0.5, 0.0, 0.25, 0.3]), min_size=m, max_size=m), min_size=1, max_size=5),
        st.integers(0, m - 1),
    )
)


@settings(max_examples=100, deadline=None)
@given(COSINES)
def test_ranked_is_its_slow_twin(drawn):
    rows, place = drawn
    found = ranked(np.asarray(rows, np.float32), place)
    for i, row in enumerate(np.asarray(rows, np.float32).astype(np.float64)):
        others = [(x, j) for j, x in enumerate(row) if j != place]
        rank = slow_rank(row, place)
        assert found.rank[i] == rank
        assert (found.hit1[i], found.hit5[i]) == (rank == 1, rank <= 5)
        assert found.margin[i] == row[place] - max(x for x, _ in others)
        assert found.cosine[i] == row[place]
        assert row[found.wrong[i]] == max(x for x, _ in others) and found.wrong[i] != place
        assert found.predicted[i] == (place if rank == 1 else found.wrong[i])
        assert row[found.predicted[i]] == max(row)
        assert found.nll[i] == pytest.approx(-log_softmax(row)[place], abs=1e-12)


def test_all_captions_alike_is_a_miss():
    found = ranked(np.full((1, 4), 0.2), place=0)
    assert (found.rank[0], found.hit1[0], found.margin[0], found.nll[0]) == (4, False, 0.0, pytest.approx(np.log(4)))


@pytest.mark.parametrize(("num", "place"), [(1, 0), (3, 3), (3, -1)])
def test_a_place_that_is_none_is_refused(num, place):
    with pytest.raises(
        ValueError, match=f"ranked: expected a place among at least 2 captions, got {place} among {num}"
    ):
        ranked(np.zeros((2, num)), place)


@pytest.mark.parametrize("num_distractors", range(7))
def test_precision_is_that_over_all_subsets(num_distractors):
    cosines = RANDOM.standard_normal((4, 7))
    ranks = np.asarray([slow_rank(row, 2) for row in cosines])
    others = [i for i in range(7) if i != 2]
    for row, found in zip(cosines, precision_at(ranks, 7, num_distractors), strict=True):
        subsets = list(itertools.combinations(others, num_distractors))
        hits = [all(row[2] > row[i] for i in subset) for subset in subsets]
        assert found == pytest.approx(np.mean(hits), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 300).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_a_judge_that_knows_nothing_has_the_precision_of_chance(drawn):
    """Every rank as often as any other: 1 in k + 1, whatever the set's size."""
    size, num_distractors = drawn
    mean = precision_at(np.arange(1, size + 1), size, num_distractors).mean()
    assert mean == pytest.approx(r_precision.chance(num_distractors + 1), rel=1e-9)


def test_precision_falls_with_the_distractors_down_to_that_of_the_set():
    ranks = np.asarray([1, 2, 40, 128])
    curve = np.stack([precision_at(ranks, 128, k) for k in range(128)])
    assert (np.diff(curve, axis=0) <= 0).all()
    assert curve[0].tolist() == [1, 1, 1, 1] and curve[-1].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(("ranks", "num_distractors", "message"), [
    ([1], 5, "expected 0 to 4 distractors, got 5"),
    ([1], -1, "expected 0 to 4 distractors, got -1"),
    ([0, 3], 2, "expected ranks from 1 to 5, got 0 to 3"),
    ([3, 6], 2, "expected ranks from 1 to 5, got 3 to 6"),
])  # fmt: skip
def test_numbers_beyond_the_set_are_refused(ranks, num_distractors, message):
    with pytest.raises(ValueError, match=message):
        precision_at(np.asarray(ranks), 5, num_distractors)


# ---- embeddings ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoder():
    return loading.load("embedded-judge-vit")


def plain(encoder, image):
    """One image alone, by hand."""
    found = np.asarray(encoder.image_features(encoder.params, jnp.asarray(image)[None]))[0]
    return found / np.linalg.norm(found)


def test_images_are_embedded_as_one_by_one_and_a_view_has_the_same_digits_everywhere(encoder):
    images = RANDOM.random((18, 64, 64, 3)).astype(np.float32)
    found = r_precision.image_embeddings(encoder, images)
    assert found.dtype == np.float32
    for i in (0, 15, 17):
        np.testing.assert_allclose(found[i], plain(encoder, images[i]), atol=2e-6)
    np.testing.assert_array_equal(r_precision.image_embeddings(encoder, images[17:])[0], found[17])


def test_images_of_another_size_are_resized_and_cut_to_what_images_are(encoder):
    images = np.kron(RANDOM.random((1, 6, 6, 3)) > 0.5, np.ones((1, 8, 8, 1))).astype(np.float32)  # hard edges, 48 px
    resized = np.asarray(preprocess.resize(jnp.asarray(images[0]), 64))
    assert resized.min() < 0 and resized.max() > 1
    expected = plain(encoder, np.clip(resized, 0, 1))
    np.testing.assert_allclose(r_precision.image_embeddings(encoder, images)[0], expected, atol=2e-6)


def test_captions_are_embedded_one_by_one_and_once(encoder):
    words = tuple(f"a {color} {kind}" for color in ("red", "green", "blue") for kind in ("chair", "mug"))
    found = r_precision.text_embeddings(encoder, CaptionSet("six", words, "a" * 64))
    for row, text in zip(found, words, strict=True):
        expected = np.asarray(encoder.text_features(encoder.params, encoder.tokenize([text])))[0]
        np.testing.assert_allclose(row, expected / np.linalg.norm(expected), atol=2e-6)
    assert r_precision.text_embeddings(encoder, CaptionSet("six", words, "a" * 64)) is found
    other = r_precision.text_embeddings(encoder, CaptionSet("six", words[::-1], "b" * 64))
    np.testing.assert_allclose(other, found[::-1], atol=2e-6)


def test_sets_larger_than_a_call_are_read_in_parts(encoder, monkeypatch):
    words = tuple(f"a {color} chair" for color in ("red", "green", "blue", "black", "white"))
    whole = r_precision.text_embeddings(encoder, CaptionSet("five", words, "c" * 64))
    monkeypatch.setattr(r_precision, "TEXT_BATCH", 2)
    parts = r_precision.text_embeddings(encoder, CaptionSet("five", words, "d" * 64))
    np.testing.assert_allclose(parts, whole, atol=2e-6)


def test_an_encoder_that_reads_no_text_says_so(encoder):
    blind = dataclasses.replace(encoder, name="blind", tokenizer=None)
    with pytest.raises(UsageError, match="blind: expected an encoder .*vocabulary"):
        r_precision.text_embeddings(blind, CaptionSet("one", ("a red chair", "a mug"), "e" * 64))
