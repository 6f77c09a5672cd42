"""Trains the trials of a suite that are not stored yet, and stores each outcome as it comes.

A run that is stopped loses nothing that is finished: an outcome is stored, whole, as soon as it is scored. On
Ctrl-C `bench.training.scheduler` ends the workers; here the table on the screen and the status that `bench status`
reads are taken down. Trials that are neither finished nor failed are what the next run trains.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping

from bench.counted_nouns import format_count
from bench.errors import UsageError
from bench.metrics.task_kinds import kind_of
from bench.storage.record import Outcome
from bench.storage.store import Store
from bench.storage.trial_reader import is_stored
from bench.storage.write_probe import probe_folder
from bench.suites.selection import Selection
from bench.suites.trial import Trial
from bench.training import accelerators, packing, scheduler
from bench.training.failure_policy import FailurePolicy
from bench.training.progress import ProgressTable
from bench.training.resume_points import StoredCheckpoints
from bench.training.run_handlers import OnEvent
from bench.training.sitting import CHECKPOINT_MINUTES
from bench.training.stalls import STALL_MINUTES
from bench.training.stopping import StopRequest
from bench.training.worker_devices import WorkerOptions
from tasks.data_dir.locking import unwritable
from tasks.sparse_views.captured.captured_scene import CapturedScene
from tasks.task import FolderScene, Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """The way in which trials are trained: where, and how many at once.

    Attributes:
        executor: `ray`, or `inline` for this process.
        address: A Ray cluster to join; None starts one on this host for the time of the run.
        pack_size: Trials trained at once by one program; None for as many as suit the device.
        checkpoint_minutes: Minutes from one checkpoint of a pack to the next; 0 for none.
        minutes: Minutes after which no more steps are taken; None for no limit.
        policy: What is done about trials that fail.
        stall_minutes: Minutes without progress after which a Ray worker is replaced; 0 for never.
        devices_per_worker: Devices of one Ray worker; less than 1 for several workers a device.
    """

    executor: str = "ray"
    address: str | None = None
    pack_size: int | None = None
    checkpoint_minutes: float = CHECKPOINT_MINUTES
    minutes: float | None = None
    policy: FailurePolicy = FailurePolicy()
    stall_minutes: float = STALL_MINUTES
    devices_per_worker: float = 1.0

    def __post_init__(self) -> None:
        if self.pack_size is not None and self.pack_size < 1:
            raise UsageError(
                f"--pack-size: expected 1 trial or more, got {self.pack_size}; leave it out for what suits the device"
            )
        if self.devices_per_worker > 1 and self.devices_per_worker % 1:
            raise UsageError(
                f"--devices-per-worker: expected a part of a device or a whole number, got "
                f"{self.devices_per_worker:g}; give {math.ceil(self.devices_per_worker)}"
            )
        option = self.stopping_option
        if option and not self.checkpoint_minutes:
            raise UsageError(
                f"--checkpoint-minutes: expected checkpoints beside {option}, got 0; leave it out, or training is lost"
            )

    @property
    def stopping_option(self) -> str:
        """Name the option that may stop training before its end; empty where there is none."""
        if self.minutes is not None:
            return "--minutes"
        if self.policy.on_failure == "stop":
            return "--on-failure stop"
        return "" if self.policy.max_failures is None else "--max-failures"

    @property
    def workers(self) -> WorkerOptions:
        """Give what is asked of Ray's workers."""
        return WorkerOptions(60 * self.stall_minutes or math.inf, self.devices_per_worker)

    @property
    def checkpoint_s(self) -> float | None:
        """Give the seconds from one checkpoint to the next; None for none."""
        return 60 * self.checkpoint_minutes or None

    def make_packs(
        self, trials: list[Trial], points: Mapping[str, packing.ResumePoint] | None = None
    ) -> list[packing.Pack]:
        """Make packs of trials, of a size that suits the devices where none is asked for.

        Args:
            trials: To be trained.
            points: From where they go on, by their id; the others start afresh.
        """
        return packing.make_packs(trials, self.pack_size or self.suitable_pack_size(len(trials)), points)

    def suitable_pack_size(self, num_trials: int) -> int:
        """Return how many of so many trials to train at once on this host's devices.

        In this process all accelerators train one pack. A Ray worker has one accelerator, and packs are small enough
        that each has two of them to train: else some would wait for the last.
        """
        num_devices = accelerators.num_accelerators()
        if not num_devices:
            return packing.default_pack_size("cpu")
        most = packing.default_pack_size("accelerator")
        if scheduler.is_inline(self.executor):
            return most * num_devices
        share = math.ceil(num_trials / (2 * num_devices))
        return most if num_devices == 1 else min(most, max(MIN_PACK, share))


MIN_PACK = 8
"""Trials of a pack, at least, that is made small to keep several accelerators busy."""


def train_missing(
    options: TrainingOptions,
    chosen: Selection,
    trials_store: Store,
    on_event: OnEvent = lambda event: None,
    stop: StopRequest | None = None,
) -> int:
    """Train the trials that are neither finished nor failed; return how many left an outcome: all, unless stopped.

    Args:
        options: Where they are trained.
        chosen: The trials, and the protocols that they are scored under.
        trials_store: Where outcomes are stored; the caller holds its lock.
        on_event: As in `bench.training.scheduler.train_packs`.
        stop: Says when to stop, and afterwards why it did; None for what `options` say.

    Raises:
        UsageError: Weights of a scorer or an encoder are missing or altered, workers do not start, or results cannot be
            written.
        KeyboardInterrupt: Ctrl-C or SIGTERM; outcomes that were there are stored, and checkpoints of the others.
    """
    stop = stop or StopRequest(options.minutes)
    missing = [trial for trial in chosen.trials if not is_stored(trials_store, trial.id)]
    if not missing:
        return 0
    with contextlib.ExitStack() as entered:
        if not scheduler.is_inline(options.executor):
            from bench.training import devices

            entered.enter_context(devices.leave_to_workers())
        return train_all(missing, options, chosen, trials_store, on_event, stop)


def train_all(
    missing: list[Trial],
    options: TrainingOptions,
    chosen: Selection,
    trials_store: Store,
    on_event: OnEvent,
    stop: StopRequest,
) -> int:
    """Check what trials need, and train them; see `train_missing`."""
    check_storable(trials_store, missing)
    check_before_training(missing)
    warn_of_choices(chosen)
    num_done = sum(trials_store.finished(trial.id) for trial in chosen.trials)
    checkpoints = StoredCheckpoints.open(trials_store, options.checkpoint_s)
    points = checkpoints.resume_points(missing)
    say_what_goes_on(len(points))
    num_stored = 0
    with ProgressTable(len(chosen.trials), num_done, status_writer(trials_store, options.policy)) as table:

        def keep(outcome: Outcome) -> None:
            nonlocal num_stored
            store_outcome(trials_store, outcome)
            num_stored += 1
            checkpoints.forget(outcome.record)
            table.on_outcome(outcome)
            why = options.policy.why_stop(table.num_failed)
            if why is not None and stop.why is None:
                print(f"stopping: {why}; packs in training leave checkpoints", file=sys.stderr)
                stop.ask(why)

        try:
            scheduler.train_packs(
                options.make_packs(missing, points),
                chosen.protocols,
                executor=options.executor,
                address=options.address,
                on_outcome=keep,
                on_progress=table.on_progress,
                checkpoints=checkpoints,
                stop=stop,
                on_event=on_event,
                policy=options.policy,
                workers=options.workers,
            )
        finally:
            with contextlib.suppress(OSError):  # where it cannot be removed, it could not be written either
                trials_store.clear_status()
    return num_stored


def say_what_goes_on(num_trials: int) -> None:
    """Say how many trials go on from checkpoints, if any do."""
    if num_trials:
        go = "goes" if num_trials == 1 else "go"
        print(f"{format_count(num_trials, 'trial')} {go} on from checkpoints", file=sys.stderr)


def status_writer(trials_store: Store, policy: FailurePolicy) -> Callable[[dict[str, object]], None]:
    """Return the function that writes where a run stands; where that cannot be written, it says so once."""
    warned = False

    def write(state: dict[str, object]) -> None:
        nonlocal warned
        try:
            trials_store.write_status({**state, "policy": policy.describe()})
        except OSError as error:
            if not warned:
                print(f"warning: status not written, training goes on: {error}", file=sys.stderr)
            warned = True

    return write


def store_outcome(trials_store: Store, outcome: Outcome) -> None:
    """Store what a trial left.

    Raises:
        UsageError: The disk is full, or cannot be written; nothing half-written is left.
    """
    try:
        trials_store.write(outcome)
    except OSError as error:
        raise UsageError(
            f"{trials_store.root}: expected to store {outcome.record.trial_id}, got {error.strerror or error}; "
            "free the disk, and the same command continues"
        ) from error


def check_storable(trials_store: Store, trials: list[Trial]) -> None:
    """Refuse a folder of results that cannot take these trials, before anything is trained.

    Raises:
        UsageError: It cannot be written, is full, or a path in it would be too long or is taken.
    """
    check_places_are_free(trials, trials_store)
    try:
        probe_folder(trials_store.root, (trial.id for trial in trials))
    except OSError as error:
        raise unwritable(trials_store.root, error, "name another folder with --results") from error


def check_before_training(trials: list[Trial]) -> None:
    """Check, fetch and render what trials need, and warn of what is odd about it."""
    check_scorers(trial.task for trial in trials)
    check_encoders(trials)
    warn_of_unknown_words(trials)
    warn_of_odd_scenes(trials)
    warn_of_absent_photographs(trials)
    prepare_data(trials)


def check_places_are_free(trials: Iterable[Trial], trials_store: Store) -> None:
    """Refuse to train what could not be stored, because something that cannot be read lies under its name.

    Raises:
        UsageError: Names the first.
    """
    for trial in trials:
        place = trials_store.root / trial.id
        if os.path.lexists(place):
            raise UsageError(
                f"{place}: expected no such trial yet, or one that can be read, got something else; move it away or "
                "make it readable, then run again"
            )


def check_scorers(tasks: Iterable[Task]) -> None:
    """Refuse missing or altered weights of what scores the tasks, before anything is trained."""
    for kind in dict.fromkeys(map(kind_of, tasks)):
        kind.check_scorers()


def check_encoders(trials: list[Trial]) -> None:
    """Refuse encoders that are not on disk and cannot be fetched before anything is trained; fetch the others."""
    from models import clip

    for name in dict.fromkeys(name for trial in trials for name in trial.method.encoders):
        clip.load(name)


def warn_of_unknown_words(trials: list[Trial]) -> None:
    """Warn, once a caption, that an embedded guide cannot have learnt its words, and say what it knows."""
    warnings = [kind_of(trial.task).guide_warning(trial.task, trial.method.encoders) for trial in trials]
    for warning in dict.fromkeys(filter(None, warnings)):
        print(f"warning: {warning}", file=sys.stderr)


def warn_of_choices(chosen: Selection) -> None:
    """Say what the user's choices of trials and settings mean for the tables."""
    warn_of_left_out_baselines(chosen)
    warn_of_uneven_settings(chosen)


def warn_of_left_out_baselines(chosen: Selection) -> None:
    """Say, once a table, that it will have no differences, because its baseline was not chosen."""
    for table in chosen.without_baseline:
        print(
            f"note: table {table.name}: {table.baseline}, its baseline, is not chosen: there will be means and no "
            "differences; choose it too with --only to have them",
            file=sys.stderr,
        )


def warn_of_uneven_settings(chosen: Selection) -> None:
    """Say, once a setting, which arms of a table it left as they were."""
    for line in dict.fromkeys(line for table in chosen.tables for line in chosen.uneven_settings(table)):
        print(f"note: {line}", file=sys.stderr)


def warn_of_absent_photographs(trials: list[Trial]) -> None:
    """Warn, once a scene, that photographs are listed whose files are not there."""
    scenes = {trial.task.cluster: trial.task for trial in trials if isinstance(trial.task, FolderScene)}
    for name, task in scenes.items():
        extent = task.extent()
        if extent.num_absent:
            print(
                f"warning: scene {name}: {extent.num_absent} of {extent.num_train + extent.num_absent} training "
                "photographs that are listed are not there; they are left out",
                file=sys.stderr,
            )


def warn_of_odd_scenes(trials: list[Trial]) -> None:
    """Warn, once a scene, of what is odd about a folder of photographs."""
    folders = {trial.task.place(): trial.task for trial in trials if isinstance(trial.task, CapturedScene)}
    for place, task in folders.items():
        for line in task.doubts():
            print(f"warning: {place}: {line}", file=sys.stderr)


def prepare_data(trials: list[Trial]) -> None:
    """Render or read the data of the trials before any worker starts."""
    from tasks.sparse_views import embedded

    embedded.prepare_all([trial.task for trial in trials])
