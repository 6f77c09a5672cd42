"""Probes of what training draws: samples on rays, cameras, crops, backgrounds."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bench.doctor.probes.probe import Probe, disc, of_arrays, true_pictures
from models import augmentations
from models.dream_fields.cameras import sample_training_rays
from models.rendering import random_poses, ray_sampling
from tasks import cameras
from tasks.cameras import Rays

NUM_RAYS = 3

NUM_BINS = 8

BACKGROUND_PX = 24


def all_sampler_probes() -> list[Probe]:
    """List the probes of all samplers."""
    return _ray_probes() + _camera_probes() + _picture_probes()


def _ray_probes() -> list[Probe]:
    near = np.asarray([2.0, 2.5, 1.0], np.float32)
    far = np.asarray([6.0, 5.0, 9.0], np.float32)
    shares = np.linspace(0, 1, NUM_BINS + 1, dtype=np.float32)
    tdist = (near[:, None] + (far - near)[:, None] * shares[None, :] ** 1.5).astype(np.float32)
    weights = (0.2 + np.abs(np.sin(np.arange(NUM_RAYS * NUM_BINS).reshape(NUM_RAYS, NUM_BINS)))).astype(np.float32)
    point_weights = np.concatenate([weights, weights[:, :1]], axis=1)
    spread = functools.partial(jnp.broadcast_to, shape=(NUM_RAYS, NUM_BINS + 1))
    return [
        Probe("fenceposts on rays", of_arrays(_fenceposts, near, far), is_quick=True),
        Probe("importance points, NeRF", of_arrays(_importance, tdist, point_weights), is_quick=True),
        Probe("fenceposts by weights, mip-NeRF", of_arrays(_resampled, tdist, weights), is_quick=True),
        Probe("samples by inverse depth", of_arrays(_inverse_depths, near, far, np.asarray(spread(shares)))),
        Probe("Gaussians of cones", of_arrays(_cones, tdist), is_quick=True),
    ]


def _fenceposts(near: Float[Array, " b"], far: Float[Array, " b"]) -> Any:
    return ray_sampling.fenceposts(near, far, NUM_BINS, jax.random.key(3))


def _importance(t: Float[Array, "b s"], weights: Float[Array, "b s"]) -> Any:
    drawn = ray_sampling.add_importance_points(t, weights, NUM_BINS, jax.random.key(5))
    return drawn, ray_sampling.add_importance_points(t, weights, NUM_BINS)


def _resampled(tdist: Float[Array, "b p"], weights: Float[Array, "b q"]) -> Any:
    return ray_sampling.resample_fenceposts(tdist, weights, NUM_BINS, jax.random.key(7))


def _inverse_depths(near: Float[Array, " b"], far: Float[Array, " b"], shares: Float[Array, "b p"]) -> Any:
    return ray_sampling.space_inverse_depths(near, far, shares)


def _cones(tdist: Float[Array, "b p"]) -> Any:
    origins = jnp.asarray([[0.0, 0.0, 4.0], [1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]])
    directions = jnp.asarray([[0.1, 0.2, -1.0], [-0.3, -0.5, -0.9], [0.4, -0.2, -0.8]])
    rays = Rays(origins, directions, tdist[:, 0], tdist[:, -1], jnp.full(NUM_RAYS, 0.003))
    return tuple(x for x in ray_sampling.conical_frustums(rays, tdist) if x is not None)


def _camera_probes() -> list[Probe]:
    poses = cameras.hemisphere(6)
    by_angle = functools.partial(_hemisphere_pose, uniform_in="angle")
    by_area = functools.partial(_hemisphere_pose, uniform_in="area")
    radius = np.asarray(4, np.float32)
    dream = {"azimuth_deg": 360, "low_deg": 10, "high_deg": 30, "radius": 4, "half_width": 1, "focal_multiplier": 1.2}
    hyperparameters = {name: np.float32(value) for name, value in dream.items()}
    return [
        Probe("cameras on a hemisphere, by angle", of_arrays(by_angle, radius), is_quick=True),
        Probe("cameras on a hemisphere, by area", of_arrays(by_area, radius)),
        Probe("cameras between photographs", of_arrays(_between, poses), is_quick=True),
        Probe("rays of Dream Fields' cameras", lambda: (_dream_rays, (hyperparameters,)), is_quick=True),
        Probe("rays of a view", of_arrays(_view_rays, poses[0])),
    ]


def _hemisphere_pose(radius: Float[Array, ""], uniform_in: str) -> Any:
    return random_poses.sample_on_hemisphere(jax.random.key(11), radius, uniform_in=uniform_in)


def _between(poses: Float[Array, "v 4 4"]) -> Any:
    return random_poses.interpolate_random_poses(jax.random.key(13), poses)


def _dream_rays(hyperparameters: dict[str, Any]) -> Any:
    rays = sample_training_rays(hyperparameters, 5, jax.random.key(17))
    return rays.origins, rays.directions, rays.near, rays.far


def _view_rays(pose: Float[Array, "4 4"]) -> Any:
    intrinsics = cameras.intrinsics_from_fov(cameras.BLENDER_FOV_DEG, 6, 5)
    rays = cameras.view_rays(pose, intrinsics, 5, 6, 2.0, 6.0)
    return rays.directions, rays.radius


def _picture_probes() -> list[Probe]:
    picture = true_pictures(1, BACKGROUND_PX)[0]
    opacity = disc(1, BACKGROUND_PX, 0.7)[0]
    both = np.concatenate([picture, opacity[..., None]], axis=-1)
    found = [
        Probe(f"background {name}", of_arrays(functools.partial(_background, name=name)), is_quick=name != "white")
        for name in augmentations.BACKGROUNDS
    ]
    return [
        *found,
        Probe("background of a random kind, blurred", of_arrays(_random_background), is_quick=True),
        Probe("background by weights", of_arrays(_weighted_background)),
        Probe("crop of a view", of_arrays(_crop, both), is_quick=True),
    ]


def _background(name: str) -> Any:
    return augmentations.BACKGROUNDS[name](jax.random.key(19), BACKGROUND_PX)


def _random_background() -> Any:
    return augmentations.sample_background(jax.random.key(23), BACKGROUND_PX)


def _weighted_background() -> Any:
    weights = jnp.ones(len(augmentations.BACKGROUNDS))
    return augmentations.sample_weighted_background(jax.random.key(29), BACKGROUND_PX, weights, jnp.asarray(10.0))


def _crop(both: Float[Array, "h w 4"]) -> Any:
    return augmentations.random_resized_crop(jax.random.key(31), both, 0.8, 16)
