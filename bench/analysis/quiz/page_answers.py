"""Reads answers that a report's page saved beside its blind vote: what was seen in views of stored trials.

    {"schema": 1, "suite": "text-to-3d", "seen": [{"trial": "...", "view": 3, "kind": "chair", "color": "red", ...}]}

The store gives the pictures: of them a quiz is made, which is counted and kept like any other.
"""

from __future__ import annotations

import pathlib
import re
from typing import Any

from bench.analysis.quiz.answers import SCHEMA, QuizAnswer, QuizAnswers, name_person, parse_answer
from bench.analysis.quiz.key import QuizKey, QuizPicture
from bench.analysis.quiz.pictures import meaning_of_record, read_view, to_png
from bench.errors import UsageError
from bench.metrics.judges import guides_of
from bench.storage import json_values
from bench.storage.store import Store
from bench.storage.trial_reader import read_whole_views
from tasks.data_dir.guarded_files import read_plain_file


def read_page_answers(path: pathlib.Path, trials: Store) -> tuple[QuizKey, QuizAnswers]:
    """Read answers of a report's page, with the quiz that they are answers to.

    Args:
        path: The file.
        trials: The store that holds the trials.

    Raises:
        UsageError: It holds no answers, an unknown word, a view twice, or a trial that is not stored.
    """
    found = json_values.parse_user_json(read_plain_file(path), str(path))
    if found.get("schema") != SCHEMA or not isinstance(found.get("seen"), list):
        raise UsageError(f"{path}: expected answers of schema {SCHEMA}, got others; save them with this version's page")
    pictures: list[QuizPicture] = []
    answers: list[QuizAnswer] = []
    views: dict[str, dict[str, Any]] = {}
    seen: set[tuple[str, int]] = set()
    for i, row in enumerate(found["seen"], start=1):
        where = f"{path}, answer {i}"
        trial_id, view = parse_place(row, where)
        if (trial_id, view) in seen:
            raise UsageError(f"{where}: expected each view once, got view {view} of {trial_id} again; take one out")
        seen.add((trial_id, view))
        answer = parse_answer({**row, "number": len(pictures) + 1}, where)
        if answer.chosen:
            pictures.append(show_view(trial_id, view, answer.number, trials, views))
            answers.append(answer)
    if not answers:
        raise UsageError(f"{path}: expected answers, got none; answer on the page first")
    key = QuizKey(pictures=tuple(pictures), about={"suite": found.get("suite")})
    return key, QuizAnswers(name_person(path), key.quiz, tuple(answers))


def parse_place(row: Any, where: str) -> tuple[str, int]:
    """Read which view of which trial an answer is about; UsageError if it says none."""
    trial_id = row.get("trial") if isinstance(row, dict) else None
    view = row.get("view") if isinstance(row, dict) else None
    if not isinstance(trial_id, str) or not re.fullmatch(r"[0-9]{1,4}", str(view)):
        raise UsageError(f"{where}: expected a trial and a view, got {row!r:.80}; take it out")
    return trial_id, int(str(view))


def show_view(trial_id: str, view: int, number: int, trials: Store, views: dict[str, dict[str, Any]]) -> QuizPicture:
    """Make the picture of a stored view.

    Args:
        trial_id: The trial.
        view: Id of the view.
        number: Of the picture.
        trials: The store.
        views: Those that were read already, by trial.

    Raises:
        UsageError: The trial or its views are not stored, or its caption is not of the closed world.
    """
    record = trials.read(trial_id)
    meaning = meaning_of_record(record)
    if meaning is None:
        raise UsageError(
            f"{trial_id}: expected a finished object of the closed world, got another; take its answers out"
        )
    if trial_id not in views:
        found = read_whole_views(trials, trial_id)
        if found is None or "ids" not in found:
            raise UsageError(
                f"{trial_id}: expected its views in {trials.root}, got none; name their store by --results"
            )
        views[trial_id] = found
    png = to_png(read_view(views[trial_id], view, trial_id))
    return QuizPicture(
        number=number,
        arm=record.variant,
        meaning=meaning.id,
        view=view,
        trial=trial_id,
        store=None,
        guides=guides_of(record.identity),
        png=png,
    )
