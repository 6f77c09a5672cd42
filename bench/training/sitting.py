"""Tells a pack of the run around it: from where it goes on, when it leaves a checkpoint, and when it is to stop.

A sitting is the time from a pack's start to its end or its stop. A long trial takes several.

Imports no JAX and no NumPy: workers import it before their threads are limited.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from bench.errors import UsageError
from bench.storage.checkpoint_files import CheckpointHead
from bench.storage.record import Outcome
from bench.training.queue import QueuedPack

CHECKPOINT_MINUTES = 5.0
"""Minutes from one checkpoint of a pack to the next, if nobody says others."""


class StoredTraining(NamedTuple):
    """A checkpoint on its way to the driver, which writes it.

    Attributes:
        head: Says whose it is.
        content: The whole file, the head included.
    """

    head: CheckpointHead
    content: bytes


class StoredRows(NamedTuple):
    """The checkpoints of all rows of a pack, at one step: they are written together, so that they go on together.

    Attributes:
        trainings: One a row.
    """

    trainings: tuple[StoredTraining, ...]

    @property
    def names(self) -> set[str]:
        """Name the trainings."""
        return {training.head.name for training in self.trainings}

    @property
    def num_bytes(self) -> int:
        """Count the bytes of the files."""
        return sum(len(training.content) for training in self.trainings)


Message: TypeAlias = Outcome | StoredRows | str
"""What a pack hands on while it is trained: an outcome, checkpoints, or a warning in a line."""


class TrainingStopped(Exception):
    """A pack left before its end, because it was told to; its checkpoints hold what it had."""


class TrialTimedOut(UsageError):
    """Training took longer than a user lets it: all trials of the pack have failed."""


def _drop(message: Message) -> None:
    """Hear nothing."""


@dataclasses.dataclass(eq=False)
class Sitting:
    """Connects a pack with its run: says when to stop, and takes outcomes and checkpoints.

    Attributes:
        saved: Files of the checkpoints that it goes on from, by the training's name; later ones of this sitting too.
        every_s: Seconds from one checkpoint to the next; None where it leaves none.
        trial_s: Seconds that the training of a trial may take, in all sittings; None for any number.
        hand_on: Takes what the pack hands on.
        is_over: Tells whether it is to stop at the end of a chunk of steps.
        scores_beside: Whether trials are scored in a thread, beside the training of what follows.
        outcomes: Those that were handed on, by the trial's id.
        last_kept: When the last checkpoint was left, or the steps began.
        warned: Warnings that were handed on.
    """

    saved: dict[str, bytes] = dataclasses.field(default_factory=dict)
    every_s: float | None = None
    trial_s: float | None = None
    hand_on: Callable[[Message], None] = _drop
    is_over: Callable[[], bool] = lambda: False
    scores_beside: bool = False
    outcomes: dict[str, Outcome] = dataclasses.field(default_factory=dict)
    last_kept: float = dataclasses.field(default_factory=time.monotonic)
    warned: set[str] = dataclasses.field(default_factory=set)

    def add_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Hand on outcomes, each once."""
        for outcome in outcomes:
            if outcome.record.trial_id not in self.outcomes:
                self.outcomes[outcome.record.trial_id] = outcome
                self.hand_on(outcome)

    def add_checkpoints(self, checkpoints: Sequence[StoredTraining]) -> None:
        """Hand on the checkpoints of all rows of a pack, at one step."""
        self.saved |= {checkpoint.head.name: checkpoint.content for checkpoint in checkpoints}
        self.hand_on(StoredRows(tuple(checkpoints)))
        self.last_kept = time.monotonic()

    def warn(self, line: str) -> None:
        """Hand on a warning, once."""
        if line not in self.warned:
            self.warned.add(line)
            self.hand_on(line)

    def begin_steps(self) -> None:
        """Note that the steps begin: from now on there is something to keep."""
        self.last_kept = time.monotonic()

    def unkept_s(self) -> float:
        """Return the seconds of training that a crash would lose now."""
        return time.monotonic() - self.last_kept


class RunCheckpoints:
    """The checkpoints of a run that leaves none; `bench.training.resume_points` has those of one that does.

    Attributes:
        every_s: Seconds from one checkpoint of a pack to the next; None for none.
    """

    every_s: float | None = None

    def saved_for(self, pack: QueuedPack) -> dict[str, bytes]:
        """Return the files that a pack goes on from, by the training's name."""
        return {}

    def keep(self, rows: StoredRows) -> None:
        """Write the checkpoints of a pack."""
