"""Defines the errors that the command line prints as one line, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """A mistake of the user's: the command line prints it as one line, without a traceback, and exits with 2.

    The message reads `where: expected what, got what; do this`.
    """


class OutOfDeviceMemory(Exception):
    """A program that does not fit on its device, even for one trial; the message names what to turn down."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Name the known word that is nearest to a mistyped one, for the end of a message.

    Example:
        >>> nearest("dietnref", ["nerf", "dietnerf"])
        "the nearest is 'dietnerf'"
        >>> nearest("zzz", ["nerf", "dietnerf"])
        'known: dietnerf, nerf'
    """
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"the nearest is {close[0]!r}"
    return "known: " + ", ".join(known)
