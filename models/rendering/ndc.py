"""Turns rays of forward-facing scenes into normalised device coordinates (NDC), where the frustum is a cube.

All cameras look along -z. What lies between a plane before them and infinity, inside of the frustum of a camera at the
origin, is mapped to the cube from -1 to 1; depth becomes linear in inverse depth, and rays stay straight.

*b: any leading axes.

References:
    NeRF: Mildenhall et al. 2020, https://arxiv.org/abs/2003.08934, appendix C, and its released code.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from tasks.cameras import Rays
from tasks.task import SceneData

PLANE_SHARE = 0.75 / 0.9
"""Distance of the plane as a share of `near`. NeRF's code puts it at 0.75 of the nearest depth in the scene; `near` of
such scenes is 0.9 of that depth."""


class Frustum(NamedTuple):
    """The frustum that becomes the cube.

    Attributes:
        plane: Distance of the near plane from the origin, along -z.
        slopes: Focal lengths across and down, as shares of half the width and of half the height.
        far: Last `t` of the scene; a ray that goes so far goes to infinity here.
    """

    plane: Float[Array, ""]
    slopes: Float[Array, " 2"]
    far: Float[Array, ""]


def scene_frustum(scene: SceneData) -> Frustum:
    """Return the frustum of a forward-facing scene: that of its first photograph, from a camera at the origin."""
    _, height, width, _ = scene.train.colors.shape
    intrinsics = scene.train.intrinsics
    slopes = [2 * float(intrinsics.focal_x[0]) / width, 2 * float(intrinsics.focal_y[0]) / height]
    return Frustum(
        plane=jnp.asarray(PLANE_SHARE * scene.near, jnp.float32),
        slopes=jnp.asarray(slopes, jnp.float32),
        far=jnp.asarray(scene.far, jnp.float32),
    )


def convert_to_ndc(rays: Rays, frustum: Frustum) -> Rays:
    """Convert rays; the result begins at the plane, with `t` = 0, and `t` = 1 is infinity.

    Args:
        rays: Looking along -z.
        frustum: Of the scene.
    """
    direction_z = _ahead(rays)
    origins = rays.origins + _start(rays, frustum)[..., None] * rays.directions
    slopes = _like(frustum.slopes, rays.origins.ndim - 1)
    plane = frustum.plane
    across = slopes * (origins[..., :2] / plane)
    turned = slopes * (-rays.directions[..., :2] / direction_z[..., None] - origins[..., :2] / plane)
    is_whole = rays.far >= frustum.far
    end = _share_at(rays, frustum, rays.far)
    return rays._replace(
        origins=jnp.concatenate([across, -jnp.ones_like(across[..., :1])], axis=-1),
        directions=jnp.concatenate([turned, jnp.full_like(turned[..., :1], 2.0)], axis=-1),
        near=jnp.zeros_like(rays.near),
        far=jnp.where(is_whole, 1.0, end),
    )


def convert_points_to_ndc(points: Float[Array, "*b 3"], frustum: Frustum) -> Float[Array, "*b 3"]:
    """Convert points that lie before the cameras (z below 0)."""
    z = jnp.minimum(points[..., 2:], -1e-6)
    slopes = _like(frustum.slopes, points.ndim - 1)
    return jnp.concatenate([-slopes * points[..., :2] / z, 1 + 2 * frustum.plane / z], axis=-1)


def depth_from_ndc(rays: Rays, frustum: Frustum, t: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """Convert `t` of converted rays back to `t` of the rays that they were made of, at most their far end."""
    ahead = frustum.plane * t / (jnp.maximum(1 - t, 1e-6) * -_ahead(rays))
    return jnp.minimum(_start(rays, frustum) + ahead, rays.far)


def length_ratio(points: Float[Array, "*b 3"], frustum: Frustum) -> Float[Array, "*b"]:
    """Return the converted length of a unit of depth at points, by which a density grows; 0 before the plane."""
    z = jnp.minimum(points[..., 2], -1e-6)
    return jnp.where(z < -frustum.plane, 2 * frustum.plane / z**2, 0)


def _ahead(rays: Rays) -> Float[Array, "*b"]:
    """Return the component of directions along z; one that is not negative looks out of the frustum."""
    return jnp.minimum(rays.directions[..., 2], -1e-6)


def _start(rays: Rays, frustum: Frustum) -> Float[Array, "*b"]:
    """Return `t` at the plane."""
    return -(frustum.plane + rays.origins[..., 2]) / _ahead(rays)


def _share_at(rays: Rays, frustum: Frustum, t: Float[Array, "*b"]) -> Float[Array, "*b"]:
    """Return the converted `t`; 0 before the plane."""
    beyond = jnp.maximum((_start(rays, frustum) - t) * _ahead(rays), 0)
    return beyond / (frustum.plane + beyond)


def _like(x: Float[Array, " k"], num_leading: int) -> Float[Array, "*ones k"]:
    """Add leading axes of length 1, because rank promotion is an error in this project."""
    return jnp.expand_dims(x, tuple(range(num_leading)))
