"""Stacks the arrays of a pack's trials over a leading trial axis."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from bench.training import devices
from bench.training.packing import Pack
from models import clip
from models.method import Data, Frozen, Hyperparameters, Method, Params, State, split_hyperparameters
from tasks.cameras import Intrinsics
from tasks.captions.caption_task import CaptionData, CaptionViews
from tasks.task import Photos, SceneData


class TrainState(NamedTuple):
    """What a trial takes from step to step."""

    params: Params
    state: State
    optimizer: PyTree
    alive: Bool[Array, "*k"]
    first_bad_step: Int[Array, "*k"]


NUM_NEAR_VIEWS = 8
"""Cameras of photographs right before which the space is looked at, to find fields that hide a camera."""

NEAR_PX = 24
"""Rays along a side of such a view."""

NEAR_SHARE = 0.2
"""How far in such a view reaches, as a share of the way from near to far."""


class Cameras(NamedTuple):
    """Cameras of a trial: those of the test views, or those that took the photographs."""

    poses: Float[Array, "*k n 4 4"]
    intrinsics: Intrinsics
    near: Float[Array, "*k"]
    far: Float[Array, "*k"]
    pixel_center: Float[Array, "*k"]


Solved: TypeAlias = SceneData | CaptionData
"""What a task holds."""


class Batch(NamedTuple):
    """A pack as arrays: everything has a leading trial axis but `frozen`."""

    frozen: Frozen
    data: Data
    hyperparameters: Hyperparameters
    keys: PRNGKeyArray
    cameras: Cameras
    photographers: Cameras | None


def load(pack: Pack) -> tuple[Method, Batch, list[Solved]]:
    """The static method of what a pack trains first, its arrays, and the scenes they came from; a row a root."""
    roots = pack.roots
    static = split_hyperparameters(roots[0].method)[0]
    frozen = encoders_of(static)
    scenes = [trial.task.load() for trial in roots]
    data = [trial.method.prepare(frozen, trial.task) for trial in roots]
    hyperparameters = [hyperparameters_of(trial.method) for trial in roots]
    cameras = [cameras_of(scene, scene.test) for scene in scenes]
    photographers = [cameras_of(s, s.train, NUM_NEAR_VIEWS) for s in scenes if isinstance(s, SceneData)]
    keys = jnp.stack([jax.random.key(trial.seed) for trial in roots])
    behind = stack(photographers) if photographers else None
    mapped = devices.shard_trials((stack(data), stack(hyperparameters), keys, stack(cameras), behind))
    return static, Batch(devices.share(frozen), *mapped), scenes


def cameras_of(scene: Solved, photos: Photos | CaptionViews, most: int | None = None) -> Cameras:
    """The cameras of photographs, the first `most` of them."""
    return Cameras(
        poses=jnp.asarray(photos.poses[:most]),
        intrinsics=Intrinsics(*(jnp.asarray(x[:most], jnp.float32) for x in photos.intrinsics)),
        near=jnp.asarray(scene.near, jnp.float32),
        far=jnp.asarray(scene.far, jnp.float32),
        pixel_center=jnp.asarray(scene.pixel_center, jnp.float32),
    )


def encoders_of(method: Method) -> Frozen:
    """The encoders that a method looks through."""
    return {name: clip.load(name, dtype=jnp.dtype(method.encoder_dtype)) for name in method.encoders}


def hyperparameters_of(method: Method) -> Hyperparameters:
    """Returns a method's hyperparameters as arrays."""
    return {name: jnp.asarray(value, jnp.float32) for name, value in split_hyperparameters(method)[1].items()}


def stack(trees: list[PyTree]) -> PyTree:
    """Trees of arrays as one tree with a leading trial axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def index_trial(tree: PyTree, i: int) -> PyTree:
    """One trial of a tree with a leading trial axis."""
    return jax.tree.map(lambda x: x[i], tree)
