"""Defines the options of verbs that write an object's files: how large, how fine, and where."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

from bench.cli.argument_parser import finite_number, whole_number
from bench.cli.common_options import check_out_folder
from bench.errors import UsageError
from bench.import_paths import ROOT

OUT = ROOT / "results" / "generated"
"""Where objects lie if no other folder is named."""


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how large and how fine an object's files are."""
    parser.add_argument(
        "--image-px",
        type=whole_number(8),
        metavar="N",
        help="side of the turntable's frames (default: 160 on an accelerator, else 80)",
    )
    parser.add_argument(
        "--resolution",
        type=whole_number(8),
        default=96,
        metavar="N",
        help="of the mesh's grid, points a side (default: 96)",
    )
    parser.add_argument(
        "--level",
        type=finite_number,
        metavar="DENSITY",
        help="density at the mesh's surface (default: where a cell stops half of the light; less in soft fields)",
    )


def sizes(args: argparse.Namespace) -> dict[str, Any]:
    """Return the sizes that were asked for, as `bench.export.object_files.export_object` takes them."""
    return {"image_px": args.image_px, "resolution": args.resolution, "level": args.level}


@contextlib.contextmanager
def new_folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Make a folder if it is not there; one that was made is removed again where the user's words were wrong.

    Raises:
        UsageError: It cannot be made.
    """
    check_out_folder(path)
    is_new = not path.exists()
    try:
        yield make_folder(path)
    except UsageError:
        if is_new:
            shutil.rmtree(path, ignore_errors=True)
        raise


def make_folder(path: pathlib.Path) -> pathlib.Path:
    """Make a folder if it is not there, and return it.

    Raises:
        UsageError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {path}: expected a folder, got {error.strerror!r}; choose another") from error
    return path
