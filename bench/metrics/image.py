"""Compares a rendered view with the true one, pixel by pixel: PSNR and SSIM in the definitions that papers use.

All are pure functions of images in [0, 1], one number an image, in float32 at highest precision. A protocol decides
what is fed to them: clipped or not, on 8 bits or not (`bench.metrics.photo_protocols`).

To add a metric: write its function here, then add it to the lists that `bench/metrics/registry.py` names.

A mask is 1 where a pixel counts and 0 where it does not. What lies outside of it, in either image, changes no number:
sums are divided by the mask's area, and SSIM takes the windows that lie wholly inside.

*b: any leading axes, h and w: pixels of a view, n: views.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

SSIM_MIN_PX = 11
"""Smallest width and height with a whole Gaussian window."""
SSIM_SK7_MIN_PX = 7
"""Smallest width and height with a whole 7 x 7 window."""
MSE_FLOOR = 1e-10
"""Equal images get 100 dB, not infinity: a single one would decide a mean."""

_C1 = 0.01**2
_C2 = 0.03**2
_SSIM_SIGMA = 1.5
_SMALLEST_VARIANCE = float(np.finfo(np.float32).eps) ** 2

_CHUNK_VIEWS = 5  # divides 25 and 200, the test views of the protocols: no chunk is filled up in vain
_CHUNKS_AHEAD = 2  # on the device, beside the one that is read
_CHUNK_PX = {"cpu": 2**18, "accelerator": 2**20}
"""Pixels that are scored at a time: VGG keeps 256 bytes of each for every one of its first layers.

A core takes 400 px views one by one. An accelerator takes five at once, as each call costs the host time.
"""


def mse(
    prediction: Float[Array, "*b h w 3"], truth: Float[Array, "*b h w 3"], mask: Float[Array, "*b h w"] | None = None
) -> Float[Array, "*b"]:
    """Average the squared error over pixels and channels.

    Args:
        prediction: The rendered view.
        truth: In [0, 1].
        mask: Weight of each pixel; None if all count.

    Example:
        >>> print(mse(jnp.full((2, 2, 3), 0.5), jnp.zeros((2, 2, 3))))
        0.25
    """
    errors = jnp.square(prediction - truth)
    return jnp.mean(errors, axis=(-3, -2, -1)) if mask is None else mean_in_mask(jnp.mean(errors, axis=-1), mask)


def mean_in_mask(values: Float[Array, "*b h w"], mask: Float[Array, "*b h w"]) -> Float[Array, "*b"]:
    """Average values over a mask, divided by its area; 0 where it is empty.

    Example:
        >>> print(mean_in_mask(jnp.array([[1.0, 3.0], [5.0, 7.0]]), jnp.array([[1.0, 1.0], [0.0, 0.0]])))
        2.0
    """
    area = jnp.sum(mask, axis=(-2, -1))
    # `where`, not a product alone: what does not count need not be finite.
    return jnp.sum(jnp.where(mask > 0, values, 0) * mask, axis=(-2, -1)) / jnp.where(area > 0, area, 1)


def whole_windows(mask: Float[Array, "*b h w"], window_px: int) -> Float[Array, "*b i j"]:
    """Tell of each window with pixels from the image alone whether all of them count: 1 if so, else 0.

    Example:
        >>> mask = jnp.ones((4, 5)).at[0, 0].set(0)
        >>> print(whole_windows(mask, 3))
        [[0. 1. 1.]
         [1. 1. 1.]]
    """
    window = (*(1,) * (mask.ndim - 2), window_px, window_px)
    least = jax.lax.reduce_window(mask, jnp.inf, jax.lax.min, window, (1,) * mask.ndim, "valid")
    return (least > 0).astype(jnp.float32)


def decibels(squared_error: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """Convert a mean squared error to a peak signal-to-noise ratio for a peak of 1, at most 100 dB.

    Example:
        >>> print(decibels(jnp.array([0.01, 0.0])))
        [ 20. 100.]
    """
    return -10 * jnp.log10(jnp.maximum(squared_error, MSE_FLOOR))


def psnr(
    prediction: Float[Array, "*b h w 3"],
    truth: Float[Array, "*b h w 3"],
    mask: Float[Array, "*b h w"] | None = None,
    *,
    clip: bool = True,
) -> Float[Array, "*b"]:
    """Compute the peak signal-to-noise ratio in dB, at most 100.

    Args:
        prediction: The rendered view.
        truth: In [0, 1].
        mask: See `mse`.
        clip: Bring the prediction to [0, 1] first. DietNeRF's code does not.

    Example:
        >>> bright = jnp.full((2, 2, 3), 1.1)
        >>> white = jnp.ones((2, 2, 3))
        >>> print(f"{psnr(bright, white):.2f} {psnr(bright, white, clip=False):.2f}")
        100.00 20.00
    """
    return decibels(mse(jnp.clip(prediction, 0, 1) if clip else prediction, truth, mask))


def to_8bit(image: Float[Array, "*b h w 3"], rounding: Literal["round", "truncate"]) -> Float[Array, "*b h w 3"]:
    """Round an image to the values that it has after it was saved with 8 bits and read again, as floats in [0, 1].

    Args:
        image: Clipped to [0, 1] first.
        rounding: "truncate" is what `to8b` of the NeRF code does, half a level darker on average.

    Example:
        >>> grey = jnp.full((1, 1, 3), 0.501)  # 127.755 of 255
        >>> [f"{255 * to_8bit(grey, how)[0, 0, 0]:.2f}" for how in ("round", "truncate")]
        ['128.00', '127.00']
    """
    levels = jnp.clip(image, 0, 1) * 255
    return (jnp.round(levels) if rounding == "round" else jnp.floor(levels)) / 255


def psnr_u8(
    prediction: Float[Array, "*b h w 3"], truth: Float[Array, "*b h w 3"], mask: Float[Array, "*b h w"] | None = None
) -> Float[Array, "*b"]:
    """Compute PSNR of both images rounded to 8 bits, as from saved PNG files; it differs above 40 dB only.

    Example:
        >>> image = jnp.full((2, 2, 3), 0.5)
        >>> print(psnr_u8(image, image + 0.001))  # 127.50 and 127.755 of 255: both are saved as 128
        100.0
    """
    return psnr(to_8bit(prediction, "round"), to_8bit(truth, "round"), mask)


def psnr_foreground(
    prediction: Float[Array, "*b h w 3"],
    truth: Float[Array, "*b h w 3"],
    alpha: Float[Array, "*b h w"],
    mask: Float[Array, "*b h w"] | None = None,
) -> tuple[Float[Array, "*b"], Bool[Array, "*b"]]:
    """Compute PSNR over the pixels on the object: a wide white background otherwise adds some dB for every method.

    Args:
        prediction: The rendered view; clipped to [0, 1].
        truth: In [0, 1].
        alpha: The true one; above 0.5 is foreground.
        mask: See `mse`.

    Returns:
        The number, and whether there is any foreground; without any the number means nothing.

    Example:
        >>> truth = jnp.zeros((2, 2, 3))
        >>> alpha = jnp.array([[1.0, 0.0], [0.0, 0.0]])
        >>> prediction = truth.at[0, 0].set(0.1)
        >>> value, has_foreground = psnr_foreground(prediction, truth, alpha)
        >>> print(f"{value:.2f} {has_foreground} {psnr(prediction, truth):.2f}")
        20.00 True 26.02
    """
    inside = (alpha > 0.5).astype(jnp.float32)
    errors = jnp.mean(jnp.square(jnp.clip(prediction, 0, 1) - truth), axis=-1)
    if mask is not None:
        return decibels(mean_in_mask(errors, inside * mask)), jnp.sum(inside * mask, axis=(-2, -1)) > 0
    # Divided by the mask's area, not by the image's: the latter grows with the background (nerfbaselines does that).
    num_inside = jnp.sum(inside, axis=(-2, -1))
    return decibels(jnp.sum(errors * inside, axis=(-2, -1)) / jnp.maximum(num_inside, 1)), num_inside > 0


def ssim(
    prediction: Float[Array, "*b h w 3"], truth: Float[Array, "*b h w 3"], mask: Float[Array, "*b h w"] | None = None
) -> Float[Array, "*b"]:
    """Compute SSIM with a Gaussian window of 11 px and sigma 1.5 where it is whole, range 1, mean over channels.

    This is the definition of `tf.image.ssim` and dm_pix; torchmetrics counts windows over the border too.

    Args:
        prediction: The rendered view.
        truth: In [0, 1].
        mask: Then a window is whole where it lies in the mask; 0 where there is none. None if all pixels count.

    Raises:
        ValueError: If the images are smaller than the window.

    References:
        Wang et al., Image quality assessment: from error visibility to structural similarity, 2004.

    Example:
        >>> truth = jnp.linspace(0, 1, 12 * 12 * 3).reshape(12, 12, 3)
        >>> print(f"{ssim(truth, truth):.4f} {ssim(1 - truth, truth):.2f}")
        1.0000 -0.93
    """
    _check_size("ssim", prediction.shape, SSIM_MIN_PX)
    mean_x = _blur(prediction)
    mean_y = _blur(truth)
    # Rounding may take a variance below 0, and a covariance above what variances allow.
    variance_x = jnp.maximum(_blur(prediction**2) - mean_x**2, _SMALLEST_VARIANCE)
    variance_y = jnp.maximum(_blur(truth**2) - mean_y**2, _SMALLEST_VARIANCE)
    covariance = _blur(prediction * truth) - mean_x * mean_y
    most = jnp.sqrt(variance_x * variance_y)
    covariance = jnp.clip(covariance, -most, most)
    similarity = ((2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)) / (
        (mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2)
    )
    if mask is not None:
        return mean_in_mask(jnp.mean(similarity, axis=-1), whole_windows(mask, SSIM_MIN_PX))
    return jnp.mean(similarity, axis=(-3, -2, -1))


def _blur(x: Float[Array, "*b h w 3"]) -> Float[Array, "*b i j 3"]:
    """Average over a Gaussian window, across and then down: sums of shifted images, which compile to two loops.

    As convolutions of one channel they take several times as long, on a GPU and on a CPU.
    """
    offsets = np.arange(SSIM_MIN_PX) - SSIM_MIN_PX // 2
    weights = np.exp(-0.5 * (offsets / _SSIM_SIGMA) ** 2)
    weights /= weights.sum()
    for axis in (x.ndim - 2, x.ndim - 3):
        size = x.shape[axis] - SSIM_MIN_PX + 1
        shifted = [jax.lax.slice_in_dim(x, k, k + size, axis=axis) for k in range(SSIM_MIN_PX)]
        total = jnp.zeros_like(shifted[0])
        for weight, part in zip(weights, shifted, strict=True):
            total += float(weight) * part
        x = jax.lax.optimization_barrier(total)  # else the second loop computes the first one again at every pixel
    return x


def ssim_sk7(
    prediction: Float[Array, "*b h w 3"], truth: Float[Array, "*b h w 3"], mask: Float[Array, "*b h w"] | None = None
) -> Float[Array, "*b"]:
    """Compute SSIM as in scikit-image: uniform 7 x 7 window, sample covariance, border of 3 px left out.

    These are the defaults of scikit-image before 0.18 at range 1, as DietNeRF and pixelNeRF use them.

    Args:
        prediction: The rendered view.
        truth: In [0, 1].
        mask: See `ssim`.

    Raises:
        ValueError: If the images are smaller than the window.

    Example:
        >>> truth = jnp.linspace(0, 1, 12 * 12 * 3).reshape(12, 12, 3)
        >>> print(f"{ssim_sk7(truth, truth):.4f} {ssim_sk7(1 - truth, truth):.2f}")
        1.0000 -0.83
    """
    _check_size("ssim_sk7", prediction.shape, SSIM_SK7_MIN_PX)
    num_px = 7 * 7

    def window_mean(x: Float[Array, "*b h w 3"]) -> Float[Array, "*b i j 3"]:
        # Down, then across: 14 additions a pixel and not 49.
        for axis in (x.ndim - 3, x.ndim - 2):
            window = tuple(7 if i == axis else 1 for i in range(x.ndim))
            x = jax.lax.reduce_window(x, 0.0, jax.lax.add, window, (1,) * x.ndim, "valid")
        return x / num_px

    # A constant changes no variance; subtracting the image's mean keeps digits from cancelling in float32.
    offset = jnp.mean(truth, axis=(-3, -2), keepdims=True)
    x = prediction - offset
    y = truth - offset
    mean_x = window_mean(x)
    mean_y = window_mean(y)
    sample = num_px / (num_px - 1)
    variance_x = sample * (window_mean(x * x) - mean_x * mean_x)
    variance_y = sample * (window_mean(y * y) - mean_y * mean_y)
    covariance = sample * (window_mean(x * y) - mean_x * mean_y)
    mean_x += offset
    mean_y += offset
    similarity = ((2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)) / (
        (mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2)
    )
    if mask is not None:
        return mean_in_mask(jnp.mean(similarity, axis=-1), whole_windows(mask, SSIM_SK7_MIN_PX))
    return jnp.mean(similarity, axis=(-3, -2, -1))


def per_image(score: Callable[..., Any], *images: Shaped[np.ndarray, "n h w ..."]) -> Any:
    """Call a compiled scorer on views in chunks of one size, so that digits do not depend on the number of views.

    The last chunk is filled up with copies. So there is one program an image size, also for a view alone.

    Args:
        score: Takes stacked views and gives arrays (or tuples of arrays) with one entry a view.
        images: Arrays with the views in front, at least one.

    Returns:
        The scores as NumPy arrays over all views.

    Example:
        >>> views = np.zeros((7, 4, 4, 3), np.float32)
        >>> print(per_image(jax.jit(mse), views, views + np.float32(0.5)))
        [0.25 0.25 0.25 0.25 0.25 0.25 0.25]
    """
    [scores] = per_image_by_each([score], *images)
    return scores


def per_image_by_each(scores: Sequence[Callable[..., Any]], *images: Shaped[np.ndarray, "n h w ..."]) -> list[Any]:
    """Call several compiled scorers as `per_image` does; views go to the device once for all of them.

    The device does not wait for this process: it gets the next chunk before the numbers of the last one are read.

    Example:
        >>> views = np.zeros((7, 4, 4, 3), np.float32)
        >>> errors, decibels = per_image_by_each([jax.jit(mse), jax.jit(psnr)], views, views + np.float32(0.1))
        >>> print(errors[0].round(3), decibels[0].round(3))
        0.01 20.0
    """
    return per_chunk(lambda start, *views: [score(*views) for score in scores], *images)


def per_chunk(call: Callable[..., list[Any]], *images: Shaped[np.ndarray, "n h w ..."]) -> list[Any]:
    """Call a function with the first view's place and the views of each chunk, as `per_image_by_each` does.

    It gets float16 as float32, see `put_chunk`.

    Args:
        call: Gives a list of arrays (or tuples of arrays) with one entry a view.
        images: Arrays with the views in front, at least one.

    Returns:
        The same list, over all views.
    """
    num_views, height, width = images[0].shape[:3]
    running: deque[list[Any]] = deque()
    parts: list[list[Any]] = []
    for start in range(0, num_views, _chunk_size(height, width)):
        running.append(call(start, *put_chunk(images, start)))
        if len(running) > _CHUNKS_AHEAD:
            parts.append(jax.device_get(running.popleft()))
    parts += jax.device_get(list(running))

    def join(*chunks: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
        return np.concatenate(chunks)[:num_views]

    return [jax.tree.map(join, *of_one) for of_one in zip(*parts, strict=True)]


def put_chunk(images: Sequence[Shaped[np.ndarray, "n h w ..."]], start: int) -> list[Shaped[Array, "k h w ..."]]:
    """Begin to bring the chunk of views that starts at a place to the device; the last one is filled up with copies.

    Numbers of float16 are sent as such, in half of the bytes, and converted to float32 there, which is exact. That is a
    program of its own, so that what follows is the same program, with the same digits, as for views of float32.

    Example:
        >>> views = np.full((7, 4, 4, 3), 0.1, np.float16)
        >>> [chunk] = put_chunk([views], 5)
        >>> print(chunk.shape, chunk.dtype, chunk[0, 0, 0, 0])
        (5, 4, 4, 3) float32 0.099975586
    """
    num_views, height, width = images[0].shape[:3]
    stop = start + _chunk_size(height, width)
    if stop <= num_views:
        parts = [x[start:stop] for x in images]
    else:
        index = np.minimum(np.arange(start, stop), num_views - 1)
        parts = [x[index] for x in images]
    return [_to_float32(x) if x.dtype == np.float16 else x for x in jax.device_put(parts)]


@jax.jit
def _to_float32(x: Float[Array, "..."]) -> Float[Array, "..."]:
    return x.astype(jnp.float32)


def _chunk_size(height: int, width: int) -> int:
    """Return the number of views that are scored at a time."""
    most_px = _CHUNK_PX["cpu" if jax.default_backend() == "cpu" else "accelerator"]
    return max(1, min(_CHUNK_VIEWS, most_px // (height * width)))


def _check_size(name: str, shape: tuple[int, ...], min_px: int) -> None:
    if min(shape[-3:-1]) < min_px:
        raise ValueError(f"{name}: expected images of at least {min_px} px, got {shape[-2]} x {shape[-3]}")
