"""Decides which pack is trained next, and what becomes of a pack that fails.

A pack fails in one of two ways:

- Training raises an exception. Its trials are tried again one by one. A trial that raises alone is stored as failed,
  with the reason and the traceback; the others are trained as if nothing had happened. A `UsageError` holds for every
  trial of the pack: all of them are stored as failed at once.
- The worker dies: a crash, a hang, or the system killed it for its memory. The pack is tried once more on a fresh
  worker, then its trials one by one. A trial whose worker dies twice is stored as failed. A worker that was lost with
  its host, or that somebody killed, costs the pack nothing (`bench.training.worker_deaths` tells them apart): it is
  tried again as it is, so that its trials keep their company and their last digits.

`--retries` adds tries after deaths and failures that may pass (`bench.training.failure_policy`). What was tried before
stands in the record. A fault of the machine, such as a full disk, ends the run: no trial has failed by it.

Neither ends the run. A failed trial is a row with its reason in every table: `bench ls --failed` lists them, and
`bench retry` moves them aside, so that the next run trains them again.

Two things are no failure of a pack: one that does not fit in the device's memory is halved, and a trial whose loss is
not finite ends alone (both in `bench.training.trainer`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from bench.storage import record
from bench.storage.record import Outcome
from bench.training.failure_policy import FailureCause, FailurePolicy
from bench.training.waiting_packs import WaitingPacks

NUM_AHEAD = 3
"""Programs that are compiled while one trains on an accelerator: its host's cores have nothing else to do."""

MAX_DEATHS = 2
"""Workers that may die of one pack, and then of one trial alone."""

MAX_KILLS = 10
"""Workers that somebody may kill while they train one pack without coming further; then it counts against the pack."""

Program: TypeAlias = tuple[str, int]
"""A pack's key and its number of trials: where both are equal, one compiled program serves."""


@runtime_checkable
class QueuedTrial(Protocol):
    """The parts of a `bench.suites.trial.Trial` that scheduling needs."""

    @property
    def id(self) -> str:
        """Name the trial."""

    @property
    def seed(self) -> int:
        """Number the repetition."""


@runtime_checkable
class QueuedPack(Protocol):
    """The parts of a `bench.training.packing.Pack` that scheduling needs.

    `Pack` is not imported here, because it imports JAX: workers import this file before their threads are limited.
    """

    @property
    def key(self) -> str:
        """Name the program that trains the pack."""

    @property
    def trials(self) -> Sequence[QueuedTrial]:
        """List the trials in a fixed order."""

    @property
    def num_steps(self) -> int:
        """Count the gradient steps of all trials."""

    def split(self) -> Sequence[QueuedPack]:
        """Make a pack of every trial."""

    def without(self, trial_ids: Collection[str]) -> QueuedPack:
        """Make a pack of the trials that are not among these."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attempt:
    """A pack that waits or is being trained.

    Attributes:
        pack: Its trials and its program.
        num_deaths: Workers that died while they trained it, for which it may be to blame.
        num_kills: Workers that died while they trained it, for which it is not.
        num_retries: How often it was tried again after a failure that may pass.
    """

    pack: QueuedPack
    num_deaths: int = 0
    num_kills: int = 0
    num_retries: int = 0

    @property
    def program(self) -> Program:
        """Name the compiled program: equal for packs that it serves as it is."""
        return self.pack.key, len(self.pack.trials)

    @property
    def trial_ids(self) -> tuple[str, ...]:
        """List the trials by id."""
        return tuple(trial.id for trial in self.pack.trials)

    @property
    def lowest_seed(self) -> int:
        """Give the block that it belongs to: low seeds first, so that a run that is stopped has complete seeds."""
        return min(trial.seed for trial in self.pack.trials)

    def without(self, trial_ids: Collection[str]) -> Attempt:
        """Return the attempt at the trials that are not among these: those have left the pack with their outcomes."""
        return dataclasses.replace(self, pack=self.pack.without(trial_ids))


class Failure(NamedTuple):
    """Why a pack left no outcomes.

    Attributes:
        reason: One line.
        traceback: None where the line says all.
        cause: Whose fault it is.
    """

    reason: str
    traceback: str | None
    cause: FailureCause = "trial"


class Stopped(NamedTuple):
    """A pack that was told to stop: its trials are neither finished nor failed.

    Attributes:
        place: Where it stood, in words.
    """

    place: str


class Queue:
    """The packs that are still to be trained.

    Args:
        packs: To be trained.
        policy: What is tried again.
        on_fault: Called with a fault of the machine, so that nothing more is begun.

    Attributes:
        waiting: In no order; `take` chooses.
        fault: The first fault of the machine, as the run's error says it; None where there was none.
        earlier_reasons: By trial, why it was tried again each time.
    """

    def __init__(
        self,
        packs: Sequence[QueuedPack],
        policy: FailurePolicy | None = None,
        on_fault: Callable[[str], None] = lambda fault: None,
    ) -> None:
        self.waiting = WaitingPacks(Attempt(pack=pack) for pack in packs)
        self.on_fault = on_fault
        self.fault: str | None = None
        self.policy = policy or FailurePolicy()
        self.earlier_reasons: dict[str, list[str]] = {}

    def take(self, compiled: set[Program], others: set[Program], begun: Sequence[Program] = ()) -> Attempt:
        """Take the next pack for a worker: of the lowest seeds, of a program that it has compiled, the longest.

        Args:
            compiled: Programs that the worker has compiled.
            others: Programs that other workers have; taken only rather than to be idle.
            begun: Programs that the worker has begun to compile, in that order; next to those that it has.
        """
        return self.waiting.take(compiled, others, begun)

    def upcoming_programs(self, known: set[Program]) -> list[Attempt]:
        """List an attempt of each of the next `NUM_AHEAD` programs that nobody knows, in the order of their turn."""
        return self.waiting.first_of_programs(known, NUM_AHEAD)

    def trial_ids(self) -> list[str]:
        """List the trials that wait."""
        return [trial_id for attempt in self.waiting for trial_id in attempt.trial_ids]

    def put_back(self, attempt: Attempt) -> None:
        """Let a pack wait again as it is, for whose end it is not to blame."""
        if attempt.pack.trials:
            self.waiting.append(attempt)

    def handle_death(self, attempt: Attempt, how: str, is_blamed: bool = True) -> list[Outcome]:
        """Try a pack again whose worker died: whole, then trial by trial; return the outcome of one given up.

        Args:
            attempt: What it trained.
            how: Why it died, in a few words.
            is_blamed: Whether the pack may be the cause.
        """
        if not attempt.pack.trials:  # all of them have left it
            return []
        if not is_blamed and attempt.num_kills < MAX_KILLS:
            self.put_back(dataclasses.replace(attempt, num_kills=attempt.num_kills + 1))
            return []
        num_deaths = attempt.num_deaths + 1
        is_alone = len(attempt.pack.trials) == 1
        if num_deaths < MAX_DEATHS + (self.policy.retries if is_alone else 0):
            self._try_again([dataclasses.replace(attempt, num_deaths=num_deaths)], f"its worker died ({how})")
            return []
        if not is_alone:
            self._try_again(self._split(attempt), f"its worker died ({how})")
            return []
        reason = f"its worker died {num_deaths} times while it was trained alone ({how})"
        return [record.make_failed_outcome(attempt.pack.trials[0], reason)]

    def handle_error(self, attempt: Attempt, failure: Failure) -> list[Outcome]:
        """Try the trials of a pack that raised one by one, to find which is to blame; return those given up."""
        trials = attempt.pack.trials
        if failure.cause == "machine" and trials:
            self.fault = self.fault or (
                f"{trials[0].id}: expected to train it, got a fault of the machine: {failure.reason}; no trial is "
                "stored as failed for it: mend it, and the same command continues"
            )
            self.on_fault(failure.reason)
            return []
        if failure.cause == "passing" and attempt.num_retries < self.policy.retries:
            self._try_again([dataclasses.replace(attempt, num_retries=attempt.num_retries + 1)], failure.reason)
            return []
        if len(trials) > 1 and failure.cause != "user":
            self._try_again(self._split(attempt), failure.reason)
            return []
        return [record.make_failed_outcome(trial, failure.reason, failure.traceback, len(trials)) for trial in trials]

    def add_history(self, outcome: Outcome) -> Outcome:
        """Add to an outcome why its trial was tried before."""
        reasons = self.earlier_reasons.get(outcome.record.trial_id)
        if not reasons:
            return outcome
        earlier = [record.remove_user_folders(" ".join(reason.split())) for reason in reasons]
        return dataclasses.replace(outcome, record=dataclasses.replace(outcome.record, earlier_failures=earlier))

    def _try_again(self, attempts: Sequence[Attempt], reason: str) -> None:
        """Put attempts into the queue, and remember why each of their trials is tried again."""
        self.waiting += attempts
        for attempt in attempts:
            for trial_id in attempt.trial_ids:
                self.earlier_reasons.setdefault(trial_id, []).append(reason)

    def _split(self, attempt: Attempt) -> list[Attempt]:
        """Make an attempt at each trial alone."""
        return [Attempt(pack=pack, num_retries=attempt.num_retries) for pack in attempt.pack.split()]
