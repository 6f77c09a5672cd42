"""Compiles the programs that train and render a pack: gradient steps, views, and what they cost.

A method is written for one trial. Here it is mapped over a leading trial axis and scanned over a chunk of steps with
`lax.scan`.
k: trials, one a row of every array.
"""

from __future__ import annotations

import functools
import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Float16, Int, Key, PRNGKeyArray

from bench.storage.timings import PhaseTimer
from bench.training import device_mesh, devices
from bench.training.batch import Batch, TrainState, load_batch
from bench.training.devices import CompiledProgram
from bench.training.packing import Pack, ProgramCost, TrainingPhase, training_phases
from bench.training.view_rendering import render_progress_view, render_views
from models.method import Data, Frozen, Hyperparameters, Method

RAYS_AT_ONCE = {"cpu": 1 << 11, "accelerator": 1 << 15}
"""Rays rendered at once: by one trial, few enough for a core's cache; by a pack, enough to fill an accelerator."""


class BegunChunk(NamedTuple):
    """A chunk of steps that a device was told to take, whose results are not fetched.

    Attributes:
        end: The last step of the chunk.
        means: A point of each curve.
        view: A view of each field for the strip; None if the strip gets none.
    """

    end: int
    means: dict[str, Float[Array, " k"]]
    view: Float16[Array, "k h w 3"] | None


class CompiledPrograms(NamedTuple):
    """The compiled programs of a phase.

    Attributes:
        advance: Takes a chunk of steps.
        render: Renders all views that are kept of finished fields.
        look: Renders one view, in training; None where there are photographs.
        num_chunk: Steps of a chunk.
    """

    advance: CompiledProgram
    render: CompiledProgram
    look: CompiledProgram | None
    num_chunk: int

    @property
    def memory_bytes(self) -> int | None:
        """Give the memory of a device that training takes; None where the compiler does not say."""
        return devices.memory_bytes(self.advance)

    @classmethod
    def compile(cls, pack: Pack, phase: TrainingPhase, state: TrainState, batch: Batch) -> CompiledPrograms:
        """Compile the programs of a phase, or take those of an earlier pack.

        Args:
            pack: Its first trial's task and budget give the sizes.
            phase: The steps.
            state: Arrays, or their shapes.
            batch: Arrays, or their shapes.
        """
        static = phase.method
        layout = pack.trials[0].task.layout()
        num_chunk = chunk_length(pack, phase)
        num_at_once = RAYS_AT_ONCE["cpu"]
        if not devices.is_cpu():
            num_at_once = RAYS_AT_ONCE["accelerator"] * device_mesh.num_ray_parts(state)
            num_at_once = max(1, num_at_once // device_mesh.rows_per_device(state.alive))
        first_step = jax.device_put(np.int32(0))
        steps = (static, phase.start, phase.end, num_chunk)
        sizes = (static, layout.height, layout.width, num_at_once)
        fields = (state.params, state.state, batch)
        asked = [
            functools.partial(devices.compile_once, train_chunk, steps, (state, batch, first_step), donate=(0,)),
            functools.partial(devices.compile_once, render_views, sizes, fields),
        ]
        if batch.photographers is None:
            asked.append(functools.partial(devices.compile_once, render_progress_view, sizes, fields))
        # Side by side where the host's cores have nothing else to do.
        with ThreadPoolExecutor(1 if devices.is_cpu() else len(asked)) as threads:
            advance, render, *look = threads.map(lambda compile_it: compile_it(), asked)
        return cls(advance=advance, render=render, look=look[0] if look else None, num_chunk=num_chunk)


def chunk_length(pack: Pack, phase: TrainingPhase) -> int:
    """Return the steps of a chunk: as many as make a point of the curves."""
    num_points = pack.trials[0].budget.num_curve_points
    return min(math.ceil((phase.method.num_steps or 0) / num_points), phase.end - phase.start)


def larger_share(share: float | None, num_bytes: int | None, num_rows: int) -> float | None:
    """Return the larger of a row's share of memory so far and its share now; None where either is not known.

    Example:
        >>> larger_share(0.0, 80, 4), larger_share(30.0, 80, 4), larger_share(None, 80, 4), larger_share(30.0, None, 4)
        (20.0, 30.0, None, None)
    """
    return None if share is None or num_bytes is None else max(share, num_bytes / num_rows)


def init_state(method: Method, batch: Batch, num_trials: int) -> TrainState:
    """Initialise every trial of a batch, where its arrays are; the rows that fill it up are dead from the start."""
    is_real = jax.device_put(np.arange(batch.keys.shape[0]) < num_trials, batch.keys.sharding)
    arguments = (batch.data, batch.hyperparameters, batch.keys, is_real)
    return devices.compile_once(init_trials, (method,), arguments)(*arguments)


def init_trials(
    method: Method, data: Data, hyperparameters: Hyperparameters, keys: Key[Array, " k"], is_real: Bool[Array, " k"]
) -> TrainState:
    """Initialise every trial of a batch; JAX traces it."""
    return jax.vmap(functools.partial(init_trial, method))(data, hyperparameters, keys, is_real)


def init_trial(
    method: Method, data: Data, hyperparameters: Hyperparameters, key: PRNGKeyArray, is_real: Bool[Array, ""]
) -> TrainState:
    """Initialise one trial."""
    params, state = method.init(jax.random.fold_in(key, 0), data)
    optimizer = method.optimizer(method.num_steps or 0, hyperparameters).init(params)
    return TrainState(params, state, optimizer, is_real, jnp.asarray(-1, jnp.int32))


def train_step(
    method: Method,
    num_steps: int,
    frozen: Frozen,
    step: Int[Array, ""],
    carry: TrainState,
    data: Data,
    hyperparameters: Hyperparameters,
    key: PRNGKeyArray,
) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """Take one gradient step of one trial; one whose loss or gradient is not finite stays as it was, from then on.

    A method that skips bad steps leaves such a step out instead, and counts it in a curve.
    """
    key = jax.random.fold_in(jax.random.fold_in(key, 1), step)
    (loss, (state, metrics)), grads = jax.value_and_grad(method.loss, has_aux=True)(
        carry.params, carry.state, frozen, data, hyperparameters, key, step
    )
    with jax.named_scope("optimizer"):
        updates, optimizer = method.optimizer(num_steps, hyperparameters).update(grads, carry.optimizer, carry.params)
        params = optax.apply_updates(carry.params, updates)
    good = carry.alive & jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(grads))
    params, state, optimizer = jax.tree.map(
        lambda new, old: jnp.where(good, new, old),
        (params, state, optimizer),
        (carry.params, carry.state, carry.optimizer),
    )
    first_bad_step = jnp.where(carry.alive & ~good & (carry.first_bad_step < 0), step, carry.first_bad_step)
    if method.skips_bad_steps:  # then a curve counts them; what is not finite would spoil the others
        metrics = jax.tree.map(lambda x: jnp.where(good, x, 0.0), {"loss": loss, **metrics})
        return TrainState(params, state, optimizer, carry.alive, first_bad_step), metrics | {"skipped": 1.0 - good}
    return TrainState(params, state, optimizer, good, first_bad_step), {"loss": loss, **metrics}


def train_chunk(
    method: Method, first: int, last: int, num_chunk: int, carry: TrainState, batch: Batch, start: Int[Array, ""]
) -> tuple[TrainState, dict[str, Float[Array, " k"]]]:
    """Take a chunk of steps of a whole pack; return its state, and the mean of each curve over the chunk.

    Chunks go from step `first` to before step `last`. The last one is as long as the others; what is past the end is
    skipped in it, so that one program serves all.
    """

    def body(carry: TrainState, step: Int[Array, ""]) -> tuple[TrainState, dict[str, Float[Array, " k"]]]:
        one = functools.partial(train_step, method, method.num_steps or 0, batch.frozen, step)
        return devices.map_trials(one)(carry, batch.data, batch.hyperparameters, batch.keys)

    def skip(carry: TrainState, step: Int[Array, ""]) -> tuple[TrainState, dict[str, Float[Array, " k"]]]:
        metrics = jax.eval_shape(body, carry, step)[1]
        return carry, jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), metrics)

    def body_or_skip(carry: TrainState, step: Int[Array, ""]) -> tuple[TrainState, dict[str, Float[Array, " k"]]]:
        return lax.cond(step < last, body, skip, carry, step)

    ends_early = (last - first) % num_chunk != 0
    carry, metrics = lax.scan(body_or_skip if ends_early else body, carry, start + jnp.arange(num_chunk))
    num_real = jnp.minimum(num_chunk, last - start).astype(jnp.float32)
    return carry, jax.tree.map(lambda m: m.sum(axis=0) / num_real, metrics)


def run_pilot(pack: Pack) -> ProgramCost:
    """Measure what a program costs here: compile it, take two chunks of steps, render once."""
    first = training_phases(pack)[0]
    static, batch, _ = load_batch(pack)
    state = init_state(static, batch, len(pack.roots))
    timer = PhaseTimer()
    programs = CompiledPrograms.compile(pack, first, state, batch)
    timer.lap("compile_s")
    start = jax.device_put(np.int32(0))
    state, _ = jax.block_until_ready(programs.advance(state, batch, start))
    timer.lap("warm_s")
    state, _ = jax.block_until_ready(programs.advance(state, batch, start))
    timer.lap("train_s")
    jax.block_until_ready(programs.render(state.params, state.state, batch))
    timer.lap("render_s")
    num_trials = len(pack.roots)
    return ProgramCost(
        compile_s=timer.laps["compile_s"],
        step_s=timer.laps["train_s"] / programs.num_chunk / num_trials,
        render_s=timer.laps["render_s"] / num_trials,
    )
