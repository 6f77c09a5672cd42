"""Leaves pixels out of losses: those outside of a photograph's mask, which may show anything.

v: photographs, h and w: their pixels, r: rays.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def mean_inside(values: Float[Array, " r *c"], weights: Float[Array, " r"] | None) -> Float[Array, ""]:
    """Average over rays, and over all that a ray has; a ray counts by its weight.

    Args:
        values: Finite, also where they do not count.
        weights: From 0 to 1; None if all rays count. If none does, the mean is 0.

    Example:
        >>> print(mean_inside(jnp.asarray([2.0, 4.0, 9.0]), jnp.asarray([1.0, 1.0, 0.0])))
        3.0
    """
    if weights is None:
        return jnp.mean(values)
    of_ray = jnp.mean(values.reshape(values.shape[0], -1), axis=-1)
    total = jnp.sum(weights)
    return jnp.sum(of_ray * weights) / jnp.where(total > 0, total, 1)


def fill_outside(colors: Float[Array, "v h w 3"], masks: Float[Array, "v h w"] | None) -> Float[Array, "v h w 3"]:
    """Give pixels outside of the masks their photograph's mean colour inside, for encoders, which see whole pictures.

    Args:
        colors: Photographs.
        masks: 1 where a pixel counts, 0 where it does not; None if all do.
    """
    if masks is None:
        return colors
    weights = masks[..., None]
    total = jnp.sum(weights, axis=(1, 2), keepdims=True)
    mean = jnp.sum(colors * weights, axis=(1, 2), keepdims=True) / jnp.where(total > 0, total, 1)
    return jnp.where(weights > 0, colors, mean)
