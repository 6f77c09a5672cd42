"""Parses the words behind a verb. A mistake in them is one line that names the nearest option.

`argparse` itself prints its usage in several lines and exits. Imports nothing heavy.
"""

from __future__ import annotations

import argparse
import math
import pathlib
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from bench.errors import UsageError, nearest

REQUIRED = "the following arguments are required: "
"""Start of argparse's message about missing words."""


MOST_DIGITS = 15
"""Digits of the largest number that is read."""


class ArgumentParser(argparse.ArgumentParser):
    """Reads the options of one verb, and raises `UsageError` where they are wrong."""

    def __init__(self, verb: str, help_line: str, example: str) -> None:
        self.verb = verb
        self.option_names: list[str] = []
        super().__init__(
            prog=f"python -m bench {verb}",
            description=help_line,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        """Add an option; one with `choices` names the nearest of them where a word is none."""
        if settings.get("choices"):
            settings.setdefault("type", one_of(settings["choices"]))
        if settings.get("type") is pathlib.Path:
            settings["type"] = read_path
        action = super().add_argument(*names, **settings)
        self.option_names += action.option_strings
        return action

    def parse_words(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse all words.

        Raises:
            UsageError: An unknown option, a missing or a wrong value.
        """
        self._check_options(words)
        args, others = self.parse_known_args(words)
        if others:
            takes_words = any(not action.option_strings for action in self._actions)
            quotes = "put words that belong together in quotes; " if takes_words else ""
            raise UsageError(
                f"{self.verb}: expected no further words, got {shlex.join(others)}; {quotes}{self._see_help()}"
            )
        return args

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print in several lines."""
        if message.startswith(REQUIRED):
            missing = message.removeprefix(REQUIRED)
            raise UsageError(f"{self.verb}: expected {missing}, got none; {self._see_help()}")
        said = message.removeprefix("argument ").replace("expected one argument", "expected a value, got none")
        said = re.sub("invalid (int|float) value: ", "expected a number, got ", said)
        said = re.sub(r"invalid \S+ value: ", "expected a value that can be read, got ", said)
        raise UsageError(f"{said}; {self._see_help()}")

    def _check_options(self, words: Sequence[str]) -> None:
        """Refuse an unknown option before argparse misses another one that is required."""
        for word in words:
            if word == "--":
                return
            name = word.partition("=")[0]
            if name.startswith("--") and " " not in name and name not in self.option_names:
                known = nearest(name, self.option_names)
                raise UsageError(f"{self.verb}: expected a known option, got {name!r}; {known}; {self._see_help()}")

    def _see_help(self) -> str:
        return f"see {self.prog} --help"


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """Make a reader of one of several words; its message names the nearest."""

    def read(text: str) -> str:
        if text not in names:
            known = ", ".join(names)
            raise argparse.ArgumentTypeError(f"expected one of {known}, got {text!r}; {nearest(text, names)}")
        return text

    return read


def several_of(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Make a reader of a list with commas; each word counts once, and is one of several."""
    read_one = one_of(names)

    def read(text: str) -> list[str]:
        words = [word.strip() for word in text.split(",")]
        return [read_one(word) for word in dict.fromkeys(words)]

    return read


def whole_number(at_least: int, at_most: int | None = None) -> Callable[[str], int]:
    """Make a reader of whole numbers that are not too small, nor too large for what they size."""

    def read(text: str) -> int:
        number = digits_of(text.removeprefix("-"))
        number = -number if number is not None and text.startswith("-") else number
        if number is None or number < at_least or (at_most is not None and number > at_most):
            limits = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
            raise argparse.ArgumentTypeError(f"expected a whole number {limits}, got {text!r}")
        return number

    return read


def digits_of(text: str) -> int | None:
    """Read digits as a number; None if they are others, or more than any number here has.

    Example:
        >>> digits_of("12"), digits_of("1.5"), digits_of("\u00b2"), digits_of("9" * 20)
        (12, None, None, None)
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


def read_path(text: str) -> pathlib.Path:
    """Read a path. An empty one would be the current folder: it stands where a variable of a script was not set."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got ''; write . for this folder")
    if "\0" in text:
        raise argparse.ArgumentTypeError(f"expected a path, got {text!r}, which holds a null character")
    return pathlib.Path(text)


def number_from_zero(text: str) -> float:
    """Read a number that is not negative."""
    number = _finite(text)
    if number is None or number < 0:
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, got {text!r}")
    return number


def positive_number(text: str) -> float:
    """Read a number above 0."""
    number = _finite(text)
    if number is None or number <= 0:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return number


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
