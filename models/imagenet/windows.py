"""Goes through the windows of a feature map by shifting the map, one shift for each place in a window.

Depthwise convolution and max pooling are made of it. XLA has operations for both, but its grouped convolution takes ten
to forty times as long on a CPU, and the gradients of both are slow; sums and maxima of shifted maps are fused.

b: images, h and w: pixels, c: channels, k: pixels along a window.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float


def shifted_maps(
    x: Float[Array, "b h w c"], size: int, stride: int
) -> Iterator[tuple[tuple[int, int], Float[Array, "b h2 w2 c"]]]:
    """Yield each place in a window, and what stands there in all windows that lie in the map."""
    height, width = x.shape[1:3]
    rows = (height - size) // stride * stride + 1
    columns = (width - size) // stride * stride + 1
    for i in range(size):
        for j in range(size):
            yield (i, j), x[:, i : i + rows : stride, j : j + columns : stride]


def max_pool(x: Float[Array, "b h w c"], size: int, stride: int) -> Float[Array, "b h2 w2 c"]:
    """Take the maximum of each window; pixels at the far edges that fill no window are left out.

    Of equal ones the first has the gradient, as in PyTorch: `maximum` would share it, and a plain background is full
    of equals.
    """
    found = None
    for _, shifted in shifted_maps(x, size, stride):
        found = shifted if found is None else jnp.where(shifted > found, shifted, found)
    assert found is not None
    return found


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """Compute the zeros before and behind a side, so that the result has `size / stride` pixels, rounded up.

    TensorFlow's rule: where the number of zeros is odd, the far side has one more.

    Example:
        >>> same_padding(224, 3, 2), same_padding(65, 3, 2), same_padding(7, 5, 1)
        ((0, 1), (1, 1), (2, 2))
    """
    num_out = -(-size // stride)
    zeros = max((num_out - 1) * stride + window - size, 0)
    return zeros // 2, zeros - zeros // 2


class DepthwiseConvolution(linen.Module):
    """A convolution of each channel with a window of its own.

    Attributes:
        kernel_size: Width and height of the window.
        stride: 1 or 2.
        dtype: Type of the result; sums are float32.
    """

    kernel_size: int
    stride: int = 1
    dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        """Convolve, with zeros around the map."""
        channels = x.shape[-1]
        spread = jax.nn.initializers.normal(1 / self.kernel_size)
        kernel = self.param("kernel", spread, (self.kernel_size, self.kernel_size, channels))
        total = self.param("bias", jax.nn.initializers.zeros, (channels,)).reshape(1, 1, 1, channels)
        sides = [same_padding(size, self.kernel_size, self.stride) for size in x.shape[1:3]]
        x = jnp.pad(x, ((0, 0), *sides, (0, 0)))
        for (i, j), shifted in shifted_maps(x, self.kernel_size, self.stride):
            total = total + shifted.astype(jnp.float32) * kernel[i, j].reshape(1, 1, 1, channels)
        return total.astype(self.dtype)
