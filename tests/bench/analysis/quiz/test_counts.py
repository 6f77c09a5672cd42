"""Answers of known shares and agreement come to those."""

from __future__ import annotations

import pytest

from bench.analysis.quiz import counts
from bench.analysis.quiz.key import TRUE_RENDERS, QuizKey
from bench.errors import UsageError
from bench.report.tables.quiz_tables import quiz_lines
from models.clip.checkpoints import catalog
from tests.fixtures.quizzes import SMALL, judges_that_know, key_of, picture, right_row, write_answers, written_quiz

WRONG = "ring,orange,striped"


def answered(folder, right, key=SMALL, name="answers.csv"):
    """Answers that are right on some numbers, and wrong in all on others."""
    rows = [right_row(x.number, x.meaning) if x.number in right else f"{x.number},{WRONG}" for x in key.pictures]
    return write_answers(folder / name, rows, key.quiz)


def count(tmp_path, right, judges, **options):
    path = answered(written_quiz(tmp_path), right)
    return counts.count_quiz([path], names=list(judges), ask=judges_that_know(judges), **options)


def test_shares_by_arm(tmp_path):
    found = count(tmp_path, right={1, 2, 3, 5, 6}, judges={"a": {1, 5}})
    assert [arm["arm"] for arm in found["arms"]] == ["full", "plain", TRUE_RENDERS]
    shares = [arm["people"]["all"]["kind"]["value"] for arm in found["arms"]]
    assert shares == [1.0, 0.5, 1.0]
    full = found["arms"][0]
    assert [full["people"][part]["kind"]["num"] for part in ("single", "pairs")] == [1, 1]
    assert full["judges"]["a"]["kind"]["value"] == 0.5
    assert (found["num_pictures"], found["num_answered"], found["num_people"], found["num_captions"]) == (6, 6, 1, 5)


def test_arms_are_compared_caption_by_caption(tmp_path):
    names = [f"{color}-matte-cube" for color in ("red", "blue", "green", "pink", "white", "gray", "black", "brown")]
    key = key_of(*(("full", name) for name in names), *(("bare", name) for name in names[:-1]))
    found = counts.count_quiz([answered(written_quiz(tmp_path, key), set(range(1, 9)), key)], names=[])["differences"]
    [full] = found["arms"]
    assert (found["baseline"], full["arm"], full["value"], full["num_captions"]) == ("bare", "full", 1.0, 7)
    assert full["verdict"] == "better" and full["p_holm"] == pytest.approx(2 / 2**7)


def test_a_pair_is_recognised_by_either_of_its_things(tmp_path):
    folder = written_quiz(tmp_path)
    for row, expected in (("2,cube,blue,matte", 1.0), ("2,mug,green,matte", 1.0), ("2,hat,blue,matte", 0.0)):
        found = counts.count_quiz([write_answers(folder / "a.csv", [row])], names=[])
        people = found["arms"][0]["people"]["pairs"]
        assert people["kind"]["value"] == expected and people["color"]["value"] == 1.0
    assert found["unnamed"] == [str(folder / "a.csv")] and found["num_answered"] == 1


def test_what_was_left_empty_does_not_count_and_what_cannot_be_told_is_wrong(tmp_path):
    folder = written_quiz(tmp_path)
    found = counts.count_quiz([write_answers(folder / "a.csv", ["1,?,,metallic", "3,chair,red,matte"])], names=[])
    full, plain = (arm["people"]["all"] for arm in found["arms"])
    assert full["kind"]["value"] == 0.0 and full["color"]["value"] is None and full["finish"]["value"] == 1.0
    assert plain["finish"]["value"] == 0.0


def test_judges_that_agree_come_first(tmp_path):
    right = {1, 3, 5, 6}
    found = count(tmp_path, right, judges={"blind": set(), "same": right, "other": {2, 4, 5}, "none": right} | {})
    names = [judge["judge"] for judge in found["judges"]]
    assert names[0] in ("same", "none") and names[-1] == "other"
    same = next(judge for judge in found["judges"] if judge["judge"] == "same")
    other = next(judge for judge in found["judges"] if judge["judge"] == "other")
    assert same["kappa_right"]["value"] == 1.0 and other["kappa_right"]["value"] == -1.0
    assert same["kappa_right"]["num"] == 4, "true renders are told apart"
    assert same["with_true_renders"]["kappa_right"]["num"] == 6
    assert same["kappa_chosen"]["value"] == 1.0 and same["kappa_chosen_of"]["color"]["value"] == 1.0


def test_judges_that_cannot_be_had_are_named(tmp_path):
    found = counts.count_quiz([answered(written_quiz(tmp_path), {1})], names=["gone"], ask=judges_that_know({}))
    assert found["not_asked"] == {"gone": "gone: there is none"} and found["judges"] == []


def test_people_are_compared_with_each_other(tmp_path):
    folder = written_quiz(tmp_path)
    paths = [answered(folder, {1, 2}, name="anna.csv"), answered(folder, {1, 2, 5}, name="ben.csv")]
    found = counts.count_quiz(paths, names=[])
    assert found["people"]["kappa_right"]["value"] == 1.0 and found["people"]["kappa_right"]["num"] == 4
    assert (found["num_people"], found["num_answers"], found["num_answered"]) == (2, 12, 6)


def test_several_quizzes_are_counted_together(tmp_path):
    other = key_of(("full", "gray-dotted-bell"), ("new", "pink-matte-hat"))
    paths = [
        answered(written_quiz(tmp_path), {1, 2}),
        answered(written_quiz(tmp_path, other, "more"), {1, 2}, other),
    ]
    found = counts.count_quiz(paths, names=["a"], ask=judges_that_know({"a": {1}}))
    assert found["quizzes"] == sorted([SMALL.quiz, other.quiz]) and found["num_pictures"] == 8
    assert [(arm["arm"], arm["num_pictures"]) for arm in found["arms"]] == [
        ("full", 3), ("new", 1), ("plain", 2), (TRUE_RENDERS, 2),
    ]  # fmt: skip


def test_files_that_do_not_belong_together(tmp_path):
    folder = written_quiz(tmp_path)
    path = answered(folder, {1})
    with pytest.raises(UsageError, match="expected each file once, got .* twice"):
        counts.read_quizzes([path, folder / "." / "answers.csv"])
    copy = folder / "copy.csv"
    copy.write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match="expected each answer once, got the same in"):
        counts.read_quizzes([path, copy])
    other = key_of(("full", "pink-matte-hat"))
    written_quiz(tmp_path, other, "other")
    with pytest.raises(UsageError, match="expected answers to the quiz .*, got some to"):
        counts.read_quizzes([path], tmp_path / "other-key.parquet")


def test_kinds_that_people_took_for_others(tmp_path):
    folder = written_quiz(tmp_path)
    rows = ["1,sofa,red,matte", "2,mug,red,matte", "3,sofa,red,matte", "4,hat,red,matte", "5,ring,red,matte"]
    quizzes = counts.read_quizzes([write_answers(folder / "a.csv", rows)])
    matched, _ = counts.match_answers(quizzes, [], judges_that_know({}))
    assert counts.count_confused_kinds(matched) == {"chair": {"sofa": 2}, "hat": {"hat": 1}}


def test_a_judge_says_nothing_of_what_it_guided(tmp_path):
    guide = "embedded-vit-8"
    guides = {guide: catalog.EMBEDDED[guide]}
    pictures = [
        picture(i, x.arm, x.meaning, guides if x.arm == "full" else {}) for i, x in enumerate(SMALL.pictures, 1)
    ]
    key = QuizKey(pictures=tuple(pictures), about={})
    path = answered(written_quiz(tmp_path, key), {1, 2, 3}, key)
    found = counts.count_quiz([path], names=[guide, "other"], ask=judges_that_know({guide: {1, 3}, "other": {1, 3}}))
    by_name = {judge["judge"]: judge for judge in found["judges"]}
    assert by_name[guide]["num_in_loop"] == 2 and by_name[guide]["kappa_right"]["num"] == 2
    assert by_name["other"]["num_in_loop"] == 0 and by_name["other"]["kappa_right"]["num"] == 4
    assert guide not in found["arms"][0]["judges"] and found["arms"][1]["judges"][guide]["kind"]["value"] == 0.5
    lines = quiz_lines(found)
    assert "Left out, as the judge guided the object: embedded-vit-8 (2), of 6 answers." in lines
    [row] = [line for line in lines if line.startswith("full")][1:]
    assert row.split() == ["full", "1.00", "-", "0.50"] or row.split() == ["full", "1.00", "0.50", "-"]
