"""`votes`: what people say: which arm they prefer, from blind votes, or what they recognise, from a blind quiz."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import sys
from typing import TYPE_CHECKING

from bench.cli.common_options import add_json, add_results, opened_store, to_json_text
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.storage.store import Store

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
    add_json(parser)
    parser.add_argument(
        "--save",
        action="store_true",
        help="of a quiz: keep the answers in results/reference/recognition; the agreement of judges with people is "
        "then on their cards, and the best one stands first in tables",
    )
    parser.add_argument(
        "--sheets",
        type=pathlib.Path,
        metavar="FOLDER",
        help="of a quiz: draw each arm's objects beside true renders, with how many people named them",
    )


def main(args: argparse.Namespace) -> int:
    """Print what the files come to."""
    from bench.analysis.quiz.answers import is_quiz_file

    are_answers = [is_quiz_file(path) for path in args.files]
    if any(are_answers) and not all(are_answers):
        raise UsageError("votes: expected votes alone or answers to a quiz alone, got both; count each alone")
    if all(are_answers):
        return print_quiz(args)
    if args.key or args.judge or args.save or args.sheets:
        raise UsageError(
            "votes: expected answers to a quiz beside --key, --judge, --save and --sheets, got votes; leave them out"
        )
    return print_votes(args)


def print_votes(args: argparse.Namespace) -> int:
    """Print the scores of arms from blind votes."""
    from bench.analysis.votes import count_votes

    with opened_store(args.results) as trials_store:
        found = count_votes(args.files, trials_store)
    if args.json:
        print(to_json_text(found))
        return 0
    from bench.report.tables.vote_tables import vote_lines  # takes long to import: a wrong file was refused before

    print("\n".join(vote_lines(found)))
    return 0


def print_quiz(args: argparse.Namespace) -> int:
    """Print what people recognise in the pictures of a quiz, and how far judges agree with them."""
    from bench.analysis.quiz.answers import is_page_file, read_answers

    if args.save and args.judge:
        raise UsageError("votes: expected --save without --judge, got both; all judges are asked for what is kept")
    are_of_page = [is_page_file(path) for path in args.files]
    for path, is_of_page in zip(args.files, are_of_page, strict=True):
        if not is_of_page:
            read_answers(path)  # before anything heavy is imported
    with opened_store(args.results) if any(are_of_page) else contextlib.nullcontext() as trials:
        return print_counts(args, trials)


def print_counts(args: argparse.Namespace, trials: Store | None) -> int:
    """Count, print, and keep the answers if that is asked for."""
    from bench.analysis.quiz.counts import count_quiz
    from bench.report.tables.quiz_tables import quiz_lines

    found = count_quiz(args.files, args.key, args.judge, trials=trials)
    print(to_json_text(found) if args.json else "\n".join(quiz_lines(found)))
    if args.sheets:
        print(draw_sheets(args, trials), file=sys.stderr)
    if args.save:
        print(save_answers(args, trials), file=sys.stderr)
    return 0


def draw_sheets(args: argparse.Namespace, trials: Store | None) -> str:
    """Draw the sheets of answers; say where they are."""
    from bench.analysis.quiz.counts import read_quizzes
    from bench.report.quiz.answer_sheets import write_answer_sheets

    written = write_answer_sheets(read_quizzes(args.files, args.key, trials), args.sheets)
    return "sheets: " + ", ".join(str(path) for path in written.values())


def save_answers(args: argparse.Namespace, trials: Store | None) -> str:
    """Keep the answers beside the code; say where, and of how many answers the agreement is."""
    from bench.analysis.quiz.reference import save_quizzes
    from tasks.captions.judge_agreement import FILE_NAME, FOLDER

    told = save_quizzes(args.files, args.key, trials=trials)
    return (
        f"saved: {FOLDER / FILE_NAME}, of {told['num_answers']} answers to {len(told['quizzes'])} kept quizzes; "
        "write the cards again: python -m bench encoders --cards > models/clip/embedded/README.md"
    )
