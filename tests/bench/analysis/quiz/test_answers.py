"""What a person types is read; what cannot be meant is refused in a line that says where."""

from __future__ import annotations

import json

import pytest

from bench.analysis.quiz import answers
from bench.errors import UsageError


def read(tmp_path, content, name="a.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return answers.read_answers(path)


@pytest.mark.parametrize(
    "content",
    [
        "# quiz abcd0123\nnumber,kind,color,finish\n1,sofa,gray,metallic\n2,?,blue,\n3,,,\n",
        "\ufeff# quiz abcd0123\r\nNumber;Kind;Colour;Finish\r\n1; Couch ;GREY;metal\r\n2;?;blue;\r\n3;;;\r\n",
        '"# quiz abcd0123"\nfinish\tnumber\tkind\tcolor\nmetallic\t1\tsofa\tgray\n\t2\t?\tblue\n',
        "# quiz abcd0123\nnumber,kind,color,finish\n1,sofa,gray,metallic\n2,?,blue".encode("utf-16"),
    ],
)
def test_a_table_is_read_however_it_was_typed(tmp_path, content):
    found = read(tmp_path, content)
    assert found.person == "a" and found.quiz == "abcd0123"
    assert found.answers == (
        answers.QuizAnswer(1, {"kind": "sofa", "color": "gray", "finish": "metallic"}),
        answers.QuizAnswer(2, {"kind": "?", "color": "blue"}),
    )


def test_json_is_read_with_its_quiz_or_as_a_list(tmp_path):
    rows = [{"number": 1, "kind": "hat"}, {"number": "2", "color": "red", "finish": None}]
    whole = read(tmp_path, json.dumps({"schema": 1, "quiz": "abcd0123", "answers": rows}), "b.json")
    alone = read(tmp_path, json.dumps(rows), "c.json")
    assert whole.answers == alone.answers == (
        answers.QuizAnswer(1, {"kind": "hat"}), answers.QuizAnswer(2, {"color": "red"}),
    )  # fmt: skip
    assert (whole.quiz, alone.quiz) == ("abcd0123", None)


HEAD = "number,kind,color,finish\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "", "expected answers to a quiz, got none; fill in kind"),
        ("a.csv", HEAD + "1,,,\n", "expected answers to a quiz, got none; fill in kind"),
        ("a.csv", "1,hat,red,matte\n", "line 1: expected the head number,kind,color,finish, got '1,hat,red,matte'"),
        ("a.csv", HEAD + "1,hat,red,matte\n1,hat,red,matte\n", "line 3: expected each number once, got 1 again"),
        ("a.csv", HEAD + "1,hut,red,matte\n", "line 2: expected a kind of the closed world.*the nearest is 'hat'"),
        ("a.csv", HEAD + "1,hat,rd,matte\n", "line 2: expected a color of the closed world.*the nearest is 'red'"),
        ("a.csv", HEAD + "1,hat,red,mat\n", "line 2: expected a finish of the closed world.*the nearest is 'matte'"),
        ("a.csv", HEAD + "one,hat,red,matte\n", "line 2: expected the number of a picture, got 'one'; take it out"),
        ("a.csv", HEAD + "-1,hat,red,matte\n", "line 2: expected the number of a picture, got '-1'"),
        ("a.csv", HEAD + "1,hat,red,matte,big\n", "line 2: expected 4 columns, got '1,hat,red,matte,big'"),
        ("a.json", "[3]", "answer 1: expected number, kind, color and finish, got 3"),
        ("a.json", '{"schema": 2, "answers": []}', "expected answers of schema 1, got 2"),
        ("a.json", '{"schema": 1, "answers": {}}', "expected the hash of a quiz and a list of answers, got others"),
        ("a.json", '[{"number": true, "kind": "hat"}]', "expected the number of a picture, got True"),
        ("a.json", '[{"number": 1, "kind": 3}]', "expected a kind of the closed world.*got 3; known: ball, cube"),
        ("a.json", "[{", "expected JSON, got"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, name, content, said):
    with pytest.raises((UsageError, ValueError), match=said):
        read(tmp_path, content, name)


@pytest.mark.parametrize(
    ("quiz", "numbers", "said"),
    [
        ("abcd0123", [1, 2], ""),
        ("abcd0123ff", [1, 2], ""),
        (None, [1, 2], ""),
        ("abcd0124", [1], "expected answers to the quiz abcd0123, got some to abcd0124; name their own key"),
        ("abcd", [1], "expected answers to the quiz abcd0123, got some to abcd"),
        (None, [1, 3, 0], "expected numbers from 1 to 2, got 3, 0; take the answers out"),
    ],
)
def test_answers_belong_to_their_quiz(tmp_path, quiz, numbers, said):
    found = answers.QuizAnswers("a", quiz, tuple(answers.QuizAnswer(number, {"kind": "hat"}) for number in numbers))
    if not said:
        return answers.check_answers(found, 2, "abcd0123ffff", tmp_path)
    with pytest.raises(UsageError, match=said):
        answers.check_answers(found, 2, "abcd0123ffff", tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "is_quiz"),
    [
        ("a.csv", "anything", True),
        ("a.json", '[{"number": 1}]', True),
        ("a.json", '{"schema": 1, "answers": []}', True),
        ("a.json", "[]", False),
        ("a.json", '{"schema": 1, "suite": "a", "votes": []}', False),
        ("a.json", "{", False),
        ("a.json", None, False),
    ],
)
def test_answers_are_told_from_votes(tmp_path, name, content, is_quiz):
    if content is not None:
        (tmp_path / name).write_text(content)
    assert answers.is_quiz_file(tmp_path / name) is is_quiz


def test_what_people_took_a_kind_for():
    assert answers.describe_confusions("umbrella", {"umbrella": {"mushroom": 2}}) == (
        "observers took 2 views of an umbrella for: mushroom (2)"
    )
    assert answers.describe_confusions("hat", {}) == ""
