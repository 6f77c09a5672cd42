"""Finds where along a ray the field is dense, from a grid of densities that is kept while the field is trained.

The grid covers the cube of the bounds. Every few steps each cell takes the field's density at a random point inside
it, or its own value before times a decay, whichever is larger. Samples are then placed where the grid expects weight,
so that a third of the points of regular samples see the same surface.

g: cells along an edge, r: rays, k: fenceposts.

References:
    Instant NGP: Müller et al. 2022, https://arxiv.org/abs/2201.05989, appendix E.1, which keeps such a grid to leave
    empty cells out. Here no cell is left out: all are sampled less or more.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from models.rendering import compositing, ray_sampling
from tasks.cameras import Rays

GRID_CELLS = 64
"""Cells along an edge of the cube."""

UPDATE_EVERY = 16
"""Steps from one update of the grid to the next. An update evaluates the field once in every cell."""

DECAY = 0.8
"""What is left of a cell's density at an update, where the field has less."""

EVEN_SHARE = 0.2
"""Share of the samples that are spread evenly over the ray, at least: where the grid is wrong it must be found out."""

POINTS_AT_ONCE = 1 << 16
"""Points of an update that the field is evaluated at together."""


def full_grid() -> Float[Array, "g g g"]:
    """Make the first grid: so dense everywhere that every part of a ray is sampled until an update."""
    return jnp.ones((GRID_CELLS, GRID_CELLS, GRID_CELLS), jnp.float32)


def update_grid(
    grid: Float[Array, "g g g"],
    density_at: Callable[[Float[Array, "n 3"]], Float[Array, " n"]],
    half_width: Float[Array, ""],
    key: PRNGKeyArray,
) -> Float[Array, "g g g"]:
    """Let every cell take the larger of its decayed density and the field's at a random point inside it.

    Args:
        grid: Before the update.
        density_at: The field's density at points of the cube, relative to its middle.
        half_width: Half the side of the cube.
        key: Of the points.
    """
    num_cells = grid.size
    corners = jnp.stack(jnp.unravel_index(jnp.arange(num_cells), grid.shape), axis=-1).astype(jnp.float32)
    unit = (corners + jax.random.uniform(key, corners.shape)) / GRID_CELLS
    points = (2 * unit - 1) * half_width
    blocks = points.reshape(-1, min(POINTS_AT_ONCE, num_cells), 3)
    density = jax.lax.map(density_at, blocks).reshape(grid.shape)
    density = jnp.where(jnp.isfinite(density), density, 0)
    return jax.lax.stop_gradient(jnp.maximum(grid * DECAY, density))


@jax.named_scope("proposal")
def updated_grid(
    density_at: Callable[[Float[Array, "n 3"]], Float[Array, " n"]],
    grid: Float[Array, "g g g"],
    half_width: Float[Array, ""],
    key: PRNGKeyArray,
    step: Int[Array, ""],
) -> Float[Array, "g g g"]:
    """Update a grid at every `UPDATE_EVERY`th step; leave it as it is at the others.

    Args:
        density_at: See `update_grid`.
        grid: Before the step.
        half_width: See `update_grid`.
        key: Of the points.
        step: Counted from 0; the same for all trials of a pack.
    """
    return jax.lax.cond(
        step % UPDATE_EVERY == 0,
        lambda grid: update_grid(grid, density_at, half_width, key),
        lambda grid: grid,
        grid,
    )


def look_up(
    grid: Float[Array, "g g g"], points: Float[Array, "*b 3"], half_width: Float[Array, ""]
) -> Float[Array, "*b"]:
    """Return the density of the cell that each point lies in; 0 outside of the cube."""
    place = (points / half_width + 1) * (0.5 * GRID_CELLS)
    cell = jnp.clip(jnp.floor(place).astype(jnp.int32), 0, GRID_CELLS - 1)
    flat = (cell[..., 0] * GRID_CELLS + cell[..., 1]) * GRID_CELLS + cell[..., 2]
    is_inside = jnp.max(jnp.abs(points), axis=-1) <= half_width
    return jnp.where(is_inside, grid.reshape(-1)[flat], 0)


@jax.named_scope("proposal")
def propose_fenceposts(
    grid: Float[Array, "g g g"],
    half_width: Float[Array, ""],
    rays: Rays,
    near: Float[Array, " r"],
    far: Float[Array, " r"],
    num_bins: int,
    num_samples: int,
    key: PRNGKeyArray,
) -> Float[Array, "r k"]:
    """Place fenceposts in proportion to the weights that the grid gives to regular bins.

    Args:
        grid: Densities, inverse lengths.
        half_width: Half the side of the cube.
        rays: To sample.
        near: First `t` of each ray.
        far: Last `t` of each ray.
        num_bins: Regular bins that the grid is read at.
        num_samples: Bins of the result.
        key: Of the jitter.
    """
    regular = ray_sampling.fenceposts(near, far, num_bins)
    middles = 0.5 * (regular[..., 1:] + regular[..., :-1])
    points = rays.origins[..., None, :] + rays.directions[..., None, :] * middles[..., None]
    lengths = jnp.diff(regular, axis=-1) * jnp.linalg.norm(rays.directions, axis=-1, keepdims=True)
    weights, opacity = compositing.ray_weights(look_up(grid, points, half_width) * lengths)
    # What is not stopped is spread evenly: a ray through empty space is sampled everywhere.
    padding = (EVEN_SHARE + (1 - EVEN_SHARE) * (1 - opacity)) / num_bins
    shares = weights * (1 - EVEN_SHARE) + padding[..., None]
    return ray_sampling.resample_fenceposts(regular, shares, num_samples, key, padding=0.0)
