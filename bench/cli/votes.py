"""`votes`: what blind votes between pictures come to: Bradley-Terry scores of the arms, with intervals."""

from __future__ import annotations

import argparse
import json
import pathlib

from bench.cli.common_options import add_results, opened_store

HELP = "say which arm is preferred, from the files of votes that a report's page saves"
EXAMPLE = "python -m bench votes votes-ablations.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `votes`."""
    parser.add_argument("files", nargs="+", type=pathlib.Path, metavar="FILE", help="saved by a report's page")
    add_results(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def main(args: argparse.Namespace) -> int:
    """Print the scores."""
    from bench.analysis.votes import count_votes

    with opened_store(args.results) as trials_store:
        found = count_votes(args.files, trials_store)
    if args.json:
        print(json.dumps(found, indent=1, allow_nan=False))
        return 0
    from bench.report.tables.vote_tables import vote_lines  # takes long to import: a wrong file was refused before

    print("\n".join(vote_lines(found)))
    return 0
