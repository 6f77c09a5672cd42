"""`drill`: makes faults of machines while small trials are trained, and says whether anything was lost."""

from __future__ import annotations

import argparse
import pathlib
import shutil
import signal
import sys
import tempfile

from bench.cli.argument_parser import several_of, whole_number
from bench.cli.common_options import add_json, check_out_folder, to_json_text
from bench.drill.faults import KINDS

HELP = "make faults of machines while small trials are trained, and say whether anything was lost"
EXAMPLE = "python -m bench drill --faults 50 --seed 0"

NUM_FAULTS = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `drill`."""
    parser.add_argument(
        "--faults", type=whole_number(1), default=NUM_FAULTS, metavar="N", help="faults to make (default: %(default)s)"
    )
    parser.add_argument("--seed", type=whole_number(0), default=0, metavar="N", help="of the draw (default: 0)")
    parser.add_argument(
        "--kinds", type=several_of(tuple(KINDS)), metavar="KIND,KIND", help=f"some of {', '.join(KINDS)} (default: all)"
    )
    parser.add_argument(
        "--nodes", choices=("1", "2"), default="1", help="nodes of Ray; with 2 the command joins a cluster"
    )
    parser.add_argument(
        "--results",
        type=pathlib.Path,
        metavar="FOLDER",
        help="an empty folder to work in, which is kept (default: one that is removed if every rule holds)",
    )
    add_json(parser, "the findings")


def main(args: argparse.Namespace) -> int:
    """Hold the drill; 1 if a rule is broken."""
    from bench.drill.drill import hold_drill

    check_out_folder(args.results, "--results")
    folder = args.results or pathlib.Path(tempfile.mkdtemp(prefix="bench-drill-"))

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that disks and processes are taken away
    report = hold_drill(folder, args.faults, args.seed, args.kinds, int(args.nodes), say)
    if args.json:
        print(to_json_text(report.to_json()))
    else:
        print("\n".join(report.to_lines()))
    if args.results is None:
        if report.broken:
            say(f"what was left is in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return int(bool(report.broken))
