import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.errors import UsageError
from models.clip import preprocess

RNG = np.random.default_rng(11)


def keys(x):
    """Keys' cubic convolution as the paper (1981, equation 15) writes it."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def slow_rows(image, num_out, kernel, radius):
    """Resizes rows pixel by pixel."""
    num_in = image.shape[0]
    scale = num_in / num_out
    stretch = max(scale, 1.0)
    found = np.zeros((num_out, *image.shape[1:]))
    for o in range(num_out):
        center, total = (o + 0.5) * scale, 0.0
        for i in range(num_in):
            if abs(i + 0.5 - center) < radius * stretch:
                weight = kernel((i + 0.5 - center) / stretch)
                found[o] += weight * image[i]
                total += weight
        found[o] /= total
    return found


def smooth(px, channels=3):
    """A picture without hard edges: nothing overshoots."""
    y, x = np.mgrid[:px, :px] / px
    waves = [0.5 + 0.4 * np.sin(7 * x + 5 * y * (c + 1) + c) for c in range(channels)]
    return np.stack(waves, axis=-1).astype(np.float32)


def rectangles(px):
    """A picture of hard edges, on white."""
    rng = np.random.default_rng(2)
    image = np.full((px, px, 3), 255, np.uint8)
    for _ in range(40):
        (top, bottom), (left, right) = np.sort(rng.integers(0, px, (2, 2)))
        image[top:bottom, left:right] = rng.integers(0, 256, 3)
    return image


@pytest.mark.parametrize("num_out", [5, 16, 24, 37])
def test_resize_equals_its_slow_twin(num_out):
    image = RNG.random((24, 24, 3), np.float32)
    want = slow_rows(slow_rows(image, num_out, keys, 2).swapaxes(0, 1), num_out, keys, 2).swapaxes(0, 1)
    np.testing.assert_allclose(preprocess.resize(jnp.asarray(image), num_out), want, atol=2e-6)
    triangle = lambda x: max(1 - abs(x), 0.0)  # noqa: E731
    want = slow_rows(slow_rows(image, num_out, triangle, 1).swapaxes(0, 1), num_out, triangle, 1).swapaxes(0, 1)
    np.testing.assert_allclose(preprocess.resize(jnp.asarray(image), num_out, kind="bilinear"), want, atol=2e-6)


@pytest.mark.parametrize(("px", "num_out"), [(100, 64), (64, 64), (48, 96), (400, 224), (168, 224)])
def test_resize_differs_from_pil_by_pils_rounding_only(px, num_out):
    image = smooth(px)
    got = np.asarray(preprocess.resize(jnp.asarray(image), num_out))
    bands = [Image.fromarray(image[..., c]).resize((num_out, num_out), Image.Resampling.BICUBIC) for c in range(3)]
    exact = np.stack([np.asarray(band) for band in bands], axis=-1)
    assert np.abs(got - exact).max() < 2e-6  # as the file's head says
    rounded = (255 * image).round().astype(np.uint8)
    bytes_in = np.asarray(preprocess.resize(jnp.asarray(rounded / np.float32(255)), num_out))
    in_bytes = np.asarray(Image.fromarray(rounded).resize((num_out, num_out), Image.Resampling.BICUBIC)) / 255
    difference = np.abs(bytes_in - in_bytes) * 255
    assert difference.max() <= 1.1
    assert difference.mean() <= 0.36


@pytest.mark.parametrize(("px", "num_out"), [(100, 64), (48, 96)])
def test_resize_differs_from_pil_at_hard_edges_by_what_pil_cuts_off(px, num_out):
    image = rectangles(px)
    got = np.asarray(preprocess.resize(jnp.asarray(image / np.float32(255)), num_out))
    want = np.asarray(Image.fromarray(image).resize((num_out, num_out), Image.Resampling.BICUBIC)) / 255
    difference = np.abs(got - want) * 255
    assert 1.1 < difference.max() <= 45 and difference.mean() < 0.8  # as the file's head says
    assert -10 * np.log10(((got.clip(0, 1) - want) ** 2).mean()) > 50


def test_overshoot_is_kept_and_differentiable():
    edge = np.zeros((16, 16, 1), np.float32)
    edge[:, 8:] = 1
    got = preprocess.resize(jnp.asarray(edge), 24)
    assert -0.1 < float(got.min()) < -0.01 and 1.01 < float(got.max()) < 1.1
    gradient = jax.grad(lambda x: preprocess.resize(x, 24).sum())(jnp.asarray(edge))
    # Each pixel of the source is spread over the result: all gradients together are its number of pixels.
    assert float(gradient.sum()) == pytest.approx(24 * 24, rel=1e-5)
    assert bool((gradient > 0).all())


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(["bicubic", "bilinear"]))
def test_weights_of_a_pixel_sum_to_one_and_mirror(num_in, num_out, kind):
    found = preprocess.weights(num_in, num_out, kind)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found, found[::-1, ::-1], atol=1e-5)
    if num_in == num_out:
        np.testing.assert_allclose(found, np.eye(num_in), atol=1e-6)


def test_resize_takes_any_leading_axes():
    images = jnp.asarray(RNG.random((2, 3, 12, 12, 4), np.float32))
    got = preprocess.resize(images, 7)
    assert got.shape == (2, 3, 7, 7, 4)
    np.testing.assert_allclose(got[1, 2], preprocess.resize(images[1, 2], 7), atol=1e-6)


def slow_photo(image, px):
    """OpenAI's and open_clip's pipeline, step by step: torchvision's Resize, CenterCrop and ToTensor."""
    width, height = image.size
    size = (px, int(px * height / width)) if width <= height else (int(px * width / height), px)
    image = image.resize(size, Image.Resampling.BICUBIC) if size != image.size else image
    pixels = np.asarray(image.convert("RGB"))
    top, left = int(round((pixels.shape[0] - px) / 2.0)), int(round((pixels.shape[1] - px) / 2.0))
    return pixels[top : top + px, left : left + px] / np.float32(255)


@pytest.mark.parametrize("size", [(64, 64), (100, 80), (81, 100), (40, 33), (64, 201)])
def test_photo_equals_the_pipeline_step_by_step(size):
    pixels = RNG.integers(0, 256, (size[1], size[0], 3), np.uint8)
    want = slow_photo(Image.fromarray(pixels), 64)
    for given_as in (pixels, Image.fromarray(pixels)):
        np.testing.assert_array_equal(preprocess.photo(given_as, 64), want)


def test_photo_wants_bytes():
    with pytest.raises(UsageError, match=r"photo: .*bytes.*got float64 of shape \(8, 8, 3\)"):
        preprocess.photo(np.zeros((8, 8, 3)), 8)
