"""`adopt`: takes over results that an earlier version stored, where they are certainly the same trials."""

from __future__ import annotations

import argparse
import pathlib
from collections import Counter

from bench.cli.common_options import add_results, existing
from bench.counted_nouns import format_count

HELP = "take over results that an earlier version stored"
EXAMPLE = "python -m bench adopt results/runs-of-2025 --results results/runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `adopt`."""
    parser.add_argument("folder", type=pathlib.Path, metavar="FOLDER", help="the old results; they stay as they are")
    add_results(parser)
    parser.add_argument("--numbers", action="store_true", help="turn archives into tables of numbers (Parquet)")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be taken over and what left")


def main(args: argparse.Namespace) -> int:
    """Copy, and say what was taken over, what was there already, and what was left and why."""
    from bench.training import adoption

    done = adoption.adopt(existing(args.folder), args.results, as_numbers=args.numbers, is_dry=args.dry_run)
    verb = "would be taken" if args.dry_run else "taken"
    for trial_id, reason in sorted(done.left.items()):
        print(f"left: {trial_id}: {reason}")
    for reason, num in Counter(done.left.values()).most_common():
        print(f"{num} left: {reason}")
    print(
        f"{format_count(len(done.taken), 'trial')} {verb} over into {args.results}, {len(done.present)} there already, "
        f"{len(done.left)} left"
    )
    return 0
