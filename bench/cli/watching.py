"""How often a verb that watches a run looks, as those that can ask; imports nothing heavy."""

from __future__ import annotations

import argparse
import math

from bench.errors import UsageError

SHORTEST_S = 0.05
"""Below it a watcher would do nothing but look."""


def add_every(parser: argparse.ArgumentParser, beside: str, default_s: float) -> None:
    """The option `--every`, which goes with the option `beside`."""
    parser.add_argument(
        "--every", type=float, metavar="S", help=f"with {beside}: seconds from one look to the next ({default_s:g})"
    )


def every_s(args: argparse.Namespace, beside: str, default_s: float) -> float:
    """What `--every` says.

    Raises:
        UsageError: No time, or the option that it goes with is not there.
    """
    if args.every is None:
        return default_s
    if not getattr(args, beside.removeprefix("--")):
        raise UsageError(f"--every: expected {beside} beside it, got {args.every:g} alone; add {beside}")
    if not (math.isfinite(args.every) and args.every >= SHORTEST_S):
        raise UsageError(f"--every: expected seconds from {SHORTEST_S:g} on, got {args.every:g}; leave it out")
    return args.every
