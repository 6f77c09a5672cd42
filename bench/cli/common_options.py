"""Defines options that several verbs share: where trials are stored, and how often a verb looks again.

Imports nothing heavy.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.import_paths import ROOT
from bench.storage import json_values

if TYPE_CHECKING:
    from bench.storage.store import Store

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


def add_json(parser: argparse.ArgumentParser, what: str = "it") -> None:
    """Add the option `--json`; `what` is printed then, as help says it."""
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON, and nothing else")


def to_json_text(value: Any) -> str:
    """Return plain values as lines of JSON, which has no word for NaN: null stands in its place."""
    return json.dumps(json_values.nan_to_none(value), indent=1, allow_nan=False)


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


@contextlib.contextmanager
def opened_store(path: str | os.PathLike[str], study: str = "") -> Iterator[Store]:
    """Open a store for a verb, and name what could not be read, in a line each on standard error.

    What is found on opening is named at once, as a run may be killed; the rest at the verb's end. It is named too where
    the verb ends in an error, which is often because of it: a trial whose record was set aside is not found.

    Args:
        path: The folder.
        study: Suite and budget whose archive is read first, as of `Store.open`.
    """
    from bench.storage.store import Store
    from bench.storage.trial_reader import describe_damage

    trials_store = Store.open(path, study)
    named = dict.fromkeys(describe_damage(trials_store))
    for line in named:
        print(line, file=sys.stderr, flush=True)
    try:
        yield trials_store
    finally:
        for line in describe_damage(trials_store):
            if line not in named:
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


def check_out_folder(path: pathlib.Path | None, option: str = "--out") -> None:
    """Refuse a place where no folder can be made, before anything is done that takes long; None is none.

    Raises:
        UsageError: A file stands there, or in its way.
    """
    if path is not None and (path.exists() or path.is_symlink()) and not path.is_dir():
        raise UsageError(f"{option} {path}: expected a folder, got a file of that name; choose another")
    if path is not None:
        _refuse_file_above(path, option)


def check_out_file(path: pathlib.Path | None, option: str = "--out") -> None:
    """Refuse a place where no file can be written, before anything is done that takes long; None is none.

    Raises:
        UsageError: A folder stands there, or a file in its way.
    """
    if path is not None and path.is_dir():
        raise UsageError(f"{option} {path}: expected a file, got a folder of that name; name a file in it")
    if path is not None:
        _refuse_file_above(path, option)


def _refuse_file_above(path: pathlib.Path, option: str) -> None:
    above = next((folder for folder in path.absolute().parents if folder.exists()), None)
    if above is not None and not above.is_dir():
        raise UsageError(f"{option} {path}: expected folders above it, got {above}, which is a file; choose another")
