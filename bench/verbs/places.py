"""Where trials are stored, as every verb that reads them asks; imports nothing heavy."""

from __future__ import annotations

import argparse
import pathlib

from bench._layout import ROOT


def add_results(parser: argparse.ArgumentParser) -> None:
    """The option `--results`."""
    parser.add_argument(
        "--results",
        type=pathlib.Path,
        default=ROOT / "results" / "runs",
        metavar="FOLDER",
        help="where trials are stored",
    )
