"""Checks what a network gives where it is applied: a wrong shape is named there, and not by an operation behind it."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
from jaxtyping import Array, Float

from models.rendering.ray_sampling import Samples


def check_field_output(
    field: nn.Module, found: Any, samples: Samples
) -> tuple[Float[Array, "*b"], Float[Array, "*b 3"]]:
    """Return density and colour as a network gave them, if there is a value for each sample.

    This costs nothing in training: it runs while a program is traced.

    Raises:
        ValueError: They are no pair, or of other shapes.
    """
    batch = samples.means.shape[:-1]
    wanted = f"density of shape {batch} and colour of shape {(*batch, 3)} for samples.means of {samples.means.shape}"
    name = type(field).__name__
    if not isinstance(found, tuple | list) or len(found) != 2:
        given = f"{len(found)} values" if isinstance(found, tuple | list) else _describe_single(found)
        raise ValueError(f"{name}: expected {wanted}, got {given}; return density, colour")
    density, color = found
    shapes = [getattr(array, "shape", ()) for array in found]
    if shapes != [batch, (*batch, 3)]:
        raise ValueError(f"{name}: expected {wanted}, got {shapes[0]} and {shapes[1]}; {_advise(batch, shapes)}")
    return density, color


def _describe_single(found: Any) -> str:
    """Describe what is no pair: arrays by their shape, for a traced one has a type that says nothing."""
    return f"one array of {found.shape}" if hasattr(found, "shape") else f"one {type(found).__name__}"


def _advise(batch: tuple[int, ...], shapes: list[tuple[int, ...]]) -> str:
    """Say how shapes are mended."""
    if shapes == [(*batch, 3), batch]:
        return "return density first"
    if shapes[0] == (*batch, 1):
        return "a density has no last axis: take [..., 0]"
    if shapes[0] == batch:
        return "a colour has a last axis of 3: red, green and blue"
    return "give one density and three numbers of colour for every sample"
