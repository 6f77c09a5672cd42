"""Defines the world's axes and the camera model, and turns poses and intrinsics into rays.

World: right-handed, z up, the scene about the origin. Elevations are degrees above the horizon (the x-y plane),
azimuths degrees from +x toward +y.
Camera: looks along its -z axis, +x right, +y up (OpenGL, as in Blender and in `transforms.json`).

Directions of rays are not normalised: their component along the viewing axis is 1. So `t` along a ray is depth along
that axis, in scene units, as in NeRF. A length on a ray is `t` times the norm of its direction.

n: views, h and w: pixels of a view, *b: any leading axes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tasks.lens_distortion import Distortion, undistort


class Rays(NamedTuple):
    """Rays of any shape; a pytree.

    Attributes:
        origins: Points where the rays start, in scene units.
        directions: Directions, not normalised; see the head of the file.
        near: First `t` of interest.
        far: Last `t` of interest.
        radius: Radius of the pixel's cone at t = 1: the distance between neighbouring directions times 2 / sqrt(12).
            With a distorted lens that distance changes over the picture; the derivative of the direction stands for it.
    """

    origins: Float[Array, "*b 3"]
    directions: Float[Array, "*b 3"]
    near: Float[Array, "*b"]
    far: Float[Array, "*b"]
    radius: Float[Array, "*b"]


class Intrinsics(NamedTuple):
    """Focal lengths and principal point of a camera, in pixels; arrays with a leading view axis, or scalars. A pytree.

    To choose some use `select_cameras`, to convert them `jax.tree.map`: the distortion is a tuple of arrays, or None.

    Attributes:
        focal_x: Focal length across.
        focal_y: Focal length down.
        center_x: Principal point, across.
        center_y: Principal point, down.
        distortion: Of the lens; None for a pinhole camera. It does not change with the number of pixels.
    """

    focal_x: Float[Array, "*n"]
    focal_y: Float[Array, "*n"]
    center_x: Float[Array, "*n"]
    center_y: Float[Array, "*n"]
    distortion: Distortion | None = None


def select_cameras(intrinsics: Intrinsics, index: Any) -> Intrinsics:
    """Select cameras as arrays are indexed: one, some, or one for each ray."""
    return jax.tree.map(lambda x: x[index], intrinsics)


BLENDER_FOV_DEG = float(np.degrees(0.6911112070083618))
"""Horizontal field of view of NeRF Realistic Synthetic: `camera_angle_x` of its transforms files."""


def intrinsics_from_fov(fov_deg: float, width: int, height: int) -> Intrinsics:
    """Compute the intrinsics of a camera with square pixels and its axis through the middle of the image.

    Args:
        fov_deg: Horizontal field of view, in degrees.
        width: Pixels across.
        height: Pixels down.
    """
    focal = 0.5 * width / np.tan(0.5 * np.radians(fov_deg))
    return Intrinsics(*(np.float32(x) for x in (focal, focal, width / 2, height / 2)))  # type: ignore[arg-type]


def look_at(
    azimuth_deg: Float[np.ndarray, "*#b"], elevation_deg: Float[np.ndarray, "*#b"], radius: Float[np.ndarray, "*#b"]
) -> Float[np.ndarray, "*b 4 4"]:
    """Place cameras on a sphere, looking at the origin with +z up; compute in float64 and return float32.

    Args:
        azimuth_deg: Degrees from +x toward +y.
        elevation_deg: Degrees above the horizon, in (-90, 90): at a pole `up` has no meaning.
        radius: Distance from the origin, in scene units.

    Returns:
        Poses, camera to world.
    """
    azimuth_deg, elevation_deg, radius = np.broadcast_arrays(azimuth_deg, elevation_deg, radius)
    if np.any(np.abs(elevation_deg) >= 90):
        raise ValueError("look_at: expected elevations in (-90, 90) degrees; 89.9 is close enough to a pole")
    azimuth = np.radians(azimuth_deg)
    elevation = np.radians(elevation_deg)
    backward = np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], axis=-1
    )
    right = np.stack([-np.sin(azimuth), np.cos(azimuth), np.zeros_like(azimuth)], axis=-1)
    up = np.cross(backward, right)
    pose = np.zeros((*backward.shape[:-1], 4, 4))
    pose[..., :3, 0] = right
    pose[..., :3, 1] = up
    pose[..., :3, 2] = backward
    pose[..., :3, 3] = backward * radius[..., None]
    pose[..., 3, 3] = 1
    return pose.astype(np.float32)


def hemisphere(
    num_views: int, *, radius: float = 4.0, low_deg: float = 3.0, high_deg: float = 82.0, shift: float = 0.0
) -> Float[np.ndarray, "n 4 4"]:
    """Spread cameras evenly over the upper hemisphere, on a golden-angle spiral between two elevations.

    Args:
        num_views: Number of cameras.
        radius: Distance from the origin.
        low_deg: Lowest elevation.
        high_deg: Highest elevation.
        shift: Turn of the spiral, in fractions of the golden angle; with different turns two sets do not coincide.

    Returns:
        Poses, camera to world.
    """
    height_low, height_high = np.sin(np.radians([low_deg, high_deg]))
    heights = height_low + (height_high - height_low) * (np.arange(num_views) + 0.5) / num_views
    golden_deg = 180 * (3 - np.sqrt(5))
    azimuth_deg = np.mod((np.arange(num_views) + shift) * golden_deg, 360)
    return look_at(azimuth_deg, np.degrees(np.arcsin(heights)), np.full(num_views, radius))


def pixel_rays(
    poses: Float[Array, "*b 4 4"],
    intrinsics: Intrinsics,
    columns: Float[Array, "*b"],
    rows: Float[Array, "*b"],
    near: float | Float[Array, ""],
    far: float | Float[Array, ""],
) -> Rays:
    """Compute rays through given positions of the image, one for each pose; a distorted lens bends them.

    Args:
        poses: Camera to world.
        intrinsics: With the same leading axes as the poses, or scalars.
        columns: Positions across, in pixels; a pixel's middle is its index plus 0.5.
        rows: Positions down, in pixels.
        near: First `t` of interest.
        far: Last `t` of interest.
    """
    x = (columns - intrinsics.center_x) / intrinsics.focal_x
    y = (rows - intrinsics.center_y) / intrinsics.focal_y
    stretch = None
    if intrinsics.distortion is not None:
        x, y, stretch = map(jnp.asarray, undistort(intrinsics.distortion, x, y))
    in_camera = jnp.stack([x, -y, -jnp.ones_like(columns)], axis=-1)
    # HIGHEST: the default of an accelerator (TF32, bfloat16) moves a ray by a good part of a pixel.
    directions = jnp.einsum("...ij,...j->...i", poses[..., :3, :3], in_camera, precision="highest")
    radius = 2 / np.sqrt(12) / jnp.broadcast_to(intrinsics.focal_x, columns.shape)
    if stretch is not None:
        radius = radius * stretch
    return Rays(
        origins=jnp.broadcast_to(poses[..., :3, 3], directions.shape),
        directions=directions,
        near=jnp.full(columns.shape, near, jnp.float32),
        far=jnp.full(columns.shape, far, jnp.float32),
        radius=radius.astype(jnp.float32),
    )


def view_rays(
    pose: Float[Array, "4 4"],
    intrinsics: Intrinsics,
    height: int,
    width: int,
    near: float | Float[Array, ""],
    far: float | Float[Array, ""],
    *,
    pixel_center: float | Float[Array, ""] = 0.5,
) -> Rays:
    """Compute rays through every pixel of one view; fields have leading axes height and width.

    Args:
        pose: Camera to world.
        intrinsics: Scalars, in pixels of this height and width.
        height: Pixels down.
        width: Pixels across.
        near: First `t` of interest.
        far: Last `t` of interest.
        pixel_center: 0.5 is right; 0, half a pixel off, is used by the released NeRF codes.
    """
    rows, columns = jnp.meshgrid(
        jnp.arange(height, dtype=jnp.float32) + pixel_center,
        jnp.arange(width, dtype=jnp.float32) + pixel_center,
        indexing="ij",
    )
    poses = jnp.broadcast_to(pose, (height, width, 4, 4))
    return pixel_rays(poses, intrinsics, columns, rows, near, far)


def angle_to_nearest_deg(
    poses: Float[np.ndarray, "n 4 4"], others: Float[np.ndarray, "m 4 4"]
) -> Float[np.ndarray, " n"]:
    """Compute the angle at the origin between each camera and the nearest of the other cameras, in degrees."""

    def unit(x: Float[np.ndarray, "k 4 4"]) -> Float[np.ndarray, "k 3"]:
        positions = np.asarray(x, np.float64)[:, :3, 3]
        # A camera at the origin is in no direction: 90 degrees from any other.
        return positions / np.maximum(np.linalg.norm(positions, axis=-1, keepdims=True), 1e-12)

    cosines = np.clip(unit(poses) @ unit(others).T, -1, 1)
    return np.degrees(np.arccos(cosines.max(axis=1)))
