"""`rescore`: makes the numbers of stored trials again, from their stored views."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from bench.cli import suite_options
from bench.cli.common_options import opened_store
from bench.metrics import protocol_names

if TYPE_CHECKING:
    from bench.suites.trial import Trial

HELP = "score stored views again, under the suite's protocols or another"
EXAMPLE = "python -m bench rescore --suite sparse-views --protocol dietnerf-2021"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `rescore`."""
    suite_options.add_selection(parser)
    parser.add_argument(
        "--protocol",
        type=protocol_names.check_name,
        action="append",
        metavar="NAME",
        help=f"one of {', '.join(protocol_names.NAMES)}",
    )


def main(args: argparse.Namespace) -> int:
    """Score every finished trial of the selection; 1 if views of one are damaged."""
    from bench.training.rescore import rescore_finished

    chosen = suite_options.selection(args)
    with opened_store(args.results) as trials_store:
        lost = rescore_finished(chosen.trials, args.protocol or chosen.protocols, trials_store, print_scored)
        for line in lost.values():
            print(line, file=sys.stderr)
    return 1 if lost else 0


def print_scored(trial: Trial, applied: list[str]) -> None:
    """Print one line for each trial."""
    print(f"{trial.id}: {', '.join(applied) or 'none of these protocols is of its kind'}")
