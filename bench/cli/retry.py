"""`retry`: moves failures out of the way, so that the next run trains them again."""

from __future__ import annotations

import argparse

from bench.cli.common_options import add_results, existing
from bench.errors import UsageError
from bench.storage.store import Store

HELP = "move failed trials aside, so that the next run trains them again"
EXAMPLE = "python -m bench retry --all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `retry`."""
    parser.add_argument("trials", nargs="*", metavar="TRIAL", help="ids, or their starts")
    parser.add_argument("--all", action="store_true", help="every trial that failed")
    add_results(parser)


def main(args: argparse.Namespace) -> int:
    """Move failures and list them; nothing is moved if one of the trials did not fail."""
    if bool(args.trials) == args.all:
        raise UsageError("retry: expected either trials or --all; python -m bench ls --failed lists those that failed")
    trials = Store.open(existing(args.results))
    failed = [trial_id for trial_id in trials.ids() if trials.failed(trial_id)]
    chosen = failed if args.all else list(dict.fromkeys(trials.find(start) for start in args.trials))
    for trial_id in chosen:
        if trial_id not in failed:
            raise UsageError(f"retry: expected a trial that failed, got {trial_id}, which finished; leave it as it is")
    for trial_id in chosen:
        print(f"{trial_id} -> {trials.retry(trial_id).relative_to(trials.root)}")
    print(f"{len(chosen)} moved; the next run trains them again")
    return 0
