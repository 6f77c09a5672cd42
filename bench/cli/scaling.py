"""`scaling`: how much faster a suite is trained on more devices of this host, and what they wait for."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import shlex
import sys
import time
from typing import TYPE_CHECKING

from bench.cli import suite_options
from bench.cli.common_options import add_json, check_out_file, to_json_text
from bench.cli.profile import numbers
from bench.counted_nouns import format_count
from bench.errors import UsageError
from bench.storage import json_values
from tasks.data_dir.guarded_files import read_plain_file

if TYPE_CHECKING:
    from bench.training.scaling import Measurement

HELP = "measure how much faster a suite is trained on more devices of this host"
EXAMPLE = "python -m bench scaling --suite ablations --only table=regularizers --devices 1,2,4 --executors inline,ray"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `scaling`."""
    suite_options.add_trials(parser)
    parser.add_argument(
        "--devices",
        type=lambda text: numbers("--devices", text),
        default=(1, 2),
        metavar="1,2,4",
        help="numbers of accelerators, or of cores where there are none (default: 1,2)",
    )
    parser.add_argument(
        "--executors",
        type=executor_names,
        default=("inline",),
        metavar="inline,ray",
        help="inline is one process for all devices, ray one for each; one device is measured with the first of them "
        "(default: inline)",
    )
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        metavar="FILE",
        help="write the measurements as JSON, beside those of an earlier call that stand there",
    )
    add_json(parser, "the measurements")
    parser.add_argument("--into", type=pathlib.Path, help=argparse.SUPPRESS)  # measures once, in this process


def executor_names(text: str) -> tuple[str, ...]:
    """Read names of executors, such as `inline,ray`; UsageError says which there are."""
    words = text.split(",")
    if not words or not set(words) <= {"inline", "ray"}:
        raise UsageError(f"--executors: expected inline, ray or inline,ray, got {text!r}")
    return tuple(words)


def main(args: argparse.Namespace) -> int:
    """Measure, and print a table or JSON; 1 if a trial failed."""
    if args.into is not None:
        return measure_here(args)
    from bench.report.tables import scaling_tables
    from bench.training import run_suite, scaling

    check_out_file(args.out)
    earlier = read_measurements(args.out)
    chosen = suite_options.selection(args)
    run_suite.prepare_data(chosen.trials)
    words = shlex.split(suite_options.command_line("scaling", args))[4:]
    found: list[Measurement] = []
    for place, executor in enumerate(args.executors):
        for num_devices in sorted(set(args.devices)):
            if place and num_devices == 1:
                continue
            trials = format_count(len(chosen.trials), "trial")
            print(f"training {trials}, {executor} on {num_devices}", file=sys.stderr, flush=True)
            found.append(scaling.train_apart(words, executor, num_devices))
            write_measurements(args.out, [*earlier, *found])
    everything = [*earlier, *found]
    if args.json:
        print(to_json_text(plain_measurements(everything)))
    else:
        scaling_tables.print_measurements(everything)
    return 1 if any(measurement.num_failed for measurement in found) else 0


def measure_here(args: argparse.Namespace) -> int:
    """Measure once, in this process, and write what was found to a file."""
    from bench.training import scaling
    from bench.training.run_suite import TrainingOptions

    began = float(os.environ.get("BENCH_SCALING_BEGAN", time.time()))
    options = TrainingOptions(executor=args.executors[0])
    measurement = scaling.train_once(options, suite_options.selection(args), args.into.parent / "results", began)
    args.into.write_text(json.dumps(dataclasses.asdict(measurement), allow_nan=False))
    return 0


def read_measurements(path: pathlib.Path | None) -> list[Measurement]:
    """Read the measurements of an earlier call; none where there is no file.

    Raises:
        UsageError: The file holds something else.
    """
    from bench.training.scaling import Measurement

    if path is None or not path.exists():
        return []
    try:
        found = json_values.parse_user_json(read_plain_file(path), str(path))
        return [Measurement.from_json(plain) for plain in found]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"--out {path}: expected measurements of `bench scaling`, got something else") from error


def write_measurements(path: pathlib.Path | None, measurements: list[Measurement]) -> None:
    """Write measurements as JSON, if a file is named."""
    from tasks.data_dir.atomic_files import write_file

    if path is not None:
        write_file(path, to_json_text(plain_measurements(measurements)) + "\n")


def plain_measurements(measurements: list[Measurement]) -> list[dict[str, object]]:
    """Return measurements as plain values."""
    return [dataclasses.asdict(measurement) for measurement in measurements]
