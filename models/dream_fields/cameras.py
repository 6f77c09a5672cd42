"""Samples the cameras that Dream Fields trains with."""

from __future__ import annotations

import jax
from jaxtyping import PRNGKeyArray

from models.method import Hyperparameters
from models.rendering import random_poses
from tasks.cameras import BLENDER_FOV_DEG, Rays, intrinsics_from_fov, view_rays


def sample_training_rays(hyperparameters: Hyperparameters, render_px: int, key: PRNGKeyArray) -> Rays:
    """Sample a random pose, and returns the rays of its view, row by row.

    Args:
        hyperparameters: Of `DreamFields`.
        render_px: Width and height of the view.
        key: Of the pose.
    """
    azimuth_key, elevation_key = jax.random.split(key)
    azimuth_deg = hyperparameters["azimuth_deg"] * jax.random.uniform(azimuth_key)
    range_deg = hyperparameters["high_deg"] - hyperparameters["low_deg"]
    elevation_deg = hyperparameters["low_deg"] + range_deg * jax.random.uniform(elevation_key)
    intrinsics = intrinsics_from_fov(BLENDER_FOV_DEG, render_px, render_px)
    intrinsics = intrinsics._replace(
        focal_x=intrinsics.focal_x * hyperparameters["focal_multiplier"],
        focal_y=intrinsics.focal_y * hyperparameters["focal_multiplier"],
    )
    radius = hyperparameters["radius"]
    pose = random_poses.look_at(azimuth_deg, elevation_deg, radius)
    half_diagonal = 3**0.5 * hyperparameters["half_width"]
    rays = view_rays(pose, intrinsics, render_px, render_px, radius - half_diagonal, radius + half_diagonal)
    return jax.tree.map(lambda x: x.reshape(render_px**2, *x.shape[2:]), rays)
