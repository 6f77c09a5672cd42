"""Keeps the checkpoints of a run, in the driver: reads those that trials go on from, writes and removes them.

Workers hand checkpoints to the driver, which alone writes below the results: so it is the same in this process, with
Ray on this host, and on a cluster whose hosts do not see this disk.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Sequence

from bench.storage.checkpoint_files import CheckpointFolder, parse_checkpoint
from bench.storage.record import Record
from bench.storage.store import Store
from bench.suites.identity import Static
from bench.suites.trial import Trial
from bench.training.checkpointing import identity_digest, training_name
from bench.training.packing import Pack, ResumePoint, root
from bench.training.queue import QueuedPack
from bench.training.sitting import RunCheckpoints, StoredRows
from models.method import split_hyperparameters


class StoredCheckpoints(RunCheckpoints):
    """The checkpoints of a run's trials, in the folder of its results. Several threads may use it.

    Args:
        folder: What is there.
        every_s: Seconds from one checkpoint of a pack to the next; None for none.

    Attributes:
        waiting: Trials that wait for a training, by its name; without them its checkpoint is removed.
    """

    def __init__(self, folder: CheckpointFolder, every_s: float | None) -> None:
        self.folder = folder
        self.every_s = every_s
        self.waiting = {name: set(head.trials) for name, head in folder.heads.items()}
        self.trials: dict[str, Trial] = {}
        self.lock = threading.RLock()

    @classmethod
    def open(cls, trials_store: Store, every_s: float | None) -> StoredCheckpoints:
        """Read what is there, and remove what nothing waits for; the caller holds the store's lock."""
        found = cls(CheckpointFolder.open(trials_store.root), every_s)
        stored = {record.trial_id for record in trials_store.records() if is_over(record)}
        for name, waiting in list(found.waiting.items()):
            waiting -= stored
            if not waiting:
                found.remove(name)
        return found

    def resume_points(self, trials: Sequence[Trial]) -> dict[str, ResumePoint]:
        """Tell from where trials go on, by their id; a checkpoint that cannot be used is named in a line.

        Args:
            trials: That are to be trained; packs that are handed out hold no others.
        """
        self.trials = {trial.id: trial for trial in trials}
        if not self.folder.heads and not self.folder.refused:
            return {}
        points = {}
        for trial in trials:
            for training in dict.fromkeys((trial, root(trial))):
                name = training_name(training)
                if name in self.folder.heads and self._is_usable(name, training):
                    own = trial.method.continues is not None and training is trial
                    phase = Static(split_hyperparameters(trial.method)[0]) if own else None
                    points[trial.id] = ResumePoint(phase, self.folder.heads[name].step)
                    break
        for why in self.folder.refused.values():
            print(f"checkpoint not used: {why}", file=sys.stderr)
        return points

    def _is_usable(self, name: str, training: Trial) -> bool:
        """Read a file whole, and refuse one that is damaged or of another training."""
        where = self.folder.where(name)
        try:
            head = parse_checkpoint(self.folder.read(name), where).head
            if head.identity != identity_digest(training):
                raise ValueError(f"{where}: expected a checkpoint of this trial, got one of another")
        except (ValueError, OSError) as error:
            self.folder.refuse(name, str(error))
            return False
        return True

    def saved_for(self, pack: QueuedPack) -> dict[str, bytes]:
        """Return the files that a pack goes on from: of each trial its own, or what it continues."""
        saved = {}
        if self.folder.heads and isinstance(pack, Pack):
            for trial in pack.trials:
                names = [training_name(training) for training in (trial, root(trial))]
                name = next((name for name in names if name in self.folder.heads), None)
                if name is not None:
                    with contextlib.suppress(OSError):  # then it starts afresh
                        saved[name] = self.folder.read(name)
        return saved

    def keep(self, rows: StoredRows) -> None:
        """Write the checkpoints of a pack; where they cannot be written, say so and go on without."""
        with self.lock:
            try:
                self.folder.write(rows.trainings)
            except OSError as error:
                print(f"checkpoint not written, training goes on: {error}", file=sys.stderr)
                return
            for head, _ in rows.trainings:
                self.waiting.setdefault(head.name, set()).update(head.trials)

    def forget(self, record: Record) -> None:
        """Remove the checkpoints that only this trial waited for, which is stored."""
        trial = self.trials.get(record.trial_id)
        if trial is None or not is_over(record) or not (self.folder.heads or self.folder.refused):
            return
        with self.lock:
            for name in {training_name(training) for training in (trial, root(trial))}:
                waiting = self.waiting.get(name, set())
                waiting.discard(record.trial_id)
                if not waiting:
                    self.remove(name)

    def remove(self, name: str) -> None:
        """Remove a checkpoint; one that cannot be removed does no harm."""
        self.waiting.pop(name, None)
        with contextlib.suppress(OSError):
            self.folder.remove(name)


def is_over(record: Record) -> bool:
    """Tell whether a trial's training has ended; one that crashed goes on from its checkpoint if it is retried."""
    return record.status == "finished" or record.first_bad_step is not None
