"""Opens a trained field: renders it from cameras, and reads its density and colour at points."""

from __future__ import annotations

import collections
import math
from collections.abc import Mapping
from typing import NamedTuple

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped, UInt8

from bench.errors import UsageError
from bench.export.camera_path import CameraPath, lay_capture_path, lay_turntable
from bench.export.capture_geometry import CaptureGeometry, read_geometry
from bench.report.images import image_grid
from bench.suites.trial import Trial
from bench.training import batch, devices, programs, view_rendering
from bench.training.batch import Cameras
from models.method import Data, Method, Params, State, Views
from models.rendering import ray_sampling
from tasks.cameras import Rays

FRAME_PX = {"cpu": 80, "accelerator": 160}
"""Default width and height of a turntable's frames. They are small on a CPU: 48 frames of 160 px take minutes there."""

VIDEO_SAMPLES = {"cpu": 1, "accelerator": 256}
"""Fewest samples along a ray of a video of a field made from a caption (`video_samples`). Many are slow on a CPU."""

MAX_RAYS_A_CALL = {"cpu": 8 * 80 * 80, "accelerator": 8 * 160 * 160}
"""Rays of a turntable that one call of the compiled program renders, eight frames of the default size.

A device takes one call after the other: what scores an object and what makes its mesh waits for no more than these.
"""

POINTS_AT_ONCE = {"cpu": 1 << 13, "accelerator": 1 << 18}
"""Points that one call of the compiled program evaluates."""

CALLS_AHEAD = 4
"""Calls that are begun before the result of the first is fetched: each would else wait for a turn on the device."""


class TrainedField(NamedTuple):
    """A trained field, with all that is needed to render it.

    Attributes:
        method: Method that trained it; rendering may read its settings.
        params: Trained parameters.
        state: State at the end of training.
        data: Arrays of the trial.
        near: First `t` of interest of a test camera.
        far: Last `t` of interest.
        background: Grey that `method.render` puts behind the field.
        capture: The cameras of a captured scene; None for one that is in its own unit.
    """

    method: Method
    params: Params
    state: State
    data: Data
    near: float
    far: float
    background: float
    capture: CaptureGeometry | None = None

    @property
    def follows_capture(self) -> bool:
        """Whether its video follows the training cameras: there is no end to the scene that one could go round."""
        return self.capture is not None and self.capture.world != "bounded"

    @property
    def half_width(self) -> float:
        """Compute the half width of the largest cube about the origin that every camera sees between near and far."""
        return (self.far - self.near) / 2 / math.sqrt(3)


def load_field_data(trial: Trial) -> Data:
    """Load the arrays that a trial's method reads: the same for all seeds of a task."""
    devices.use_compilation_cache()
    return jax.device_put(trial.method.prepare(batch.load_encoders(trial.method), trial.task))


def untrained_field(trial: Trial, data: Data) -> TrainedField:
    """Build a field of zeros: one that compiles to the same programs as the trained one."""
    shapes = jax.eval_shape(trial.method.init, jax.random.key(trial.seed), data)
    params, state = jax.device_put(jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes))
    return open_field(trial, params, state, data)


def field_of(
    trial: Trial,
    parameters: Mapping[str, Shaped[np.ndarray, "..."]],
    data: Data | None = None,
    like: TrainedField | None = None,
) -> TrainedField:
    """Build the trained field of a trial from its stored parameters.

    Args:
        trial: Trial that the parameters were trained for.
        parameters: Arrays by flat name, as an `Outcome` or a store holds them.
        data: What `load_field_data` gives for it; None to call that.
        like: Field of the same method, whose shapes it has; None to trace the method for them.

    Raises:
        UsageError: Names or shapes of the parameters are not those of the trial's method.
    """
    data = load_field_data(trial) if data is None else data
    params: Params
    state: State
    if like is None:
        params, state = jax.eval_shape(trial.method.init, jax.random.key(trial.seed), data)
    else:
        params = like.params
        state = like.state
    wanted = {"params": params}
    if jax.tree.leaves(state):
        wanted["state"] = state
    shapes = {name: x.shape for name, x in flax.traverse_util.flatten_dict(wanted, sep="/").items()}
    got = {name: x.shape for name, x in parameters.items()}
    if got != shapes:
        name = next(name for name in {**shapes, **got} if shapes.get(name) != got.get(name))
        raise UsageError(
            f"{trial.id}: expected parameters of its method, {name} of {shapes.get(name, 'no')} shape, got "
            f"{got.get(name, 'none')}; they are of another version of the method: train it again"
        )
    filled = flax.traverse_util.unflatten_dict(jax.device_put(dict(parameters)), sep="/")
    return open_field(trial, filled["params"], filled.get("state", state), data)


def open_field(trial: Trial, params: Params, state: State, data: Data) -> TrainedField:
    """Add what rendering a field needs of its task."""
    scene = trial.task.load()
    background = next((x.background for x in (scene, data, trial.task) if hasattr(x, "background")), 1.0)
    return TrainedField(
        method=trial.method,
        params=params,
        state=state,
        data=data,
        near=float(scene.near),
        far=float(scene.far),
        background=float(background),
        capture=read_geometry(trial.task, scene),
    )


def choose_path(
    field: TrainedField, *, num_frames: int = 48, image_px: int | None = None, elevation_deg: float = 30.0
) -> CameraPath:
    """Choose the path of a field's video: along the cameras of a captured scene without an end, else a turntable.

    Args:
        field: Field to render.
        num_frames: Frames of the whole path.
        image_px: Pixels along the longer side of a frame; None for `FRAME_PX`.
        elevation_deg: Elevation of a turntable's camera.
    """
    image_px = devices.choose_for_device(FRAME_PX) if image_px is None else image_px
    if field.capture is not None and field.follows_capture:
        return lay_capture_path(field.capture, num_frames, image_px)
    return lay_turntable(num_frames, image_px, elevation_deg)


def render_path(
    field: TrainedField, path: CameraPath, *, background: float | None = None
) -> UInt8[np.ndarray, "n h w 3"]:
    """Render the frames of a path.

    Args:
        field: Field to render.
        path: Cameras.
        background: Grey behind the object: 1 is white; None for what it was trained before.
    """
    background = field.background if background is None else background
    num_frames = len(path.poses)
    num_pixels = path.height * path.width
    num_groups, num_in_group = divide_frames(num_frames, num_pixels)
    inner = jax.device_put(jax.tree.map(lambda x: np.full(num_in_group, x, np.float32), path.intrinsics))
    of_views = samples_of_views(field.method)
    num_samples = video_samples(field.method)
    num_at_once = devices.choose_for_device(programs.RAYS_AT_ONCE)
    if of_views is not None and num_samples is not None:
        num_at_once = num_at_once * of_views // num_samples  # as much memory as scored views take
    static = (field.method, path.height, path.width, min(num_at_once, num_in_group * num_pixels), num_samples)
    near, far, center = jax.device_put([np.float32(x) for x in (field.near, field.far, 0.5)])
    frames = []
    for group in range(num_groups):
        # The last group is filled up with the last pose.
        chosen = np.minimum(np.arange(num_in_group) + group * num_in_group, num_frames - 1)
        cameras = Cameras(jax.device_put(path.poses[chosen]), inner, near, far, center)
        asked = (field.params, field.state, field.data, cameras)
        seen = jax.device_get(devices.compile_once(render_cameras, static, asked)(*asked))
        shown = seen.color + (1 - seen.opacity[..., None]) * np.float32(background - field.background)
        frames += [image_grid.quantize_colors(frame) for frame in shown]
    return np.stack(frames[:num_frames])


def divide_frames(num_frames: int, num_pixels: int) -> tuple[int, int]:
    """Divide frames among calls of the compiled program; return the number of calls, and the frames of each.

    Args:
        num_frames: Frames of a path.
        num_pixels: Pixels of a frame.
    """
    most = devices.choose_for_device(MAX_RAYS_A_CALL)
    return ray_sampling.equal_blocks(num_frames, max(1, most // num_pixels))


def video_samples(method: Method) -> int | None:
    """Return the samples along a ray of a video; None for the method's own.

    A field made from a caption has regular samples alone: with 64, the slices between them show as bands on its
    surface.
    """
    of_views = samples_of_views(method)
    if of_views is None:
        return None
    return max(of_views, devices.choose_for_device(VIDEO_SAMPLES))


def samples_of_views(method: Method) -> int | None:
    """Return the samples along a ray of a scored view; None for a method that has no number of its own for these."""
    return getattr(method, "num_view_samples", None)


def render_cameras(
    method: Method,
    height: int,
    width: int,
    num_at_once: int,
    num_samples: int | None,
    params: Params,
    state: State,
    data: Data,
    cameras: Cameras,
) -> Views:
    """Render the views of cameras, `num_at_once` rays at a time; JAX traces it."""

    def render(rays: Rays) -> Views:
        sampled = () if num_samples is None else (num_samples,)
        return jax.tree.map(lambda x: x.astype(jnp.float32), method.render(params, state, data, rays, *sampled))

    return view_rendering.render_in_blocks(cameras, height, width, num_at_once, render)


def points_at_once() -> int:
    """Return the number of points that one call evaluates on this device."""
    return devices.choose_for_device(POINTS_AT_ONCE)


def at_points(
    field: TrainedField, points: Float[np.ndarray, "v 3"]
) -> tuple[Float[np.ndarray, " v"], Float[np.ndarray, "v 3"]]:
    """Evaluate density and colour at any number of points; one compiled program serves every number."""
    num_at_once = points_at_once()
    found: list[list[np.ndarray]] = []
    begun: collections.deque[tuple[int, tuple[Array, Array]]] = collections.deque()

    def fetch() -> None:
        count, answer = begun.popleft()
        found.append([x[:count].astype(np.float32) for x in jax.device_get(answer)])

    for start in range(0, len(points), num_at_once):
        some = points[start : start + num_at_once]
        padded = jax.device_put(np.pad(some, ((0, num_at_once - len(some)), (0, 0))))
        asked = (field.params, field.state, field.data, padded)
        begun.append((len(some), devices.compile_once(query_field, (field.method,), asked)(*asked)))
        if len(begun) == CALLS_AHEAD:
            fetch()
    while begun:
        fetch()
    densities, colors = zip(*found, strict=True)
    return np.concatenate(densities), np.concatenate(colors)


def query_field(
    method: Method, params: Params, state: State, data: Data, points: Float[Array, "p 3"]
) -> tuple[Float[Array, " p"], Float[Array, "p 3"]]:
    """Evaluate the field at points; JAX traces it."""
    return method.field_at(params, state, data, points)
