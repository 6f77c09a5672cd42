"""Reads values from JSON files of other projects, and checks their types; a wrong value is told in one line."""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any, NoReturn

from bench.errors import UsageError
from tasks.data_dir.guarded_files import read_plain_text

Triple = tuple[float, float, float]

_CORRECT = "correct that file in a copy of the folder, and name the copy"


LARGEST_COUNT = 2**24
"""Largest width, length or number of anything in a model."""


class CheckpointSettings:
    """An object of a JSON file.

    Attributes:
        values: Its keys and values.
        where: Who reads it, and the file's name, for messages.
    """

    def __init__(self, values: Mapping[str, Any], where: str, prefix: str = "") -> None:
        self.values = values
        self.where = where
        self._prefix = prefix

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def refuse(self, key: str, expected: str, advice: str = _CORRECT) -> NoReturn:
        """Say that a key has not the value that it should have."""
        value = self.values.get(key)
        got = repr(value) if isinstance(value, str) else json.dumps(value)
        if key not in self.values:
            got = "none"
        raise UsageError(f"{self.where}: expected {self._prefix}{key} {expected}, got {got:.80}; {advice}")

    def has_value(self, key: str) -> bool:
        """Tell whether a key is present with a value other than null."""
        return self.values.get(key) is not None

    def part(self, key: str) -> CheckpointSettings:
        """Return an object inside this one; an empty one if there is none, or null."""
        if not self.has_value(key):
            return CheckpointSettings({}, self.where, f"{self._prefix}{key}.")
        if not isinstance(self.values[key], dict):
            self.refuse(key, "to be an object")
        return CheckpointSettings(self.values[key], self.where, f"{self._prefix}{key}.")

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false; the default if the key is not there."""
        if key not in self.values:
            return default
        if not isinstance(self.values[key], bool):
            self.refuse(key, "true or false")
        return self.values[key]

    def count(self, key: str, default: int, *, least: int = 1) -> int:
        """Return a whole number that is not below the least one; the default if the key is not there."""
        if key not in self.values:
            return default
        value = self.values[key]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST_COUNT:
            self.refuse(key, f"a whole number from {least} to {LARGEST_COUNT}")
        return value

    def number(self, key: str, default: float) -> float:
        """Return a finite number; the default if the key is not there."""
        if key not in self.values:
            return default
        value = as_number(self.values[key])
        if value is None:
            self.refuse(key, "a finite number")
        return value

    def triple(self, key: str, default: Triple) -> Triple:
        """Return three finite numbers, one a colour; one number stands for three; the default if there is no key."""
        if key not in self.values:
            return default
        value = self.values[key]
        entries = value if isinstance(value, list) else [value] * 3
        numbers = [as_number(entry) for entry in entries]
        found = [number for number in numbers if number is not None]
        if len(numbers) != 3 or len(found) != 3:
            self.refuse(key, "three finite numbers")
        return found[0], found[1], found[2]


def as_number(value: Any) -> float | None:
    """Return a finite number as a float, else None; true and false are no numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def read_settings(path: pathlib.Path, where: str) -> CheckpointSettings:
    """Return the object that a JSON file holds; a byte order mark before it is passed over.

    Args:
        path: Of the file.
        where: Who reads it, for messages.

    Raises:
        UsageError: It cannot be read, is no JSON, or is no object.
    """
    file = f"{where}: {path.name}"
    try:
        values = json.loads(read_plain_text(path))
    # Nesting of a thousand brackets ends in a RecursionError; UnicodeDecodeError is a ValueError.
    except (OSError, ValueError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
        raise UsageError(f"{file}: expected a whole JSON file at {path}, got {why:.120}; get it again") from error
    if not isinstance(values, dict):
        raise UsageError(f"{file}: expected a JSON object, got {type(values).__name__}; get it again")
    return CheckpointSettings(values, file)
