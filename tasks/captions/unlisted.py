"""Stands in for captions whose list is not here, so that a study of them can be planned before they are fetched."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import NoReturn

from bench.errors import UsageError
from tasks.captions.caption_sets import CaptionSet
from tasks.captions.caption_task import CaptionTask, tasks_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnlistedCaption(CaptionTask):
    """A caption of which only the place in its set is known. What needs its words, even its trial's id, is refused.

    Attributes:
        why: What is missing, as the user reads it.
    """

    why: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "found_in", CaptionSet(self.captions, (self.caption,), ""))

    def fingerprint(self) -> NoReturn:
        """Refuse.

        Raises:
            UsageError: Always, with what is missing.
        """
        raise UsageError(self.why)

    def load(self) -> NoReturn:
        """Refuse, as `fingerprint` does."""
        raise UsageError(self.why)


def tasks_or_places(name: str, num: int) -> tuple[CaptionTask, ...]:
    """Make the tasks of a set, or stand-ins for so many captions where its list is not here and cannot be fetched."""
    try:
        return tasks_of(name)
    except UsageError as error:
        why = str(error)
    captions = (f"caption {place} of {num}" for place in range(1, num + 1))
    return tuple(UnlistedCaption(caption=caption, captions=name, why=why) for caption in captions)


def has_stand_ins(tasks: Iterable[object]) -> bool:
    """Tell whether tasks are stand-ins, which a list that comes later replaces."""
    return any(isinstance(task, UnlistedCaption) for task in tasks)


def check_listed(tasks: Iterable[object]) -> None:
    """Refuse stand-ins where captions are asked for by their words.

    Raises:
        UsageError: A task is one; with what is missing.
    """
    for task in tasks:
        if isinstance(task, UnlistedCaption):
            raise UsageError(task.why)
