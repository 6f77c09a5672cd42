"""`run`: trains what is missing of a suite, scores it, prints the tables and writes the report."""

from __future__ import annotations

import argparse
import json
import sys
import time

from bench.cli import report_options, suite_options
from bench.report import build
from bench.storage.store import Store
from bench.training.progress import format_seconds
from bench.training.run_suite import TrainingOptions, train_missing

HELP = "train what is missing of a suite, score it, print its tables and write its report"
EXAMPLE = "python -m bench run --suite ablations --budget quick --only table=augmentations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `run`."""
    suite_options.add_selection(parser)
    add_training(parser)
    parser.add_argument("--json", action="store_true", help="print the tables as JSON")


def add_training(parser: argparse.ArgumentParser) -> None:
    """Options that say where trials are trained."""
    parser.add_argument("--executor", choices=("ray", "inline"), default="ray", help="ray workers, or this process")
    parser.add_argument("--address", metavar="ADDRESS", help="join the Ray cluster at this address")
    parser.add_argument("--pack-size", type=int, metavar="N", help="trials trained at once by one program")


def training_options(args: argparse.Namespace) -> TrainingOptions:
    """Read the options that `add_training` adds.

    Raises:
        UsageError: A pack of no trials.
    """
    return TrainingOptions(executor=args.executor, address=args.address, pack_size=args.pack_size)


def main(args: argparse.Namespace) -> int:
    """Run; 1 if a trial failed."""
    start = time.monotonic()
    chosen = suite_options.selection(args)
    trials_store = Store.open(args.results)
    with trials_store.lock():
        num_new = train_missing(training_options(args), chosen, trials_store)
    contents = build.gather_contents(
        chosen,
        trials_store,
        command=suite_options.command_line("run", args),
        media=report_options.plan_media(chosen, trials_store, report_options.MediaOptions()),
    )
    report = build.draw_report(contents, build.default_folder(chosen))
    if args.json:
        print(json.dumps([result.to_json() for result in contents.results], indent=1, allow_nan=False))
    else:
        build.print_tables(contents.results)
        print(f"report: {report.describe()}")
        print(
            f"{num_new} trials trained, {len(chosen.trials) - num_new} found finished, "
            f"in {format_seconds(time.monotonic() - start)}"
        )
    for name in trials_store.set_aside:
        print(f"set aside, it did not parse: {name}", file=sys.stderr)
    num_failed = sum(trials_store.failed(trial.id) for trial in chosen.trials)
    if num_failed:
        print(
            f"{num_failed} trials failed: python -m bench ls --failed; then python -m bench retry --all",
            file=sys.stderr,
        )
    return 1 if num_failed else 0
