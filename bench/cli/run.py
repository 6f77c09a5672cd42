"""`run`: trains what is missing of a suite, scores it, prints the tables and writes the report."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench.cli import failure_options, report_options, status, suite_options
from bench.cli.argument_parser import number_from_zero, positive_number, whole_number
from bench.cli.common_options import add_json, opened_store, to_json_text
from bench.cli.live_page import LivePage
from bench.counted_nouns import format_count
from bench.errors import MACHINE_ERRORS, UsageError, describe_os_error
from bench.storage.trial_reader import is_stored
from bench.training.sitting import CHECKPOINT_MINUTES
from bench.training.stalls import STALL_MINUTES

if TYPE_CHECKING:
    from bench.report.report_contents import ReportContents
    from bench.storage.store import Store
    from bench.suites.selection import Selection
    from bench.training.run_handlers import OnEvent, PackEvent
    from bench.training.run_suite import TrainingOptions

HELP = "train what is missing of a suite, score it, print its tables and write its report"
EXAMPLE = "python -m bench run --suite ablations --budget quick --only table=augmentations"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `run`."""
    suite_options.add_selection(parser)
    add_training(parser)
    parser.add_argument(
        "--minutes",
        type=positive_number,
        metavar="M",
        help="take no more steps after so many minutes, and exit with 0; the same command goes on from there",
    )
    add_json(parser, "the tables")


def add_training(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where trials are trained."""
    parser.add_argument("--executor", choices=("ray", "inline"), default="ray", help="ray workers, or this process")
    parser.add_argument("--address", metavar="ADDRESS", help="join the Ray cluster at this address")
    parser.add_argument("--pack-size", type=whole_number(1), metavar="N", help="trials trained at once by one program")
    parser.add_argument(
        "--checkpoint-minutes",
        type=number_from_zero,
        metavar="M",
        default=CHECKPOINT_MINUTES,
        help="minutes from one checkpoint of a pack in training to the next; 0 for none (default: %(default)g)",
    )
    parser.add_argument(
        "--stall-minutes",
        type=number_from_zero,
        metavar="M",
        default=STALL_MINUTES,
        help="minutes without progress after which a Ray worker is replaced; 0 for never (default: %(default)g)",
    )
    parser.add_argument(
        "--devices-per-worker",
        type=positive_number,
        metavar="N",
        default=1.0,
        help="devices of one Ray worker: 0.5 for two workers a device (default: %(default)g)",
    )
    failure_options.add_failure_policy(parser)


def training_options(args: argparse.Namespace) -> TrainingOptions:
    """Read the options that `add_training` adds."""
    from bench.training.run_suite import TrainingOptions

    if args.address and args.executor == "inline":
        raise UsageError(
            f"--address: expected no --executor inline beside it, got {args.address!r}: this process joins no cluster; "
            "leave one of them out"
        )
    return TrainingOptions(
        executor=args.executor,
        address=args.address,
        pack_size=args.pack_size,
        checkpoint_minutes=args.checkpoint_minutes,
        minutes=getattr(args, "minutes", None),
        policy=failure_options.failure_policy(args),
        stall_minutes=args.stall_minutes,
        devices_per_worker=args.devices_per_worker,
    )


def main(args: argparse.Namespace) -> int:
    """Run; 1 if a trial failed or lost its scores, 2 if the report could not be written, else 0, also if time is up."""
    from bench.training.stopping import heed_interrupt

    heed_interrupt()
    start = time.monotonic()
    options = training_options(args)
    chosen = suite_options.selection(args)
    with opened_store(args.results) as trials_store:
        return run_selection(args, chosen, options, trials_store, start)


def run_selection(
    args: argparse.Namespace, chosen: Selection, options: TrainingOptions, trials_store: Store, start: float
) -> int:
    """Train, score, print and draw; return the exit code.

    Args:
        args: The command line.
        chosen: What it selects.
        options: Where trials are trained.
        trials_store: Where they are stored.
        start: When the command began, on the clock that never jumps.
    """
    from bench.report import build
    from bench.report.tables import terminal
    from bench.training.progress import format_seconds
    from bench.training.run_suite import train_missing
    from bench.training.score_repair import repair_scores
    from bench.training.stopping import StopRequest

    events: list[PackEvent] = []
    stop = StopRequest(options.minutes)
    lost: dict[str, str] = {}
    num_new = 0
    command = suite_options.command_line("run", args)
    if not is_complete(chosen, trials_store):  # else nothing is written: results may be on a disk that can only be read
        with trials_store.lock():
            lost = repair_scores(chosen.trials, chosen.protocols, trials_store)
            with LivePage(chosen, trials_store.root, build.default_folder(chosen), command) as page:
                num_new = train_missing(options, chosen, trials_store, note_in(events, page), stop)
    num_failed = sum(trials_store.failed(trial.id) for trial in chosen.trials)
    left = [trial.id for trial in chosen.trials if not is_stored(trials_store, trial.id)]
    if left:
        print_unfinished(left, len(chosen.trials), trials_store, stop.why or "time is up")
        print_failures(num_failed, lost)
        return 1 if num_failed or lost else 0
    contents = build.gather_contents(
        chosen,
        trials_store,
        command=command,
        media=report_options.plan_media(chosen, trials_store, report_options.MediaOptions()),
    )
    if args.json:
        print(to_json_text([result.to_json() for result in contents.results]))
    else:
        terminal.print_tables(contents.results, chosen.suite.left_out_at(chosen.budget))
    report = draw_default_report(contents, chosen)  # after the tables: its folder may be one that can only be read
    if not args.json:
        print(f"report: {report or 'not written'}")
        num_found = len(chosen.trials) - num_new
        wall_s = time.monotonic() - start
        if events:
            print(describe_times(wall_s, events, trials_store))
        print(f"{format_count(num_new, 'trial')} trained, {num_found} found finished, in {format_seconds(wall_s)}")
    print_failures(num_failed, lost)
    if num_failed or lost:
        return 1
    return 0 if report else 2


def note_in(events: list[PackEvent], page: LivePage) -> OnEvent:
    """Make a function that keeps what becomes of packs, and tells the page that is drawn while they train."""

    def note(event: PackEvent) -> None:
        events.append(event)
        page.note_event(event)

    return note


def is_complete(chosen: Selection, trials_store: Store) -> bool:
    """Tell whether each trial has an outcome, and each finished one all scores."""
    from bench.training.score_repair import find_missing_scores

    if not all(is_stored(trials_store, trial.id) for trial in chosen.trials):
        return False
    return not find_missing_scores(chosen.trials, chosen.protocols, trials_store)


def draw_default_report(contents: ReportContents, chosen: Selection) -> str | None:
    """Draw the report, and name its page; where it cannot be written, say so and how to have it elsewhere: None."""
    from bench.report import build

    folder = build.default_folder(chosen)
    try:
        return build.draw_report(contents, folder).describe()
    except OSError as error:
        if error.errno not in MACHINE_ERRORS:
            raise
        line = f"report not written to {folder}: {describe_os_error(error)}"
        print(f"{line}; python -m bench report with the same options and --out FOLDER draws it", file=sys.stderr)
        return None


def describe_times(wall_s: float, events: Sequence[PackEvent], trials_store: Store) -> str:
    """Say where the time of a run went.

    Args:
        wall_s: Seconds that it took.
        events: What became of its packs.
        trials_store: Where its trials are stored.
    """
    from bench.training import precompile
    from bench.training.run_times import RunTimes

    trial_ids = dict.fromkeys(trial_id for event in events for trial_id in event.trial_ids)
    stored = [trial_id for trial_id in trial_ids if is_stored(trials_store, trial_id)]
    timings = [trials_store.read(trial_id).timings for trial_id in stored]
    return RunTimes.of(wall_s, events, timings, scores_beside=precompile.has_accelerator()).describe()


def print_unfinished(left: list[str], num_trials: int, trials_store: Store, why: str) -> None:
    """Say what was not finished and why, and how far it came; tables and page are left for when all is there."""
    lines = status.describe_begun(trials_store, left)
    lines.append(
        f"{why}: {len(left)} of {num_trials} trials are not finished; the same command continues, and `report` "
        "draws what is there"
    )
    print("\n".join(lines), file=sys.stderr)


def print_failures(num_failed: int, lost: Mapping[str, str] | None = None) -> None:
    """Name the trials without scores, and count the trials that failed."""
    from bench.training.score_repair import describe_lost

    for line in describe_lost(lost or {}):
        print(line, file=sys.stderr)
    if num_failed:
        print(
            f"{format_count(num_failed, 'trial')} failed: python -m bench ls --failed lists them, show TRIAL says why, "
            "retry --all lets the next run train them again",
            file=sys.stderr,
        )
