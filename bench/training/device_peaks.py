"""Measures what a device reaches: matrix products in the types that fields use, and copies of its memory.

A profile divides by these figures of the same call, not by those of a data sheet.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

NUM_REPEATS = 5


class DevicePeaks(NamedTuple):
    """The measured peak rates of the device at hand.

    Attributes:
        bfloat16_product: Operations a second of a large product of bfloat16, with float32 sums.
        float32_product: The same of float32, at JAX's default precision (TF32 on NVIDIA's cards).
        copy: Bytes a second, read and written.
        width: Rows and columns of the matrices.
    """

    bfloat16_product: float
    float32_product: float
    copy: float
    width: int

    @property
    def fastest_product(self) -> float:
        """The larger rate of both products."""
        return max(self.bfloat16_product, self.float32_product)


def measure_peaks(width: int | None = None) -> DevicePeaks:
    """Time large products and a large copy.

    Args:
        width: Rows and columns of the matrices; None for what suits the device.
    """
    size = width or (1024 if jax.default_backend() == "cpu" else 8192)
    rates = {dtype: _product_rate(size, dtype) for dtype in (jnp.bfloat16, jnp.float32)}
    return DevicePeaks(
        bfloat16_product=rates[jnp.bfloat16],
        float32_product=rates[jnp.float32],
        copy=_copy_rate(16 * size * size),
        width=size,
    )


def _product_rate(size: int, dtype: Any) -> float:
    keys = jax.random.split(jax.random.key(0))
    left, right = (jax.random.normal(key, (size, size), dtype) for key in keys)
    multiply = jax.jit(lambda x, y: jnp.matmul(x, y))
    return 2.0 * size**3 / _seconds(multiply, left, right)


def _copy_rate(num_floats: int) -> float:
    x = jax.random.normal(jax.random.key(1), (num_floats,), jnp.float32)
    return 8.0 * num_floats / _seconds(jax.jit(lambda x: x + 1), x)


def _seconds(function: Callable[..., Any], *arguments: Any) -> float:
    """Time a function; the least of several calls, after one to compile."""
    jax.block_until_ready(function(*arguments))
    times = []
    for _ in range(NUM_REPEATS):
        begin = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - begin)
    return min(times)
