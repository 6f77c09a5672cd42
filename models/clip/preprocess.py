"""Resizes pixels to the size of an image tower: on the host exactly as CLIP's own pipeline, or inside a graph.

`photo` applies PIL's bicubic filter with antialiasing, a centre crop, and rounding to bytes, like the pipelines of
OpenAI and open_clip. `resize` applies the same filter as two matrix products, and is differentiable. The only
difference is that PIL rounds to bytes after each of its two passes and clips overshoots. Measured in tests: against PIL
in floating point below 2e-6; against PIL in bytes at most 1.1/255 (mean 0.36/255) without overshoots, and up to 45/255
at hard edges (mean below 0.8/255; 50 dB or more over the image after clipping to [0, 1]).

*b: any leading axes, h and w: pixels, c: colours, o: pixels along one axis of the result, i: of the source.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8

from bench.errors import UsageError

Filter = Literal["bicubic", "bilinear"]

_RADIUS: dict[str, float] = {"bicubic": 2.0, "bilinear": 1.0}


def photo(image: Any, image_px: int) -> Float32[np.ndarray, "{image_px} {image_px} 3"]:
    """Prepare a photo like CLIP's pipeline, but without the normalisation, which `Encoder` does.

    Args:
        image: A PIL image, or bytes as an array `h w 3`. Alpha is dropped, as in CLIP's pipeline: composite first.
        image_px: Image size of the encoder. The shorter side is resized to it, the longer side is cropped.

    Returns:
        In [0, 1].
    """
    from PIL import Image

    if isinstance(image, np.ndarray):
        image = Image.fromarray(_bytes(image))
    image = image.convert("RGB")
    width, height = image.size
    if min(width, height) != image_px:
        short = min(width, height)
        # Rounded down, as torchvision does.
        size = (int(image_px * width / short), int(image_px * height / short))
        image = image.resize(size, Image.Resampling.BICUBIC)
    left = round((image.size[0] - image_px) / 2)
    top = round((image.size[1] - image_px) / 2)
    return np.asarray(image.crop((left, top, left + image_px, top + image_px)), np.float32) / 255


def resize(
    images: Float[Array, "*b h w c"], image_px: int, *, kind: Filter = "bicubic"
) -> Float[Array, "*b {image_px} {image_px} c"]:
    """Resize square views inside a graph, with antialiasing when they shrink.

    Bicubic overshoots at hard edges by up to a tenth. Values may then leave [0, 1], and stay differentiable.

    Args:
        images: Of any range. Views that are not square are squeezed: crop first.
        image_px: Width and height of the result.
        kind: `bicubic` is Keys' filter with a = -1/2, as in PIL. `bilinear` enlarges like PyTorch's `interpolate`, as
            in DietNeRF's released code. When it shrinks it is antialiased, unlike that code.
    """
    height, width = images.shape[-3:-1]
    rows = jnp.asarray(weights(height, image_px, kind), images.dtype)
    columns = jnp.asarray(weights(width, image_px, kind), images.dtype)
    # Full precision, because the error of TF32 is larger than the difference to PIL.
    with jax.default_matmul_precision("highest"):
        images = jnp.einsum("oh,...hwc->...owc", rows, images)
        return jnp.einsum("ow,...hwc->...hoc", columns, images)


@functools.lru_cache(maxsize=64)
def weights(num_in: int, num_out: int, kind: Filter = "bicubic") -> Float32[np.ndarray, "o i"]:
    """Compute the weight of each source pixel in each pixel of the result; rows sum to 1.

    Args:
        num_in: Pixels of the source.
        num_out: Pixels of the result.
        kind: Filter.
    """
    scale = num_in / num_out
    stretch = max(scale, 1.0)  # antialiasing: a wider filter when it shrinks
    radius = _RADIUS[kind] * stretch
    found = np.zeros((num_out, num_in))
    for o in range(num_out):
        center = (o + 0.5) * scale
        # PIL's window: whole pixels whose centre lies within the radius.
        first = max(int(center - radius + 0.5), 0)
        last = min(int(center + radius + 0.5), num_in)
        distance = np.abs(np.arange(first, last) + 0.5 - center) / stretch
        value = _bicubic(distance) if kind == "bicubic" else np.maximum(1 - distance, 0)
        found[o, first:last] = value / value.sum()
    return found.astype(np.float32)


def _bicubic(x: Float[np.ndarray, "*b"]) -> Float[np.ndarray, "*b"]:
    """Compute Keys' cubic convolution kernel with a = -1/2, for distances that are not negative."""
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _bytes(image: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise UsageError(
            f"photo: expected bytes with three colours, got {image.dtype} of shape {image.shape}; "
            "do (255 * image).round().astype('uint8')"
        )
    return image
