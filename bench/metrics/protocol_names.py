"""Names the protocols for the command line; imports nothing heavy."""

from __future__ import annotations

from bench.errors import UsageError, nearest

NAMES = ("std-v1", "recognition-v1", "dreamfields-2022", "nerf-2020", "dietnerf-2021")
"""Names of the protocols of all kinds of tasks."""


def check_name(name: str) -> str:
    """Return the name of a protocol.

    Raises:
        UsageError: There is none of this name; names the nearest.
    """
    if name not in NAMES:
        raise UsageError(f"protocol: expected a known name, got {name!r}; {nearest(name, NAMES)}")
    return name
