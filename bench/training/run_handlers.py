"""Does what a run does with all that its packs hand on: the same with every executor.

Imports no JAX: workers import it before their threads are limited.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from bench.storage.record import Outcome
from bench.training.progress import Progress
from bench.training.sitting import Message, RunCheckpoints, StoredTraining
from bench.training.stopping import StopRequest

OnOutcome: TypeAlias = Callable[[Outcome], None]
OnProgress: TypeAlias = Callable[[str, tuple[str, ...], Progress], None]


class NotStored(BaseException):
    """What a pack handed on could not be stored; no `Exception`, so that no trial is blamed for it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class RunHandlers(NamedTuple):
    """What a run does with what its packs leave.

    Attributes:
        protocols: Names of the protocols that the trials are scored under.
        on_outcome: As in `bench.training.scheduler.train_packs`.
        on_progress: As in `bench.training.scheduler.train_packs`.
        train: As in `bench.training.scheduler.train_packs`.
        checkpoints: What packs go on from, and where they leave checkpoints.
        stop: Says when to stop.
    """

    protocols: tuple[str, ...]
    on_outcome: OnOutcome
    on_progress: OnProgress
    train: str
    checkpoints: RunCheckpoints
    stop: StopRequest

    def take_message(self, message: Message) -> None:
        """Store what a pack handed on, or print what it says."""
        if isinstance(message, StoredTraining):
            self.checkpoints.keep(message)
        elif isinstance(message, str):
            print(message, file=sys.stderr)
        else:
            self.on_outcome(message)
