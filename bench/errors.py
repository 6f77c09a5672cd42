"""Defines the errors that the command line prints as one line, without a traceback."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable

MACHINE_ERRORS = frozenset(
    getattr(errno, name)
    for name in (
        "ENOSPC", "EDQUOT", "EROFS", "EIO", "ESTALE", "ENFILE", "EMFILE", "EACCES", "EPERM", "ENAMETOOLONG",
    )
    if hasattr(errno, name)
)  # fmt: skip
"""Numbers of the system's errors that are faults of a disk or of rights: not of this program, and of no trial."""

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls of a terminal, changes of the direction of text, and halves of characters."""


MOST_NAMED = 40
"""Names that a message lists."""

LONGEST_WORD = 1000
"""Letters of a word beyond which its middle is left out of a message; a path may have some hundreds."""

LONGEST_TEXT = 4000
"""Letters of a message beyond which its middle is left out."""


class UsageError(Exception):
    """A mistake of the user's: the command line prints it as one line, without a traceback, and exits with 2.

    The message reads `where: expected what, got what; do this`.
    """

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        super().__init__(escape_controls(shorten_message(message)))


class PluginError(UsageError):
    """An error that a user's own code raised where it was imported or made; `__cause__` is what it raised."""


class ClusterLost(UsageError):
    """Ray died under a run, for no mistake of the user's: one line too, but the exit code of a run that failed."""

    exit_code = 1


class DamagedFile(UsageError, ValueError):
    """A file that is not what was written, or that no such file can be: cut, flipped, a pipe, far too large."""


class MachineFault(UsageError):
    """A fault of the machine, and no trial's: a full disk, an I/O error, no more open files.

    What is finished is stored; the same command continues when the machine is well again.
    """


class OutOfDeviceMemory(Exception):
    """A program that does not fit on its device, even for one trial; the message names what to turn down."""


def describe_os_error(error: OSError, where: object = None) -> str:
    """Describe an error of the system in a few words: where, and what it says.

    Args:
        error: The error.
        where: Names the place; None for the file that the error names.

    Example:
        >>> describe_os_error(OSError(28, "No space left on device", "results/a"))
        'results/a: No space left on device'
    """
    place = where or error.filename
    said = error.strerror or type(error).__name__
    return f"{place}: {said}" if place else said


def machine_fault(error: OSError, where: object = None) -> MachineFault:
    """Make the error about a fault of the machine, in one line.

    Example:
        >>> print(machine_fault(OSError(28, "No space left on device", "runs/a")))
        runs/a: No space left on device; mend that, and the same command continues
    """
    return MachineFault(f"{describe_os_error(error, where)}; mend that, and the same command continues")


def nearest(word: str, known: Iterable[str]) -> str:
    """Name the known word that is nearest to a mistyped one, whatever its capitals, for the end of a message.

    Example:
        >>> nearest("dietnref", ["nerf", "dietnerf"])
        "the nearest is 'dietnerf'"
        >>> nearest("zzz", ["nerf", "dietnerf"])
        'known: dietnerf, nerf'
        >>> nearest("nerf", ["NeRF", "NeRF, 43 views"]), nearest("zzz", ["NeRF", "NeRF, 43 views"])
        ("the nearest is 'NeRF'", "known: 'NeRF', 'NeRF, 43 views'")
    """
    known = sorted(known)
    by_small_letters = {name.casefold(): name for name in reversed(known)}
    close = difflib.get_close_matches(word.casefold(), by_small_letters, n=1, cutoff=0.5)
    if close:
        return f"the nearest is {by_small_letters[close[0]]!r}"
    hold_commas = any("," in name for name in known)
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return "known: " + ", ".join(repr(name) if hold_commas else name for name in known[:MOST_NAMED]) + more


def escape_controls(text: str) -> str:
    r"""Return text that may be printed: what a terminal would obey, and not show, is written as its number.

    Tabulators and ends of lines stay.

    Example:
        >>> print(escape_controls(f"red {chr(27)}[31m"))
        red \x1b[31m
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def shorten_message(text: str) -> str:
    """Return text that a person can read: the middle of endless words, and of an endless text, is left out.

    Example:
        >>> shorten_message("a.json: expected a number, got " + "9" * 5000 + "; correct it")[:60]
        'a.json: expected a number, got 99999999999999999999999999999'
        >>> len(shorten_message("9" * 5000)), len(shorten_message("9 " * 5000))
        (180, 1521)
    """

    def without_middle(found: re.Match[str]) -> str:
        word = found[0]
        return f"{word[:120]}...({len(word)} letters)...{word[-40:]}"

    text = re.sub(rf"\S{{{LONGEST_WORD},}}", without_middle, text)
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:1000]}...({len(text)} letters)...{text[-500:]}"
