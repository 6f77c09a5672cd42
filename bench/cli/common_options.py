"""Where trials are stored, as every verb that reads them asks; imports nothing heavy."""

from __future__ import annotations

import argparse
import pathlib

from bench.errors import UsageError
from bench.import_paths import ROOT

USUAL = ROOT / "results" / "runs"


def add_results(parser: argparse.ArgumentParser) -> None:
    """The option `--results`."""
    parser.add_argument(
        "--results",
        type=pathlib.Path,
        default=USUAL,
        metavar="FOLDER",
        help="where trials are stored",
    )


def existing(path: pathlib.Path) -> pathlib.Path:
    """The folder, for verbs that only read it; the usual one may be missing, as nothing was run yet.

    Raises:
        UsageError: It names a folder that is not there.
    """
    if path != USUAL and not path.is_dir():
        raise UsageError(
            f"--results: expected a folder of trials, got {path}, which is not there; leave it out for {USUAL}"
        )
    return path
