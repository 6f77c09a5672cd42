"""Finds where rays hit triangles, by trying all of them: nearest hits of a camera, and what blocks a light.

For a camera at the origin and corners v0, v1, v2, a ray d hits where d = (u v0 + v v1 + w v2) / t with u, v, w of one
sign; u is d . (v1 x v2), and so on. For parallel rays of direction l from points p the same holds of the corners
relative to p, which is linear in p. Both are a few products a pair, so that no tree is built.

r: rays, p: points, l: directions of light, t: triangles, c: triangles that are tried at once.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

AT_ONCE = 256
"""Triangles that are tried at once; the number of triangles is a multiple."""

NOWHERE = 1e9
"""Distance of a ray that hits nothing."""

OFF_SURFACE = 2e-3
"""Distance from a point, in scene units, from which on something blocks its light."""


class Hits(NamedTuple):
    """Says what rays hit first.

    Attributes:
        distance: In lengths of the ray's direction; `NOWHERE` for none.
        triangle: Index of the triangle.
    """

    distance: Float[Array, " r"]
    triangle: Int[Array, " r"]


def corner_products(corners: Float[Array, "t 3 3"], origin: Float[Array, "3"]) -> Float[Array, "t 3 3"]:
    """Compute v1 x v2, v2 x v0 and v0 x v1 of corners relative to a camera; their products with a ray are weights."""
    relative = corners - origin[None, None]
    return jnp.cross(jnp.roll(relative, -1, axis=1), jnp.roll(relative, -2, axis=1))


def find_nearest(origin: Float[Array, "3"], directions: Float[Array, "r 3"], corners: Float[Array, "t 3 3"]) -> Hits:
    """Find the first triangle on each ray of a camera, seen from either side."""
    products = corner_products(corners, origin)
    # The sum of the products, but exactly 0 for a triangle that is a point: such triangles fill an array up.
    planes = jnp.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    volumes = jnp.sum((corners[:, 0] - origin[None]) * planes, axis=-1)
    index = jnp.arange(corners.shape[0])
    parts = jax.tree.map(lambda x: x.reshape(-1, AT_ONCE, *x.shape[1:]), (products, planes, volumes, index))

    def try_some(best: Hits, part: tuple[Array, Array, Array, Array]) -> tuple[Hits, None]:
        products, planes, volumes, index = part
        inside = have_one_sign([dot_rows(directions, products[:, i]) for i in range(3)])
        facing = dot_rows(directions, planes)
        distance = volumes[None] / jnp.where(facing == 0, 1.0, facing)
        distance = jnp.where(inside & (facing != 0) & (distance > 0), distance, NOWHERE)
        place = jnp.argmin(distance, axis=1)
        nearest = jnp.min(distance, axis=1)
        closer = nearest < best.distance
        return Hits(jnp.where(closer, nearest, best.distance), jnp.where(closer, index[place], best.triangle)), None

    nothing = Hits(jnp.full(directions.shape[0], NOWHERE), jnp.zeros(directions.shape[0], jnp.int32))
    return jax.lax.scan(try_some, nothing, parts)[0]


def find_blocked(
    points: Float[Array, "p 3"], toward: Float[Array, "l 3"], corners: Float[Array, "t 3 3"]
) -> Bool[Array, "p l"]:
    """Tell from which points something stands in the way of a far light, in each of some directions."""

    def try_some(blocked: Bool[Array, "l p"], part: Float[Array, "c 3 3"]) -> tuple[Bool[Array, "l p"], None]:
        blocks = jax.vmap(lambda direction: blocks_light(points, direction, part))(toward)
        return blocked | blocks, None

    nothing = jnp.zeros((toward.shape[0], points.shape[0]), bool)
    return jax.lax.scan(try_some, nothing, corners.reshape(-1, AT_ONCE, 3, 3))[0].T


def blocks_light(
    points: Float[Array, "p 3"], direction: Float[Array, "3"], corners: Float[Array, "c 3 3"]
) -> Bool[Array, " p"]:
    """Tell from which points one of some triangles is seen in a direction."""
    after = jnp.roll(corners, -1, axis=1)
    constant = jnp.cross(corners, after) @ direction
    slope = jnp.cross(corners - after, jnp.broadcast_to(direction, corners.shape))
    inside = have_one_sign([constant[None, :, i] + dot_rows(points, slope[:, i]) for i in range(3)])
    normal = jnp.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = normal @ direction
    height = jnp.sum(corners[:, 0] * normal, axis=-1)[None] - dot_rows(points, normal)
    distance = height / jnp.where(facing == 0, 1.0, facing)[None]
    return jnp.any(inside & (facing != 0)[None] & (distance > OFF_SURFACE), axis=1)


def dot_rows(a: Float[Array, "r 3"], b: Float[Array, "c 3"]) -> Float[Array, "r c"]:
    """Multiply every row with every row, in single precision also where products of matrices are rounded."""
    return sum(a[:, None, i] * b[None, :, i] for i in range(3))  # type: ignore[return-value]


def have_one_sign(weights: list[Float[Array, "r c"]]) -> Bool[Array, "r c"]:
    """Tell where all three weights are at least 0, or all at most 0."""
    low = jnp.minimum(jnp.minimum(weights[0], weights[1]), weights[2])
    high = jnp.maximum(jnp.maximum(weights[0], weights[1]), weights[2])
    return (low >= 0) | (high <= 0)
