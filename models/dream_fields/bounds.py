"""Limits a field of Dream Fields to a cube about its origin, which may follow the centre of density.

*b: rays or points.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from models.method import Hyperparameters
from tasks.cameras import Rays


def ray_bounds(
    hyperparameters: Hyperparameters, rays: Rays, cut: Float[Array, ""]
) -> tuple[Float[Array, "*b"], Float[Array, "*b"]]:
    """Find the first and last `t` at which a ray is sampled.

    If `cut` is 1, these are where the ray enters and leaves the cube; a ray that misses the cube gets an interval of
    length 0 in the middle between near and far. If `cut` is 0, they are the ray's near and far.
    """
    safe_directions = jnp.where(jnp.abs(rays.directions) < 1e-9, 1e-9, rays.directions)
    half_width = hyperparameters["half_width"]
    low_faces = (-half_width - rays.origins) / safe_directions
    high_faces = (half_width - rays.origins) / safe_directions
    enter = jnp.max(jnp.minimum(low_faces, high_faces), axis=-1)
    leave = jnp.min(jnp.maximum(low_faces, high_faces), axis=-1)
    middle = 0.5 * (rays.near + rays.far)
    hits = leave > jnp.maximum(enter, 0)
    near = jnp.where(cut > 0, jnp.where(hits, jnp.maximum(enter, 0), middle), rays.near)
    far = jnp.where(cut > 0, jnp.where(hits, leave, middle), rays.far)
    return near, far


def is_in_bounds(hyperparameters: Hyperparameters, points: Float[Array, "*b 3"]) -> Any:
    """Tell which points lie in the cube; all of them if the method has no bounds."""
    # Slightly more than the cube, because rounding may move samples at its faces just outside.
    return (jnp.max(jnp.abs(points), axis=-1) <= hyperparameters["half_width"] * 1.0001) | (
        hyperparameters["bounds"] == 0
    )


def broadcast_origin(origin: Float[Array, "3"], points: Float[Array, "*b 3"]) -> Float[Array, "*b 3"]:
    """Repeat the origin for every point, because rank promotion is an error in this project."""
    return jnp.broadcast_to(origin, points.shape)


def move_origin(
    hyperparameters: Hyperparameters, origin: Float[Array, "3"], center: Float[Array, "3"], is_known: Bool[Array, ""]
) -> Float[Array, "3"]:
    """Move the origin toward the centre of density, as an exponential moving average.

    Args:
        hyperparameters: Of `DreamFields`.
        origin: Before the step.
        center: Centre of density of the training view.
        is_known: Whether the view has a centre. If not, the origin stays.
    """
    decay = jnp.where(is_known, hyperparameters["origin_decay"], 1.0)
    moved = origin + hyperparameters["track_origin"] * (1 - decay) * (center - origin)
    return jax.lax.stop_gradient(moved)
