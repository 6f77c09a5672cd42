"""Who answered which form is counted, and who saw a thing twice is named."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest

from bench.analysis.quiz import counts, form_counts
from bench.analysis.quiz.answers import QuizAnswer, QuizAnswers, name_person
from bench.report.tables.quiz_tables import quiz_lines
from tasks.captions import judge_agreement
from tests.fixtures.quizzes import SMALL, right_row, write_answers, written_quiz

FORMS = (1, 2, 2, 1, 1, 2)
"""Of the pictures of the small quiz, whose first and third show one thing."""

KEY = dataclasses.replace(
    SMALL,
    pictures=tuple(dataclasses.replace(x, form=form) for x, form in zip(SMALL.pictures, FORMS, strict=True)),
)


def answers_of(person, *numbers):
    return QuizAnswers(person, KEY.quiz, tuple(QuizAnswer(number, {"kind": "?"}) for number in numbers))


@pytest.mark.parametrize(
    ("found", "num_people", "num_answered", "repeated"),
    [
        ([answers_of("anna", 1, 4, 5)], [1, 0], [3, 0], {}),
        ([answers_of("anna", 1, 4), answers_of("ben", 1, 5)], [2, 0], [3, 0], {}),
        ([answers_of("anna", 1, 4), answers_of("ben", 2, 3, 6)], [1, 1], [2, 3], {}),
        ([answers_of("anna", 1, 4, 3)], [1, 1], [2, 1], {"anna": 1}),
        ([answers_of("anna", 1), answers_of("anna", 3)], [1, 1], [1, 1], {"anna": 1}),
        ([answers_of("anna", 1), answers_of("anna", 1)], [1, 0], [1, 0], {}),
    ],
)
def test_people_and_what_they_saw_twice(found, num_people, num_answered, repeated):
    counted = form_counts.count_forms(KEY, found)
    assert [form["num_people"] for form in counted] == num_people
    assert [form["num_answered"] for form in counted] == num_answered
    assert [(form["form"], form["num_pictures"]) for form in counted] == [(1, 3), (2, 3)]
    assert form_counts.count_repeated(KEY, found) == repeated


def write_form(folder, name, numbers):
    rows = [right_row(x.number, x.meaning) for x in KEY.pictures if x.number in numbers]
    return write_answers(folder / f"{name}.csv", rows, KEY.quiz)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"answers-form-1": (1, 4, 5), "answers-form-2": (2, 3, 6)},
            ["6 of 6 pictures answered, by 2 people", "1 answered by 1 person, 2 by 1 person"],
        ),
        (
            {"anna-form-1": (1, 4, 5), "anna-form-2": (2, 3, 6)},
            [
                "6 of 6 pictures answered, by 1 person",
                "1 answered by 1 person, 2 by 1 person",
                "warning: anna saw 1 object more than once: shares may be too high",
            ],
        ),
        (
            {"anna": (1, 4)},
            [
                "2 of 6 pictures answered, by 1 person",
                "1 answered by 1 person, 2 by nobody",
                "Without an answer: 1 pic",
            ],
        ),
        ({"anna": (1, 4, 5)}, ["3 of 6 pictures answered, by 1 person", "1 answered by 1 person, 2 by nobody"]),
    ],
)
def test_votes_tell_forms_and_warn(tmp_path, files, said):
    folder = written_quiz(tmp_path, KEY)
    found = counts.count_quiz([write_form(folder, name, numbers) for name, numbers in files.items()], names=[])
    lines = quiz_lines(found)
    for text in said:
        assert sum(text in line for line in lines) == 1, text
    for text in ("warning: ", "Without an answer"):
        assert any(text in line for line in lines) == any(text in line for line in said)
    assert found["people"] is None


def test_a_quiz_without_forms_warns_too_and_is_counted_as_before(tmp_path):
    folder = written_quiz(tmp_path)
    found = counts.count_quiz([write_form(folder, "anna", range(1, 6))], names=[])
    lines = quiz_lines(found)
    assert lines[1] == "warning: anna saw 1 object more than once: shares may be too high"
    assert lines[2:4] == ["", "Recognised by people"] and "Without an answer: 1 picture;" in lines[-1]


def test_every_kept_quiz_is_read_and_shows_who_saw_things_twice():
    paths = sorted(judge_agreement.FOLDER.glob("*/*.csv"))
    quizzes = [
        (quiz, counts.read_quizzes([quiz], quiz.parent.with_name(f"{quiz.parent.name}-key.parquet"))) for quiz in paths
    ]
    for path, [quiz] in quizzes:
        assert quiz.found.person == path.stem and quiz.key.quiz.startswith(path.parent.name)
        repeated = form_counts.count_repeated(quiz.key, [quiz.found])
        meanings = [quiz.key.pictures[answer.number - 1].meaning for answer in quiz.found.answers]
        assert repeated.get(path.stem, 0) == len({one for one in meanings if meanings.count(one) > 1})


def test_persons_are_named_by_their_files():
    names = ["anna.csv", "anna-form-12.json", "answers-form-1.csv", "answers.csv", "observer-one.csv", "form-1.csv"]
    assert [name_person(pathlib.Path(name)) for name in names] == [
        "anna", "anna", "answers-form-1", "answers", "observer-one", "form-1",
    ]  # fmt: skip
