"""Defines a probe, a small computation whose result is known, and the pictures that probes look at.

n: pictures, h and w: pixels.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

MOST_NUMBERS = 48
"""Numbers of a result that are kept, evenly spaced over all."""


class Rounds(enum.Enum):
    """Tells in what a probe computes, and so how far its result may move."""

    NOTHING = "exact"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT64 = "float64 in NumPy"


class Probe(NamedTuple):
    """A small computation whose result is known.

    Attributes:
        name: In words, as the page prints it.
        prepare: Makes the function and its arguments; weights are loaded only then.
        rounds: What it computes in.
        same_as: Name of the probe whose golden values it shares; empty for its own.
        is_quick: Whether `doctor --quick` runs it too.
    """

    name: str
    prepare: Callable[[], tuple[Callable[..., Any], tuple[Any, ...]]]
    rounds: Rounds = Rounds.FLOAT32
    same_as: str = ""
    is_quick: bool = False

    def compute(self) -> Float[np.ndarray, " n"]:
        """Compute the numbers that are kept of its result, on the default device."""
        import jax

        function, arguments = self.prepare()
        if self.rounds in (Rounds.FLOAT32, Rounds.BFLOAT16):
            function = jax.jit(function)
        return keep_some(function(*arguments))


def keep_some(result: Any) -> Float[np.ndarray, " n"]:
    """Return at most `MOST_NUMBERS` numbers of a result, evenly spaced over all of its arrays.

    Example:
        >>> keep_some((np.arange(2), np.array([0.5])))
        array([0. , 1. , 0.5])
        >>> keep_some(np.arange(100)).shape
        (48,)
    """
    import jax

    arrays = [np.ravel(np.asarray(x, np.float64)) for x in jax.tree.leaves(result)]
    numbers = np.concatenate(arrays)
    places = np.linspace(0, len(numbers) - 1, min(MOST_NUMBERS, len(numbers))).round().astype(int)
    return numbers[places]


def of_arrays(function: Callable[..., Any], *arrays: Shaped[np.ndarray, "..."]) -> Callable[[], Any]:
    """Make what prepares a function of arrays."""
    return lambda: (function, arrays)


def true_pictures(num: int, image_px: int) -> Float[np.ndarray, "n h w 3"]:
    """Paint pictures in [0, 1]: waves of several directions and colours, which no random numbers decide."""
    down, across = np.meshgrid(np.arange(image_px), np.arange(image_px), indexing="ij")
    painted = []
    for number in range(num):
        waves = [np.sin(0.37 * (1 + k) * across + 0.23 * (3 - k) * down + 1.7 * k + 2.1 * number) for k in range(3)]
        painted.append(0.5 + 0.24 * np.stack(waves, axis=-1) + 0.2 * np.sin(0.11 * across * down / image_px)[..., None])
    return np.stack(painted).astype(np.float32)


def rendered_pictures(num: int, image_px: int) -> Float[np.ndarray, "n h w 3"]:
    """Paint pictures that are near `true_pictures`, here and there outside of [0, 1]."""
    down, across = np.meshgrid(np.arange(image_px), np.arange(image_px), indexing="ij")
    errors = (
        0.12 * np.sin(1.3 * across + 0.7 * down)[None, :, :, None] * np.cos(np.arange(num) + 1.0).reshape(-1, 1, 1, 1)
    )
    return (1.1 * true_pictures(num, image_px) - 0.05 + errors).astype(np.float32)


def disc(num: int, image_px: int, share: float) -> Float[np.ndarray, "n h w"]:
    """Draw a disc in the middle: 1 inside, 0 outside; its radius is a share of half the width."""
    places = np.arange(image_px) + 0.5 - image_px / 2
    inside = np.hypot(places[:, None], places[None, :]) < share * image_px / 2
    return np.broadcast_to(inside, (num, image_px, image_px)).astype(np.float32)
