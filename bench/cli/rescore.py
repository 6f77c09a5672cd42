"""`rescore`: makes the numbers of stored trials again, from their stored views."""

from __future__ import annotations

import argparse

from bench.cli import suite_options
from bench.errors import UsageError
from bench.metrics import protocols
from bench.storage.store import Store
from bench.training.rescore import again

HELP = "score stored views again, under the suite's protocols or another"
EXAMPLE = "python -m bench rescore --suite sparse-views --protocol dietnerf-2021"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `rescore`."""
    suite_options.add_selection(parser)
    parser.add_argument("--protocol", action="append", metavar="NAME", help=f"one of {', '.join(protocols.PROTOCOLS)}")


def main(args: argparse.Namespace) -> int:
    """Scores every finished trial of the selection."""
    chosen = suite_options.selection(args)
    names = tuple(args.protocol or chosen.protocols)
    for name in names:
        protocols.get(name)
    trials_store = Store.open(args.results)
    finished = [trial for trial in chosen.trials if trials_store.finished(trial.id)]
    if not finished:
        raise UsageError(f"rescore: expected finished trials in {args.results}, found none; run the suite first")
    with trials_store.lock():
        for trial in finished:
            suited = again(trial, names, trials_store)
            print(f"{trial.id}: {', '.join(suited) or 'none of these protocols is of its kind'}")
    return 0
