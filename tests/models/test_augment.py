"""Backgrounds, blur and crops against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from bench.errors import UsageError
from models import augment

KEY = jax.random.key(3)


def test_checkerboard_has_two_colors_and_as_many_squares():
    board = np.asarray(augment.checkerboard(KEY, 16, 8))
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
    np.testing.assert_allclose(augment.fourier_texture(KEY, size), wanted, atol=2e-5)


def test_uniform_noise_fills_the_range_and_gaussian_noise_stays_in_it():
    noise = np.asarray(augment.uniform_noise(KEY, 64))
    assert noise.mean() == pytest.approx(0.5, abs=0.01) and noise.std() == pytest.approx(12**-0.5, abs=0.01)
    noise = np.asarray(augment.gaussian_noise(KEY, 64))
    assert noise.min() >= 0 and noise.max() <= 1 and noise.std() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("std_px", [0.7, 2.0])
def test_blur_is_scipys_with_a_kernel_of_fifteen(std_px):
    image = np.random.default_rng(0).random((20, 20, 3)).astype(np.float32)
    wanted = ndimage.gaussian_filter(image, (std_px, std_px, 0), radius=(7, 7, 0), mode="mirror")
    np.testing.assert_allclose(augment.blurred(jnp.asarray(image), std_px), wanted, atol=1e-5)


def test_no_blur_leaves_the_image():
    image = jnp.asarray(np.random.default_rng(0).random((9, 9, 1)), jnp.float32)
    np.testing.assert_allclose(augment.blurred(image, 0.0), image, atol=1e-6)


def test_a_whole_window_is_the_image_and_a_shifted_one_is_moved():
    image = jnp.asarray(np.random.default_rng(0).random((8, 8, 4)), jnp.float32)
    np.testing.assert_allclose(augment.window(image, 0.0, 0.0, 8.0, 8), image, atol=1e-6)
    moved = augment.window(image, 2.0, 3.0, 8.0, 8)
    np.testing.assert_allclose(moved[:6, :5], image[2:, 3:], atol=1e-6)
    np.testing.assert_allclose(moved[6:], 0.0, atol=1e-6)


def test_a_crop_is_a_piece_of_the_image():
    image = jnp.arange(100.0).reshape(10, 10, 1)
    piece = np.asarray(augment.random_crop(KEY, image, 4, 4))[..., 0]
    row, column = divmod(int(piece[0, 0]), 10)
    assert 0 <= row <= 6 and 0 <= column <= 6
    np.testing.assert_allclose(piece, np.asarray(image)[row : row + 4, column : column + 4, 0], atol=1e-4)


def test_a_crop_has_gradients_for_what_it_shows_only():
    image = jnp.ones((10, 10, 1))
    grads = np.asarray(jax.grad(lambda x: augment.random_crop(KEY, x, 4, 8).sum())(image))
    assert ((grads > 0).sum(), (grads < 0).sum()) == (16, 0)


def test_every_kind_is_drawn():
    keys = jax.random.split(KEY, 60)
    drawn = np.asarray(
        jax.vmap(lambda key: augment.background(key, 8, ("white", "black", "checkerboard"), max_blur_px=0.0))(keys)
    )
    plain = [(image == 1).all() + 2 * (image == 0).all() for image in drawn]
    assert {0, 1, 2} == set(plain)


def test_composited():
    color, opacity = jnp.full((2, 2, 3), 0.25), jnp.full((2, 2), 0.5)
    np.testing.assert_allclose(augment.composited(color, opacity, jnp.ones((2, 2, 3))), 0.75)


def test_unknown_background():
    with pytest.raises(UsageError, match=r"method: expected a background, got 'wite'; .*white"):
        augment.check_backgrounds("method", ("wite",))
    with pytest.raises(UsageError, match="expected at least one background, got none"):
        augment.check_backgrounds("method", ())
