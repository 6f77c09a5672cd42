"""Traces a trial at full size by `jax.eval_shape`: no step is taken, and no encoder's weights are read.

Finds shapes that do not fit together in a second, before a long run finds them in an hour.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from bench.errors import UsageError
from bench.suites.trial import Trial
from bench.training import programs
from bench.training.batch import TrainState, hyperparameters_of
from models import clip
from models.method import Data, Frozen, Method, split_hyperparameters
from tasks.cameras import Rays

NUM_RAYS = 1024
"""Rays that rendering is traced with."""


class TrialShapes(NamedTuple):
    """The sizes of a trial.

    Attributes:
        num_parameters: That are trained.
        num_encoder_parameters: That are frozen; of all encoders.
        num_state_bytes: Of one trial in training: parameters, optimizer's moments, state and data.
        metrics: Names of the curves.
    """

    num_parameters: int
    num_encoder_parameters: int
    num_state_bytes: int
    metrics: tuple[str, ...]


def trace_trial(trial: Trial) -> TrialShapes:
    """Trace preparation, first parameters, one step of every phase, and rendering.

    Args:
        trial: Its task's photographs are read.

    Raises:
        UsageError: A step changes the shape of what it trains, or a view has the wrong shape.
    """
    method = split_hyperparameters(trial.method)[0]
    frozen = {name: clip.abstract(name, dtype=jnp.dtype(method.encoder_dtype)) for name in method.encoders}
    data = jax.eval_shape(lambda encoders: trial.method.prepare(encoders, trial.task), frozen)
    phases = [method]
    while phases[-1].continues is not None:
        phases.append(phases[-1].continues)
    for phase in phases:
        state, metrics = trace_phase(trial, phase, frozen, data)
    return TrialShapes(
        num_parameters=num_elements(state.params),
        num_encoder_parameters=num_elements([encoder.params for encoder in frozen.values()]),
        num_state_bytes=sum(num_bytes(leaf) for leaf in jax.tree.leaves((state, data))),
        metrics=tuple(metrics),
    )


def trace_phase(
    trial: Trial, method: Method, frozen: Frozen, data: Data
) -> tuple[TrainState, dict[str, jax.ShapeDtypeStruct]]:
    """Trace the first step of a phase, and rendering after it; return shapes of its state and curves.

    Args:
        trial: Names the variant in messages, and has the seed.
        method: The phase's, static.
        frozen: Shapes of the encoders.
        data: Shapes of what was prepared.

    Raises:
        UsageError: As `trace_trial`.
    """
    hyperparameters = hyperparameters_of(trial.method)
    key = jax.random.key(trial.seed)

    def init(data: Data) -> TrainState:
        return programs.init_trial(method, data, hyperparameters, key, jnp.asarray(True))

    def step(frozen: Frozen, state: TrainState, data: Data) -> tuple[TrainState, dict[str, jax.Array]]:
        first = jnp.zeros((), jnp.int32)
        return programs.train_step(method, method.num_steps or 0, frozen, first, state, data, hyperparameters, key)

    state = jax.eval_shape(init, data)
    stepped, metrics = jax.eval_shape(step, frozen, state, data)
    if leaf_shapes(stepped) != leaf_shapes(state):
        raise UsageError(f"{trial.variant}: expected a step to keep all shapes, got other ones; run `bench check`")
    rays = jax.eval_shape(lambda: make_rays(NUM_RAYS))
    views = jax.eval_shape(method.render, state.params, state.state, data, rays)
    if views.color.shape != (NUM_RAYS, 3):
        raise UsageError(f"{trial.variant}: expected colours of shape {NUM_RAYS, 3}, got {views.color.shape}")
    return state, metrics


def make_rays(num_rays: int) -> Rays:
    """Make rays, no matter which."""
    ones = jnp.ones((num_rays,))
    return Rays(origins=jnp.ones((num_rays, 3)), directions=jnp.ones((num_rays, 3)), near=ones, far=ones, radius=ones)


def leaf_shapes(tree: PyTree) -> list[tuple[tuple[int, ...], str]]:
    """List shapes and types of the leaves."""
    return [(leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(tree)]


def num_elements(tree: PyTree) -> int:
    """Count the numbers in a tree."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def num_bytes(leaf: jax.ShapeDtypeStruct) -> int:
    """Return the size of an array; a random key counts as two words."""
    return 8 if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf.size * leaf.dtype.itemsize
