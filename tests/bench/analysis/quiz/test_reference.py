"""What is kept is counted, stands on cards and decides the order of judges; what is not kept changes nothing."""

from __future__ import annotations

import json

import pytest

from bench import __main__ as command_line
from bench.analysis.quiz import judging, reference
from bench.errors import DamagedFile, UsageError
from bench.suites.builtin import caption_tables
from models.clip.checkpoints import catalog
from models.clip.pretraining import model_cards
from tasks.captions import caption_sets, judge_agreement
from tests.fixtures.quizzes import SMALL, judges_that_know, right_row, write_answers, written_quiz

RN, VIT = caption_sets.CLOSED_WORLD_JUDGES


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The folder of kept quizzes, empty."""
    monkeypatch.setattr(judge_agreement, "FOLDER", tmp_path / "kept")
    return tmp_path / "kept"


def answers_of(folder, right, name="anna.csv"):
    rows = [right_row(x.number, x.meaning) if x.number in right else f"{x.number},?,," for x in SMALL.pictures]
    return write_answers(folder / name, rows, SMALL.quiz)


def save(path, right_by_judge):
    return reference.save_quizzes([path], ask=judges_that_know(right_by_judge))


def test_nothing_is_kept_as_the_project_comes_or_all_of_it_can_be_read():
    found = judge_agreement.stored_agreement()
    assert set(found.get("judges", {})) <= {*catalog.EMBEDDED, *catalog.ENTRIES}
    assert set(caption_sets.ranked_judges_of("closed-world")) == set(caption_sets.CLOSED_WORLD_JUDGES)


def test_without_a_quiz_todays_order_stands(kept):
    assert judge_agreement.stored_agreement() == {} and judge_agreement.agreement_of(RN) is None
    assert caption_sets.ranked_judges_of("closed-world") == (RN, VIT)
    assert model_cards.describe_agreement(RN) == {}


def test_the_judge_that_agrees_best_stands_first(kept, tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "judge_names", lambda: (RN, VIT))
    told = save(answers_of(written_quiz(tmp_path), {1, 3}), {RN: {2, 4}, VIT: {1, 3}})
    assert told["judges"][VIT]["kappa_right"]["value"] == 1.0 and told["judges"][RN]["kappa_right"]["value"] == -1.0
    assert caption_sets.ranked_judges_of("closed-world") == (VIT, RN)
    assert caption_sets.judges_of("closed-world") == (RN, VIT), "scores are made in a fixed order"
    study = caption_tables.embedded_settings("smoke")
    assert caption_tables.parametrizations(study).metrics[0] == f"margin@{VIT}"
    [line] = model_cards.describe_agreement(VIT).values()
    assert line.startswith("Cohen's kappa 1.00 [") and "4 answers of 1 observer" in line and "asked by captions" in line
    monkeypatch.setitem(catalog.EMBEDDED, VIT, "0" * 64)
    assert model_cards.describe_agreement(VIT) == {}, "other weights were asked"


def test_answers_are_kept_with_their_key_and_counted_together(kept, tmp_path):
    folder = written_quiz(tmp_path)
    save(answers_of(folder, {1, 3}), {RN: {1}})
    told = save(answers_of(folder, {1, 4}, "Ben B.csv"), {RN: {1}})
    names = sorted(str(path.relative_to(kept)) for path in kept.rglob("*") if path.is_file())
    short = SMALL.quiz[:8]
    assert names == [f"{short}-key.parquet", f"{short}/Ben-B.csv", f"{short}/anna.csv", "agreement.json"]
    assert (told["num_people"], told["num_answers"]) == (2, 12)
    assert told["taken_for"]["chair"] == {"chair": 3, "?": 1}
    again = reference.save_quizzes(sorted(kept.glob("*/*.csv")), ask=judges_that_know({RN: {1}}))
    assert again == told, "what is kept can be counted again, for a new judge"
    assert json.loads((kept / "agreement.json").read_text())["num_answers"] == 12


def test_two_people_of_one_name_are_refused(kept, tmp_path):
    folder = written_quiz(tmp_path)
    save(answers_of(folder, {1, 3}), {})
    with pytest.raises(UsageError, match="--save: expected a name of its own for each person, got anna.csv"):
        save(answers_of(folder, {1, 4}), {})


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"judges": {"a": {}}}', '{"judges": {"a": {"kappa_right": {"value": 7}}}}']
)
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "agreement.json").write_text(content)
    with pytest.raises(
        DamagedFile, match=r"agreement.json: expected how far judges agree with people, got .* votes --save"
    ):
        judge_agreement.rank_judges((RN, VIT), tmp_path)


def test_the_command_keeps_what_it_counted(kept, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(judging, "judge_pictures", judges_that_know({RN: {1, 3}}))
    path = answers_of(written_quiz(tmp_path), {1, 3})
    assert command_line.main(["votes", str(path), "--save"]) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith(f"saved: {kept / 'agreement.json'}, of 6 answers to 1 kept quizzes")
    assert command_line.main(["votes", str(path), "--save", "--judge", RN]) == 2
    assert "votes: expected --save without --judge, got both" in capsys.readouterr().err
