"""Decides what a run does about trials that fail: whether it goes on, what is tried again, how long a trial may take.

Imports no JAX: workers import it before their threads are limited.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from bench.device_errors import is_device_fault
from bench.errors import MACHINE_ERRORS, DamagedFile, MachineFault, UsageError, nearest

ON_FAILURE = ("continue", "stop")

FailureCause: TypeAlias = Literal["user", "machine", "passing", "trial"]
"""Whose fault a failure is.

user: a mistake of the user's, which holds for all trials of a pack.
machine: a disk that is full or cannot be written, a device that other programs have taken, and the like; no trial is
    stored as failed for it, and the run ends.
passing: a lost connection, a device that gave up: the same may pass another time.
trial: anything else. The same would come again.
"""

PASSING_STATUSES = ("INTERNAL", "UNAVAILABLE", "ABORTED", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN")
"""First words of what a device's runtime says, where the same program may pass another time."""

RUNTIME_ERRORS = ("JaxRuntimeError", "XlaRuntimeError")
"""Names of the type of such an error: JAX itself is not imported here."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FailurePolicy:
    """Says when a run stops because trials fail, and what is tried again.

    Attributes:
        on_failure: `continue`, or `stop` after the first trial that has failed for good.
        retries: How often a pack is tried again after a failure that may pass. A pack whose worker died once, and the
            trials of one that failed, are tried again in any case.
        max_failures: Trials that may fail before the run stops; None for any number.
        trial_minutes: Minutes that the training of a trial may take, in all sittings; None for any number. A pack may
            take as many times as much as it has trials.
    """

    on_failure: str = "continue"
    retries: int = 0
    max_failures: int | None = None
    trial_minutes: float | None = None

    def __post_init__(self) -> None:
        if self.on_failure not in ON_FAILURE:
            raise UsageError(
                f"--on-failure: expected one of {', '.join(ON_FAILURE)}, got {self.on_failure!r}; "
                f"{nearest(self.on_failure, ON_FAILURE)}"
            )
        _check_at_least("--retries", self.retries, 0)
        _check_at_least("--max-failures", self.max_failures, 1)
        if self.trial_minutes is not None and not self.trial_minutes > 0:
            raise UsageError(f"--trial-minutes: expected a number above 0, got {self.trial_minutes}; leave it out")
        if self.on_failure == "stop" and self.max_failures not in (None, 1):
            raise UsageError(
                f"--max-failures: expected --on-failure continue beside it, got stop, which is after 1 and not after "
                f"{self.max_failures}; leave one of them out"
            )

    @property
    def most_failures(self) -> int | None:
        """Give the number of failures at which the run stops; None where it goes on."""
        return 1 if self.on_failure == "stop" else self.max_failures

    @property
    def trial_s(self) -> float | None:
        """Give the seconds that the training of a trial may take; None for any number."""
        return None if self.trial_minutes is None else 60 * self.trial_minutes

    def why_stop(self, num_failed: int) -> str | None:
        """Say why a run is to stop in which so many trials have failed; None where it goes on."""
        if self.most_failures is None or num_failed < self.most_failures:
            return None
        option = "--on-failure stop" if self.on_failure == "stop" else f"--max-failures {self.max_failures}"
        return f"{num_failed} {'trial' if num_failed == 1 else 'trials'} failed ({option})"

    def describe(self) -> str:
        """Describe it in words; empty where nothing is asked for.

        Example:
            >>> FailurePolicy(retries=2, max_failures=5).describe()
            'stops after 5 failures, 2 retries of what may pass'
            >>> FailurePolicy(on_failure="stop", trial_minutes=1.5).describe()
            'stops after 1 failure, at most 1.5 minutes a trial'
        """
        parts = []
        if self.most_failures is not None:
            parts.append(f"stops after {_count(self.most_failures, 'failure')}")
        if self.retries:
            parts.append(f"{self.retries} {'retry' if self.retries == 1 else 'retries'} of what may pass")
        if self.trial_minutes is not None:
            parts.append(f"at most {self.trial_minutes:g} minutes a trial")
        return ", ".join(parts)


def cause_of(error: BaseException) -> FailureCause:
    """Tell whose fault an error is.

    Example:
        >>> cause_of(OSError(28, "No space left on device")), cause_of(ConnectionResetError())
        ('machine', 'passing')
        >>> cause_of(DamagedFile("views.array_record: cut"))
        'machine'
        >>> cause_of(UsageError("--set: ...")), cause_of(ZeroDivisionError())
        ('user', 'trial')
    """
    behind = list(_chain(error))
    if any(isinstance(each, OSError) and each.errno in MACHINE_ERRORS for each in behind):
        return "machine"
    if any(isinstance(each, MachineFault | DamagedFile) for each in behind):  # of data and weights that are kept here
        return "machine"
    if any(is_device_fault(each) for each in behind):
        return "machine"
    if isinstance(error, UsageError):
        return "user"
    if isinstance(error, ConnectionError | TimeoutError | InterruptedError | BlockingIOError | MemoryError):
        return "passing"
    is_runtime = type(error).__name__ in RUNTIME_ERRORS
    return "passing" if is_runtime and str(error).lstrip().startswith(PASSING_STATUSES) else "trial"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and those that it was raised from on purpose."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def _check_at_least(option: str, value: Any, least: int) -> None:
    if value is not None and (not isinstance(value, int) or value < least):
        raise UsageError(f"{option}: expected a whole number of at least {least}, got {value}; leave it out")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
