"""Remembers of a Ray worker what its driver needs to know: where it is, what it trains, what it has handed on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from bench.training.queue import Attempt, Program
from bench.training.sitting import StoredRows
from bench.training.stalls import StallWatch

if TYPE_CHECKING:
    import ray
    from ray.actor import ActorHandle


IDLE_PHASES = ("", "prepare", "compile")
"""What a worker does before it takes the first steps of a pack."""


@dataclasses.dataclass(eq=False)
class WorkerHandle:
    """One worker, as the driver knows it.

    Attributes:
        actor: Ray's handle.
        pending: The answer that is waited for: of `place` at first, then of `train`; None when the worker is free.
        node: Its host, once known.
        pid: Its process there, once known.
        num_oom_kills: Processes that its host had killed for their memory when it started; None where nobody counts.
        is_leaving: Whether its host is taken away: it is given nothing more.
        watch: Notices that it hangs.
        slot: Its number on that host.
        number: Its number in the run.
        attempt: The pack that it trains, without the trials that have left it.
        scoring: The packs that it has trained, by the answer that brings their outcomes.
        phase: What it does with the pack, as it last said; empty before it says so.
        asked: The latest question for news that has no answer yet.
        num_seen: Messages of its that were stored.
        compiled: Programs that it has.
        begun: Programs that it compiles ahead, in that order.
    """

    actor: ActorHandle
    pending: ray.ObjectRef | None
    watch: StallWatch
    node: str | None = None
    pid: int | None = None
    num_oom_kills: int | None = None
    is_leaving: bool = False
    slot: int = 0
    number: int = 0
    attempt: Attempt | None = None
    scoring: dict[ray.ObjectRef, Attempt] = dataclasses.field(default_factory=dict)
    phase: str = ""
    asked: ray.ObjectRef | None = None
    num_seen: int = 0
    compiled: set[Program] = dataclasses.field(default_factory=set)
    begun: list[Program] = dataclasses.field(default_factory=list)

    @property
    def known(self) -> set[Program]:
        """Return the programs that it has or will have."""
        return self.compiled | set(self.begun)

    @property
    def attempts(self) -> list[Attempt]:
        """List the packs that it has, the one in training last."""
        return [attempt for attempt in (*self.scoring.values(), self.attempt) if attempt is not None]

    @property
    def is_busy(self) -> bool:
        """Tell whether it trains or scores."""
        return self.attempt is not None or bool(self.scoring)

    @property
    def has_something_to_keep(self) -> bool:
        """Tell whether it would lose something if it ended now: steps, or a pack that is not scored yet."""
        return bool(self.scoring) or (self.attempt is not None and self.phase not in IDLE_PHASES)

    def remove_trial(self, trial_id: str) -> None:
        """Take a trial that has an outcome out of its pack."""
        if self.attempt is not None:
            self.attempt = self.attempt.without([trial_id])
        self.scoring = {reference: attempt.without([trial_id]) for reference, attempt in self.scoring.items()}

    def forgive_deaths(self, rows: StoredRows) -> None:
        """Count deaths of workers anew, if its pack came further: what ended them is not to be blamed on it."""
        further = {trial_id for training in rows.trainings for trial_id in training.head.trials}
        if self.attempt is not None and further & set(self.attempt.trial_ids):
            self.attempt = dataclasses.replace(self.attempt, num_deaths=0, num_kills=0)
