"""Answers of a report's page become a quiz of the store's views, counted and kept like any other."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench import __main__ as command_line
from bench.analysis.quiz import counts, judging, page_answers, reference
from bench.analysis.quiz.key import decode_pictures
from bench.errors import UsageError
from tests.fixtures.quizzes import judges_that_know, store_objects


def trial_named(trials, variant, word):
    return next(name for name in trials.ids() if name.startswith(f"{variant}__") and word in name)


def seen_by(path, *rows, schema=1):
    names = ("trial", "view", "kind", "color", "finish")
    seen = [dict(zip(names, row, strict=False)) if isinstance(row, tuple) else row for row in rows]
    path.write_text(json.dumps({"schema": schema, "suite": "text-to-3d", "seen": seen}))
    return path


def test_the_store_gives_the_pictures(tmp_path):
    trials = store_objects(tmp_path / "runs")
    chair = trial_named(trials, "full", "chair")
    hat = trial_named(trials, "plain", "hat")
    path = seen_by(tmp_path / "seen-a.json", (chair, 3, "chair", "red", "glossy"), (hat, 0, "?", "pink"))
    key, found = page_answers.read_page_answers(path, trials)
    assert [(x.arm, x.meaning, x.view) for x in key.pictures] == [
        ("full", "red-metallic-chair", 3), ("plain", "pink-matte-hat", 0),
    ]  # fmt: skip
    assert found.person == "seen-a" and found.quiz == key.quiz
    stored = trials.views(chair)["color"][3].astype(np.float32)
    np.testing.assert_allclose(decode_pictures(key)[0], stored, atol=0.51 / 255)
    told = counts.count_quiz([path], names=[], trials=trials)
    assert [arm["people"]["all"]["kind"]["value"] for arm in told["arms"]] == [1.0, 0.0]
    assert told["arms"][1]["people"]["all"]["finish"]["value"] is None
    kept = reference.save_quizzes([path], folder=tmp_path / "kept", ask=judges_that_know({}), trials=trials)
    assert kept["num_answers"] == 2, "kept with its pictures, so that the store is not asked again"


def test_the_command_reads_them(tmp_path, monkeypatch, capsys):
    trials = store_objects(tmp_path / "runs")
    path = seen_by(tmp_path / "seen.json", (trial_named(trials, "full", "chair"), 3, "chair", "red", "metallic"))
    monkeypatch.setattr(judging, "judge_pictures", judges_that_know({"a": {1}}))
    assert command_line.main(["votes", str(path), "--results", str(tmp_path / "runs"), "--judge", "a"]) == 0
    assert "1 of 1 picture answered, by 1 person" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "expected answers, got none; answer on the page first"),
        ([3], "answer 1: expected a trial and a view, got 3; take it out"),
        ([("CHAIR", "x", "hat")], "answer 1: expected a trial and a view, got"),
        ([("CHAIR", 3, "hut")], "answer 1: expected a kind of the closed world"),
        ([("CHAIR", 99, "hat")], "expected view 99, got none"),
        ([("CHAIR", 3, "hat"), ("CHAIR", 3, "key")], "answer 2: expected each view once, got view 3 of"),
        ([("none__a__s0__0", 3, "hat")], "trial: expected one of .*, got 'none__a__s0__0'"),
        ([("nerf__knight__8v__s0__3f9c1a2b", 3, "hat")], "expected a finished object of the closed world, got another"),
    ],
)
def test_what_is_no_answer_is_refused(tmp_path, rows, said):
    trials = store_objects(tmp_path / "runs")
    chair = trial_named(trials, "full", "chair")
    rows = [tuple(chair if x == "CHAIR" else x for x in row) if isinstance(row, tuple) else row for row in rows]
    with pytest.raises(UsageError, match=said):
        page_answers.read_page_answers(seen_by(tmp_path / "a.json", *rows), trials)


def test_another_schema_is_refused(tmp_path):
    with pytest.raises(
        UsageError, match="expected answers of schema 1, got others; save them with this version's page"
    ):
        page_answers.read_page_answers(seen_by(tmp_path / "a.json", schema=2), store_objects(tmp_path / "runs"))
