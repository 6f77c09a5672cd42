"""Compares fused kernels with layers before a process uses them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jaxtyping import Shaped

MAX_PROBE_ERROR = 0.03
"""Of each gradient's norm, between both ways to compute it in bfloat16. Rounding gives about 0.005."""


def find_failure(measure: Callable[..., float], *arguments: Any) -> str | None:
    """Say what is wrong with fused kernels; None if nothing is.

    It runs at once, even while a program that uses the kernels is traced.

    Args:
        measure: Compiles the kernels, and returns how much they differ from the layers.
        arguments: Of `measure`.
    """
    try:
        # In a thread of its own, which is not inside the program that is traced here, nor split over its devices.
        with ThreadPoolExecutor(1) as thread:
            error = thread.submit(measure, *arguments).result()
    except Exception as problem:  # noqa: BLE001  Mosaic's interface is unstable: anything may be missing or refused.
        return f"{type(problem).__name__} while compiling: {str(problem).strip().splitlines()[-1:]}"
    return None if error <= MAX_PROBE_ERROR else f"gradients that differ by {error:.2g} from those of the layers"


def call_compiled(function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[Shaped[np.ndarray, "..."]]:
    """Compile a function for arrays and call it; return what it returns as a list of float32 arrays."""
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arguments)
    found = jax.jit(function).lower(*shapes).compile()(*arguments)
    return [np.asarray(value, np.float32) for value in jax.tree.leaves(found)]


def largest_difference(fused: Sequence[np.ndarray], layers: Sequence[np.ndarray]) -> float:
    """Return the largest difference of two lists of gradients, relative to the norm of the second's."""
    pairs = zip(fused, layers, strict=True)
    return max(float(np.linalg.norm(one - other) / np.linalg.norm(other)) for one, other in pairs)
