"""PSNR and SSIM against scikit-image and against slow twins in NumPy."""

from __future__ import annotations

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from bench.metrics import image


def blob(size: int, seed: int = 0, width: int | None = None) -> np.ndarray:
    """A textured disc on white: flat, saturated parts are where float32 variances cancel."""
    key = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, : width or size] / size - 0.5
    inside = (rows**2 + columns**2 < 0.12)[..., None]
    texture = 0.5 + 0.4 * np.sin(20 * rows[..., None] * key.random(3) + 15 * columns[..., None]) * key.random(3)
    return np.where(inside, texture, 1.0).astype(np.float32)


def noisy(x: np.ndarray, amount: float, seed: int = 1) -> np.ndarray:
    return (x + amount * np.random.default_rng(seed).standard_normal(x.shape)).astype(np.float32)


SSIM, SSIM_SK7 = jax.jit(image.ssim), jax.jit(image.ssim_sk7)

PAIRS = {
    "noise": (noisy(blob(24), 0.1), blob(24)),  # not clipped, as DietNeRF leaves predictions
    "far off": (blob(24, seed=3)[::-1].copy(), blob(24)),
    "almost equal": (noisy(blob(24), 0.003), blob(24)),
    "empty field": (np.ones((24, 24, 3), np.float32), blob(24)),
    "not square": (noisy(blob(17, width=29), 0.05), blob(17, width=29)),
    "smallest": (noisy(blob(11), 0.05), blob(11)),
}
pairs = pytest.mark.parametrize(("prediction", "truth"), PAIRS.values(), ids=PAIRS)


def ssim_twin(x: np.ndarray, y: np.ndarray) -> float:
    """Wang et al. 2004, equations 12 and 13, window by window in float64."""
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(taps, taps) / taps.sum() ** 2
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    values = []
    for channel in range(3):
        for row in range(x.shape[0] - 10):
            for column in range(x.shape[1] - 10):
                a, b = (z[row : row + 11, column : column + 11, channel] for z in (x, y))
                mean_a, mean_b = (window * a).sum(), (window * b).sum()
                var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
                cov = (window * (a - mean_a) * (b - mean_b)).sum()
                values.append(
                    (2 * mean_a * mean_b + 0.01**2)
                    * (2 * cov + 0.03**2)
                    / ((mean_a**2 + mean_b**2 + 0.01**2) * (var_a + var_b + 0.03**2))
                )
    return float(np.mean(values))


@pairs
def test_psnr_is_that_of_scikit_image(prediction, truth):
    clipped = np.clip(prediction, 0, 1)
    expected = peak_signal_noise_ratio(np.float64(truth), np.float64(clipped), data_range=1.0)
    assert float(image.psnr(jnp.array(prediction), jnp.array(truth))) == pytest.approx(expected, abs=1e-4)
    raw = peak_signal_noise_ratio(np.float64(truth), np.float64(prediction), data_range=1.0)
    assert float(image.psnr(jnp.array(prediction), jnp.array(truth), clip=False)) == pytest.approx(raw, abs=1e-4)


@pairs
def test_ssim_is_that_of_a_slow_twin(prediction, truth):
    assert float(SSIM(jnp.array(prediction), jnp.array(truth))) == pytest.approx(ssim_twin(prediction, truth), abs=2e-5)


@pairs
def test_ssim_sk7_is_that_of_scikit_image(prediction, truth):
    expected = structural_similarity(
        np.float64(truth), np.float64(prediction), win_size=7, channel_axis=-1, data_range=1.0
    )
    assert float(SSIM_SK7(jnp.array(prediction), jnp.array(truth))) == pytest.approx(expected, abs=1e-5)


@pairs
def test_psnr_foreground_is_that_of_a_loop(prediction, truth):
    alpha = np.where(truth.min(axis=-1) < 1, 1, 0.3).astype(np.float32)
    squares = [
        float(np.clip(prediction[r, c, k], 0, 1) - truth[r, c, k]) ** 2
        for r, c in np.argwhere(alpha > 0.5)
        for k in range(3)
    ]
    value, present = image.psnr_foreground(jnp.array(prediction), jnp.array(truth), jnp.array(alpha))
    assert bool(present)
    assert float(value) == pytest.approx(-10 * np.log10(np.mean(squares)), abs=1e-3)


def test_psnr_foreground_says_where_there_is_none():
    views = jnp.zeros((2, 4, 4, 3))
    alpha = jnp.zeros((2, 4, 4)).at[1, 0, 0].set(0.51)
    _, present = image.psnr_foreground(views, views, alpha)
    assert present.tolist() == [False, True]


def test_equal_images_have_100_db():
    truth = jnp.array(blob(12))
    assert float(image.psnr(truth, truth)) == pytest.approx(100, abs=1e-4)  # -10 log10(1e-10)
    assert float(image.psnr_u8(truth, truth)) == pytest.approx(100, abs=1e-4)


@pytest.mark.parametrize("how", ["round", "truncate"])
def test_to_8bit_gives_the_levels_that_numpy_gives(how):
    every_level = (np.arange(256, dtype=np.uint8) / 255.0).astype(np.float32)
    values = np.concatenate(
        [every_level, np.random.default_rng(0).uniform(-0.1, 1.1, 3 * 256 - 256).astype(np.float32)]
    )
    clipped = np.clip(values, 0, 1)
    # `to8b` of the NeRF code: (255 * np.clip(x, 0, 1)).astype(np.uint8)
    levels = np.round(255 * clipped).astype(np.uint8) if how == "round" else (255 * clipped).astype(np.uint8)
    got = image.to_8bit(jnp.array(values).reshape(16, 16, 3), how)
    np.testing.assert_array_equal(np.round(np.asarray(got).ravel() * 255), levels)
    np.testing.assert_allclose(np.asarray(got).ravel(), levels / 255, atol=1e-7)


def test_psnr_u8_is_psnr_of_what_png_files_hold():
    prediction, truth = PAIRS["noise"]
    saved = [np.round(np.clip(x, 0, 1) * 255).astype(np.uint8) for x in (prediction, truth)]
    expected = peak_signal_noise_ratio(saved[1], saved[0], data_range=255)
    assert float(image.psnr_u8(jnp.array(prediction), jnp.array(truth))) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("score", [image.mse, image.psnr, image.psnr_u8, SSIM, SSIM_SK7])
def test_leading_axes_are_kept(score):
    predictions = jnp.stack([jnp.array(noisy(blob(12), 0.02 * i)) for i in range(6)]).reshape(2, 3, 12, 12, 3)
    truths = jnp.broadcast_to(jnp.array(blob(12)), predictions.shape)
    values = score(predictions, truths)
    assert values.shape == (2, 3)
    assert float(values[1, 2]) == pytest.approx(float(score(predictions[1, 2], truths[1, 2])), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(("score", "name", "min_px"), [(image.ssim, "ssim", 11), (image.ssim_sk7, "ssim_sk7", 7)])
def test_images_below_the_window_are_refused(score, name, min_px):
    small = jnp.zeros((min_px, min_px - 1, 3))
    with pytest.raises(
        ValueError, match=f"{name}: expected images of at least {min_px} px, got {min_px - 1} x {min_px}"
    ):
        score(small, small)
    fits = jnp.zeros((min_px, min_px, 3))
    assert float(score(fits, fits)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("num_views", [1, 5, 7, 25])
def test_a_view_has_the_same_digits_in_any_company(num_views):
    truths = np.stack([blob(13, seed) for seed in range(num_views)])
    predictions = np.stack([noisy(x, 0.1, seed) for seed, x in enumerate(truths)])
    scores = jax.jit(lambda a, b: (image.psnr(a, b), image.ssim(a, b), image.ssim_sk7(a, b)))
    together = image.per_image(scores, predictions, truths)
    alone = image.per_image(scores, predictions[-1:], truths[-1:])
    for many, one in zip(together, alone, strict=True):
        assert many.shape == (num_views,)
        assert many[-1] == one[0]  # bit by bit: it is the same program
    assert scores._cache_size() == 1


def test_large_views_go_one_by_one():
    seen = []
    views = np.zeros((3, 600, 600, 3), np.float32)
    image.per_image(lambda x: seen.append(x.shape) or jnp.zeros(len(x)), views)
    assert seen == [(1, 600, 600, 3)] * 3


def test_two_chunks_are_begun_before_the_one_before_them_is_fetched(monkeypatch):
    events = []
    device_get = jax.device_get

    def get(arrays):
        events.append("get")
        return device_get(arrays)

    monkeypatch.setattr(image.jax, "device_get", get)
    views = np.arange(20, dtype=np.float32)[:, None, None] * np.ones((20, 4, 4), np.float32)
    [numbers] = image.per_chunk(lambda start, x: events.append(start) or [x[:, 0, 0]], views)
    assert events == [0, 5, 10, "get", 15, "get", "get"]  # the last one gets the rest
    np.testing.assert_array_equal(numbers, np.arange(20))


def test_float16_is_compared_as_the_same_numbers_in_float32():
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    views = every[np.isfinite(every)].reshape(8, -1, 8, 1)
    got = image.per_image(lambda x: x, views)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got.view(np.uint32), views.astype(np.float32).view(np.uint32))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), low=st.floats(0, 0.2), more=st.floats(0.05, 0.3))
def test_more_noise_is_never_better(seed, low, more):
    truth = jnp.array(blob(16, seed % 7))
    noise = jnp.array(noisy(np.zeros((16, 16, 3)), 1.0, seed))
    near, far = truth + low * noise, truth + (low + more) * noise
    assert float(image.mse(near, truth)) < float(image.mse(far, truth))
    assert float(image.psnr(near, truth, clip=False)) > float(image.psnr(far, truth, clip=False))
    for score in (SSIM, SSIM_SK7):
        assert float(score(near, truth)) <= 1 + 1e-6
        assert float(score(near, truth)) == pytest.approx(float(score(truth, near)), abs=1e-5)


def test_examples_run():
    assert doctest.testmod(image).failed == 0
