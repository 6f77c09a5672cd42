"""The loop: a pack of trials goes in; parameters, views, curves, timings and scores of each come out.

A method is written for one trial. Here it is mapped over a leading trial axis, scanned over a chunk of steps with
`lax.scan`, compiled once, and its trial axis is sharded over the local devices.

k: trials of a pack, c: steps of a chunk, n: test views, h and w: pixels of a view, r: rays rendered at once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from bench.errors import OutOfDeviceMemory
from bench.metrics import protocols
from bench.storage import record
from bench.storage.timings import PhaseTimer, sum_timings, total_seconds
from bench.suites.trial import Trial
from bench.training import devices
from bench.training.batch import Batch, Solved, TrainState, index_trial, load
from bench.training.packing import Pack, ProgramCost, root
from bench.training.progress import Progress
from bench.training.view_rendering import Rendered, render, render_progress_view, stored_views
from models.method import Data, Frozen, Hyperparameters, Method, num_parameters, split_hyperparameters

RAYS_AT_ONCE = {"cpu": 1 << 11, "accelerator": 1 << 15}
"""Rays rendered at once: by one trial, few enough for a core's cache; by a pack, enough to fill an accelerator."""


NUM_STRIP = 8
"""How often an object that grows from a caption is looked at in training."""


def train(pack: Pack, protocol_names: tuple[str, ...], report: Callable[[Progress], None]) -> list[record.Outcome]:
    """Trains, renders and scores a pack; halves it for as long as it does not fit in memory.

    Args:
        pack: Trials of one program.
        protocol_names: How numbers are made of their views.
        report: Called now and then with where things stand.

    Raises:
        OutOfDeviceMemory: A single trial does not fit; the message names what to turn down.
    """
    try:
        return _train(pack, protocol_names, report)
    except jax.errors.JaxRuntimeError as error:
        if not devices.is_out_of_memory(error):
            raise
        message = str(error)
    # Outside of the handler: the traceback of the error would keep the arrays that did not fit.
    if len(pack.trials) == 1:
        raise OutOfDeviceMemory(does_not_fit(pack.trials[0], message))
    return [outcome for half in pack.halves() for outcome in train(half, protocol_names, report)]


def does_not_fit(trial: Trial, message: str) -> str:
    """What to tell a user whose single trial is too large for the device: the knobs, and where they stand."""
    knobs = ("encoder", "num_samples", "num_importance", "num_crops", "consistency_px", "num_rays", "image_px")
    values = {name: getattr(trial.method, name, None) or getattr(trial.task, name, None) for name in knobs}
    said = ", ".join(f"{name}={value}" for name, value in values.items() if value is not None)
    return (
        f"{trial.id}: does not fit in the memory of {jax.local_devices()[0].device_kind} even alone; "
        f"turn down one of {said} with --set ({message.splitlines()[0][:120]})"
    )


def _train(pack: Pack, protocol_names: tuple[str, ...], report: Callable[[Progress], None]) -> list[record.Outcome]:
    """One attempt at the whole pack: what its trials share first, then the phases that continue it."""
    clock, roots = PhaseTimer(), pack.roots
    report(Progress("prepare", 0, roots[0].method.total_steps, math.nan))
    static, batch, scenes = load(pack)
    carry = devices.shard_trials(initial(static, batch))
    clock.lap("prepare_s")
    outcomes: dict[str, record.Outcome] = {}
    afresh = tuple(t for t in pack.trials if t.method.continues is None)
    first = TrainingPhase(static, 0, afresh, clock.shared_by(len(roots)), 0.0)
    carry, curves, laps, memory = _stage(first, pack, roots, carry, batch, scenes, protocol_names, report, {}, outcomes)
    phases: dict[Method, list[Trial]] = {}
    for trial in pack.trials:
        if trial.method.continues is not None:
            phases.setdefault(split_hyperparameters(trial.method)[0], []).append(trial)
    for method, trials in phases.items():
        assert method.continues is not None and method.continues.continues is None, "a phase continues a whole training"
        rows = np.asarray([roots.index(root(trial)) for trial in trials])
        mine = devices.shard_trials(jax.tree.map(lambda x, rows=rows: x[rows], (carry, batch._replace(frozen={}))))
        hyperparameters = {
            name: jnp.stack([jnp.asarray(split_hyperparameters(t.method)[1][name]) for t in trials])
            for name in batch.hyperparameters
        }
        before = {name: [x if name == "step" else x[rows] for x in points] for name, points in curves.items()}
        stage = TrainingPhase(method, method.continues.total_steps, tuple(trials), laps, memory)
        theirs = mine[1]._replace(frozen=batch.frozen, hyperparameters=hyperparameters)
        known = [scenes[row] for row in rows]
        _stage(stage, pack, tuple(map(root, trials)), mine[0], theirs, known, protocol_names, report, before, outcomes)
    return [outcomes[trial.id] for trial in pack.trials]


class TrainingPhase(NamedTuple):
    """Steps of a pack that one compiled program takes.

    Attributes:
        method: Static.
        start: First step; the method's `total_steps` is behind the last.
        trials: Those that are finished at its end.
        laps: Seconds that each trial has taken before.
        memory: Bytes of a device, each trial's share, that its steps before took at most; None if nobody knows.
    """

    method: Method
    start: int
    trials: tuple[Trial, ...]
    laps: dict[str, float]
    memory: float | None


def _stage(
    stage: TrainingPhase,
    pack: Pack,
    roots: tuple[Trial, ...],
    carry: TrainState,
    batch: Batch,
    scenes: list[Solved],
    protocol_names: tuple[str, ...],
    report: Callable[[Progress], None],
    curves: dict[str, list[Any]],
    outcomes: dict[str, record.Outcome],
) -> tuple[TrainState, dict[str, list[Any]], dict[str, float], float | None]:
    """Takes a stage's steps, and finishes its trials; a row of every array is one of `roots`.

    Returns:
        The last carry, the curves so far, and each trial's share of the time spent on training, and of its memory.
    """
    clock, last = PhaseTimer(), stage.method.total_steps
    report(Progress("compile", stage.start, last, math.nan))
    programs = CompiledPrograms.of(pack, stage.method, stage.start, carry, batch)
    memory = _most(stage.memory, programs.memory_bytes, len(roots))
    clock.lap("compile_s")
    carry, curves, strip = train_chunks(stage, programs, carry, batch, curves, len(roots), report)
    loss = float(np.mean(curves["loss"][-1])) if curves.get("loss") else math.nan
    clock.lap("train_s")
    spent = sum_timings(stage.laps, clock.shared_by(len(roots)))
    if stage.trials:
        report(Progress("render", last, last, loss))
        views = with_strip(jax.device_get(programs.render(carry.params, carry.state, batch)), strip)
        ended = jax.device_get(carry._replace(optimizer=None))
        clock.lap("render_s")
        report(Progress("score", last, last, loss))
        rows = [roots.index(root(trial)) for trial in stage.trials] if not stage.start else range(len(roots))
        taken = [index_trial(views, row) for row in rows]
        guides = [trial.method.encoders for trial in stage.trials]
        scores = [
            score(scenes[row], view, protocol_names, by) for row, view, by in zip(rows, taken, guides, strict=True)
        ]
        clock.lap("score_s")
        timings = sum_timings(stage.laps, clock.shared_by(len(roots)))
        timings["wall_s"] = total_seconds(timings)
        borne = {root(trial) for trial in pack.trials if trial.id in outcomes}
        for trial, row, view, mine in zip(stage.trials, rows, taken, scores, strict=True):
            before = stage.laps if stage.start else timings  # equal trials of one stage are one field
            spent_by = timings | {"shared_s": total_seconds(before) if root(trial) in borne else 0.0}
            borne.add(root(trial))
            outcomes[trial.id] = make_outcome(
                trial, index_trial(ended, row), view, curve_of(curves, row), mine, scenes[row], spent_by,
                pack_size=len(roots), memory_bytes=None if memory is None else round(memory * len(roots)),
            )  # fmt: skip
    return carry, curves, spent, memory


def _most(before: float | None, now: int | None, num_trials: int) -> float | None:
    """Memory that a trial took at most, its share of it; None where one of two programs does not say.

    Example:
        >>> _most(0.0, 80, 4), _most(30.0, 80, 4), _most(None, 80, 4), _most(30.0, None, 4)
        (20.0, 30.0, None, None)
    """
    return None if before is None or now is None else max(before, now / num_trials)


def train_chunks(
    stage: TrainingPhase,
    programs: CompiledPrograms,
    carry: TrainState,
    batch: Batch,
    curves: dict[str, list[Any]],
    num_roots: int,
    report: Callable[[Progress], None],
) -> tuple[TrainState, dict[str, list[Any]], list[tuple[int, Any]]]:
    """Takes all steps of a stage: the last carry, the curves so far, and looks on the way with their steps."""
    last = stage.method.total_steps
    curves = {name: list(points) for name, points in curves.items()} or {"step": []}
    strip: list[tuple[int, Any]] = []
    for start in range(stage.start, last, programs.num_chunk):
        carry, metrics = programs.advance(carry, batch, jnp.asarray(start, jnp.int32))
        found = jax.device_get(metrics)
        for name in {*curves, *found} - {"step"}:  # what a phase has not is not a number there
            past = [np.full(num_roots, math.nan)] * len(curves["step"])
            curves.setdefault(name, past).append(found.get(name, np.full(num_roots, math.nan)))
        curves["step"].append(min(start + programs.num_chunk, last))
        report(Progress("train", curves["step"][-1], last, float(np.mean(curves["loss"][-1]))))
        if programs.look is not None and is_due(curves["step"][-1], start, last):
            strip.append((curves["step"][-1], jax.device_get(programs.look(carry.params, carry.state, batch))))
    return carry, curves, strip


def is_due(step: int, before: int, last: int) -> bool:
    """Whether a look is taken at a step, the last one of a chunk that began at `before`: `NUM_STRIP` looks, evenly."""
    return step * NUM_STRIP // last > before * NUM_STRIP // last


def with_strip(rendered: Rendered, strip: list[tuple[int, Any]]) -> Rendered:
    """What is kept of finished fields, and the looks that were taken before."""
    if not strip:
        return rendered
    colors = np.stack([look for _, look in strip], axis=1)
    steps = np.tile(np.asarray([[step for step, _ in strip]], np.int32), (len(colors), 1))
    return rendered._replace(strip=colors, strip_steps=steps)


class CompiledPrograms(NamedTuple):
    """The compiled programs of a stage.

    Attributes:
        advance: Takes a chunk of steps.
        render: All that is kept of finished fields.
        look: One view, on the way; None where there are photographs.
        num_chunk: Steps of a chunk.
    """

    advance: Callable[..., Any]
    render: Callable[..., Any]
    look: Callable[..., Any] | None
    num_chunk: int

    @property
    def memory_bytes(self) -> int | None:
        """Of a device, while the pack is trained; None where the compiler does not say."""
        return devices.memory_bytes(self.advance)

    @classmethod
    def of(cls, pack: Pack, static: Method, first: int, carry: TrainState, batch: Batch) -> CompiledPrograms:
        """Compiles them, or takes those of an earlier pack."""
        devices.use_compilation_cache()
        last, layout = static.total_steps, pack.trials[0].task.layout()
        num_chunk = min(math.ceil((static.num_steps or 0) / pack.trials[0].budget.num_curve_points), last - first)
        num_trials = carry.alive.shape[0]
        start = jnp.zeros((), jnp.int32)
        num_at_once = RAYS_AT_ONCE["cpu"] if devices.is_cpu() else max(1, RAYS_AT_ONCE["accelerator"] // num_trials)
        sizes, fields = (static, layout.height, layout.width, num_at_once), (carry.params, carry.state, batch)
        return cls(
            advance=devices.compiled(train_chunk, (static, first, last, num_chunk), (carry, batch, start), donate=(0,)),
            render=devices.compiled(render, sizes, fields),
            look=devices.compiled(render_progress_view, sizes, fields) if batch.photographers is None else None,
            num_chunk=num_chunk,
        )


def curve_of(curves: dict[str, list[Any]], i: int) -> dict[str, list[float]]:
    """One trial's curves; `step` is the same for all."""
    return {name: [float(x if name == "step" else x[i]) for x in points] for name, points in curves.items()}


def initial(method: Method, batch: Batch) -> TrainState:
    """Every trial before its first step."""

    def one(data: Data, hyperparameters: Hyperparameters, key: PRNGKeyArray) -> TrainState:
        params, state = method.init(jax.random.fold_in(key, 0), data)
        optimizer = method.optimizer(method.num_steps or 0, hyperparameters).init(params)
        return TrainState(params, state, optimizer, jnp.asarray(True), jnp.asarray(-1, jnp.int32))

    return jax.jit(jax.vmap(one))(batch.data, batch.hyperparameters, batch.keys)


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
    """One gradient step of one trial; one whose loss or gradient is not finite stays as it was, from then on."""
    key = jax.random.fold_in(jax.random.fold_in(key, 1), step)
    (loss, (state, metrics)), grads = jax.value_and_grad(method.loss, has_aux=True)(
        carry.params, carry.state, frozen, data, hyperparameters, key, step
    )
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
    """A chunk of steps of a whole pack, and the mean of each curve over the chunk.

    Chunks go from step `first` to before step `last`. The last one is as long as the others; what is past the end is
    skipped in it, so that one program serves all.
    """

    def body(carry: TrainState, step: Int[Array, ""]) -> tuple[TrainState, dict[str, Float[Array, " k"]]]:
        one = functools.partial(train_step, method, method.num_steps or 0, batch.frozen, step)
        return devices.over_trials(one)(carry, batch.data, batch.hyperparameters, batch.keys)

    def skip(carry: TrainState, step: Int[Array, ""]) -> tuple[TrainState, dict[str, Float[Array, " k"]]]:
        metrics = jax.eval_shape(body, carry, step)[1]
        return carry, jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), metrics)

    if (last - first) % num_chunk:
        carry, metrics = lax.scan(
            lambda carry, step: lax.cond(step < last, body, skip, carry, step),
            carry,
            start + jnp.arange(num_chunk),
        )
    else:
        carry, metrics = lax.scan(body, carry, start + jnp.arange(num_chunk))
    num_real = jnp.minimum(num_chunk, last - start).astype(jnp.float32)
    return carry, jax.tree.map(lambda m: m.sum(axis=0) / num_real, metrics)


def score(
    scene: Solved, rendered: Rendered, protocol_names: tuple[str, ...], guides: tuple[str, ...] = ()
) -> dict[str, dict[str, Any]]:
    """A trial's scores under each protocol, from its float16 views, as `rescore` makes them from the stored ones."""
    arrays = stored_views(scene, rendered)
    return {
        name: protocols.score(protocols.get(name), scene, arrays, guides).to_json()
        for name in protocol_names
        if protocols.applies_to(name, scene)
    }


def make_outcome(
    trial: Trial,
    carry: TrainState,
    rendered: Rendered,
    curves: dict[str, list[float]],
    scores: dict[str, dict[str, Any]],
    scene: Solved,
    timings: dict[str, float],
    *,
    pack_size: int,
    memory_bytes: int | None,
) -> record.Outcome:
    """What a trial leaves, once its pack is done."""
    parameters = {"params": carry.params} | ({"state": carry.state} if jax.tree.leaves(carry.state) else {})
    flat = flax.traverse_util.flatten_dict(parameters, sep="/")
    bad_step = None if bool(carry.alive) else int(carry.first_bad_step)
    return record.Outcome(
        record=record.make_record(
            trial,
            status="finished" if bad_step is None else "failed",
            reason=None if bad_step is None else f"the loss or its gradient was not finite at step {bad_step}",
            curves=curves,
            timings=timings,
            num_parameters=num_parameters(carry.params),
            pack_size=pack_size,
            memory_bytes=memory_bytes,
            first_bad_step=bad_step,
        ),
        parameters={name: np.asarray(value) for name, value in flat.items()},
        views=stored_views(scene, rendered),
        scores=scores if bad_step is None else {},
    )


def pilot(pack: Pack) -> ProgramCost:
    """Measures what a program costs here: compiles it, takes two chunks of steps, renders once."""
    static, batch, _ = load(pack)
    carry = devices.shard_trials(initial(static, batch))
    clock = PhaseTimer()
    programs = CompiledPrograms.of(pack, static, 0, carry, batch)
    clock.lap("compile_s")
    start = jnp.zeros((), jnp.int32)
    carry, _ = jax.block_until_ready(programs.advance(carry, batch, start))
    clock.lap("warm_s")
    carry, _ = jax.block_until_ready(programs.advance(carry, batch, start))
    clock.lap("train_s")
    jax.block_until_ready(programs.render(carry.params, carry.state, batch))
    clock.lap("render_s")
    num_trials = len(pack.roots)
    return ProgramCost(
        compile_s=clock.laps["compile_s"],
        step_s=clock.laps["train_s"] / programs.num_chunk / num_trials,
        render_s=clock.laps["render_s"] / num_trials,
    )
