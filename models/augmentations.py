"""What stands between a render and an encoder: backgrounds behind it, crops of it, blur and noise.

All are functions of one image; map them over a batch. Dream Fields hides an object from its encoder's tricks with
them: what must look right in many crops, before many backgrounds, must be solid.

h and w: pixels of an image, H and W: of another size, c: channels.

References:
    Dream Fields: Jain et al. 2022, https://arxiv.org/abs/2112.01455, section 4.5 and appendix C.
    The texture's spectrum and its colours: Olah et al. 2017, https://distill.pub/2017/feature-visualization.
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
"""Width of the kernel that backgrounds are blurred with, as released; wider blurs are cut off by it."""

_COLOR_AXES = np.asarray([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
# How the colours of natural photographs vary together (Olah et al.); its longest column is brought to length 1.
_COLORS = (_COLOR_AXES / np.linalg.norm(_COLOR_AXES, axis=0).max()).astype(np.float32)


def uniform_noise(key: PRNGKeyArray, image_px: int) -> Float[Array, "h w 3"]:
    """Every value anew, even in [0, 1]: what the released code of Dream Fields has."""
    return _uniform_noise(_drawn(key, image_px), image_px)


def gaussian_noise(key: PRNGKeyArray, image_px: int) -> Float[Array, "h w 3"]:
    """Every value anew, around mid-grey, cut off at 0 and 1: what the paper's text says."""
    return _gaussian_noise(_drawn(key, image_px), image_px)


def checkerboard(key: PRNGKeyArray, image_px: int, num_squares: int = 8) -> Float[Array, "h w 3"]:
    """Squares of two random colours.

    Args:
        key: Of the colours.
        image_px: Width and height.
        num_squares: Along a side.
    """
    return _checkerboard(jax.random.uniform(key, (6,)), image_px, num_squares)


def fourier_texture(
    key: PRNGKeyArray, image_px: int, std: float = 0.2, decay_power: float = 1.5
) -> Float[Array, "h w 3"]:
    """A cloudy texture: random waves, longer ones stronger, in the colours of natural photographs.

    Args:
        key: Of the waves.
        image_px: Width and height.
        std: Of a wave's amplitude before it is weighed.
        decay_power: How fast amplitudes fall with frequency.
    """
    return _fourier_texture(_drawn(key, image_px), image_px, std, decay_power)


def white(key: PRNGKeyArray, image_px: int) -> Float[Array, "h w 3"]:
    """Plain white."""
    return jnp.ones((image_px, image_px, 3))


def black(key: PRNGKeyArray, image_px: int) -> Float[Array, "h w 3"]:
    """Plain black."""
    return jnp.zeros((image_px, image_px, 3))


BACKGROUNDS: dict[str, Callable[[PRNGKeyArray, int], Float[Array, "h w 3"]]] = {
    "uniform noise": uniform_noise,
    "gaussian noise": gaussian_noise,
    "checkerboard": checkerboard,
    "fourier texture": fourier_texture,
    "white": white,
    "black": black,
}

PLAIN: dict[str, float] = {"white": 1.0, "black": 0.0}
"""Grey levels of the kinds that a blur leaves as they are."""

DREAM_FIELDS: tuple[Background, ...] = ("uniform noise", "checkerboard", "fourier texture")
"""The three that the released code draws from, with equal chances."""


def _drawn(key: PRNGKeyArray, image_px: int) -> Float[Array, " n"]:
    """The numbers, even in [0, 1), that any background is made of: as many as the one that needs most, the texture.

    A kind takes the first ones. Flat, since to draw an array of three axes takes four times as long on a CPU.
    """
    return jax.random.uniform(key, (2 * image_px * (image_px // 2 + 1) * 3,))


def _normal(even: Float[Array, " n"]) -> Float[Array, " n"]:
    """Normally distributed numbers, those that `jax.random.normal` makes of the same even ones."""
    above = np.nextafter(np.float32(-1), np.float32(0))
    return np.float32(2**0.5) * jax.lax.erf_inv(jnp.maximum(above, 2 * even + above))


def _uniform_noise(even: Float[Array, " n"], image_px: int) -> Float[Array, "h w 3"]:
    return even[: 3 * image_px**2].reshape(image_px, image_px, 3)


def _gaussian_noise(even: Float[Array, " n"], image_px: int) -> Float[Array, "h w 3"]:
    return jnp.clip(0.5 + 0.2 * _uniform_noise(_normal(even), image_px), 0.0, 1.0)


def _checkerboard(even: Float[Array, " n"], image_px: int, num_squares: int = 8) -> Float[Array, "h w 3"]:
    first, second = even[:6].reshape(2, 3)
    square = jnp.arange(image_px) * num_squares // image_px
    is_first = (square[:, None] + square[None, :]) % 2 == 0
    return jnp.where(is_first[..., None], first[None, None], second[None, None])


def _fourier_texture(
    even: Float[Array, " n"], image_px: int, std: float = 0.2, decay_power: float = 1.5
) -> Float[Array, "h w 3"]:
    rows, columns = np.fft.fftfreq(image_px), np.fft.rfftfreq(image_px)
    frequency = np.maximum(np.hypot(rows[:, None], columns[None, :]), 1.0 / image_px)
    weight = jnp.asarray(image_px / frequency**decay_power, jnp.float32)
    real, imaginary = std * _normal(even).reshape(2, *frequency.shape, 3)
    waves = jnp.fft.irfft2(jax.lax.complex(real, imaginary) * weight[..., None], (image_px, image_px), axes=(0, 1)) / 4
    # Sums: a matmul by a matrix of three rows takes three times as long on a CPU.
    mixed = [sum(waves[..., axis] * _COLORS[channel, axis] for axis in range(3)) for channel in range(3)]
    return jax.nn.sigmoid(jnp.stack(mixed, axis=-1))


_PATTERNS: dict[str, Callable[[Float[Array, " n"], int], Float[Array, "h w 3"]]] = {
    "uniform noise": _uniform_noise,
    "gaussian noise": _gaussian_noise,
    "checkerboard": _checkerboard,
    "fourier texture": _fourier_texture,
}
"""Those of `BACKGROUNDS` that are not plain, made of numbers already drawn."""


def background(
    key: PRNGKeyArray, image_px: int, kinds: tuple[Background, ...] = DREAM_FIELDS, max_blur_px: float = 10.0
) -> Float[Array, "h w 3"]:
    """One of some kinds, blurred by a random amount.

    Args:
        key: Of the choice, the background and the blur.
        image_px: Width and height.
        kinds: Drawn from with equal chances.
        max_blur_px: The blur's standard deviation is even in [0, max_blur_px]; 0 for none. It is in pixels of the
            background, as released: a smaller image is blurred more.
    """
    kind_key, key, blur_key = jax.random.split(key, 3)
    makers = [BACKGROUNDS[kind] for kind in kinds]
    if len(makers) == 1:
        made = makers[0](key, image_px)
    else:
        which = jax.random.randint(kind_key, (), 0, len(makers))
        made = jax.lax.switch(which, [lambda k, make=make: make(k, image_px) for make in makers], key)
    if max_blur_px == 0 or set(kinds) <= set(PLAIN):
        return made
    return blurred(made, jax.random.uniform(blur_key, (), maxval=max_blur_px))


def chosen_background(
    key: PRNGKeyArray, image_px: int, shares: Float[Array, " b"], max_blur_px: Float[Array, ""]
) -> Float[Array, "h w 3"]:
    """As `background`, where what it chooses from is known only when the program runs, as for trials in a pack.

    All kinds are made, of the same numbers, and one is taken: mapped over keys a `lax.switch` makes all as well, and
    draws for each.

    Args:
        key: See `background`; of one kind the same key makes the same background.
        image_px: Width and height.
        shares: How often each of `BACKGROUNDS` is drawn, in their order; not negative, some above 0, of any sum.
        max_blur_px: See `background`; 0 leaves every value as it is.
    """
    kind_key, key, blur_key = jax.random.split(key, 3)
    which = jax.random.categorical(kind_key, jnp.log(shares))
    even, made = _drawn(key, image_px), jnp.zeros((image_px, image_px, 3))
    for place, kind in enumerate(BACKGROUNDS):
        if kind in _PATTERNS:
            made = jnp.where(which == place, _PATTERNS[kind](even, image_px), made)
    made = blurred(made, jax.random.uniform(blur_key) * max_blur_px)
    for place, kind in enumerate(BACKGROUNDS):
        if kind in PLAIN:
            made = jnp.where(which == place, PLAIN[kind], made)
    return made


def blurred(
    image: Float[Array, "h w c"], std_px: Float[Array, ""] | float, kernel_px: int = BLUR_KERNEL_PX
) -> Float[Array, "h w c"]:
    """Blurred by a Gaussian; beyond its edges an image goes on as its mirror does.

    Args:
        image: Of any range.
        std_px: Standard deviation; 0 leaves the image.
        kernel_px: Odd width of the kernel.
    """
    half = kernel_px // 2
    offsets = jnp.arange(-half, half + 1)
    kernel = jnp.exp(-0.5 * (offsets / jnp.maximum(std_px, 1e-3)) ** 2)
    kernel = kernel / kernel.sum()
    for axis in (0, 1):
        size = image.shape[axis]
        # A band matrix: one product instead of a convolution, which CPUs are slow at inside a scan.
        place = _mirrored(np.arange(size)[:, None] + np.arange(-half, half + 1)[None, :], size)
        rows = jnp.zeros((size, size)).at[np.arange(size)[:, None], place].add(jnp.broadcast_to(kernel, place.shape))
        image = jnp.moveaxis(jnp.tensordot(rows, image, axes=((1,), (axis,)), precision="highest"), 0, axis)
    return image


def _mirrored(index: np.ndarray, size: int) -> np.ndarray:
    """Places in an image of what lies beyond its edges; the pixel at the edge is not doubled."""
    period = max(2 * (size - 1), 1)
    index = np.abs(index) % period
    return np.where(index >= size, period - index, index)


def window(
    image: Float[Array, "h w c"],
    top_px: Float[Array, ""] | float,
    left_px: Float[Array, ""] | float,
    size_px: Float[Array, ""] | float,
    image_px: int,
) -> Float[Array, "H W c"]:
    """A square piece of an image at another size, bilinear, averaged where it shrinks; zero beyond the edges.

    Args:
        image: Premultiplied with its opacity, or opaque.
        top_px: First row, in pixels of the image.
        left_px: First column.
        size_px: Width and height of the piece; more than the image has is a step back.
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


def random_window(
    key: PRNGKeyArray, image: Float[Array, "h w c"], share: Float[Array, ""] | float, image_px: int
) -> Float[Array, "H W c"]:
    """A square window at a random place, all of it in the image, at another size: see `window`.

    Its size may be traced, and its position is not a whole number of pixels.

    Args:
        key: Of the place.
        image: Colour and opacity together, so that they are cropped alike.
        share: The window's side, as a share of the image's shorter one; above 0, at most 1.
        image_px: Width and height of the result.
    """
    height, width = image.shape[:2]
    size = share * min(height, width)
    down, right = jax.random.uniform(key, (2,))
    return window(image, down * (height - size), right * (width - size), size, image_px)


def composited(
    premultiplied: Float[Array, "h w 3"], opacity: Float[Array, "h w"], behind: Float[Array, "h w 3"]
) -> Float[Array, "h w 3"]:
    """An object before a background."""
    return premultiplied + (1 - opacity[..., None]) * behind
