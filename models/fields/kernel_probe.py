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

MAX_ERROR_RATIO = 2.0
"""Of a gradient's error in the kernels to its error in the layers, both in bfloat16 against float32."""

LEAST_ERROR = 0.002
"""Error of a gradient that is taken for rounding, as a share of its norm: half a bit of bfloat16."""

_FAILURES: list[str] = []
"""What was wrong with kernels in this process."""


def find_failure(measure: Callable[..., str | None], *arguments: Any) -> str | None:
    """Say what is wrong with fused kernels; None if nothing is.

    It runs at once, even while a program that uses the kernels is traced.

    Args:
        measure: Compiles the kernels, compares them with the layers, and says what is wrong, or None.
        arguments: Of `measure`.
    """
    try:
        # In a thread of its own, which is not inside the program that is traced here, nor split over its devices.
        with ThreadPoolExecutor(1) as thread:
            failure = thread.submit(measure, *arguments).result()
    except Exception as problem:  # noqa: BLE001  Mosaic's interface is unstable: anything may be missing or refused.
        failure = f"{type(problem).__name__} while compiling: {str(problem).strip().splitlines()[-1:]}"
    if failure is not None:
        _FAILURES.append(failure)
    return failure


def has_failed() -> bool:
    """Tell whether kernels failed in this process, so that layers compute what is compiled in it."""
    return bool(_FAILURES)


def compare_with_layers(error: float) -> str | None:
    """Say that gradients differ too much from those of the layers; None if they do not."""
    return None if error <= MAX_PROBE_ERROR else f"gradients that differ by {error:.2g} from those of the layers"


def compare_errors(ratio: float) -> str | None:
    """Say that gradients are further from the truth than those of the layers; None if they are not."""
    return None if ratio <= MAX_ERROR_RATIO else f"gradients whose error is {ratio:.2g} times that of the layers"


def call_compiled(function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[Shaped[np.ndarray, "..."]]:
    """Compile a function for arrays and call it; return what it returns as a list of float32 arrays."""
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arguments)
    found = jax.jit(function).lower(*shapes).compile()(*arguments)
    return [np.asarray(value, np.float32) for value in jax.tree.leaves(found)]


def largest_difference(fused: Sequence[np.ndarray], layers: Sequence[np.ndarray]) -> float:
    """Return the largest difference of two lists of gradients, relative to the norm of the second's."""
    pairs = zip(fused, layers, strict=True)
    return max(float(np.linalg.norm(one - other) / np.linalg.norm(other)) for one, other in pairs)


def largest_error_ratio(
    fused: Sequence[np.ndarray], layers: Sequence[np.ndarray], truth: Sequence[np.ndarray]
) -> float:
    """Return the largest ratio of a gradient's error in the kernels to its error in the layers.

    Behind several ReLUs two right ways to round differ from each other nearly as much as each differs from the truth,
    as features near zero fall on either side of it. So the kernels are compared with the truth, and not with the
    layers.
    """
    ratios = []
    for one, other, exact in zip(fused, layers, truth, strict=True):
        norm = float(np.linalg.norm(exact))
        error = float(np.linalg.norm(one - exact)) / norm
        usual = float(np.linalg.norm(other - exact)) / norm
        ratios.append(error / max(usual, LEAST_ERROR))
    return max(ratios)
