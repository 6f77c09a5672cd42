"""Does what a run does with all that its packs hand on: the same with every executor.

Imports no JAX: workers import it before their threads are limited.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from bench.errors import escape_controls
from bench.storage.record import Outcome
from bench.training.failure_policy import FailurePolicy
from bench.training.progress import Progress
from bench.training.sitting import Message, RunCheckpoints, StoredRows
from bench.training.stopping import StopRequest

OnOutcome: TypeAlias = Callable[[Outcome], None]
OnProgress: TypeAlias = Callable[[str, tuple[str, ...], Progress], None]


class PackEvent(NamedTuple):
    """Records that a pack began or ended on a worker, and when, so that each worker's time can be told afterwards.

    Attributes:
        kind: `begun` when a worker is given the pack, `trained` when it may be given the next, `ended` when it is
            scored too. Each worker's packs go through each in the same order.
        worker: Counted from 0; one that takes the place of another has a number of its own.
        trial_ids: Of the pack, without those that have an outcome already.
        seconds: As `time.time` tells it.
    """

    kind: Literal["begun", "trained", "ended"]
    worker: int
    trial_ids: tuple[str, ...]
    seconds: float


OnEvent: TypeAlias = Callable[[PackEvent], None]


class NotStored(BaseException):
    """Says that an outcome or a checkpoint could not be stored.

    It is no `Exception`, so that no trial is blamed for it.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class RunHandlers(NamedTuple):
    """Holds the functions that take outcomes, progress and checkpoints of packs.

    Attributes:
        protocols: Names of the protocols that the trials are scored under.
        on_outcome: As in `bench.training.scheduler.train_packs`.
        on_progress: As in `bench.training.scheduler.train_packs`.
        train: As in `bench.training.scheduler.train_packs`.
        checkpoints: What packs go on from, and where they leave checkpoints.
        stop: Says when to stop.
        on_event: As in `bench.training.scheduler.train_packs`.
        policy: What is done about trials that fail.
    """

    protocols: tuple[str, ...]
    on_outcome: OnOutcome
    on_progress: OnProgress
    train: str
    checkpoints: RunCheckpoints
    stop: StopRequest
    on_event: OnEvent = lambda event: None
    policy: FailurePolicy = FailurePolicy()

    def note(self, kind: Literal["begun", "trained", "ended"], worker: int, trial_ids: tuple[str, ...]) -> None:
        """Say what became of a pack just now."""
        self.on_event(PackEvent(kind, worker, trial_ids, time.time()))

    def take_message(self, message: Message) -> None:
        """Store what a pack handed on, or print what it says."""
        if isinstance(message, StoredRows):
            self.checkpoints.keep(message)
        elif isinstance(message, str):
            print(escape_controls(message), file=sys.stderr)
        else:
            self.on_outcome(message)
