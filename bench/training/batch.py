"""Loads the arrays of a pack's trials, and stacks them over a leading trial axis.

k: trials, n: cameras.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray, PyTree

from bench.metrics.task_kinds import kind_of
from bench.training import device_mesh, devices
from bench.training.packing import Pack
from models import clip
from models.method import Data, Frozen, Hyperparameters, Method, Params, State, split_hyperparameters
from tasks.cameras import Intrinsics
from tasks.task import CameraViews, TaskData


class TrainState(NamedTuple):
    """The arrays that training changes, of one trial or of a pack.

    Attributes:
        params: Trained by gradients.
        state: Moves without gradients: a tracked origin, an occupancy grid.
        optimizer: Moments and counts.
        alive: Whether every loss was finite so far.
        first_bad_step: The first step at which it was not; -1 if it always was.
    """

    params: Params
    state: State
    optimizer: PyTree
    alive: Bool[Array, "*k"]
    first_bad_step: Int[Array, "*k"]


NUM_NEAR_VIEWS = 8
"""Cameras of photographs whose view starts are rendered, to find density right before a camera."""

NEAR_PX = 24
"""Pixels along a side of such a view."""

NEAR_SHARE = 0.2
"""The depth of such a view, as a share of the way from near to far."""


class Cameras(NamedTuple):
    """Cameras of the test views, or those that took the photographs."""

    poses: Float[Array, "*k n 4 4"]
    intrinsics: Intrinsics
    near: Float[Array, "*k"]
    far: Float[Array, "*k"]
    pixel_center: Float[Array, "*k"]


Solved: TypeAlias = TaskData
"""The data of a task that a pack trains on."""


class Batch(NamedTuple):
    """The arrays of a pack that training only reads; all but `frozen` have a leading trial axis.

    Where several devices have trials of their own, copies of the last trial fill it up (`bench.training.device_mesh`).

    Attributes:
        frozen: Encoders, shared by all trials.
        data: What `Method.prepare` returned.
        hyperparameters: Values that may differ between the trials.
        keys: A random key a trial.
        cameras: Those of the test views.
        photographers: Those that took the photographs; None where there are none.
    """

    frozen: Frozen
    data: Data
    hyperparameters: Hyperparameters
    keys: PRNGKeyArray
    cameras: Cameras
    photographers: Cameras | None


def load_batch(pack: Pack, encoders: Frozen | None = None) -> tuple[Method, Batch, list[Solved]]:
    """Load what a pack trains first: a row for each of its roots.

    Args:
        pack: Of trials.
        encoders: Those of the method, by name; None to load them.

    Returns:
        The static method, the arrays on their devices, and the data that they were made of.
    """
    devices.use_compilation_cache()
    roots = pack.roots
    static = split_hyperparameters(roots[0].method)[0]
    frozen = load_encoders(static) if encoders is None else encoders
    scenes = [trial.task.load() for trial in roots]
    data = [trial.method.prepare(frozen, trial.task) for trial in roots]
    hyperparameters = [hyperparameters_of(trial.method) for trial in roots]
    cameras = [cameras_of(scene, scene.test) for scene in scenes]
    photographers = [
        cameras_of(scene, photographs, NUM_NEAR_VIEWS)
        for scene in scenes
        if (photographs := kind_of(scene).photographs(scene)) is not None
    ]
    stacked_photographers = stack_trials(photographers) if photographers else None
    keys = make_keys(np.asarray([trial.seed for trial in roots]))
    mesh = device_mesh.choose_mesh(len(roots), points_per_step(static))
    mapped = device_mesh.place_trials(
        (stack_trials(data), stack_trials(hyperparameters), keys, stack_trials(cameras), stacked_photographers), mesh
    )
    return static, Batch(device_mesh.replicate(frozen, mesh), *mapped), scenes


@jax.jit
def make_keys(seeds: Int[Array | np.ndarray, " k"]) -> Key[Array, " k"]:
    """Make a random key of each seed, in one program."""
    return jax.vmap(jax.random.key)(seeds)


def points_per_step(method: Method) -> float | None:
    """Count the points at which a trial evaluates its field in a step; None if the method does not say."""
    work = method.work_per_step()
    return None if work is None else float(work.points)


def cameras_of(scene: Solved, photos: CameraViews, most: int | None = None) -> Cameras:
    """Return the cameras of photographs; the first `most` of them."""
    on_host = {
        "poses": np.asarray(photos.poses[:most], np.float32),
        "intrinsics": jax.tree.map(lambda x: np.asarray(x[:most], np.float32), photos.intrinsics),
        "near": np.asarray(scene.near, np.float32),
        "far": np.asarray(scene.far, np.float32),
        "pixel_center": np.asarray(scene.pixel_center, np.float32),
    }
    return Cameras(**jax.device_put(on_host))  # `jnp.asarray` would compile a program for each shape


def load_encoders(method: Method) -> Frozen:
    """Load the encoders that a method is trained with."""
    return {name: clip.load(name, dtype=jnp.dtype(method.encoder_dtype)) for name in method.encoders}


def hyperparameters_of(method: Method) -> Hyperparameters:
    """Return a method's hyperparameters as arrays."""
    values = split_hyperparameters(method)[1]
    return jax.device_put({name: np.asarray(value, np.float32) for name, value in values.items()})


def stack_trials(trees: list[PyTree]) -> PyTree:
    """Stack trees of arrays into one tree with a leading trial axis.

    On the host, as `jnp.stack` would be compiled once for every shape.
    """

    def stack(*leaves: Any) -> Any:
        is_key = jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key)
        return jnp.stack(leaves) if is_key else np.stack(leaves)

    return jax.tree.map(stack, *jax.device_get(trees))


def index_trial(tree: PyTree, i: int) -> PyTree:
    """Return one trial of a tree with a leading trial axis."""
    return jax.tree.map(lambda x: x[i], tree)
