"""Bad answers to a quiz, and bad words of the verb that makes one."""

from __future__ import annotations

import json
import pathlib

from tests.bad_input.bad_case import BadCase, setup

HEAD = "number,kind,color,finish\n"


def write_quiz(place: pathlib.Path, rows: str, quiz: str | None = None) -> None:
    """Write a quiz of two pictures, and answers to it; None names this quiz in them."""
    from bench.analysis.quiz.key import write_key
    from tests.fixtures.quizzes import key_of

    key = key_of(("full", "red-metallic-chair"), ("plain", "pink-matte-hat"))
    folder = place / "quiz"
    folder.mkdir()
    write_key(place / "quiz-key.parquet", key)
    (folder / "answers.csv").write_text(f"# quiz {quiz or key.quiz}\n{HEAD}{rows}")


@setup
def answers_to_another_quiz(place):
    write_quiz(place, "1,hat,red,matte\n", "abcdef0123456789")


@setup
def an_answer_twice(place):
    write_quiz(place, "1,hat,red,matte\n1,hat,red,matte\n")


@setup
def an_unknown_kind(place):
    write_quiz(place, "1,chiar,red,matte\n")


@setup
def an_unknown_color(place):
    write_quiz(place, "1,hat,crimson,matte\n")


@setup
def an_unknown_finish(place):
    write_quiz(place, "1,hat,red,\033[31mfurry\n")


@setup
def a_number_that_no_picture_has(place):
    write_quiz(place, "1,hat,red,matte\n3,hat,red,matte\n")


@setup
def answers_without_any(place):
    write_quiz(place, "1,,,\n")


@setup
def answers_without_a_key(place):
    write_quiz(place, "1,hat,red,matte\n")
    (place / "quiz-key.parquet").unlink()


@setup
def a_key_that_is_cut(place):
    write_quiz(place, "1,hat,red,matte\n")
    path = place / "quiz-key.parquet"
    path.write_bytes(path.read_bytes()[:-100])


@setup
def answers_and_votes(place):
    write_quiz(place, "1,hat,red,matte\n")
    (place / "votes.json").write_text(json.dumps({"schema": 1, "suite": "ablations", "votes": []}))


@setup
def answers_of_a_page_without_their_store(place):
    seen = [{"trial": "full__a-red-hat__s0__0", "view": 1, "kind": "hat"}]
    (place / "seen.json").write_text(json.dumps({"schema": 1, "suite": "a", "seen": seen}))


@setup
def answers_of_a_page_that_are_none(place):
    (place / "seen.json").write_text(json.dumps({"schema": 1, "suite": "a", "seen": {}}))


ANSWERS = "votes quiz/answers.csv"

TABLE = (
    BadCase(ANSWERS, "expected answers to a quiz, got no such file; name the file that you typed"),
    BadCase(ANSWERS, "got some to abcdef01; name their own key with --key FILE", "answers_to_another_quiz"),
    BadCase(ANSWERS, "answers.csv, line 4: expected each number once, got 1 again; take one", "an_answer_twice"),
    BadCase(ANSWERS, "line 3: expected a kind of the closed world, or ? for one", "an_unknown_kind"),
    BadCase(ANSWERS, "got 'chiar'; the nearest is 'chair'", "an_unknown_kind"),
    BadCase(
        ANSWERS,
        "expected a color of the closed world, or ? for one that cannot be told, got 'crimson'",
        "an_unknown_color",
    ),
    BadCase(ANSWERS, "line 3: expected a finish of the closed world", "an_unknown_finish"),
    BadCase(ANSWERS, "expected numbers from 1 to 2, got 3; take the answers out", "a_number_that_no_picture_has"),
    BadCase(ANSWERS, "expected answers to a quiz, got none; fill in kind, color and finish", "answers_without_any"),
    BadCase(ANSWERS, "quiz-key.parquet: expected the key of a quiz, got no such file", "answers_without_a_key"),
    BadCase(ANSWERS, "quiz-key.parquet: expected the key of a quiz, got", "a_key_that_is_cut"),
    BadCase(
        f"{ANSWERS} votes.json", "votes: expected votes alone or answers to a quiz alone, got", "answers_and_votes"
    ),
    BadCase(
        "votes votes.json --judge embedded-judge-rn", "expected answers to a quiz beside --key", "answers_and_votes"
    ),
    BadCase(
        "votes seen.json --results runs",
        "trial: expected one of runs, got 'full__a-red-hat__s0__0'",
        "answers_of_a_page_without_their_store",
    ),
    BadCase(
        "votes seen.json --results runs", "expected answers of schema 1, got others", "answers_of_a_page_that_are_none"
    ),
    BadCase("quiz --results runs", "expected finished trials from captions of the closed world, with views, in runs"),
    BadCase("quiz --results nowhere", "--results: expected a folder of trials, got nowhere, which is not there"),
    BadCase("quiz --results runs --results ./runs", "--results: expected different labels, got 'runs' twice"),
    BadCase("quiz --results runs --num-views 0", "--num-views: expected a whole number from 2 to 9999, got '0'"),
    BadCase("quiz --results runs --forms 0", "--forms: expected a whole number from 1 to 9999, got '0'"),
    BadCase("quiz --results runs --seed=-1", "--seed: expected a whole number of at least 0, got '-1'"),
    BadCase("quiz --results runs --budget smoke", "quiz: expected --suite beside --only and --budget, got none"),
    BadCase("quiz --results runs --out file", "expected a folder, got a file of that name", "a_file_in_the_way"),
    BadCase("quiz --results runs --key folder", "expected a file, got a folder of that name", "a_folder_in_the_way"),
)
