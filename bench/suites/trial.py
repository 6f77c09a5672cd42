"""Decides what a trial is, and what makes two trials the same trial."""

from __future__ import annotations

import copy
import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any

from bench.errors import UsageError
from bench.suites.identity import describe, digest, same
from bench.suites.variant_names import file_safe
from models.clip.identity import canonical_name, encoder_identity
from models.method import Method
from tasks.budgets import Budget, sized
from tasks.task import Task

MAX_ID_BYTES = 140
"""Of a trial's id, which is a folder's name: 255 are allowed, and archives, `.unreadable-n` and a path need room."""


def folder_name(variant: str, task: str, seed: int, hashed: str) -> str:
    """Join the parts of a trial's id, whatever they hold; where they are too long for a file system, they are cut.

    Example:
        >>> folder_name("nerf", "knight__8v", 0, "3f9c1a2b")
        'nerf__knight__8v__s0__3f9c1a2b'
        >>> len(folder_name("nerf" + "+width=3" * 40, "knight__8v", 0, "3f9c1a2b"))
        140
    """
    variant = re.sub(r"^(\.|__|$)", "-", file_safe(variant))  # a store passes over `.x` and `__x`, as `__pycache__` is
    task = file_safe(task)
    end = f"__s{seed}__{hashed}"
    room = MAX_ID_BYTES - len(end.encode()) - len("__")
    task = _cut(task, max(room // 2, room - len(variant.encode())))
    return f"{_cut(variant, room - len(task.encode()))}__{task}{end}"


def _cut(text: str, num_bytes: int) -> str:
    """Text of at most so many bytes; a `~` says that it was longer."""
    if len(text.encode()) <= num_bytes:
        return text
    return text.encode()[: num_bytes - 1].decode(errors="ignore") + "~"


def _renamed(tree: Any, names: Mapping[str, str]) -> Any:
    """Replace the names of encoders in a description."""
    if isinstance(tree, str):
        return names.get(tree, tree)
    if isinstance(tree, list):
        return [_renamed(each, names) for each in tree]
    if isinstance(tree, dict):
        return {names.get(key, key): _renamed(value, names) for key, value in tree.items()}
    return tree


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """One thing to train: a task, a method, a budget and a seed. Sizes are filled from the budget when it is made.

    Attributes:
        task: What is to be solved.
        method: How.
        budget: Where open sizes came from.
        seed: Of everything that is random in training.
        variant: The method's short name, for folders and tables; not part of the identity.
    """

    task: Task
    method: Method
    budget: Budget
    seed: int
    variant: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", sized(self.task, self.budget))
        object.__setattr__(self, "method", sized(self.method, self.budget))

    def __eq__(self, other: object) -> bool:
        """Compare by what is trained and how it is called, functions and arrays in fields by what they hold."""
        if not isinstance(other, Trial) or type(other) is not type(self):
            return NotImplemented
        names = [(trial.variant, trial.seed, trial.budget) for trial in (self, other)]
        return names[0] == names[1] and same(self.task, other.task) and same(self.method, other.method)

    def __hash__(self) -> int:
        return hash((self.variant, self.seed, self.budget.name, self._settings))

    @property
    def _first(self) -> Trial | None:
        """The trial that this one differs from in its seed alone, if it was made of one."""
        return self.__dict__.get("_made_of")

    @functools.cached_property
    def _described(self) -> dict[str, Any]:
        """Task and method, without a look at the data."""
        if self._first is not None:
            return self._first._described
        return {"task": describe(self.task, "task"), "method": describe(self.method, "method")}

    @functools.cached_property
    def _settings(self) -> str:
        return digest(self._described, 16)

    @functools.cached_property
    def _identity(self) -> dict[str, Any]:
        """Made once, and taken along to a worker: the driver says which trial it is."""
        if self._first is not None:
            known = self._first._identity  # before the description: it says what is missing where data is not here
            assert self._described  # kept here too: a worker compares it with what it finds there
            return known | {"seed": self.seed}
        fingerprint = self.task.fingerprint()  # first: it says what is missing where data is not here
        made = self._described | {
            "fingerprint": fingerprint,
            "budget": self.budget.name,
            "seed": self.seed,
        }
        if self.method.encoders:  # a name may come to mean other weights, and a path may lead to the same ones
            names = {name: canonical_name(name) for name in self.method.encoders}
            made["encoders"] = {names[name]: encoder_identity(name) for name in self.method.encoders}
            together = {",".join(names): ",".join(names.values())}  # several guides in one field
            made["method"] = _renamed(made["method"], names | together)
        return made

    def check_same_here(self) -> None:
        """Compare task and method with what they were where the trial was made, in another process perhaps.

        Raises:
            UsageError: They are others: a user's file was edited between both.
        """
        if "_described" not in self.__dict__:  # nobody asked what it is before now: there is nothing to compare with
            return
        made_here = dataclasses.replace(self)  # remembers nothing of where it comes from
        if made_here._described != self._described:
            raise UsageError(
                f"{self.variant}: expected the code that the run began with, got another where it is trained; a file "
                "was edited meanwhile: run the same command again"
            )

    def identity(self) -> dict[str, Any]:
        """All that makes a trial this trial, as JSON; see `bench.suites.identity`.

        Of the budget only the name: its sizes have been filled into task and method, and those that neither uses may
        change without making another trial of this one.
        """
        return self._identity

    @functools.cached_property
    def id(self) -> str:
        """Folder name: readable, and unique through a hash of the identity: `nerf__knight__8v__s0__3f9c1a2b`."""
        return folder_name(self.variant, self.task.name, self.seed, digest(self.identity()))

    def with_seed(self, seed: int) -> Trial:
        """Return this trial with another seed; what tells all its seeds from other trials is computed once.

        Thousands of seeds of an arm would else be described, and their data asked for, thousands of times.
        """
        other = copy.copy(self)
        for name in ("id", "_identity", "_described", "_settings"):
            other.__dict__.pop(name, None)
        object.__setattr__(other, "seed", seed)
        object.__setattr__(other, "_made_of", self._first or self)
        return other

    def renamed(self, variant: str) -> Trial:
        """Return this trial under another variant's name.

        Nothing that was computed of it is computed again but its id: the name is no part of the rest.
        """
        other = copy.copy(self)
        other.__dict__.pop("id", None)
        object.__setattr__(other, "variant", variant)
        return other
