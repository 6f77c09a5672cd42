"""Opens a trained field: renders it from cameras, and asks it for density and colour at points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped, UInt8

from bench.errors import UsageError
from bench.report.images import image_grid
from bench.suites.trial import Trial
from bench.training import batch, devices, programs, view_rendering
from bench.training.batch import Cameras
from models.method import Data, Method, Params, State, Views
from tasks.cameras import BLENDER_FOV_DEG, Intrinsics, Rays, intrinsics_from_fov, look_at

RADIUS = 4.0
"""Distance of the turntable's camera from the origin: that of all test cameras."""


FRAME_PX = {"cpu": 80, "accelerator": 160}
"""Side of a turntable's frames if nobody says another: on two cores 48 frames of 160 px take minutes."""


POINTS_AT_ONCE = {"cpu": 1 << 13, "accelerator": 1 << 18}


class TrainedField(NamedTuple):
    """A finished field, with all that it takes to look at it.

    Attributes:
        method: With its numbers, which rendering may ask for.
        params: Trained.
        state: As training left it.
        data: The trial's arrays.
        near: First `t` of interest of a camera at `RADIUS`.
        far: Last `t` of interest.
        background: Grey that `method.render` puts behind the field.
    """

    method: Method
    params: Params
    state: State
    data: Data
    near: float
    far: float
    background: float

    @property
    def half_width(self) -> float:
        """Of the largest cube about the origin that lies between `near` and `far` of every camera."""
        return (self.far - self.near) / 2 / math.sqrt(3)


def field_of(trial: Trial, parameters: Mapping[str, Shaped[np.ndarray, "..."]]) -> TrainedField:
    """The field that a trial's stored parameters are of.

    Args:
        trial: As it was trained.
        parameters: By flat names, as an `Outcome` or a store has them.

    Raises:
        UsageError: They are not those of the trial's method.
    """
    method = trial.method
    data = jax.tree.map(jnp.asarray, method.prepare(batch.load_encoders(method), trial.task))
    params, state = jax.eval_shape(method.init, jax.random.key(trial.seed), data)
    wanted = {"params": params} | ({"state": state} if jax.tree.leaves(state) else {})
    shapes = {name: x.shape for name, x in flax.traverse_util.flatten_dict(wanted, sep="/").items()}
    got = {name: x.shape for name, x in parameters.items()}
    if got != shapes:
        name = next(name for name in {**shapes, **got} if shapes.get(name) != got.get(name))
        raise UsageError(
            f"{trial.id}: expected parameters of its method, {name} of {shapes.get(name, 'no')} shape, got "
            f"{got.get(name, 'none')}; they are of another version of the method: train it again"
        )
    filled = flax.traverse_util.unflatten_dict({k: jnp.asarray(x) for k, x in parameters.items()}, sep="/")
    scene = trial.task.load()
    behind = next((x.background for x in (scene, data, trial.task) if hasattr(x, "background")), 1.0)
    return TrainedField(
        method, filled["params"], filled.get("state", state), data, float(scene.near), float(scene.far), float(behind)
    )


def turntable(
    field: TrainedField,
    *,
    num_frames: int = 48,
    image_px: int | None = None,
    elevation_deg: float = 30.0,
    background: float = 1.0,
) -> UInt8[np.ndarray, "n h w 3"]:
    """Frames once round the object, the first from +x.

    Args:
        field: What is looked at.
        num_frames: A whole turn.
        image_px: Width and height; None for `FRAME_PX`.
        elevation_deg: Of the camera.
        background: Grey behind the object: 1 is white.
    """
    image_px = FRAME_PX["cpu" if devices.is_cpu() else "accelerator"] if image_px is None else image_px
    azimuth_deg = np.arange(num_frames) * 360 / num_frames
    poses = look_at(azimuth_deg, np.full(num_frames, elevation_deg), np.full(num_frames, RADIUS))
    inner = Intrinsics(*(jnp.full(1, x, jnp.float32) for x in intrinsics_from_fov(BLENDER_FOV_DEG, image_px, image_px)))
    num_at_once = programs.RAYS_AT_ONCE["cpu" if devices.is_cpu() else "accelerator"]
    near, far, center = (jnp.asarray(x, jnp.float32) for x in (field.near, field.far, 0.5))
    frames = []
    for pose in poses:
        cameras = Cameras(jnp.asarray(pose[None]), inner, near, far, center)
        asked = (field.params, field.state, field.data, cameras)
        static = (field.method, image_px, min(num_at_once, image_px**2))
        seen = devices.compile_once(render_cameras, static, asked)(*asked)
        shown = seen.color + (1 - seen.opacity[..., None]) * (background - field.background)
        frames.append(image_grid.quantize_colors(np.asarray(shown[0])))
    return np.stack(frames)


def render_cameras(
    method: Method, image_px: int, num_at_once: int, params: Params, state: State, data: Data, cameras: Cameras
) -> Views:
    """What cameras see, some rays at a time; traced."""

    def seen(rays: Rays) -> Views:
        return jax.tree.map(lambda x: x.astype(jnp.float32), method.render(params, state, data, rays))

    return view_rendering.render_in_blocks(cameras, image_px, image_px, num_at_once, seen)


def points_at_once() -> int:
    """How many points are asked at once."""
    return POINTS_AT_ONCE["cpu" if devices.is_cpu() else "accelerator"]


def at_points(
    field: TrainedField, points: Float[np.ndarray, "v 3"]
) -> tuple[Float[np.ndarray, " v"], Float[np.ndarray, "v 3"]]:
    """Density and colour at any number of points, by one program for all numbers."""
    num_at_once, found = points_at_once(), []
    for start in range(0, len(points), num_at_once):
        some = points[start : start + num_at_once]
        padded = jnp.asarray(np.pad(some, ((0, num_at_once - len(some)), (0, 0))))
        asked = (field.params, field.state, field.data, padded)
        answer = jax.device_get(devices.compile_once(query_field, (field.method,), asked)(*asked))
        found.append([x[: len(some)].astype(np.float32) for x in answer])
    densities, colors = zip(*found, strict=True)
    return np.concatenate(densities), np.concatenate(colors)


def query_field(
    method: Method, params: Params, state: State, data: Data, points: Float[Array, "p 3"]
) -> tuple[Float[Array, " p"], Float[Array, "p 3"]]:
    """The field at points; traced."""
    return method.field_at(params, state, data, points)
