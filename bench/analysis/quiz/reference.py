"""Keeps answered quizzes beside the code, and what they come to: how far each judge agrees with people.

    results/reference/recognition/3f9c1a2b-key.parquet   the key, with the pictures
    results/reference/recognition/3f9c1a2b/anna.csv      a person's answers
    results/reference/recognition/agreement.json         by judge kappa with its interval; what was recognised, by arm

The last is counted from all quizzes that are kept there, and read by `tasks.captions.judge_agreement`. A new judge is
asked about the kept pictures by the same command again, on the kept answers.
"""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bench.analysis.quiz import counts
from bench.analysis.quiz.answers import QuizAnswers
from bench.analysis.quiz.counts import AnsweredQuiz, AskJudges
from bench.analysis.quiz.key import write_key
from bench.errors import UsageError
from bench.storage.store import Store
from models.clip.checkpoints import catalog
from tasks.captions import judge_agreement
from tasks.closed_world.meanings import PROPERTIES
from tasks.data_dir.atomic_files import write_file

SCHEMA = 1
"""Schema of `agreement.json`."""

DIGITS = 4
"""Of a stored number."""


def save_quizzes(
    paths: Sequence[pathlib.Path],
    key_path: pathlib.Path | None = None,
    folder: pathlib.Path | None = None,
    ask: AskJudges | None = None,
    trials: Store | None = None,
) -> dict[str, Any]:
    """Keep answers with their quizzes, and count all that are kept.

    Args:
        paths: Files of answers.
        key_path: See `counts.read_quizzes`.
        folder: Where they are kept; None for that of the project.
        ask: See `counts.count_quiz`.
        trials: See `counts.read_quizzes`.

    Returns:
        What was written as `agreement.json`.

    Raises:
        UsageError: See `counts.read_quizzes`; or two people have one name.
    """
    folder = folder or judge_agreement.FOLDER
    quizzes = counts.read_quizzes(paths, key_path, trials)
    for quiz in quizzes:
        keep_quiz(quiz, folder)
    kept = sorted(folder.glob("*/*.csv"))
    told = counts.count_quiz(kept, ask=ask)
    rows, _ = counts.match_answers(counts.read_quizzes(kept), [], lambda key, names: {})
    agreement = summarize_agreement(told) | {"taken_for": counts.count_confused_kinds(rows)}
    write_file(folder / judge_agreement.FILE_NAME, (format_json(agreement) + "\n").encode())
    return agreement


def keep_quiz(quiz: AnsweredQuiz, folder: pathlib.Path) -> None:
    """Copy a person's answers and the key of their quiz.

    Raises:
        UsageError: Another person's answers are kept under that name.
    """
    name = quiz.key.quiz[:8]
    stem = quiz.path.name.removesuffix(quiz.path.suffix)  # it may name the form: a person has a file for each
    person = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "somebody"
    path = folder / name / f"{person}.csv"
    text = format_answers(quiz.found, quiz.key.quiz)
    if path.exists() and path.resolve() != quiz.path.resolve() and path.read_text() != text:
        raise UsageError(
            f"--save: expected a name of its own for each person, got {path.name}, which is kept already with other "
            "answers; rename the file of answers"
        )
    write_file(path, text.encode())
    key_path = folder / f"{name}-key.parquet"
    if not key_path.exists():
        write_key(key_path, quiz.key)


def format_answers(found: QuizAnswers, quiz: str) -> str:
    """Write answers as a table, in the order of their numbers."""
    rows = [f"# quiz {quiz}", f"number,{','.join(PROPERTIES)}"]
    for answer in sorted(found.answers):
        rows.append(",".join([str(answer.number), *(answer.chosen.get(name, "") for name in PROPERTIES)]))
    return "\n".join(rows) + "\n"


def summarize_agreement(told: Mapping[str, Any]) -> dict[str, Any]:
    """Take what is stored from what `counts.count_quiz` found."""
    judges = {
        judge["judge"]: {
            "sha256": catalog.weights_fingerprint(judge["judge"]),
            "asked_by": judge["asked_by"],
            "kappa_right": judge["kappa_right"],
            "kappa_chosen": judge["kappa_chosen"],
        }
        for judge in told["judges"]
    }
    counted = ("quizzes", "num_pictures", "num_answers", "num_people", "num_captions")
    arms = {arm["arm"]: {"num_pictures": arm["num_pictures"], **arm["people"]["all"]} for arm in told["arms"]}
    return {"schema": SCHEMA, **{name: told[name] for name in counted}, "judges": judges, "arms": arms}


def format_json(value: Any) -> str:
    """Write JSON with rounded numbers, each estimate on a line."""
    text = json.dumps(shorten_numbers(value), indent=1, allow_nan=False)
    return re.sub(
        r"\{\s+(\"value\"[^{}]*)\}", lambda found: "{" + re.sub(r"\s*\n\s*", " ", found[1]).strip() + "}", text
    )


def shorten_numbers(value: Any) -> Any:
    """Round every number of plain values."""
    if isinstance(value, dict):
        return {name: shorten_numbers(part) for name, part in value.items()}
    if isinstance(value, list):
        return [shorten_numbers(part) for part in value]
    return round(value, DIGITS) if isinstance(value, float) else value
