"""Defines the options that say what a run does about trials that fail."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bench.cli.argument_parser import positive_number, whole_number

if TYPE_CHECKING:
    from bench.training.failure_policy import FailurePolicy


def add_failure_policy(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--on-failure",
        choices=("continue", "stop"),
        default="continue",
        help="after a trial that failed: go on with the others, or leave checkpoints and stop (default: continue)",
    )
    parser.add_argument(
        "--max-failures", type=whole_number(1), metavar="N", help="stop so when N trials have failed in this run"
    )
    parser.add_argument(
        "--retries",
        type=whole_number(0),
        metavar="N",
        default=0,
        help="try again so often what may pass: a dead worker, a lost connection (default: %(default)s)",
    )
    parser.add_argument(
        "--trial-minutes",
        type=positive_number,
        metavar="M",
        help="minutes that the training of a trial may take; one that takes longer has failed, and leaves a checkpoint",
    )


def failure_policy(args: argparse.Namespace) -> FailurePolicy:
    """Read the options that `add_failure_policy` adds."""
    from bench.training.failure_policy import FailurePolicy

    return FailurePolicy(
        on_failure=args.on_failure,
        retries=args.retries,
        max_failures=args.max_failures,
        trial_minutes=args.trial_minutes,
    )
