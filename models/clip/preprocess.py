"""How pixels of any size become what an image tower takes: on the host exactly as CLIP's own pipeline, or in a graph.

`photo` is PIL's bicubic filter with antialiasing, a centre crop and bytes, as the pipelines of OpenAI and open_clip
have it. `resize` is the same filter as two matrix products, differentiable. PIL rounds to bytes after each of its two
passes and cuts off what the filter overshoots: that, and only that, is the difference. Measured (tests): against PIL
in floating point below 2e-6; against PIL in bytes at most 1.1/255 (mean 0.36/255) where nothing overshoots, and at
hard edges up to 45/255 (mean below 0.8/255; 50 dB or more over the image once the result is cut to [0, 1]).

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
    """A photo as CLIP's pipeline prepares it, all but the normalisation, which `Encoder` does.

    Args:
        image: A PIL image, or bytes as an array `h w 3`. Alpha is dropped, as CLIP's pipeline does: composite first.
        image_px: Of the encoder; the shorter side is resized to it, the longer side cropped.

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
    left, top = (round((side - image_px) / 2) for side in image.size)
    return np.asarray(image.crop((left, top, left + image_px, top + image_px)), np.float32) / 255


def resize(
    images: Float[Array, "*b h w c"], image_px: int, *, kind: Filter = "bicubic"
) -> Float[Array, "*b {image_px} {image_px} c"]:
    """Resizes square views in a graph, with antialiasing when they shrink.

    Bicubic overshoots at hard edges, by up to a tenth: values then leave [0, 1], and stay differentiable.

    Args:
        images: Any range. Views that are not square are squeezed: crop first.
        image_px: Width and height wanted.
        kind: `bicubic` as PIL, Keys' filter with a = -1/2. `bilinear` enlarges as PyTorch's `interpolate`, which is
            what DietNeRF's released code does; when it shrinks it is antialiased, which that code was not.
    """
    height, width = images.shape[-3:-1]
    rows = jnp.asarray(weights(height, image_px, kind), images.dtype)
    columns = jnp.asarray(weights(width, image_px, kind), images.dtype)
    # Full precision: TF32 would cost more than the difference to PIL.
    with jax.default_matmul_precision("highest"):
        images = jnp.einsum("oh,...hwc->...owc", rows, images)
        return jnp.einsum("ow,...hwc->...hoc", columns, images)


@functools.lru_cache(maxsize=64)
def weights(num_in: int, num_out: int, kind: Filter = "bicubic") -> Float32[np.ndarray, "o i"]:
    """How much each source pixel gives to each pixel of the result; rows sum to 1.

    Args:
        num_in: Source pixels.
        num_out: Pixels wanted.
        kind: Filter.
    """
    scale = num_in / num_out
    stretch = max(scale, 1.0)  # a filter of the result's pitch when it shrinks: that is the antialiasing
    radius = _RADIUS[kind] * stretch
    found = np.zeros((num_out, num_in))
    for o in range(num_out):
        center = (o + 0.5) * scale
        # PIL's window: whole pixels whose middle lies within the radius.
        first, last = max(int(center - radius + 0.5), 0), min(int(center + radius + 0.5), num_in)
        distance = np.abs(np.arange(first, last) + 0.5 - center) / stretch
        value = _bicubic(distance) if kind == "bicubic" else np.maximum(1 - distance, 0)
        found[o, first:last] = value / value.sum()
    return found.astype(np.float32)


def _bicubic(x: Float[np.ndarray, "*b"]) -> Float[np.ndarray, "*b"]:
    """Keys' cubic convolution with a = -1/2, for distances that are not negative."""
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
