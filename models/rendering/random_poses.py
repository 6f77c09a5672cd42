"""Samples random camera poses, inside a compiled step, where no photograph was taken.

v: poses.

References:
    DietNeRF: Jain et al. 2021, https://arxiv.org/abs/2104.00677, and its released code for the ranges.
    Spherical interpolation: Shoemake 1985, https://doi.org/10.1145/325165.325242.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.spatial.transform import Rotation, Slerp
from jaxtyping import Array, Float, PRNGKeyArray

HIGHEST_DEG = 89.9
"""Highest elevation: a camera at the pole that looks straight down has no up direction."""


def look_at(
    azimuth_deg: Float[Array, ""], elevation_deg: Float[Array, ""], radius: Float[Array, ""] | float
) -> Float[Array, "4 4"]:
    """Build the pose (camera to world) on a sphere that looks at the origin, with +z up, as `tasks.cameras.look_at`.

    Args:
        azimuth_deg: Degrees from +x toward +y.
        elevation_deg: Degrees above the horizon, in (-90, 90).
        radius: Distance from the origin.
    """
    azimuth = jnp.radians(azimuth_deg)
    elevation = jnp.radians(elevation_deg)
    horizontal = jnp.cos(elevation)
    backward = jnp.stack([horizontal * jnp.cos(azimuth), horizontal * jnp.sin(azimuth), jnp.sin(elevation)])
    right = jnp.stack([-jnp.sin(azimuth), jnp.cos(azimuth), jnp.zeros_like(azimuth)])
    up = jnp.cross(backward, right)
    return _with_last_row(jnp.stack([right, up, backward, backward * radius], axis=1))


def sample_on_hemisphere(key: PRNGKeyArray, radius: Float[Array, ""], *, uniform_in: str) -> Float[Array, "4 4"]:
    """Sample a pose above the horizon that looks at the origin, at 7/8 to 9/8 of a distance.

    Args:
        key: Of the pose.
        radius: Distance of the cameras that took the photographs; 4 gives the released code's 3.5 to 4.5.
        uniform_in: "angle": the elevation is uniform in [0, 90] degrees, as released, so that poses are dense at the
            pole; "area": poses are uniform over the hemisphere's surface.
    """
    azimuth_key, elevation_key, radius_key = jax.random.split(key, 3)
    azimuth_deg = jax.random.uniform(azimuth_key, (), minval=-180.0, maxval=180.0)
    share = jax.random.uniform(elevation_key, ())
    elevation_deg = 90 * share if uniform_in == "angle" else jnp.degrees(jnp.arcsin(share))
    factor = jax.random.uniform(radius_key, (), minval=0.875, maxval=1.125)
    return look_at(azimuth_deg, jnp.minimum(elevation_deg, HIGHEST_DEG), radius * factor)


def interpolate_random_poses(key: PRNGKeyArray, poses: Float[Array, "v 4 4"]) -> Float[Array, "4 4"]:
    """Interpolate between three random poses of those given, for scenes whose centre and extent are unknown.

    The result lies a uniform share of the way from a first pose to a second, and from there a uniform share of the
    way to a third. The three poses are distinct if there are at least three.
    """
    pick_key, share_key = jax.random.split(key)
    num_poses = poses.shape[0]
    order = jax.random.permutation(pick_key, num_poses)
    first, second, third = (poses[order[i % num_poses]] for i in range(3))
    shares = jax.random.uniform(share_key, (2,))
    return interpolate_poses(interpolate_poses(first, second, shares[0]), third, shares[1])


def interpolate_poses(
    first: Float[Array, "4 4"], second: Float[Array, "4 4"], share: Float[Array, ""] | float
) -> Float[Array, "4 4"]:
    """Interpolate two poses: their rotations along the shortest arc, their positions along the line.

    Args:
        first: Result where share is 0.
        second: Result where share is 1.
        share: In [0, 1].
    """
    # Training takes no gradient with respect to poses. Of exactly equal poses it would not be finite.
    rotations = Rotation.from_matrix(jnp.stack([first[:3, :3], second[:3, :3]]))
    rotation = Slerp.init(jnp.asarray([0.0, 1.0]), rotations)(jnp.asarray(share)).as_matrix()
    position = first[:3, 3] + share * (second[:3, 3] - first[:3, 3])
    return _with_last_row(jnp.concatenate([rotation, position[:, None]], axis=1))


def _with_last_row(top: Float[Array, "3 4"]) -> Float[Array, "4 4"]:
    """Complete a pose with the row (0, 0, 0, 1)."""
    return jnp.concatenate([top, jnp.asarray([[0.0, 0.0, 0.0, 1.0]])])
