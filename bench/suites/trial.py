"""Decides what a trial is, and what makes two trials the same trial."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from models.clip.checkpoints import catalog
from models.method import Method
from tasks.budgets import Budget, sized
from tasks.task import Task


def described(value: Any) -> Any:
    """A value as JSON: a dataclass becomes its type's name and all its fields, defaults included.

    Fields whose metadata says `{"identity": False}` are left out: they do not change what comes out of a trial.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f for f in dataclasses.fields(value) if f.metadata.get("identity", True)]
        if hasattr(value, "apply"):  # a linen module: flax adds `parent` and `name`
            fields = [f for f in fields if f.name not in ("parent", "name")]
        return {"type": type(value).__name__} | {f.name: described(getattr(value, f.name)) for f in fields}
    if isinstance(value, Mapping):
        return {str(k): described(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [described(v) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    raise TypeError(f"described: expected a dataclass or a JSON value, got {type(value).__name__}")


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted names of a described value.

    Example:
        >>> flat({"type": "NeRF", "field": {"type": "MLP", "width": 64}})
        {'type': 'NeRF', 'field': 'MLP', 'field.width': 64}
    """
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found[prefix + name] = value.get("type")
            found |= {k: v for k, v in flat(value, f"{prefix}{name}.").items() if k != f"{prefix}{name}.type"}
        else:
            found[prefix + name] = value
    return found


def differences(value: Any, other: Any, *, of_both: bool = False) -> dict[str, tuple[Any, Any]]:
    """Fields in which two dataclasses differ: dotted name -> (value's, other's); None where one lacks the field.

    Args:
        value: One of them.
        other: The one that it is set against.
        of_both: Leave out what one of them lacks: another type, which is a difference too, says so.
    """
    left, right = flat(described(value)), flat(described(other))
    names = [name for name in dict.fromkeys([*right, *left]) if not of_both or (name in left and name in right)]
    return {name: (left.get(name), right.get(name)) for name in names if left.get(name) != right.get(name)}


@dataclasses.dataclass(frozen=True, kw_only=True)
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

    def identity(self) -> dict[str, Any]:
        """All that makes a trial this trial, as JSON.

        Of the budget only the name: its sizes have been filled into task and method, and those that neither uses may
        change without making another trial of this one.
        """
        made = {
            "task": described(self.task),
            "method": described(self.method),
            "fingerprint": self.task.fingerprint(),
            "budget": self.budget.name,
            "seed": self.seed,
        }
        if self.method.encoders:  # a name may come to mean other weights
            made["encoders"] = {name: catalog.fingerprint(name) for name in self.method.encoders}
        return made

    @functools.cached_property
    def id(self) -> str:
        """Folder name: readable, and unique through a hash of the identity: `nerf__knight__8v__s0__3f9c1a2b`."""
        return f"{self.variant}__{self.task.name}__s{self.seed}__{digest(self.identity())}"


def digest(tree: Any) -> str:
    """Eight hexadecimal digits of a JSON value."""
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
