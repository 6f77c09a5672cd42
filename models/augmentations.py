"""Augments renders before an encoder sees them: random backgrounds, crops and blur.

All functions take one image; map them over a batch. Dream Fields uses them against adversarial objects: an object that
must look right in many crops and over many backgrounds has to be solid.

h and w: pixels of an image, H and W: pixels of a result of another size, c: channels, n: random values.

References:
    Dream Fields: Jain et al. 2022, https://arxiv.org/abs/2112.01455, section 4.5 and appendix C.
    Spectrum and colours of the texture: Olah et al. 2017, https://distill.pub/2017/feature-visualization.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

Background: TypeAlias = Literal["uniform noise", "gaussian noise", "checkerboard", "fourier texture", "white", "black"]

BLUR_KERNEL_PX = 15
"""Width of the blur kernel, as in the released code. A wider blur is truncated."""

_COLOR_AXES = np.asarray([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
# Colour correlation of natural photographs (Olah et al.), scaled so that its longest column has length 1.
_COLORS = (_COLOR_AXES / np.linalg.norm(_COLOR_AXES, axis=0).max()).astype(np.float32)


def uniform_noise(key: PRNGKeyArray, image_px: int) -> Float[Array, "h w 3"]:
    """Draws noise that is uniform in [0, 1], as the released code of Dream Fields does."""
    return _uniform_noise(_random_values(key, image_px), image_px)


def gaussian_noise(key: PRNGKeyArray, image_px: int) -> Float[Array, "h w 3"]:
    """Draws Gaussian noise around mid-grey, clipped to [0, 1], as the paper's text says."""
    return _gaussian_noise(_random_values(key, image_px), image_px)


def checkerboard(key: PRNGKeyArray, image_px: int, num_squares: int = 8) -> Float[Array, "h w 3"]:
    """Draws a checkerboard of two random colours.

    Args:
        key: Of the colours.
        image_px: Width and height.
        num_squares: Squares along a side.
    """
    return _checkerboard(jax.random.uniform(key, (6,)), image_px, num_squares)


def fourier_texture(
    key: PRNGKeyArray, image_px: int, std: float = 0.2, decay_power: float = 1.5
) -> Float[Array, "h w 3"]:
    """Draws a cloudy texture: random waves, with larger amplitudes at longer wavelengths, in natural colours.

    Args:
        key: Of the waves.
        image_px: Width and height.
        std: Standard deviation of an amplitude before it is weighted by its frequency.
        decay_power: Power of the frequency by which amplitudes fall.
    """
    return _fourier_texture(_random_values(key, image_px), image_px, std, decay_power)


def white(key: PRNGKeyArray, image_px: int) -> Float[Array, "h w 3"]:
    """Make a white background."""
    return jnp.ones((image_px, image_px, 3))


def black(key: PRNGKeyArray, image_px: int) -> Float[Array, "h w 3"]:
    """Make a black background."""
    return jnp.zeros((image_px, image_px, 3))


BACKGROUNDS: dict[str, Callable[[PRNGKeyArray, int], Float[Array, "h w 3"]]] = {
    "uniform noise": uniform_noise,
    "gaussian noise": gaussian_noise,
    "checkerboard": checkerboard,
    "fourier texture": fourier_texture,
    "white": white,
    "black": black,
}

CONSTANT_BACKGROUNDS: dict[str, float] = {"white": 1.0, "black": 0.0}
"""Grey levels of the constant kinds, which a blur does not change."""

DREAM_FIELDS_BACKGROUNDS: tuple[Background, ...] = ("uniform noise", "checkerboard", "fourier texture")
"""The three kinds that the released code draws from, with equal probability."""


def _random_values(key: PRNGKeyArray, image_px: int) -> Float[Array, " n"]:
    """Draws the uniform values in [0, 1) that any background is made of: as many as the texture, which needs most.

    The other kinds use the first ones. The array is flat, because drawing one of three axes is four times as slow on a
    CPU.
    """
    return jax.random.uniform(key, (2 * image_px * (image_px // 2 + 1) * 3,))


def _to_normal(uniform: Float[Array, " n"]) -> Float[Array, " n"]:
    """Turn uniform values into normally distributed ones, exactly as `jax.random.normal` does."""
    above = np.nextafter(np.float32(-1), np.float32(0))
    return np.float32(2**0.5) * jax.lax.erf_inv(jnp.maximum(above, 2 * uniform + above))


def _uniform_noise(uniform: Float[Array, " n"], image_px: int) -> Float[Array, "h w 3"]:
    return uniform[: 3 * image_px**2].reshape(image_px, image_px, 3)


def _gaussian_noise(uniform: Float[Array, " n"], image_px: int) -> Float[Array, "h w 3"]:
    return jnp.clip(0.5 + 0.2 * _uniform_noise(_to_normal(uniform), image_px), 0.0, 1.0)


def _checkerboard(uniform: Float[Array, " n"], image_px: int, num_squares: int = 8) -> Float[Array, "h w 3"]:
    first, second = uniform[:6].reshape(2, 3)
    square = jnp.arange(image_px) * num_squares // image_px
    is_first = (square[:, None] + square[None, :]) % 2 == 0
    return jnp.where(is_first[..., None], first[None, None], second[None, None])


def _fourier_texture(
    uniform: Float[Array, " n"], image_px: int, std: float = 0.2, decay_power: float = 1.5
) -> Float[Array, "h w 3"]:
    row_frequency = np.fft.fftfreq(image_px)[:, None]
    column_frequency = np.fft.rfftfreq(image_px)[None, :]
    frequency = np.maximum(np.hypot(row_frequency, column_frequency), 1.0 / image_px)
    weight = jnp.asarray(image_px / frequency**decay_power, jnp.float32)
    real, imaginary = std * _to_normal(uniform).reshape(2, *frequency.shape, 3)
    waves = jnp.fft.irfft2(jax.lax.complex(real, imaginary) * weight[..., None], (image_px, image_px), axes=(0, 1)) / 4
    return jax.nn.sigmoid(jnp.stack([_mix_axes(waves, weights) for weights in _COLORS], axis=-1))


def _mix_axes(waves: Float[Array, "h w 3"], weights: Float[np.ndarray, "3"]) -> Float[Array, "h w"]:
    """Compute one colour channel. A product with a matrix of three rows would be three times as slow on a CPU."""
    return sum(waves[..., axis] * weights[axis] for axis in range(3))


_PATTERNS: dict[str, Callable[[Float[Array, " n"], int], Float[Array, "h w 3"]]] = {
    "uniform noise": _uniform_noise,
    "gaussian noise": _gaussian_noise,
    "checkerboard": _checkerboard,
    "fourier texture": _fourier_texture,
}
"""Kinds of `BACKGROUNDS` that are not constant, as functions of values that are already drawn."""


def sample_background(
    key: PRNGKeyArray,
    image_px: int,
    kinds: tuple[Background, ...] = DREAM_FIELDS_BACKGROUNDS,
    max_blur_px: float = 10.0,
) -> Float[Array, "h w 3"]:
    """Sample a background of one of the given kinds, blurred by a random amount.

    Args:
        key: Of the kind, the background and the blur.
        image_px: Width and height.
        kinds: Drawn from with equal probability.
        max_blur_px: The standard deviation of the blur is uniform in [0, max_blur_px]; 0 for no blur. It is in pixels
            of the background, as released: a smaller image is blurred more.
    """
    kind_key, key, blur_key = jax.random.split(key, 3)
    makers = [BACKGROUNDS[kind] for kind in kinds]
    if len(makers) == 1:
        image = makers[0](key, image_px)
    else:
        index = jax.random.randint(kind_key, (), 0, len(makers))
        branches = [lambda key, make=make: make(key, image_px) for make in makers]
        image = jax.lax.switch(index, branches, key)
    if max_blur_px == 0 or set(kinds) <= set(CONSTANT_BACKGROUNDS):
        return image
    return blur(image, jax.random.uniform(blur_key, (), maxval=max_blur_px))


def sample_weighted_background(
    key: PRNGKeyArray, image_px: int, weights: Float[Array, " b"], max_blur_px: Float[Array, ""]
) -> Float[Array, "h w 3"]:
    """Do the same as `sample_background` where the kinds are traced, as for the trials of a pack.

    It makes all kinds from the same random values and selects one. A `lax.switch` that is mapped over keys would make
    all kinds too, and would draw values for each.

    Args:
        key: See `sample_background`. With a single kind the same key gives the same background.
        image_px: Width and height.
        weights: Relative frequency of each of `BACKGROUNDS`, in their order; not negative, not all 0, of any sum.
        max_blur_px: See `sample_background`; 0 leaves every value unchanged.
    """
    kind_key, key, blur_key = jax.random.split(key, 3)
    index = jax.random.categorical(kind_key, jnp.log(weights))
    values = _random_values(key, image_px)
    image = jnp.zeros((image_px, image_px, 3))
    for i, kind in enumerate(BACKGROUNDS):
        if kind in _PATTERNS:
            image = jnp.where(index == i, _PATTERNS[kind](values, image_px), image)
    image = blur(image, jax.random.uniform(blur_key) * max_blur_px)
    for i, kind in enumerate(BACKGROUNDS):
        if kind in CONSTANT_BACKGROUNDS:
            image = jnp.where(index == i, CONSTANT_BACKGROUNDS[kind], image)
    return image


def blur(
    image: Float[Array, "h w c"], std_px: Float[Array, ""] | float, kernel_px: int = BLUR_KERNEL_PX
) -> Float[Array, "h w c"]:
    """Blurs an image by a Gaussian. Beyond its edges the image continues as its mirror image.

    Args:
        image: Of any range.
        std_px: Standard deviation; 0 leaves the image unchanged.
        kernel_px: Width of the kernel; an odd number.
    """
    half = kernel_px // 2
    offsets = jnp.arange(-half, half + 1)
    kernel = jnp.exp(-0.5 * (offsets / jnp.maximum(std_px, 1e-3)) ** 2)
    kernel = kernel / kernel.sum()
    for axis in (0, 1):
        size = image.shape[axis]
        # A product with a band matrix instead of a convolution, which is slow inside a scan on a CPU.
        source = _mirror_index(np.arange(size)[:, None] + np.arange(-half, half + 1)[None, :], size)
        band = jnp.zeros((size, size)).at[np.arange(size)[:, None], source].add(jnp.broadcast_to(kernel, source.shape))
        image = jnp.moveaxis(jnp.tensordot(band, image, axes=((1,), (axis,)), precision="highest"), 0, axis)
    return image


def _mirror_index(index: np.ndarray, size: int) -> np.ndarray:
    """Map indices beyond an image's edges to the mirrored pixels inside. The edge pixel is not repeated."""
    period = max(2 * (size - 1), 1)
    index = np.abs(index) % period
    return np.where(index >= size, period - index, index)


def crop_and_resize(
    image: Float[Array, "h w c"],
    top_px: Float[Array, ""] | float,
    left_px: Float[Array, ""] | float,
    size_px: Float[Array, ""] | float,
    image_px: int,
) -> Float[Array, "H W c"]:
    """Crops a square, and resizes it bilinearly with antialiasing. Beyond the image's edges the result is zero.

    Args:
        image: Premultiplied with its opacity, or opaque.
        top_px: First row of the crop, in pixels of the image.
        left_px: First column of the crop.
        size_px: Width and height of the crop. It may exceed the image, which then appears smaller.
        image_px: Width and height of the result.
    """
    scale = image_px / jnp.asarray(size_px, jnp.float32)
    corner = jnp.stack([jnp.asarray(top_px, jnp.float32), jnp.asarray(left_px, jnp.float32)])
    return jax.image.scale_and_translate(
        image,
        (image_px, image_px, image.shape[-1]),
        (0, 1),
        jnp.stack([scale, scale]),
        -corner * scale,
        method="linear",
        precision=jax.lax.Precision.HIGHEST,
    )


def random_resized_crop(
    key: PRNGKeyArray, image: Float[Array, "h w c"], share: Float[Array, ""] | float, image_px: int
) -> Float[Array, "H W c"]:
    """Crops a square at a random position inside the image, and resizes it (see `crop_and_resize`).

    Its size may be traced, and its position is not a whole number of pixels.

    Args:
        key: Of the position.
        image: Colour and opacity together, so that both are cropped alike.
        share: Side of the crop as a share of the image's shorter side; above 0, at most 1.
        image_px: Width and height of the result.
    """
    height, width = image.shape[:2]
    size = share * min(height, width)
    down, right = jax.random.uniform(key, (2,))
    return crop_and_resize(image, down * (height - size), right * (width - size), size, image_px)


def composite_over(
    background: Float[Array, "h w 3"], premultiplied: Float[Array, "h w 3"], opacity: Float[Array, "h w"]
) -> Float[Array, "h w 3"]:
    """Composites an object, whose colours are premultiplied with its opacity, over a background."""
    return premultiplied + (1 - opacity[..., None]) * background
