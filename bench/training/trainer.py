"""Trains a pack of trials: parameters, views, curves, timings and scores of each come out.

`train_together` is the whole story: what the trials of a pack share is trained first, then each phase that continues
it. The gradient steps themselves are in `bench.training.programs`, the scores in `bench.training.scoring`.

A trial whose loss is not finite ends alone: its parameters stay as they were, and it is an outcome that has failed,
with the step. A pack that does not fit in the device's memory is halved and tried again.

k: rows of the arrays, one a trial that is trained; h and w: pixels of a view.
"""

from __future__ import annotations

import dataclasses
import gc
import math
from collections.abc import Callable
from typing import TypeAlias

import flax.traverse_util
import jax
import numpy as np
from jaxtyping import Float, Float16, PyTree

from bench.errors import OutOfDeviceMemory
from bench.storage import record
from bench.storage.record import Outcome
from bench.storage.timings import PhaseTimer, sum_timings, total_seconds
from bench.suites.trial import Trial
from bench.training import checkpointing, device_mesh, devices
from bench.training.batch import (
    Batch,
    Solved,
    TrainState,
    hyperparameters_of,
    index_trial,
    load_batch,
    points_per_step,
    stack_trials,
)
from bench.training.packing import Pack, TrainingPhase, root, training_phases
from bench.training.programs import BegunChunk, CompiledPrograms, init_state, larger_share
from bench.training.progress import Progress
from bench.training.scoring import RenderedPhase, RenderedTrial, Report, UnscoredPack, ViewArrays, wait_for_scores
from bench.training.sitting import Sitting
from bench.training.view_rendering import add_strip, is_strip_step, to_stored_views
from models.method import num_parameters

OnPhase: TypeAlias = Callable[[RenderedPhase], None]
"""Takes the trials that ended with a phase."""

CHUNKS_AHEAD = {"cpu": 0, "accelerator": 1}
"""Chunks of steps that are begun before the curves of an earlier one are fetched.

An accelerator would else wait after each chunk for this thread, which may itself wait for the interpreter while other
threads score, write or import. A core has to compute the next chunk itself.
"""

TrainOnce: TypeAlias = Callable[[Pack, Report, Sitting, OnPhase], None]
"""Trains a pack that fits in memory."""


def train(pack: Pack, protocol_names: tuple[str, ...], report: Report, sitting: Sitting | None = None) -> list[Outcome]:
    """Train, render and score a pack. See `train_unscored`; trials are scored when their phase ends.

    Returns:
        An outcome of each trial, in the pack's order. A trial whose loss is not finite has failed; the others go on.
    """
    sitting = sitting or Sitting()

    def score(phase: RenderedPhase) -> None:
        sitting.add_outcomes(phase.score(protocol_names, report))

    train_in_parts(pack, report, sitting, score)
    return [sitting.outcomes[trial.id] for trial in pack.trials]


def train_unscored(
    pack: Pack, protocol_names: tuple[str, ...], report: Report, sitting: Sitting | None = None
) -> UnscoredPack:
    """Train and render a pack; halve it for as long as it does not fit in memory.

    Args:
        pack: Trials of one program.
        protocol_names: The protocols that they are to be scored under.
        report: Called now and then with where the pack stands.
        sitting: What the pack goes on from, and takes outcomes and checkpoints on the way; None for none of it.

    Raises:
        OutOfDeviceMemory: A single trial does not fit; the message names what to turn down.
        UsageError: The code of a user's is another one here than where the trials were made.
        TrainingStopped: The sitting is over; outcomes and checkpoints have been handed on.
    """
    sitting = sitting or Sitting()
    unscored = UnscoredPack(tuple(trial.id for trial in pack.trials), protocol_names, sitting, report)
    try:
        train_in_parts(pack, report, sitting, unscored.add)
    except Exception:
        unscored.wait()  # what ended before is kept
        raise
    return unscored


def train_in_parts(
    pack: Pack, report: Report, sitting: Sitting, on_phase: OnPhase, train_once: TrainOnce | None = None
) -> None:
    """Train a pack, or its halves one after the other where it does not fit in memory.

    Args:
        pack: Trials of one program.
        report: As in `train_unscored`.
        sitting: As in `train_unscored`.
        on_phase: Takes the trials that ended with a phase.
        train_once: Trains a pack that fits in memory; None for `train_together`.
    """
    for trial in pack.trials:
        trial.check_same_here()
    ended: set[str] = set()

    def note(phase: RenderedPhase) -> None:
        on_phase(phase)
        ended.update(rendered.trial.id for rendered in phase.trials)

    try:
        return (train_once or train_together)(pack, report, sitting, note)
    except jax.errors.JaxRuntimeError as error:
        if not devices.is_out_of_memory(error):
            raise
        message = str(error)
    # Outside of the handler: the traceback of the error would keep the arrays that did not fit.
    gc.collect()  # so would what refers to itself
    left = pack.without(ended)
    is_free = wait_for_scores()  # those of the pack before took memory too
    if len(left.trials) == 1 and not is_free:
        raise OutOfDeviceMemory(explain_out_of_memory(left.trials[0], message))
    for part in [left] if is_free else left.halves():
        train_in_parts(part, report, sitting, on_phase, train_once)


def explain_out_of_memory(trial: Trial, message: str) -> str:
    """Tell a user whose single trial is too large for the device which fields to turn down, and their values."""
    knobs = []
    for name in ("encoder", "num_samples", "num_importance", "num_crops", "consistency_px", "num_rays", "image_px"):
        value = getattr(trial.method, name, None) or getattr(trial.task, name, None)
        if value is not None:
            knobs.append(f"{name}={value}")
    return (
        f"{trial.id}: does not fit in the memory of {jax.local_devices()[0].device_kind} even alone; "
        f"turn down one of {', '.join(knobs)} with --set, or end other programs that have taken its memory "
        f"({message.splitlines()[0][:120]})"
    )


def train_together(pack: Pack, report: Report, sitting: Sitting, on_phase: OnPhase) -> None:
    """Train a whole pack at once: first what its trials share, then each phase that continues it.

    Trials are handed on as their phase ends.
    """
    first, *continuations = training_phases(pack)
    run = PackRun.prepare(pack, first, report, sitting)
    if first.trials or not checkpointing.can_skip(run, continuations):
        run.train_phase()
    if first.trials:
        on_phase(run.render_phase())
    for phase in continuations:
        branch = run.branch(phase)
        branch.train_phase()
        on_phase(branch.render_phase())


@dataclasses.dataclass(kw_only=True)
class PackRun:
    """A phase of a pack while it is trained: its arrays, and what they have cost so far.

    Row i of all arrays belongs to `roots[i]`; more rows may follow, so that several devices have equally many. In the
    first phase every root has one row; in a branch every trial has one, and its root is what it continues.

    Attributes:
        pack: All trials of the pack.
        phase: The steps that are taken, and the trials that are finished at their end.
        report: Called now and then with where the pack stands.
        sitting: What the pack goes on from, and takes outcomes and checkpoints on the way.
        roots: The trial that each row trains first.
        rows: The row of each trial of the phase.
        scenes: What each row's task holds.
        batch: Arrays that training reads.
        state: Arrays that training changes.
        timer: Started with this run.
        seconds_earlier: Each row's seconds of earlier sittings.
        seconds_shared: Each row's seconds, of all sittings, before a branch began; empty in the first phase.
        resumed_at: Each row's steps at which it went on from a checkpoint.
        steps: Steps at which the curves have points.
        curves: Points by name, with a value a row; NaN where a phase has no such curve.
        strip: Views that were rendered in training, with their steps.
        memory: Bytes of a device that training took at most, each row's share; None if the compiler does not say.
        seconds_before: A row's seconds of this sitting before a branch began; empty in the first phase.
        seconds_trained: A row's seconds of this sitting when training ended.
        counted: Roots whose seconds an outcome has counted, with its trial; one for all runs of a pack.
        begun: Chunks whose results are not fetched, the earliest first.
        programs: Those of the phase.
    """

    pack: Pack
    phase: TrainingPhase
    report: Report
    sitting: Sitting
    roots: tuple[Trial, ...]
    rows: tuple[int, ...]
    scenes: list[Solved]
    batch: Batch
    state: TrainState
    timer: PhaseTimer
    seconds_earlier: list[dict[str, float]]
    seconds_shared: list[dict[str, float]]
    resumed_at: list[list[int]]
    steps: list[int] = dataclasses.field(default_factory=list)
    curves: dict[str, list[Float[np.ndarray, " k"]]] = dataclasses.field(default_factory=dict)
    strip: list[tuple[int, Float16[np.ndarray, "k h w 3"]]] = dataclasses.field(default_factory=list)
    memory: float | None = 0.0
    seconds_before: dict[str, float] = dataclasses.field(default_factory=dict)
    seconds_trained: dict[str, float] = dataclasses.field(default_factory=dict)
    counted: dict[Trial, str] = dataclasses.field(default_factory=dict)
    begun: list[BegunChunk] = dataclasses.field(default_factory=list)
    programs: CompiledPrograms = dataclasses.field(init=False)

    @classmethod
    def prepare(cls, pack: Pack, phase: TrainingPhase, report: Report, sitting: Sitting) -> PackRun:
        """Load the arrays of a pack, and initialise what its first phase trains."""
        timer = PhaseTimer()
        report(Progress("prepare", 0, phase.end, math.nan))
        static, batch, scenes = load_batch(pack)
        state = init_state(static, batch, len(pack.roots))
        timer.lap("prepare_s")
        rows = [pack.roots.index(root(trial)) for trial in phase.trials]
        earlier: list[dict[str, float]] = [{} for _ in pack.roots]
        shared: list[dict[str, float]] = [{} for _ in pack.roots]
        return cls(
            pack=pack,
            phase=phase,
            report=report,
            sitting=sitting,
            roots=pack.roots,
            rows=tuple(rows),
            scenes=scenes,
            batch=batch,
            state=state,
            timer=timer,
            seconds_trained=timer.shared_by(len(pack.roots)),
            seconds_earlier=earlier,
            seconds_shared=shared,
            resumed_at=[[] for _ in pack.roots],
        )

    def branch(self, phase: TrainingPhase) -> PackRun:
        """Start a run that goes on where this one ended: a row for each trial of a phase, copied from its root's."""
        timer = PhaseTimer()
        roots = tuple(root(trial) for trial in phase.trials)
        copied = np.asarray([self.roots.index(each) for each in roots])
        state, batch = jax.tree.map(lambda x: x[copied], (self.state, self.batch._replace(frozen={})))
        hyperparameters = stack_trials([hyperparameters_of(trial.method) for trial in phase.trials])
        mesh = device_mesh.choose_mesh(len(roots), points_per_step(phase.method))
        state, batch = device_mesh.place_trials((state, batch._replace(hyperparameters=hyperparameters)), mesh)
        curves = {name: [point[copied] for point in points] for name, points in self.curves.items()}
        earlier = [self.seconds_earlier[row] for row in copied]
        shared = [sum_timings(seconds, self.seconds_trained) for seconds in earlier]
        resumed_at = [list(self.resumed_at[row]) for row in copied]
        return dataclasses.replace(
            self,
            phase=phase,
            roots=roots,
            rows=tuple(range(len(roots))),
            scenes=[self.scenes[row] for row in copied],
            batch=batch._replace(frozen=device_mesh.replicate(self.batch.frozen, mesh)),
            state=state,
            timer=timer,
            steps=list(self.steps),
            curves=curves,
            strip=[],
            begun=[],
            seconds_before=self.seconds_trained,
            seconds_earlier=earlier,
            seconds_shared=shared,
            resumed_at=resumed_at,
        )

    def train_phase(self) -> None:
        """Take the steps of the phase, a chunk at a time."""
        self.report(Progress("compile", self.phase.start, self.phase.end, math.nan))
        self.programs = CompiledPrograms.compile(self.pack, self.phase, self.state, self.batch)
        self.memory = larger_share(self.memory, self.programs.memory_bytes, len(self.roots))
        self.timer.lap("compile_s")
        checkpointing.resume(self)
        for start in range(self.next_step, self.phase.end, self.programs.num_chunk):
            self.take_chunk(start)
            checkpointing.keep_now_and_then(self)
        self.fetch_chunks()
        self.timer.lap("train_s")
        self.seconds_trained = sum_timings(self.seconds_before, self.timer.shared_by(len(self.roots)))
        checkpointing.keep_at_end(self)

    def take_chunk(self, start: int) -> None:
        """Take a chunk of steps, and now and then a view for the strip; fetch the results of an earlier chunk."""
        end = min(start + self.programs.num_chunk, self.phase.end)
        self.state, means = self.programs.advance(self.state, self.batch, jax.device_put(np.int32(start)))
        view = None
        if self.programs.look is not None and is_strip_step(end, start, self.phase.end):
            view = self.programs.look(self.state.params, self.state.state, self.batch)
        self.begun.append(BegunChunk(end, means, view))
        self.fetch_chunks(devices.choose_for_device(CHUNKS_AHEAD))

    def fetch_chunks(self, num_left: int = 0) -> None:
        """Add a point to the curves, and a view to the strip, for each chunk that was begun but the last so many."""
        while len(self.begun) > num_left:
            end, means, view = self.begun.pop(0)
            self.add_to_curves(end, self.real_rows(means))
            self.report(Progress("train", end, self.phase.end, self.mean_loss()))
            if view is not None:
                self.strip.append((end, self.real_rows(view)))

    def real_rows(self, tree: PyTree) -> PyTree:
        """Fetch arrays from their devices, without the rows that only give all devices equally many."""
        return jax.tree.map(lambda x: x[: len(self.roots)], jax.device_get(tree))

    def add_to_curves(self, step: int, means: dict[str, Float[np.ndarray, " k"]]) -> None:
        """Add a point to every curve: NaN to one that the phase has not, and NaN before it to one that is new."""
        missing = np.full(len(self.roots), math.nan)
        for name in dict.fromkeys([*self.curves, *means]):
            points = self.curves.setdefault(name, [missing] * len(self.steps))
            points.append(means.get(name, missing))
        self.steps.append(step)

    def render_phase(self) -> RenderedPhase:
        """Render the trials of the phase; return all that they leave but scores."""
        num_rows = len(self.roots)
        trained = jax.device_get(self.state._replace(optimizer=None))
        views = self.render()
        memory_bytes = None if self.memory is None else round(self.memory * num_rows)
        rendered = []
        for trial, row, arrays in zip(self.phase.trials, self.rows, views, strict=True):
            outcome = make_outcome(
                trial,
                index_trial(trained, row),
                arrays,
                curves=self.curves_of(row),
                timings=self.timings_of(trial, row),
                pack_size=num_rows,
                memory_bytes=memory_bytes,
                resumed_at=self.resumed_at[row],
            )
            rendered.append(RenderedTrial(trial, self.scenes[row], outcome))
        end = self.phase.end
        return RenderedPhase(tuple(rendered), num_rows, Progress("score", end, end, self.mean_loss()))

    def render(self) -> list[ViewArrays]:
        """Render the test views of each trial of the phase."""
        self.report(Progress("render", self.phase.end, self.phase.end, self.mean_loss()))
        rendered = self.real_rows(self.programs.render(self.state.params, self.state.state, self.batch))
        rendered = add_strip(rendered, self.strip)
        self.timer.lap("render_s")
        return [to_stored_views(self.scenes[row], index_trial(rendered, row)) for row in self.rows]

    def mean_loss(self) -> float:
        """Return the last point of the loss, over all rows; NaN before the first."""
        return float(np.mean(self.curves["loss"][-1])) if self.steps else math.nan

    def curves_of(self, row: int) -> dict[str, list[float]]:
        """Return one trial's curves, and the steps of their points."""
        curves = {name: [float(point[row]) for point in points] for name, points in self.curves.items()}
        return {"step": [float(step) for step in self.steps], **curves}

    @property
    def next_step(self) -> int:
        """Give the next step to be taken: the last point of the curves was made before it."""
        return self.steps[-1] if self.steps else self.phase.start

    def seconds_of(self, row: int, running: str | None = None) -> dict[str, float]:
        """Return a row's seconds so far of all sittings, by what was done.

        Args:
            row: The row.
            running: Name of the lap that runs now and counts too; None where it does not.
        """
        laps = self.timer.laps if running is None else self.timer.laps_so_far(running)
        here = {name: lap / len(self.roots) for name, lap in laps.items()}
        return sum_timings(self.seconds_earlier[row], self.seconds_before, here)

    def timings_of(self, trial: Trial, row: int) -> dict[str, float]:
        """Return a trial's timings; `shared_s` of its seconds are counted by an earlier outcome too.

        A branch shares what its root had taken when it began. Equal trials of the first phase are one row, and share
        all.
        """
        seconds = self.seconds_of(row)
        shared_s = 0.0
        if root(trial) in self.counted:
            shared_s = total_seconds(self.seconds_shared[row] or seconds)
        self.counted.setdefault(root(trial), trial.id)
        return seconds | {"wall_s": total_seconds(seconds), "shared_s": shared_s}


def make_outcome(
    trial: Trial,
    trained: TrainState,
    views: ViewArrays,
    *,
    curves: dict[str, list[float]],
    timings: dict[str, float],
    pack_size: int,
    memory_bytes: int | None,
    resumed_at: list[int],
) -> Outcome:
    """Gather what a trial leaves but its scores; one that met a loss that was not finite has failed."""
    parameters = {"params": trained.params}
    if jax.tree.leaves(trained.state):
        parameters["state"] = trained.state
    flat = flax.traverse_util.flatten_dict(parameters, sep="/")
    arrays = {name: np.asarray(value) for name, value in flat.items()}
    bad_step: int | None = None
    reason: str | None = None
    if not trained.alive:
        bad_step = int(trained.first_bad_step)
        reason = f"the loss or its gradient was not finite at step {bad_step}"
    return Outcome(
        record=record.make_record(
            trial,
            status="failed" if reason else "finished",
            reason=reason,
            curves=curves,
            timings=timings,
            num_parameters=num_parameters(trained.params),
            pack_size=pack_size,
            memory_bytes=memory_bytes,
            first_bad_step=bad_step,
            resumed_at=resumed_at,
        ),
        parameters=arrays,
        views=views,
        scores={},
    )
