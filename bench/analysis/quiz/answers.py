"""Reads answers to a blind quiz: what a page saved, or what a person typed.

    # quiz 3f9c1a2b...             names the quiz; in the template that lies beside the pictures
    number,kind,color,finish
    1,chair,red,metallic
    2,?,blue,?                     ? is "cannot tell": it counts as wrong

Columns may be parted by commas, semicolons or tabs. A row without any answer is left out. JSON holds the same:
`{"schema": 1, "quiz": "3f9c...", "answers": [{"number": 1, "kind": "chair", ...}]}`, or the list alone. Words that
captions have for a kind, a colour or a finish are read too: "couch", "grey", "shiny".
"""

from __future__ import annotations

import csv
import io
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bench.errors import UsageError, nearest
from bench.storage import json_values
from tasks.closed_world import grammar
from tasks.closed_world.meanings import PROPERTIES
from tasks.data_dir.guarded_files import decode_text, read_plain_file

SCHEMA = 1
"""Schema of answers as JSON."""

TABLE_ENDS = (".csv", ".tsv", ".txt")
"""Endings of files of answers that are no JSON."""

UNKNOWN = "?"
"""Answer of somebody who cannot tell."""

NO_NAME = "answers"
"""In a file's name, in place of a person's."""

_WORDS = {"kind": grammar.NOUNS, "color": grammar.COLOR_WORDS, "finish": grammar.FINISH_WORDS}


def _values_by_word(words: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Give the value that each word means; a value means itself."""
    by_word = {word: value for value, others in words.items() for word in others}
    return by_word | {value: value for value in words}


_ANSWER_OF: dict[str, dict[str, str]] = {name: _values_by_word(words) for name, words in _WORDS.items()}
"""By property, the value that each word means."""


class QuizAnswer(NamedTuple):
    """An answer to one picture.

    Attributes:
        number: Of the picture.
        chosen: By property the value, or `UNKNOWN`; a property that was left empty is not there.
    """

    number: int
    chosen: Mapping[str, str]


class QuizAnswers(NamedTuple):
    """The answers of a file.

    Attributes:
        person: Who answered, see `name_person`.
        quiz: Hash of the quiz that the file names; None where it names none.
        answers: At most one for each picture.
    """

    person: str
    quiz: str | None
    answers: tuple[QuizAnswer, ...]


def is_quiz_file(path: pathlib.Path) -> bool:
    """Tell answers to a quiz from votes between pictures: by the ending, of JSON by what is in it."""
    if path.suffix.lower() in TABLE_ENDS:
        return True
    try:
        found = json_values.parse_user_json(read_plain_file(path), str(path))
    except (ValueError, FileNotFoundError):
        return False  # the reader of votes says what is wrong with it
    if isinstance(found, list):
        return bool(found) and isinstance(found[0], dict) and "number" in found[0]
    return isinstance(found, dict) and ("answers" in found or "seen" in found)


def is_page_file(path: pathlib.Path) -> bool:
    """Tell answers that a report's page saved from those to a quiz with a key."""
    if path.suffix.lower() in TABLE_ENDS or not is_quiz_file(path):
        return False
    found = json_values.parse_user_json(read_plain_file(path), str(path))
    return isinstance(found, dict) and "seen" in found


def read_answers(path: pathlib.Path) -> QuizAnswers:
    """Read the answers of a file.

    Raises:
        UsageError: It holds no answers, an unknown word, or a number twice.
    """
    try:
        content = read_plain_file(path)
    except FileNotFoundError as error:
        raise UsageError(
            f"{path}: expected answers to a quiz, got no such file; name the file that you typed, or its page saved"
        ) from error
    if path.suffix.lower() not in TABLE_ENDS:
        quiz, rows = read_json_rows(content, str(path))
    else:
        quiz, rows = read_csv_rows(decode_text(content, str(path)), str(path))
    answers: dict[int, QuizAnswer] = {}
    for where, row in rows:
        answer = parse_answer(row, where)
        if answer.number in answers:
            raise UsageError(f"{where}: expected each number once, got {answer.number} again; take one of the two out")
        if answer.chosen:
            answers[answer.number] = answer
    if not answers:
        raise UsageError(f"{path}: expected answers to a quiz, got none; fill in kind, color and finish of its rows")
    return QuizAnswers(name_person(path), quiz, tuple(answers.values()))


def name_person(path: pathlib.Path) -> str:
    """Name who answered: by the file, without its ending, and without the form that a page puts behind a name.

    Example:
        >>> name_person(pathlib.Path("anna-form-2.csv")), name_person(pathlib.Path("anna.csv"))
        ('anna', 'anna')
        >>> name_person(pathlib.Path("answers-form-2.csv"))  # nobody gave a name: each form's table is somebody else's
        'answers-form-2'
    """
    stem = path.name.removesuffix(path.suffix)
    name = re.sub(r"-form-[0-9]+$", "", stem)
    return stem if name == NO_NAME else name


def answers_name(form: int, num_forms: int) -> str:
    """Name the table of answers to a form.

    Example:
        >>> answers_name(1, 1), answers_name(2, 7)
        ('answers.csv', 'answers-form-2.csv')
    """
    return f"{NO_NAME}.csv" if num_forms == 1 else f"{NO_NAME}-form-{form}.csv"


def read_json_rows(content: bytes, where: str) -> tuple[str | None, list[tuple[str, Mapping[str, Any]]]]:
    """Read the hash of the quiz and the rows from JSON, each row with where it stands."""
    found = json_values.parse_user_json(content, where)
    quiz = None
    if isinstance(found, dict):
        if found.get("schema") != SCHEMA:
            raise UsageError(
                f"{where}: expected answers of schema {SCHEMA}, got {found.get('schema')!r:.60}; save them with this "
                "version's page"
            )
        quiz = found.get("quiz")
        found = found.get("answers")
    if not isinstance(found, list) or not (quiz is None or isinstance(quiz, str)):
        raise UsageError(f"{where}: expected the hash of a quiz and a list of answers, got others; save them again")
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for i, row in enumerate(found, start=1):
        place = f"{where}, answer {i}"
        if not isinstance(row, dict):
            raise UsageError(f"{place}: expected number, kind, color and finish, got {row!r:.60}; take it out")
        rows.append((place, row))
    return quiz, rows


def read_csv_rows(text: str, where: str) -> tuple[str | None, list[tuple[str, Mapping[str, Any]]]]:
    """Read the hash of the quiz and the rows from a table, each row with where it stands."""
    quiz = None
    lines: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        named = re.match(r"\W*# *quiz +([0-9a-f]+)\b", line)
        if named:
            quiz = named[1]
        elif line.strip(" ,;\t") and not line.startswith("#"):
            lines.append((number, line))
    if not lines:
        return quiz, []
    delimiter = max(",;\t", key=lines[0][1].count)
    parsed = list(csv.reader(io.StringIO("\n".join(line for _, line in lines)), delimiter=delimiter))
    names = [name.strip().lower() for name in parsed[0]]
    names = ["color" if name == "colour" else name for name in names]
    if "number" not in names or not set(names) & set(PROPERTIES):
        raise UsageError(
            f"{where}, line {lines[0][0]}: expected the head number,kind,color,finish, got {lines[0][1]!r:.60}; write "
            "it as the first line"
        )
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for (number, line), values in zip(lines[1:], parsed[1:], strict=False):
        if len(values) > len(names):
            raise UsageError(f"{where}, line {number}: expected {len(names)} columns, got {line!r:.60}; take some out")
        rows.append((f"{where}, line {number}", dict(zip(names, values, strict=False))))
    return quiz, rows


def parse_answer(row: Mapping[str, Any], where: str) -> QuizAnswer:
    """Parse a row.

    Raises:
        UsageError: Its number is none, or a word is no kind, colour or finish of the closed world.

    Example:
        >>> parse_answer({"number": "7", "kind": "couch", "color": "grey", "finish": ""}, "a.csv, line 3")
        QuizAnswer(number=7, chosen={'kind': 'sofa', 'color': 'gray'})
    """
    number = row.get("number")
    digits = str(number).strip()
    if isinstance(number, bool) or not re.fullmatch(r"[0-9]{1,9}", digits):
        raise UsageError(f"{where}: expected the number of a picture, got {number!r:.60}; take it out")
    chosen = {}
    for name in PROPERTIES:
        word = row.get(name)
        if word is None or (isinstance(word, str) and not word.strip()):
            continue
        chosen[name] = parse_word(word, name, where)
    return QuizAnswer(int(digits), chosen)


def parse_word(word: Any, name: str, where: str) -> str:
    """Parse the answer to one question; UsageError names the nearest."""
    said = " ".join(word.lower().split()) if isinstance(word, str) else word
    if said == UNKNOWN:
        return UNKNOWN
    if not isinstance(said, str) or said not in _ANSWER_OF[name]:
        near = nearest(said, PROPERTIES[name]) if isinstance(said, str) else f"known: {', '.join(PROPERTIES[name])}"
        raise UsageError(
            f"{where}: expected a {name} of the closed world, or {UNKNOWN} for one that cannot be told, got "
            f"{word!r:.60}; {near}"
        )
    return _ANSWER_OF[name][said]


def check_answers(found: QuizAnswers, num_pictures: int, quiz: str, where: pathlib.Path) -> None:
    """Refuse answers to another quiz, or to pictures that this one does not have.

    Raises:
        UsageError: The hash differs, or a number is too large.
    """
    if found.quiz is not None and not (len(found.quiz) >= 8 and quiz.startswith(found.quiz)):
        raise UsageError(
            f"{where}: expected answers to the quiz {quiz[:8]}, got some to {found.quiz[:8]}; name their own key with "
            "--key FILE"
        )
    beyond = [answer.number for answer in found.answers if not 1 <= answer.number <= num_pictures]
    if beyond:
        raise UsageError(
            f"{where}: expected numbers from 1 to {num_pictures}, got {list_first(beyond)}; take the answers out, "
            "or name their own key with --key FILE"
        )


def list_first(numbers: Iterable[int], most: int = 5) -> str:
    """List the first of some numbers.

    Example:
        >>> list_first(range(9))
        '0, 1, 2, 3, 4 and 4 more'
    """
    numbers = list(numbers)
    more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
    return ", ".join(map(str, numbers[:most])) + more


def describe_confusions(kind: str, taken_for: Mapping[str, Mapping[str, int]]) -> str:
    """Say what observers took objects of a kind for; empty where nobody was asked.

    Example:
        >>> describe_confusions("chair", {"chair": {"chair": 6, "sofa": 3, "?": 1}})
        'observers took 10 views of a chair for: chair (6), sofa (3), cannot tell (1)'
    """
    found = taken_for.get(kind, {})
    if not found:
        return ""
    listed = ", ".join(f"{'cannot tell' if name == UNKNOWN else name} ({num})" for name, num in found.items())
    article = "an" if kind[0] in "aeiou" else "a"
    return f"observers took {sum(found.values())} views of {article} {kind} for: {listed}"
