"""Defines options that several verbs share: where trials are stored, and how often a verb looks again.

Imports nothing heavy.
"""

from __future__ import annotations

import argparse
import math
import pathlib
import sys
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.import_paths import ROOT

if TYPE_CHECKING:
    from bench.storage.trial_reader import TrialReader

USUAL = ROOT / "results" / "runs"

SHORTEST_S = 0.05
"""Below it a verb that watches a run would do nothing but look."""


def add_results(parser: argparse.ArgumentParser) -> None:
    """Add the option `--results`."""
    parser.add_argument(
        "--results",
        type=pathlib.Path,
        default=USUAL,
        metavar="FOLDER",
        help="where trials are stored",
    )


def existing(path: pathlib.Path) -> pathlib.Path:
    """Return the folder, for verbs that only read it; the usual one may be missing, as nothing was run yet.

    Raises:
        UsageError: It names a folder that is not there.
    """
    if path != USUAL and not path.is_dir():
        raise UsageError(
            f"--results: expected a folder of trials, got {path}, which is not there; leave it out for {USUAL}"
        )
    return path


def print_damage(trials: TrialReader) -> None:
    """Name what could not be read of a store, in a line each, where it does not stand among results."""
    from bench.storage.trial_reader import describe_damage

    for line in describe_damage(trials):
        print(line, file=sys.stderr)


def add_every(parser: argparse.ArgumentParser, beside: str, default_s: float) -> None:
    """Add the option `--every`, which goes with the option `beside`."""
    parser.add_argument(
        "--every", type=float, metavar="S", help=f"with {beside}: seconds from one look to the next ({default_s:g})"
    )


def every_s(args: argparse.Namespace, beside: str, default_s: float) -> float:
    """Return the seconds from one look to the next.

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
