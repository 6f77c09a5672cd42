"""Leaves checkpoints of a pack while it is trained, and goes on from them.

A checkpoint belongs to a row, not to a pack: what is finished of a pack, its size and its devices may be others when
its rows go on. The rows of a pack go on together if all of them are at the same step, as the step is never mapped;
`bench.training.resume_points` puts packs together so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree, Shaped

from bench.storage.checkpoint_files import (
    CHECKPOINT_VERSION,
    CheckpointHead,
    TrainingCheckpoint,
    checkpoint_to_bytes,
    parse_checkpoint,
)
from bench.storage.timings import total_seconds
from bench.suites.identity import digest
from bench.suites.trial import Trial
from bench.training import device_mesh
from bench.training.packing import ROOT_VARIANT, TrainingPhase, root
from bench.training.programs import chunk_length
from bench.training.sitting import StoredTraining, TrainingStopped, TrialTimedOut

if TYPE_CHECKING:
    from bench.training.trainer import PackRun

WORTH_KEEPING_S = 60.0
"""Seconds of training that are kept at the end of a phase, should what follows fail."""

NATIVE_KINDS = "biuf"
"""Kinds of numbers that NumPy knows itself; others are kept as bytes."""


def training_name(training: Trial) -> str:
    """Name what a row trains: a trial's id without its variant."""
    return training.renamed(ROOT_VARIANT).id.removeprefix(f"{ROOT_VARIANT}__")


def identity_digest(training: Trial) -> str:
    """Hash all that makes a training this one."""
    return digest(training.identity(), 64)


def resume(run: PackRun) -> None:
    """Set a run to where its checkpoints left it; leave it as it is where not all of its rows have one."""
    found = find_checkpoints(run, run.phase)
    if found:
        restore(run, found)
    run.sitting.begin_steps()


def can_skip(run: PackRun, continuations: Sequence[TrainingPhase]) -> bool:
    """Tell whether a run that finishes no trials is not needed any more; it is set to its end, if others begin there.

    So it is where what continues it has checkpoints of its own, or where it has those of its last step.
    """
    if continuations and all(find_checkpoints(run, phase) for phase in continuations):
        return True
    found = find_checkpoints(run, run.phase)
    if not found or found[0].head.step != run.phase.end:
        return False
    restore(run, found)
    return True


def keep_now_and_then(run: PackRun) -> None:
    """Leave checkpoints if it is time, and stop if the sitting is over; to be called after every chunk.

    Raises:
        TrainingStopped: The sitting is over; the checkpoints have been handed on.
        TrialTimedOut: The trials took longer than they may; likewise.
    """
    sitting = run.sitting
    is_late = sitting.trial_s is not None and seconds_of_slowest(run) > sitting.trial_s
    is_told = sitting.is_over()
    is_time = sitting.every_s is not None and sitting.unkept_s() >= sitting.every_s
    if not (is_late or is_told or is_time):
        return
    run.fetch_chunks()  # curves end where the arrays are
    is_over = is_told or (is_late and run.next_step < run.phase.end)
    if (is_over and sitting.every_s is not None) or (is_time and run.next_step < run.phase.end):
        keep(run, running="train_s")
    place = f"at step {run.next_step} of {run.phase.end}"
    if is_over and not is_told:
        raise TrialTimedOut(
            f"--trial-minutes: expected a trial within {sitting.trial_s:g} s, got {seconds_of_slowest(run):.0f} s "
            f"{place}; give it more and `retry` it: it goes on from its checkpoint"
        )
    if is_over:
        raise TrainingStopped(place)


def seconds_of_slowest(run: PackRun) -> float:
    """Return the seconds of all sittings of the row that has taken most."""
    return max(total_seconds(run.seconds_of(row, "train_s")) for row in range(len(run.roots)))


def keep_at_end(run: PackRun) -> None:
    """Leave checkpoints of a phase that is trained: others continue it, or what follows may fail."""
    took_none = all(steps and steps[-1] == run.phase.end for steps in run.resumed_at)
    if run.sitting.every_s is None or took_none:
        return
    is_continued = _is_first(run.phase) and any(trial.method.continues is not None for trial in run.pack.trials)
    if is_continued or run.sitting.unkept_s() >= WORTH_KEEPING_S:
        keep(run)


def keep(run: PackRun, running: str | None = None) -> None:
    """Hand on a checkpoint of each row.

    Args:
        run: Between two chunks.
        running: Name of the lap of its timer that is not over; None where there is none.
    """
    leaves = [(name, np.asarray(leaf)) for name, leaf in _named_leaves(jax.device_get(_plain_keys(run.state)))]
    checkpoints: dict[str, StoredTraining] = {}
    for row, training in enumerate(_trainings(run, run.phase)):
        if training_name(training) in checkpoints:  # trials of a branch that differ in name only: one file
            continue
        head = _head(run, row, training, running)
        arrays = {f"state/{name}": _encode(np.asarray(leaf[row])) for name, leaf in leaves}
        for i, (name, points) in enumerate(run.curves.items()):
            arrays[f"curves/{i:03}/{name}"] = np.asarray([point[row] for point in points], np.float64)
        arrays["steps"] = np.asarray(run.steps, np.int64)
        arrays["strip_steps"] = np.asarray([step for step, _ in run.strip], np.int64)
        if run.strip:
            arrays["strip"] = np.stack([np.asarray(view[row]) for _, view in run.strip])
        checkpoints[head.name] = StoredTraining(head, checkpoint_to_bytes(TrainingCheckpoint(head, arrays)))
    run.sitting.add_checkpoints(list(checkpoints.values()))


def restore(run: PackRun, found: Sequence[TrainingCheckpoint]) -> None:
    """Set a run to where its checkpoints, one a row, left it."""
    heads = [checkpoint.head for checkpoint in found]
    rows = [checkpoint.arrays for checkpoint in found]
    leaves = []
    for name, like in _named_leaves(run.state):
        stacked = np.stack([_decode(arrays[f"state/{name}"], _row_like(like)) for arrays in rows])
        is_key = jax.dtypes.issubdtype(like.dtype, jax.dtypes.prng_key)
        leaves.append(
            jax.random.wrap_key_data(jnp.asarray(stacked), impl=jax.random.key_impl(like)) if is_key else stacked
        )
    state = jax.tree.unflatten(jax.tree.structure(run.state), leaves)
    run.state = device_mesh.place_trials(state, device_mesh.mesh_of(run.batch))
    run.steps = rows[0]["steps"].tolist()
    run.curves = {}
    for name in sorted(name for name in rows[0] if name.startswith("curves/")):  # in their order, by number
        points = np.stack([arrays[name] for arrays in rows], axis=1)
        run.curves[name.split("/", 2)[2]] = list(points)
    run.strip = []
    for i, step in enumerate(rows[0]["strip_steps"].tolist()):
        run.strip.append((step, np.stack([arrays["strip"][i] for arrays in rows])))
    run.seconds_earlier = [head.seconds for head in heads]
    run.seconds_shared = [head.seconds_shared for head in heads]
    run.resumed_at = [[*head.resumed_at, head.step] for head in heads]
    for head in heads:
        run.memory = None if run.memory is None or head.memory is None else max(run.memory, head.memory)
    waiting = {trial.id for trial in run.pack.trials}
    for training, head in zip(_trainings(run, run.phase), heads, strict=True):
        others = [trial_id for trial_id in head.counted_by if trial_id not in waiting]
        if others:  # it is stored: its seconds are counted
            run.counted.setdefault(root(training), others[0])


def find_checkpoints(run: PackRun, phase: TrainingPhase) -> list[TrainingCheckpoint] | None:
    """Return a checkpoint of each row of a phase, all at one step; None where there are none.

    Those that do not fit are named in a line each, and none of the pack's is used.
    """
    trainings = _trainings(run, phase)
    names = [training_name(training) for training in trainings] if run.sitting.saved else []
    if not names or not all(name in run.sitting.saved for name in names):
        return None
    found = []
    for name, training in zip(names, trainings, strict=True):
        try:
            checkpoint = parse_checkpoint(run.sitting.saved[name], name)
            _check_fits(checkpoint, run, phase, training)
        except ValueError as error:
            run.sitting.warn(f"checkpoint not used: {error}")
            return None
        found.append(checkpoint)
    steps = {checkpoint.head.step for checkpoint in found}
    if len(steps) > 1:
        run.sitting.warn(f"checkpoints not used: {names[0]} and others are at different steps, {sorted(steps)}")
        return None
    return found


def _check_fits(checkpoint: TrainingCheckpoint, run: PackRun, phase: TrainingPhase, training: Trial) -> None:
    """Raise ValueError unless a checkpoint is of this training, at the end of a chunk, with these arrays."""
    head = checkpoint.head
    if head.identity != identity_digest(training):
        raise ValueError(f"{head.name}: expected a checkpoint of this trial, got one of another")
    num_chunk = chunk_length(run.pack, phase)
    is_whole = head.step == phase.end or (head.step - phase.start) % num_chunk == 0
    if not phase.start < head.step <= phase.end or not is_whole:
        raise ValueError(f"{head.name}: expected a step at the end of a chunk of {num_chunk}, got {head.step}")
    for name, like in _named_leaves(run.state):
        got = checkpoint.arrays.get(f"state/{name}")
        expected = _encode(_row_like(like))
        if got is None or (got.shape, got.dtype) != (expected.shape, expected.dtype):
            told = "none" if got is None else f"{got.dtype}{list(got.shape)}"
            raise ValueError(f"{head.name}: expected {expected.dtype}{list(expected.shape)} for {name}, got {told}")


def _is_first(phase: TrainingPhase) -> bool:
    """Tell whether a phase starts from scratch: it has a row for each root of the pack."""
    return phase.method.continues is None


def _trainings(run: PackRun, phase: TrainingPhase) -> Sequence[Trial]:
    """List what each row of a phase trains."""
    return run.roots if _is_first(phase) else phase.trials


def _head(run: PackRun, row: int, training: Trial, running: str | None) -> CheckpointHead:
    """Make the head of a row's checkpoint."""
    is_first = _is_first(run.phase)
    name = training_name(training)
    if is_first:
        mine = [trial for trial in run.pack.trials if root(trial) == training]
    else:
        mine = [trial for trial in run.phase.trials if training_name(trial) == name]
    counted = run.counted.get(root(training))
    if is_first and run.next_step == run.phase.end:  # the first of those that are finished now will count it
        counted = next((trial.id for trial, of in zip(run.phase.trials, run.rows, strict=True) if of == row), counted)
    return CheckpointHead(
        version=CHECKPOINT_VERSION,
        name=name,
        identity=identity_digest(training),
        step=run.next_step,
        trials={trial.id: trial.method.total_steps for trial in mine if trial.id not in run.sitting.outcomes},
        counted_by=[] if counted is None else [counted],
        resumed_at=run.resumed_at[row],
        seconds=run.seconds_of(row, running),
        seconds_shared=run.seconds_shared[row],
        memory=run.memory,
    )


def _plain_keys(tree: PyTree) -> PyTree:
    """Replace random keys by their data, which can be stored."""

    def plain(x: jax.Array) -> jax.Array:
        return jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x

    return jax.tree.map(plain, tree)


def _named_leaves(tree: PyTree) -> list[tuple[str, Any]]:
    """Name the arrays of a tree by the way to them."""
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def _row_like(leaf: jax.Array) -> Shaped[np.ndarray, "..."]:
    """Make an array of the shape and type of one row of a leaf, as it is stored."""
    like = jax.eval_shape(_plain_keys, leaf)
    return np.zeros(like.shape[1:], like.dtype)


def _encode(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Return an array as it is stored: numbers that NumPy does not know itself, such as bfloat16, as bytes."""
    if array.dtype.kind in NATIVE_KINDS and array.dtype.isbuiltin == 1:
        return np.ascontiguousarray(array).reshape(array.shape)
    return np.frombuffer(array.tobytes(), np.uint8)


def _decode(stored: Shaped[np.ndarray, "..."], like: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Return an array from what `_encode` made of it."""
    if stored.dtype == like.dtype:
        return stored
    return np.frombuffer(stored.tobytes(), like.dtype).reshape(like.shape)
