"""`votes`: what people say: which arm they prefer, from blind votes, or what they recognise, from a blind quiz."""

from __future__ import annotations

import argparse
import json
import pathlib

from bench.cli.common_options import add_results, opened_store
from bench.errors import UsageError

HELP = "say which arm is preferred, or recognised, from files of votes or of answers to a quiz"
EXAMPLE = "python -m bench votes votes-ablations.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `votes`."""
    parser.add_argument(
        "files",
        nargs="+",
        type=pathlib.Path,
        metavar="FILE",
        help="votes that a report's page saved, or answers to a quiz: number,kind,color,finish",
    )
    parser.add_argument(
        "--key",
        type=pathlib.Path,
        metavar="FILE",
        help="of the quiz (default: FOLDER-key.parquet beside the answers' FOLDER)",
    )
    parser.add_argument(
        "--judge",
        action="append",
        metavar="NAME",
        help="of a quiz: an encoder to compare with people, once for each (default: all that are on disk)",
    )
    add_results(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def main(args: argparse.Namespace) -> int:
    """Print what the files come to."""
    from bench.analysis.quiz.answers import is_quiz_file

    are_answers = [is_quiz_file(path) for path in args.files]
    if any(are_answers) and not all(are_answers):
        raise UsageError("votes: expected votes alone or answers to a quiz alone, got both; count each alone")
    if all(are_answers):
        return print_quiz(args)
    if args.key or args.judge:
        raise UsageError("votes: expected answers to a quiz beside --key and --judge, got votes; leave the options out")
    return print_votes(args)


def print_votes(args: argparse.Namespace) -> int:
    """Print the scores of arms from blind votes."""
    from bench.analysis.votes import count_votes

    with opened_store(args.results) as trials_store:
        found = count_votes(args.files, trials_store)
    if args.json:
        print(json.dumps(found, indent=1, allow_nan=False))
        return 0
    from bench.report.tables.vote_tables import vote_lines  # takes long to import: a wrong file was refused before

    print("\n".join(vote_lines(found)))
    return 0


def print_quiz(args: argparse.Namespace) -> int:
    """Print what people recognise in the pictures of a quiz, and how far judges agree with them."""
    from bench.analysis.quiz.answers import read_answers

    for path in args.files:
        read_answers(path)  # before anything heavy is imported
    from bench.analysis.quiz.counts import count_quiz
    from bench.report.tables.quiz_tables import quiz_lines

    found = count_quiz(args.files, args.key, args.judge)
    print(json.dumps(found, indent=1, allow_nan=False) if args.json else "\n".join(quiz_lines(found)))
    return 0
