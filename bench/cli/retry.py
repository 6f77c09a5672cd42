"""`retry`: moves failures out of the way, so that the next run trains them again."""

from __future__ import annotations

import argparse
import contextlib
from typing import TYPE_CHECKING

from bench.cli.common_options import add_results, existing, opened_store
from bench.errors import UsageError
from bench.storage.driver_lock import driver_lock

if TYPE_CHECKING:
    from bench.storage.store import Store

HELP = "move failed trials aside, so that the next run trains them again"
EXAMPLE = "python -m bench retry --all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `retry`."""
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help="ids, or their starts")
    parser.add_argument("--all", action="store_true", help="every trial that failed")
    parser.add_argument(
        "--damaged", action="store_true", help="every trial whose views or parameters are damaged, finished ones too"
    )
    add_results(parser)


def main(args: argparse.Namespace) -> int:
    """Move failures and list them; nothing is moved if one of the trials did not fail."""
    if bool(args.trials) + args.all + args.damaged != 1:
        raise UsageError(
            "retry: expected either trials, --all or --damaged; python -m bench ls --failed lists those that failed"
        )
    root = existing(args.results)
    with contextlib.ExitStack() as held:
        if root.is_dir():  # a run writes there: it would store beside what is moved, or train it unseen
            held.enter_context(driver_lock(root))
        move_aside(args, held.enter_context(opened_store(root)))
    return 0


def move_aside(args: argparse.Namespace, trials: Store) -> None:
    """Move the trials that are asked for.

    Raises:
        UsageError: One of them neither failed nor is damaged, or is unknown; nothing is moved.
    """
    failed = [trial_id for trial_id in trials.ids() if trials.failed(trial_id)]
    damaged: list[str] = []
    if args.damaged or args.trials:
        from bench.storage.store_check import find_damaged_trials

        damaged = [trial_id for trial_id in find_damaged_trials(trials.root) if trial_id in trials.ids()]
    if args.trials:
        chosen = list(dict.fromkeys(trials.find(start) for start in args.trials))
    else:
        chosen = failed if args.all else damaged
    for trial_id in chosen:
        if trial_id not in failed and trial_id not in damaged:
            raise UsageError(f"retry: expected a trial that failed, got {trial_id}, which finished; leave it as it is")
    for trial_id in chosen:
        moved = trials.retry(trial_id, is_damaged=trial_id in damaged)
        print(f"{trial_id} -> {moved.relative_to(trials.root)}")
    print(f"{len(chosen)} moved; the next run trains them again")
