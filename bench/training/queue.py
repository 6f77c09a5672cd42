"""Decides which pack is trained next, and what becomes of packs that fail."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

from bench.storage import record
from bench.storage.record import Outcome
from bench.training.precompile import NUM_AHEAD

NUM_TRIES = 2
"""How many workers may die of one pack, and then of one trial alone."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attempt:
    """A pack that waits or is being trained, and how many workers have died of it.

    Attributes:
        pack: A `bench.training.packing.Pack`, not named here: this file is imported by workers before their threads are limited,
            and must not import JAX.
        num_deaths: Of workers, since it became this pack.
    """

    pack: Any
    num_deaths: int = 0

    @property
    def program(self) -> tuple[str, int]:
        """Equal for packs that one compiled program serves as it is."""
        return self.pack.key, len(self.pack.trials)

    @property
    def trial_ids(self) -> tuple[str, ...]:
        """Of its trials."""
        return tuple(trial.id for trial in self.pack.trials)

    @property
    def block(self) -> int:
        """Its lowest seed: blocks of seeds are balanced, so that what is finished when a run is stopped is, too."""
        return min(trial.seed for trial in self.pack.trials)

    @property
    def work(self) -> int:
        """In steps; the long ones go first, so that workers finish together."""
        return self.pack.num_steps

    def alone(self) -> list[Attempt]:
        """One attempt a trial."""
        return [Attempt(pack=dataclasses.replace(self.pack, trials=(trial,))) for trial in self.pack.trials]


class Failure(NamedTuple):
    """Why a pack left no outcomes.

    Attributes:
        reason: One line.
        traceback: None where the line says all.
        is_usage: A mistake of the user's: true of all trials of the pack, so that none is to blame.
    """

    reason: str
    traceback: str | None
    is_usage: bool = False


class Queue:
    """What is still to be trained, and what is tried next after something went wrong."""

    def __init__(self, packs: Sequence[Any]) -> None:
        self.waiting = [Attempt(pack=pack) for pack in packs]

    def take(
        self, mine: set[tuple[str, int]], others: set[tuple[str, int]], begun: Sequence[tuple[str, int]] = ()
    ) -> Attempt:
        """The next pack for a worker: of the lowest seeds, of a program that it has compiled, the longest.

        Args:
            mine: Programs that the worker has compiled.
            others: Programs that other workers have; taken only rather than to be idle.
            begun: Programs that the worker has begun to compile, in that order; next to those that it has.
        """

        def rank(attempt: Attempt) -> tuple[int, int, bool, int]:
            program = attempt.program
            place = begun.index(program) + 1 if program in begun else len(begun) + 1
            return attempt.block, 0 if program in mine else place, program in others, -attempt.work

        best = min(self.waiting, key=rank)
        self.waiting.remove(best)
        return best

    def ahead(self, known: set[tuple[str, int]]) -> list[Attempt]:
        """A pack of each of the next `NUM_AHEAD` programs that nobody knows, in the order in which they are taken."""
        found: dict[tuple[str, int], Attempt] = {}
        for attempt in sorted(self.waiting, key=lambda attempt: (attempt.block, -attempt.work)):
            if attempt.program not in known:
                found.setdefault(attempt.program, attempt)
        return list(found.values())[:NUM_AHEAD]

    def died(self, attempt: Attempt, how: str) -> list[Outcome]:
        """A worker died: tries again, then one by one, then gives up; returns the outcomes of the given up."""
        num_deaths = attempt.num_deaths + 1
        if num_deaths < NUM_TRIES:
            self.waiting.append(dataclasses.replace(attempt, num_deaths=num_deaths))
            return []
        if len(attempt.pack.trials) > 1:
            self.waiting += attempt.alone()
            return []
        reason = f"its worker died {num_deaths} times while it was trained alone ({how}): out of memory, or a crash"
        return [record.failed(attempt.pack.trials[0], reason)]

    def raised(self, attempt: Attempt, failure: Failure) -> list[Outcome]:
        """An exception: tries the trials one by one to find which is to blame; returns those that are."""
        trials = attempt.pack.trials
        if len(trials) > 1 and not failure.is_usage:
            self.waiting += attempt.alone()
            return []
        return [record.failed(trial, failure.reason, failure.traceback, len(trials)) for trial in trials]
