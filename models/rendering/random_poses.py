"""Where a camera may stand that took no photograph: random poses, drawn inside a compiled step.

v: poses.

References:
    DietNeRF: Jain et al. 2021, https://arxiv.org/abs/2104.00677, and its released code for the ranges.
    Spherical interpolation: Shoemake 1985, https://doi.org/10.1145/325165.325242.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

HIGHEST_DEG = 89.9
"""At the pole a camera that looks down has no `up`."""


def look_at(
    azimuth_deg: Float[Array, ""], elevation_deg: Float[Array, ""], radius: Float[Array, ""] | float
) -> Float[Array, "4 4"]:
    """A pose (camera to world) on a sphere, looking at the origin with +z up, as `tasks.cameras.look_at`.

    Args:
        azimuth_deg: Degrees from +x toward +y.
        elevation_deg: Degrees above the horizon, in (-90, 90).
        radius: Distance from the origin.
    """
    azimuth, elevation = jnp.radians(azimuth_deg), jnp.radians(elevation_deg)
    level = jnp.cos(elevation)
    backward = jnp.stack([level * jnp.cos(azimuth), level * jnp.sin(azimuth), jnp.sin(elevation)])
    right = jnp.stack([-jnp.sin(azimuth), jnp.cos(azimuth), jnp.zeros_like(azimuth)])
    up = jnp.cross(backward, right)
    top = jnp.stack([right, up, backward, backward * radius], axis=1)
    return jnp.concatenate([top, jnp.asarray([[0.0, 0.0, 0.0, 1.0]])])


def on_hemisphere(key: PRNGKeyArray, radius: Float[Array, ""], *, even_in: str = "angle") -> Float[Array, "4 4"]:
    """Anywhere above the horizon, from 7/8 to 9/8 of a distance away, looking at the origin.

    Args:
        key: Of the pose.
        radius: Of the cameras that took the photographs; 4 gives the released code's 3.5 to 4.5.
        even_in: "angle": the elevation is even in [0, 90] degrees, as released, so that poses gather at the pole;
            "area": poses are even over the hemisphere's surface.
    """
    around_key, up_key, away_key = jax.random.split(key, 3)
    azimuth_deg = jax.random.uniform(around_key, (), minval=-180.0, maxval=180.0)
    share = jax.random.uniform(up_key, ())
    elevation_deg = 90 * share if even_in == "angle" else jnp.degrees(jnp.arcsin(share))
    away = jax.random.uniform(away_key, (), minval=0.875, maxval=1.125)
    return look_at(azimuth_deg, jnp.minimum(elevation_deg, HIGHEST_DEG), radius * away)


def interpolated(key: PRNGKeyArray, poses: Float[Array, "v 4 4"]) -> Float[Array, "4 4"]:
    """Between three random poses of those given: for scenes whose middle and extent are not known.

    Rotations go along the shortest arc, positions along the line: first from one pose to another, then from there to
    the third, each time by an even share. The three differ where there are as many.
    """
    pick_key, share_key = jax.random.split(key)
    num_poses = poses.shape[0]
    order = jax.random.permutation(pick_key, num_poses)
    first, second, third = (poses[order[i % num_poses]] for i in range(3))
    shares = jax.random.uniform(share_key, (2,))
    return between(between(first, second, shares[0]), third, shares[1])


def between(
    first: Float[Array, "4 4"], second: Float[Array, "4 4"], share: Float[Array, ""] | float
) -> Float[Array, "4 4"]:
    """A pose on the way from one to another.

    Args:
        first: Where the way starts.
        second: Where it ends.
        share: Of the way.
    """
    turned = rotation(slerp(quaternion(first[:3, :3]), quaternion(second[:3, :3]), share))
    position = first[:3, 3] + share * (second[:3, 3] - first[:3, 3])
    top = jnp.concatenate([turned, position[:, None]], axis=1)
    return jnp.concatenate([top, jnp.asarray([[0.0, 0.0, 0.0, 1.0]])])


def slerp(first: Float[Array, "4"], second: Float[Array, "4"], share: Float[Array, ""] | float) -> Float[Array, "4"]:
    """Along the shorter arc between two unit quaternions, at an even pace."""
    cosine = jnp.dot(first, second)
    second, cosine = jnp.where(cosine < 0, -second, second), jnp.abs(cosine)
    angle = jnp.arccos(jnp.clip(cosine, -1.0, 1.0))
    near = angle < 1e-3  # sin(x) / sin(angle) there is the line
    sine = jnp.where(near, 1.0, jnp.sin(angle))
    here = jnp.where(near, 1 - share, jnp.sin((1 - share) * angle) / sine)
    there = jnp.where(near, share, jnp.sin(share * angle) / sine)
    mixed = here * first + there * second
    return mixed / jnp.linalg.norm(mixed)


def quaternion(turn: Float[Array, "3 3"]) -> Float[Array, "4"]:
    """A rotation matrix as a unit quaternion (w, x, y, z), of either sign.

    Of the four ways to take it from the matrix the one with the largest divisor is used (Shepperd 1978).
    """
    m = turn
    trace = m[0, 0] + m[1, 1] + m[2, 2]
    ways = jnp.stack(
        [
            jnp.stack([1 + trace, m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]]),
            jnp.stack([m[2, 1] - m[1, 2], 1 + 2 * m[0, 0] - trace, m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]]),
            jnp.stack([m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], 1 + 2 * m[1, 1] - trace, m[1, 2] + m[2, 1]]),
            jnp.stack([m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], 1 + 2 * m[2, 2] - trace]),
        ]
    )
    best = ways[jnp.argmax(jnp.diagonal(ways))]
    return best / jnp.linalg.norm(best)


def rotation(q: Float[Array, "4"]) -> Float[Array, "3 3"]:
    """A unit quaternion (w, x, y, z) as a rotation matrix."""
    w, x, y, z = q
    return jnp.stack(
        [
            jnp.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]),
            jnp.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]),
            jnp.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]),
        ]
    )
