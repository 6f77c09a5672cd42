"""Says what can be read of stored trials, wherever they lie: what reports, comparisons and exports may rely on."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from bench.errors import DamagedFile
from bench.storage.record import Record

if TYPE_CHECKING:  # both take long to import, and listing trials needs neither
    import numpy
    import pandas


@runtime_checkable
class TrialReader(Protocol):
    """Stored trials that can be read and not written: a `Store`, or several read as one.

    Attributes:
        root: The folder that messages name.
        set_aside: New names of records that did not parse, with the reason: to be reported.
    """

    root: pathlib.Path
    set_aside: list[str]

    @property
    def left_out(self) -> list[str]:
        """List the files that are damaged and stay where they are, with the reason: to be reported."""

    def leave_out(self, line: str) -> None:
        """Note, once, that a file is not used: in a line that names it and says why."""

    def finished(self, trial_id: str) -> bool:
        """Tell whether the trial has a record and ran to its end."""

    def failed(self, trial_id: str) -> bool:
        """Tell whether the trial has a record and failed."""

    def ids(self) -> list[str]:
        """Return the ids of all trials, sorted."""

    def records(self) -> Iterator[Record]:
        """Yield all records, sorted by id."""

    def read(self, trial_id: str) -> Record:
        """Return the record of a trial; raise a UsageError if there is none."""

    def scores(self, trial_id: str) -> dict[str, dict[str, Any]]:
        """Return a trial's scores by protocol."""

    def has_views(self, trial_id: str) -> bool:
        """Tell whether views of the trial are kept."""

    def views(self, trial_id: str) -> dict[str, numpy.ndarray]:
        """Return a trial's views by name; raise a UsageError if none are kept."""

    def parameters(self, trial_id: str) -> dict[str, numpy.ndarray]:
        """Return a trial's parameters by flat names; raise a UsageError if none are kept."""

    def texts(self, trial_id: str) -> dict[str, bytes]:
        """Return the files of a trial that hold no arrays, by name."""

    def file_stamps(self, trial_id: str) -> list[tuple[str, int, int]]:
        """Return name, size and time of change of a trial's files; equal lists tell of the same files."""

    def frame(self) -> pandas.DataFrame:
        """Return every score of every trial, tidy, see `bench.storage.score_frame`."""


def is_stored(trials: TrialReader, trial_id: str) -> bool:
    """Tell whether a trial left a record: it finished, or it failed."""
    return trials.finished(trial_id) or trials.failed(trial_id)


def describe_damage(trials: TrialReader) -> list[str]:
    """Name what could not be read so far, in a line each."""
    set_aside = [f"set aside, it did not parse: {line}" for line in trials.set_aside]
    return set_aside + [f"left out: {line}" for line in trials.left_out]


def read_whole_views(trials: TrialReader, trial_id: str) -> dict[str, numpy.ndarray] | None:
    """Return a trial's views by name; None if there are none, or if they are damaged, which is noted in `left_out`."""
    if not trials.has_views(trial_id):
        return None
    try:
        return trials.views(trial_id)
    except DamagedFile as error:
        trials.leave_out(str(error))
        return None
