"""What a trial would train, by `jax.eval_shape`: at full size, with no step taken and no encoder's weights read.

It finds what does not fit together in a second, before a long run finds it in an hour.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bench.errors import UsageError
from bench.suites.trial import Trial
from bench.training import batch, trainer
from models import clip
from models.method import Method, split_hyperparameters
from tasks.cameras import Rays

NUM_RAYS = 1024


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


def of_trial(trial: Trial) -> TrialShapes:
    """Traces preparation, first parameters, one step of every phase, and rendering.

    Args:
        trial: Its task's photographs are read.

    Raises:
        UsageError: A step changes the shape of what it trains, or a view has the wrong shape.
    """
    method = split_hyperparameters(trial.method)[0]
    frozen = {name: clip.abstract(name, dtype=jnp.dtype(method.encoder_dtype)) for name in method.encoders}
    hyperparameters, key = batch.hyperparameters_of(trial.method), jax.random.key(trial.seed)
    data = jax.eval_shape(lambda encoders: trial.method.prepare(encoders, trial.task), frozen)
    rays = jax.eval_shape(lambda: some_rays(NUM_RAYS))
    phase: Method | None = method
    while phase is not None:
        carry = jax.eval_shape(lambda data, phase=phase: first(phase, data, hyperparameters, key), data)
        stepped, metrics = jax.eval_shape(
            lambda frozen, carry, data, phase=phase: trainer.train_step(
                phase, phase.total_steps, frozen, jnp.zeros((), jnp.int32), carry, data, hyperparameters, key
            ),
            frozen, carry, data,
        )  # fmt: skip
        if sizes(stepped) != sizes(carry):
            raise UsageError(f"{trial.variant}: expected a step to keep all shapes, got other ones; run `bench check`")
        seen = jax.eval_shape(phase.render, carry.params, carry.state, data, rays)
        if seen.color.shape != (NUM_RAYS, 3):
            raise UsageError(f"{trial.variant}: expected colours of shape {NUM_RAYS, 3}, got {seen.color.shape}")
        phase = phase.continues
    return TrialShapes(
        num_parameters=sum(leaf.size for leaf in jax.tree.leaves(carry.params)),
        num_encoder_parameters=sum(leaf.size for leaf in jax.tree.leaves([e.params for e in frozen.values()])),
        num_state_bytes=sum(num_bytes(leaf) for leaf in jax.tree.leaves((carry, data))),
        metrics=tuple(metrics),
    )


def first(method: Method, data: object, hyperparameters: dict[str, jax.Array], key: jax.Array) -> batch.TrainState:
    """What a trial hands to its first step."""
    params, state = method.init(jax.random.fold_in(key, 0), data)
    optimizer = method.optimizer(method.total_steps, hyperparameters).init(params)
    return batch.TrainState(params, state, optimizer, jnp.asarray(True), jnp.asarray(-1, jnp.int32))


def some_rays(num_rays: int) -> Rays:
    """Rays of any kind."""
    ones = jnp.ones((num_rays,))
    return Rays(origins=jnp.ones((num_rays, 3)), directions=jnp.ones((num_rays, 3)), near=ones, far=ones, radius=ones)


def sizes(tree: object) -> list[tuple[tuple[int, ...], str]]:
    """Shapes and types of the leaves."""
    return [(leaf.shape, str(leaf.dtype)) for leaf in jax.tree.leaves(tree)]


def num_bytes(leaf: jax.ShapeDtypeStruct) -> int:
    """Of an array of that shape; a random key counts as two words."""
    return 8 if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf.size * leaf.dtype.itemsize
