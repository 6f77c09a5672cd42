"""Several guides, and captions that an object must not fit, against slow twins."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.errors import UsageError
from bench.suites.identity import describe
from bench.training.batch import hyperparameters_of
from models.dream_fields import DREAM_FIELDS, guidance
from models.dream_fields.wording import NUM_NEGATIVES
from models.method import split_hyperparameters
from tests.fixtures.toy_dreams import GUIDE, NAME, NUM_CROPS, PX, TASK, made, slow_cosine, toy_guide

OTHER = f"hf:tests/other@{'1' * 40}"
FROZEN = {NAME: GUIDE, OTHER: toy_guide(OTHER, image_px=4)}


def some_image():
    draw = np.random.default_rng(3)
    opacity = draw.uniform(0, 1, (PX, PX, 1))
    return jnp.asarray(np.concatenate([draw.uniform(0, 1, (PX, PX, 3)) * opacity, opacity], axis=-1), jnp.float32)


@functools.cache
def fitted(method):
    """How the crops of a view fit, and what the guides read."""
    data = method.prepare(FROZEN, TASK)
    static, hyperparameters = split_hyperparameters(method)[0], hyperparameters_of(method)
    compare = jax.jit(lambda data, numbers, image: guidance.compare_crops(
        static, FROZEN, data, numbers, image, jax.random.key(1)
    ))  # fmt: skip
    return jax.device_get((compare(data, hyperparameters, some_image()), data))


def slow_crops(method, image_px):
    static, hyperparameters = split_hyperparameters(method)[0], hyperparameters_of(method)
    crops = guidance.augment_crops(static, hyperparameters, some_image(), image_px, jax.random.key(1))
    return np.asarray(crops.images)


def test_each_of_several_guides_counts_as_it_does_alone():
    (fit, data), (alone, _), (other, _) = (
        fitted(made(encoder=f"{NAME},{OTHER}")),
        fitted(made()),
        fitted(made(encoder=OTHER)),
    )
    np.testing.assert_allclose(fit.cosines[0], alone.cosines[0], atol=1e-6)
    np.testing.assert_allclose(fit.cosines[1], other.cosines[0], atol=1e-6)
    assert float(fit.cosine) == pytest.approx((float(alone.cosine) + float(other.cosine)) / 2, abs=1e-6)
    assert abs(float(alone.cosine) - float(other.cosine)) > 1e-3
    assert len(data.texts) == 2 and fit.negative is None and fit.contrast is None


def test_other_captions_are_what_is_said_of_them():
    method = made(negative_weight=0.3, contrast_weight=0.2)
    fit, data = fitted(method)
    [texts] = data.texts
    others = np.asarray(texts.others)[np.asarray(texts.is_other) > 0]
    assert others.shape[0] == texts.others.shape[0] == NUM_NEGATIVES
    cosines, contrasts = [], []
    for crop in slow_crops(method, 8):
        own = slow_cosine(GUIDE, crop, texts.caption)
        rest = [slow_cosine(GUIDE, crop, other) for other in others]
        cosines += rest
        contrasts.append(np.log(np.sum(np.exp([own, *rest]))) - own)  # the toy's scale of logits is 1
    assert len(contrasts) == NUM_CROPS
    assert float(fit.negative) == pytest.approx(np.mean(cosines), abs=1e-5)
    assert float(fit.contrast) == pytest.approx(np.mean(contrasts), abs=1e-5)


def test_rows_that_fill_up_count_for_nothing():
    given = ("a photo of a guitar", "blue")
    fit, data = fitted(made(negative_weight=1.0, negative_captions=given))
    more, filled = fitted(made(negative_weight=1.0, negative_captions=(*given, TASK.caption)))
    np.testing.assert_array_equal(filled.texts[0].is_other, [1, 1, 0])  # the trial's own caption is none of them
    assert data.texts[0].others.shape[0] == 2
    assert float(fit.negative) == pytest.approx(float(more.negative), abs=1e-6)
    assert float(fit.contrast) == pytest.approx(float(more.contrast), abs=1e-6)


def test_a_caption_that_is_found_costs_nothing():
    far = jnp.full((2, 3), -90.0)
    np.testing.assert_allclose(guidance.contrast_losses(jnp.asarray([30.0, 20.0]), far, jnp.ones(3)), 0, atol=1e-6)
    alike = guidance.contrast_losses(jnp.zeros(2), jnp.zeros((2, 3)), jnp.asarray([1.0, 1.0, 0.0]))
    np.testing.assert_allclose(alike, np.log(3), atol=1e-6)


def test_crops_of_the_shape_alone_are_told_by_its_word():
    method = made(silhouette_share=0.5, num_crops=12, contrast_weight=0.1)
    fit, data = fitted(method)
    [texts] = data.texts
    [wanted] = guidance.embed_texts(GUIDE, ["guitar"])
    np.testing.assert_allclose(texts.shape, wanted, atol=1e-6)
    static, hyperparameters = split_hyperparameters(method)[0], hyperparameters_of(method)
    crops = jax.device_get(guidance.augment_crops(static, hyperparameters, some_image(), 8, jax.random.key(1)))
    shows_shape = crops.shows_shape
    assert 2 < shows_shape.sum() < 10
    told = [texts.shape if alone else texts.caption for alone in shows_shape]
    slow = [slow_cosine(GUIDE, crop, text) for crop, text in zip(crops.images, told, strict=True)]
    np.testing.assert_allclose(fit.cosines[0], slow, atol=1e-5)
    rest = [[slow_cosine(GUIDE, crop, other) for other in texts.others] for crop in crops.images[~shows_shape]]
    own = [slow_cosine(GUIDE, crop, texts.caption) for crop in crops.images[~shows_shape]]
    contrasts = [np.log(np.sum(np.exp([a, *others]))) - a for a, others in zip(own, rest, strict=True)]
    assert float(fit.contrast) == pytest.approx(np.mean(contrasts), abs=1e-5)
    plain = guidance.augment_crops(made(num_crops=12), hyperparameters, some_image(), 8, jax.random.key(1)).images
    same = np.abs(np.asarray(crops.images) - np.asarray(plain)).max(axis=(1, 2, 3)) < 1e-6
    np.testing.assert_array_equal(same, ~shows_shape)


def test_of_two_scales_some_crops_are_close():
    numbers = hyperparameters_of(made(crop_share=1.0, backgrounds=("white",)))

    def crops(**changes):
        method = made(num_crops=12, **changes)
        return np.asarray(guidance.augment_crops(method, numbers, some_image(), 8, jax.random.key(1)).images)

    whole, mixed, close = crops(), crops(close_share=0.5), crops(close_share=1.0)
    is_whole = np.abs(mixed - whole).max(axis=(1, 2, 3)) < 1e-6
    is_close = np.abs(mixed - close).max(axis=(1, 2, 3)) < 1e-6
    assert (is_whole ^ is_close).all() and 2 < is_close.sum() < 10
    assert np.abs(whole - whole[:1]).max() < 1e-6, "whole views have one place"


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("embedded-vit-8,embedded-vit-8", "expected every guide once, got 'embedded-vit-8' twice"),
        ("embedded-vit-8,embedded-judge-rn", "expected one that may guide, got 'embedded-judge-rn'"),
        ("embedded-vit-8,efficientnet-lite0", "expected an encoder that reads text, got 'efficientnet-lite0'"),
        ("embedded-vit-8,", "expected names with commas between in encoder, got 'embedded-vit-8,'"),
    ],
)
def test_guides_that_are_refused(encoder, message):
    with pytest.raises(UsageError, match=message):
        made(encoder=encoder)


def test_a_method_without_the_switches_is_the_method_of_before():
    told = describe(DREAM_FIELDS)
    assert not {
        *("negatives", "negative_captions", "negative_weight", "contrast_weight", "distortion_weight"),
        *("last_sharpness", "close_share", "close_crop_share", "silhouette_share"),
    }.intersection(told)
    assert describe(made(contrast_weight=0.5))["contrast_weight"] == 0.5
