"""`quiz`: makes a blind quiz, in which people say what they see in pictures of several arms and in true renders."""

from __future__ import annotations

import argparse
import collections
import contextlib
import pathlib
import shlex
import sys
from typing import TYPE_CHECKING

from bench.cli import suite_options
from bench.cli.argument_parser import ArgumentParser, read_path, whole_number
from bench.cli.common_options import USUAL, check_out_file, check_out_folder, existing, opened_store
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.analysis.quiz.key import QuizKey

HELP = "make a blind quiz: people say what they see in pictures of several arms; votes counts the answers"
EXAMPLE = "python -m bench quiz --results results/runs --num-views 400 --out quiz"

MOST_VIEWS = 9999


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of `quiz`."""
    parser.add_argument(
        "--results",
        type=labelled_path,
        action="append",
        metavar="[LABEL=]FOLDER",
        help="where trials are stored; given several times, arms bear the folders' labels",
    )
    parser.add_argument(
        "--arms", type=read_arm_names, metavar="A;B", help="variants to show, with semicolons between (default: all)"
    )
    parser.add_argument("--suite", metavar="NAME", help="only trials of a suite, at --budget")
    suite_options.add_budget(parser)
    parser.add_argument(
        "--only",
        type=suite_options.condition_text,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="with --suite",
    )
    parser.add_argument(
        "--num-views",
        type=whole_number(2, MOST_VIEWS),
        default=400,
        metavar="N",
        help="pictures, the same number of each arm and of true renders (default: %(default)s)",
    )
    parser.add_argument(
        "--forms",
        type=whole_number(1, MOST_VIEWS),
        metavar="N",
        help="deal the pictures into so many forms, of which a person answers one (default: as few as it takes to show "
        "nothing twice in one)",
    )
    parser.add_argument(
        "--true-renders",
        default="auto",
        metavar="FOLDER",
        help="PNG named red-metallic-chair__1.png; auto renders other things than the arms', none leaves them out "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=whole_number(0), default=0, metavar="N", help="of all draws (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=pathlib.Path, default=pathlib.Path("quiz"), metavar="FOLDER", help="default: %(default)s"
    )
    parser.add_argument("--key", type=pathlib.Path, metavar="FILE", help="default: FOLDER-key.parquet, beside FOLDER")


def labelled_path(text: str) -> tuple[str, pathlib.Path]:
    """Read a folder of results, with a label before it or not: the label is then the folder's name."""
    label, equals, rest = text.partition("=")
    if equals and label and "/" not in label:
        return label, read_path(rest)
    path = read_path(text)
    return path.resolve().name, path


def read_arm_names(text: str) -> list[str]:
    """Read names with semicolons between: a variant's name may hold a comma."""
    return [word.strip() for word in text.split(";") if word.strip()]


def main(args: argparse.Namespace) -> int:
    """Make the quiz, and say how it is answered and counted."""
    key_path = args.key or args.out.resolve().with_name(f"{args.out.resolve().name}-key.parquet")
    check_out_folder(args.out)
    check_out_file(key_path, "--key")
    folders = check_labels(args.results or [labelled_path(str(USUAL))])
    trial_ids = trials_of_suite(args)
    from bench.report.quiz import quiz_folder

    options = quiz_folder.QuizOptions(
        num_views=args.num_views,
        seed=args.seed,
        true_renders=args.true_renders,
        arms=args.arms,
        trial_ids=trial_ids,
        forms=args.forms,
        command=command_line(args),
    )
    with contextlib.ExitStack() as opened:
        stores = {label: opened.enter_context(opened_store(path)) for label, path in folders.items()}
        key = quiz_folder.make_quiz(stores, args.out, key_path, options, say_progress)
    counts = collections.Counter(picture.arm for picture in key.pictures)
    print(f"{args.out}: quiz {key.quiz[:8]}, {len(key.pictures)} pictures, key apart in {key_path}")
    print("of " + ", ".join(f"{arm}: {num}" for arm, num in sorted(counts.items())))
    print("\n".join(explain_answering(args.out, key)))
    return 0


def explain_answering(out: pathlib.Path, key: QuizKey) -> list[str]:
    """Say how the quiz is answered and counted, in lines."""
    from bench.analysis.quiz.answers import answers_name

    sizes = sorted(map(len, key.numbers_of_forms))
    num_forms = len(sizes)
    answers = out / answers_name(1, num_forms)
    command = f"python -m bench votes {shlex.quote(str(answers))}"
    if num_forms == 1:
        return [f"answer: open {out}/index.html, or fill in {answers} from {out}/sheets", f"count: {command}"]
    size = str(sizes[0]) if sizes[0] == sizes[-1] else f"{sizes[0]} or {sizes[-1]}"
    return [
        f"in {num_forms} forms of {size} pictures: a person answers one, which shows nothing twice",
        f"answer: open {out}/index.html#form-1, or fill in {answers} from {out}/sheets/form-1; the next person form 2",
        f"count, with all files that were filled in behind it: {command}",
    ]


def say_progress(line: str) -> None:
    """Say what takes long."""
    print(line, file=sys.stderr, flush=True)


def command_line(args: argparse.Namespace) -> str:
    """Write the command that chooses the same pictures, without folders."""
    words = ["python", "-m", "bench", "quiz", "--num-views", str(args.num_views), "--seed", str(args.seed)]
    words += ["--forms", str(args.forms)] if args.forms else []
    words += ["--arms", ";".join(args.arms)] if args.arms else []
    words += ["--suite", args.suite] if args.suite else []
    words += ["--budget", args.budget] if args.budget else []
    words += [word for condition in args.only for word in ("--only", condition)]
    if args.true_renders in ("auto", "none"):
        words += ["--true-renders", args.true_renders]
    return shlex.join(words)


def check_labels(labelled: list[tuple[str, pathlib.Path]]) -> dict[str, pathlib.Path]:
    """Give folders of results by label.

    Raises:
        UsageError: One is not there, or two have one label.
    """
    folders: dict[str, pathlib.Path] = {}
    for label, path in labelled:
        if label in folders:
            raise UsageError(f"--results: expected different labels, got {label!r} twice; write --results LABEL={path}")
        folders[label] = existing(path)
    return folders


def trials_of_suite(args: argparse.Namespace) -> frozenset[str] | None:
    """Return the ids of the suite's trials; None where no suite is named."""
    if args.suite is None:
        if args.only or args.budget:
            raise UsageError("quiz: expected --suite beside --only and --budget, got none; add --suite text-to-3d")
        return None
    from bench.suites import registry
    from bench.suites.selection import SelectionOptions, select_trials

    options = SelectionOptions(
        suite=registry.check_suite_name(args.suite),
        budget=suite_options.chosen_budget(args),
        only=tuple(args.only),
    )
    return frozenset(trial.id for trial in select_trials(options).trials)
