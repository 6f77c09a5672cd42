"""Backgrounds, blur and crops against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from models import augmentations

KEY = jax.random.key(3)


def test_checkerboard_has_two_colors_and_as_many_squares():
    board = np.asarray(augmentations.checkerboard(KEY, 16, 8))
    assert len(np.unique(board.reshape(-1, 3), axis=0)) == 2
    for row in range(16):
        for column in range(16):
            is_first = (row // 2 + column // 2) % 2 == 0
            np.testing.assert_array_equal(board[row, column], board[0, 0] if is_first else board[0, 2])


def test_fourier_texture_is_the_sum_of_its_waves():
    size, std, power = 12, 0.2, 1.5
    real, imaginary = std * np.asarray(jax.random.normal(KEY, (2, size, size // 2 + 1, 3)), np.float64)
    spectrum = real + 1j * imaginary
    waves = np.zeros((size, size, 3))
    for channel in range(3):
        weighed = np.zeros((size, size // 2 + 1), complex)
        for i, fy in enumerate(np.fft.fftfreq(size)):
            for j, fx in enumerate(np.fft.rfftfreq(size)):
                weighed[i, j] = spectrum[i, j, channel] * size / max(np.hypot(fy, fx), 1 / size) ** power
        waves[..., channel] = np.fft.irfft2(weighed, (size, size)) / 4
    axes = np.asarray([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    colors = axes / max(np.linalg.norm(axes[:, k]) for k in range(3))
    wanted = 1 / (1 + np.exp(-waves @ colors.T))
    np.testing.assert_allclose(augmentations.fourier_texture(KEY, size), wanted, atol=2e-5)


def test_uniform_noise_fills_the_range_and_gaussian_noise_stays_in_it():
    noise = np.asarray(augmentations.uniform_noise(KEY, 64))
    assert noise.mean() == pytest.approx(0.5, abs=0.01) and noise.std() == pytest.approx(12**-0.5, abs=0.01)
    noise = np.asarray(augmentations.gaussian_noise(KEY, 64))
    assert noise.min() >= 0 and noise.max() <= 1 and noise.std() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("size", [6, 7])
def test_noise_is_what_jax_draws_of_that_shape(size):
    # Written down, since a background's key stands for the same picture in every version.
    drawn = jax.random.uniform(KEY, (size, size, 3))
    np.testing.assert_array_equal(augmentations.uniform_noise(KEY, size), drawn)
    normal = jax.random.normal(KEY, (size, size, 3))
    np.testing.assert_allclose(augmentations.gaussian_noise(KEY, size), np.clip(0.5 + 0.2 * normal, 0, 1), atol=1e-6)
    colors = np.unique(np.asarray(augmentations.checkerboard(KEY, size)).reshape(-1, 3), axis=0)
    np.testing.assert_array_equal(colors, np.unique(jax.random.uniform(KEY, (2, 3)), axis=0))


@pytest.mark.parametrize("std_px", [0.7, 2.0])
def test_blur_is_scipys_with_a_kernel_of_fifteen(std_px):
    image = np.random.default_rng(0).random((20, 20, 3)).astype(np.float32)
    wanted = ndimage.gaussian_filter(image, (std_px, std_px, 0), radius=(7, 7, 0), mode="mirror")
    np.testing.assert_allclose(augmentations.blur(jnp.asarray(image), std_px), wanted, atol=1e-5)


def test_no_blur_leaves_the_image():
    image = jnp.asarray(np.random.default_rng(0).random((9, 9, 1)), jnp.float32)
    np.testing.assert_allclose(augmentations.blur(image, 0.0), image, atol=1e-6)


def test_a_whole_window_is_the_image_and_a_shifted_one_is_moved():
    image = jnp.asarray(np.random.default_rng(0).random((8, 8, 4)), jnp.float32)
    np.testing.assert_allclose(augmentations.crop_and_resize(image, 0.0, 0.0, 8.0, 8), image, atol=1e-6)
    moved = augmentations.crop_and_resize(image, 2.0, 3.0, 8.0, 8)
    np.testing.assert_allclose(moved[:6, :5], image[2:, 3:], atol=1e-6)
    np.testing.assert_allclose(moved[6:], 0.0, atol=1e-6)


def test_every_kind_is_drawn():
    keys = jax.random.split(KEY, 60)
    drawn = np.asarray(
        jax.vmap(
            lambda key: augmentations.sample_background(key, 8, ("white", "black", "checkerboard"), max_blur_px=0.0)
        )(keys)
    )
    plain = [(image == 1).all() + 2 * (image == 0).all() for image in drawn]
    assert {0, 1, 2} == set(plain)


# --- backgrounds whose shares are values ---

KINDS = tuple(augmentations.BACKGROUNDS)


def only(kind: str) -> jax.Array:
    return jnp.asarray([0.5 * (name == kind) for name in KINDS])


@pytest.mark.parametrize("kind", KINDS)
def test_a_sole_kind_is_made_by_its_maker_and_without_blur_left_as_it_is(kind):
    _, key, _ = jax.random.split(KEY, 3)
    result = augmentations.sample_weighted_background(KEY, 9, only(kind), jnp.float32(0))
    np.testing.assert_array_equal(result, augmentations.BACKGROUNDS[kind](key, 9))


@pytest.mark.parametrize("kind", KINDS)
def test_a_chosen_background_is_blurred_as_any_other_and_a_plain_one_not(kind):
    result = np.asarray(augmentations.sample_weighted_background(KEY, 9, only(kind), jnp.float32(4)))
    np.testing.assert_allclose(result, augmentations.sample_background(KEY, 9, (kind,), 4.0), atol=1e-6)
    if kind in augmentations.CONSTANT_BACKGROUNDS:
        np.testing.assert_array_equal(result, augmentations.CONSTANT_BACKGROUNDS[kind])
    else:
        assert np.abs(result - augmentations.BACKGROUNDS[kind](jax.random.split(KEY, 3)[1], 9)).max() > 0.01


def test_kinds_are_drawn_in_proportion_to_their_shares():
    num, shares = 2000, np.asarray([1.0, 2.0, 0.0, 3.0, 0.5, 1.5])
    keys = jax.random.split(KEY, num)

    def which(key):
        drawn = augmentations.sample_weighted_background(key, 6, jnp.asarray(shares, jnp.float32), jnp.float32(0))
        made = [make(jax.random.split(key, 3)[1], 6) for make in augmentations.BACKGROUNDS.values()]
        return jnp.stack([jnp.max(jnp.abs(drawn - image)) for image in made])

    error = np.asarray(jax.jit(jax.vmap(which))(keys))
    assert np.all(np.sum(error < 1e-5, axis=1) == 1)
    found = np.mean(error < 1e-5, axis=0)
    wanted = shares / shares.sum()
    # Four standard deviations of a share of 2000.
    assert np.all(np.abs(found - wanted) <= 4 * np.sqrt(wanted * (1 - wanted) / num))


def test_trials_of_a_pack_choose_each_by_its_own_shares_and_blur():
    keys = jax.random.split(KEY, 3)
    shares = jnp.stack([only("black"), only("fourier texture"), jnp.ones(len(KINDS))])
    blur = jnp.asarray([0.0, 3.0, 8.0])
    packed = jax.jit(jax.vmap(lambda k, s, b: augmentations.sample_weighted_background(k, 8, s, b)))(keys, shares, blur)
    for i in range(3):
        alone = augmentations.sample_weighted_background(keys[i], 8, shares[i], blur[i])
        np.testing.assert_allclose(packed[i], alone, atol=1e-6)


# --- windows whose size is a value ---


@pytest.mark.parametrize("image_px", [5, 8, 13])
def test_a_window_of_all_of_an_image_is_the_image_resized(image_px):
    image = jnp.asarray(np.random.default_rng(0).random((8, 8, 4)), jnp.float32)
    whole = augmentations.random_resized_crop(KEY, image, jnp.float32(1), image_px)
    wanted = jax.image.resize(image, (image_px, image_px, 4), "linear", precision=jax.lax.Precision.HIGHEST)
    np.testing.assert_allclose(whole, wanted, atol=1e-6)


@pytest.mark.parametrize("height, width, share", [(8, 12, 0.3), (12, 8, 0.75)])
def test_a_random_window_is_a_window_anywhere(height, width, share):
    image = jnp.asarray(np.random.default_rng(0).random((height, width, 4)), jnp.float32)
    down, right = np.asarray(jax.random.uniform(KEY, (2,)))
    size = share * 8
    wanted = augmentations.crop_and_resize(
        image, float(down * (height - size)), float(right * (width - size)), size, 10
    )
    np.testing.assert_allclose(augmentations.random_resized_crop(KEY, image, jnp.float32(share), 10), wanted, atol=1e-5)


def test_random_windows_reach_all_edges_and_never_leave_the_image():
    rows, columns = np.meshgrid(np.arange(9.0), np.arange(14.0), indexing="ij")
    image = jnp.asarray(np.stack([np.ones_like(rows), rows, columns], axis=-1), jnp.float32)
    keys = jax.random.split(KEY, 400)
    shares = jnp.concatenate([jnp.full(200, 0.5), jnp.linspace(0.05, 1.0, 200)])
    pieces = np.asarray(jax.jit(jax.vmap(lambda k, s: augmentations.random_resized_crop(k, image, s, 6)))(keys, shares))
    # Beyond an edge there would be zeros.
    np.testing.assert_allclose(pieces[..., 0], 1.0, atol=1e-5)
    half = pieces[:200]  # 4.5 pixels wide: centres from 2.25 to 6.75 rows, to 11.75 columns, half a pixel less as index
    for channel, last in ((1, 6.25), (2, 11.25)):
        centers = half[..., channel].mean(axis=(1, 2))
        assert 1.75 - 0.05 <= centers.min() < 2.0 and last - 0.25 < centers.max() <= last + 0.05
        assert centers.mean() == pytest.approx((1.75 + last) / 2, abs=4 * (last - 1.75) / np.sqrt(12 * 200))
        assert len(np.unique(np.round(centers, 4))) > 150  # of no whole pixels


def test_a_window_hands_its_gradient_to_the_pixels_that_it_shows():
    image = jnp.ones((8, 8, 2))
    of_image = jax.grad(lambda x: augmentations.crop_and_resize(x, 2.0, 4.0, 4.0, 8).sum())(image)
    # Eight by eight pixels are shown of four by four; those beside it are mixed into its rim.
    assert float(of_image.sum()) == pytest.approx(2 * 64, rel=1e-5)
    np.testing.assert_allclose(of_image[0], 0, atol=1e-6)
    np.testing.assert_allclose(of_image[3:5, 5:7], 4, atol=1e-5)


def test_composite_over():
    color, opacity = jnp.full((2, 2, 3), 0.25), jnp.full((2, 2), 0.5)
    np.testing.assert_allclose(augmentations.composite_over(jnp.ones((2, 2, 3)), color, opacity), 0.75)
