"""Sheets of answers: every object once, beside a true render of the same thing from the same side."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from bench.analysis.quiz.answers import QuizAnswer, QuizAnswers
from bench.analysis.quiz.counts import AnsweredQuiz
from bench.analysis.quiz.key import TRUE_RENDERS, QuizKey, QuizPicture
from bench.analysis.quiz.pictures import to_png
from bench.errors import UsageError
from bench.report.quiz import answer_sheets
from bench.report.quiz.answer_sheets import PICTURE_PX, choose_pictures, count_people, write_answer_sheets

CHAIR = "red-metallic-chair"
PAIR = "blue-matte-ball--on--red-dotted-bench"


def picture(number, arm, meaning, level):
    shown = np.full((8, 8, 3), level, np.uint8)
    return QuizPicture(
        number=number, arm=arm, meaning=meaning, view=3, trial=None, store=None, guides={}, png=to_png(shown)
    )


KEY = QuizKey(
    pictures=(
        picture(1, "one", PAIR, 10),
        picture(2, "one", CHAIR, 20),
        picture(3, "one", CHAIR, 30),
        picture(4, "the other", CHAIR, 40),
        picture(5, TRUE_RENDERS, "green-matte-cone", 50),
    ),
    about={},
)


def answered(tmp_path, person, *kinds):
    found = tuple(QuizAnswer(number, {"kind": kind}) for number, kind in enumerate(kinds, start=1))
    return AnsweredQuiz(tmp_path / f"{person}.csv", KEY, QuizAnswers(KEY.quiz, person, found))


@pytest.fixture
def asked(monkeypatch):
    """What is asked of the path tracer, which is left out."""
    calls = []

    def render(meanings, views, image_px):
        calls.append(([str(meaning) for meaning in meanings], views, image_px))
        return [np.full((image_px, image_px, 3), 200, np.uint8) for _ in meanings]

    monkeypatch.setattr(answer_sheets, "render_true_views", render)
    return calls


def test_each_object_stands_once_with_single_things_first():
    assert [one.number for one in choose_pictures(KEY, "one")] == [2, 1]
    assert [one.number for one in choose_pictures(KEY, "one", {3})] == [3, 1], "of a form that somebody answered"


def test_sheets_show_objects_beside_true_renders(tmp_path, asked):
    quizzes = [answered(tmp_path, "a", "ball", "chair"), answered(tmp_path, "b", "bench", "lamp")]
    written = write_answer_sheets(quizzes, tmp_path / "sheets")
    assert {arm: path.name for arm, path in written.items()} == {"one": "one.webp", "the other": "the_other.webp"}
    with Image.open(written["one"]) as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    assert abs(pixels[40, 40] - 20).max() < 8
    assert abs(pixels[40, 40 + PICTURE_PX] - 200).max() < 8
    [(meanings, views, image_px)] = asked  # each thing is rendered once for all arms
    assert len(meanings) == 2
    assert (views, image_px) == ([3, 3], 8)


def test_people_are_counted_by_picture(tmp_path):
    quizzes = [answered(tmp_path, "a", "ball", "chair"), answered(tmp_path, "b", "bench", "lamp")]
    rows, _ = answer_sheets.match_answers(quizzes, (), lambda key, names: {})
    assert count_people(rows) == {1: "2/2", 2: "1/2"}  # of a pair either thing is right
    assert count_people([rows[0]._replace(chosen={"color": "red"}), *rows[1:]])[1] == "1/1"


def test_answers_to_two_quizzes_are_refused(tmp_path):
    other = dataclasses.replace(KEY, pictures=KEY.pictures[:2])
    one = answered(tmp_path, "a", "ball")
    with pytest.raises(UsageError, match="expected answers to one quiz, got several"):
        write_answer_sheets([one, one._replace(key=other)], tmp_path)
