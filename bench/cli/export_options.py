"""Defines the options of verbs that write an object's files: how large, how fine, and where."""

from __future__ import annotations

import argparse
import contextlib
import math
import pathlib
import re
import shutil
from collections.abc import Iterator
from typing import Any

from bench.cli.argument_parser import positive_number, whole_number
from bench.cli.common_options import check_out_folder
from bench.errors import UsageError
from bench.import_paths import ROOT

OUT = ROOT / "results" / "generated"
"""Where objects lie if no other folder is named."""


MOST_PX = 2048
"""Of a frame's side: 48 frames of it are a gigabyte."""

MOST_POINTS = 1024
"""Along a side of a mesh's grid: a thousand million points are all that a large machine's memory holds."""


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how large and how fine an object's files are."""
    parser.add_argument(
        "--image-px",
        type=whole_number(8, MOST_PX),
        metavar="N",
        help="longer side of the video's frames (default: 160 on an accelerator, else 80)",
    )
    parser.add_argument(
        "--resolution",
        type=whole_number(8, MOST_POINTS),
        metavar="N",
        help="of the mesh's grid, points along its longest side (default: 96; "
        "in a captured scene fewer if its mesh would have over 100,000 faces)",
    )
    parser.add_argument(
        "--level",
        type=positive_number,
        metavar="DENSITY",
        help="density at the mesh's surface (default: where a cell stops half of the light; less in soft fields)",
    )


def add_box(parser: argparse.ArgumentParser) -> None:
    """Add the option that crops a mesh."""
    # argparse takes words that begin with a minus for options, unless they look like negative numbers.
    parser._negative_number_matcher = re.compile(r"^-[\d.][-+\d.,eE]*$")
    parser.add_argument(
        "--box",
        type=box_corners,
        metavar="X0,Y0,Z0,X1,Y1,Z1",
        help="what is meshed, in the unit and axes of your poses "
        "(default: what most training cameras see; for an object the cube that all see)",
    )


def box_corners(text: str) -> tuple[float, ...]:
    """Read two corners of a box, the lower one first."""
    try:
        numbers = tuple(float(word) for word in text.split(","))
    except ValueError:
        numbers = ()
    is_box = len(numbers) == 6 and all(map(math.isfinite, numbers))
    if not is_box or any(numbers[i] >= numbers[i + 3] for i in range(3)):
        raise argparse.ArgumentTypeError(
            f"expected x0,y0,z0,x1,y1,z1 with x0 < x1, y0 < y1, z0 < z1, got {text!r}; write the lower corner first"
        )
    return numbers


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
