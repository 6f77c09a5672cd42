"""A key is read as it was written, and nothing else passes for one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow.parquet
import pytest

from bench.analysis.quiz import key as keys
from bench.errors import UsageError
from tests.fixtures.quizzes import SMALL, key_of, written_quiz


def test_what_is_written_is_read(tmp_path):
    written_quiz(tmp_path)
    found = keys.read_key(tmp_path / "quiz-key.parquet")
    assert found == SMALL and found.quiz == SMALL.quiz
    assert [image[0, 0, 0] for image in keys.decode_pictures(found)] == pytest.approx(np.arange(1, 7) / 255)


def test_a_quiz_is_its_pictures_in_their_order():
    other = dataclasses.replace(SMALL, about={"command": "x"})
    assert other.quiz == SMALL.quiz
    assert dataclasses.replace(SMALL, pictures=SMALL.pictures[::-1]).quiz != SMALL.quiz


def in_forms(*forms):
    """The small quiz, with the form of each picture."""
    pictures = [dataclasses.replace(x, form=form) for x, form in zip(SMALL.pictures, forms, strict=True)]
    return dataclasses.replace(SMALL, pictures=tuple(pictures))


def test_forms_are_a_column_where_there_are_several(tmp_path):
    path = tmp_path / "key.parquet"
    keys.write_key(path, SMALL)
    assert "form" not in pyarrow.parquet.read_schema(path).names, "one form is written as ever"
    assert keys.read_key(path).numbers_of_forms == ((1, 2, 3, 4, 5, 6),)
    dealt = in_forms(1, 1, 1, 2, 3, 3)
    keys.write_key(path, dealt)
    assert pyarrow.parquet.read_schema(path).names == [*keys.COLUMNS, "form"]
    found = keys.read_key(path)
    assert found == dealt and found.quiz == SMALL.quiz and found.numbers_of_forms == ((1, 2, 3), (4,), (5, 6))


@pytest.mark.parametrize("forms", [(1, 1, 1, 3, 3, 3), (0, 1, 1, 2, 2, 2), (2, 2, 2, 2, 2, 3)])
def test_forms_with_gaps_are_refused(tmp_path, forms):
    path = tmp_path / "key.parquet"
    keys.write_key(path, in_forms(*forms))
    with pytest.raises(UsageError, match=r"key.parquet: expected "):
        keys.read_key(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"number,kind\n"])
def test_other_files_are_none(tmp_path, content):
    path = tmp_path / "key.parquet"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"key.parquet: expected the key of a quiz, got .*; name the file that `quiz`"):
        keys.read_key(path)
    with pytest.raises(UsageError, match="expected the key of a quiz, got no such file; name it with --key"):
        keys.read_key(tmp_path / "none.parquet")


def test_other_pictures_and_meanings_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "key.parquet"
    monkeypatch.setattr(keys, "hash_quiz", lambda pngs: "0" * 64)
    keys.write_key(path, SMALL)
    monkeypatch.undo()
    with pytest.raises(UsageError, match="expected the pictures that the key was written with, got others"):
        keys.read_key(path)
    keys.write_key(path, key_of(("full", "red-metallic-chir")))
    with pytest.raises(UsageError, match="expected the key of a quiz, got thing: expected a kind"):
        keys.read_key(path)


def test_pictures_that_are_none_are_refused():
    broken = dataclasses.replace(SMALL.pictures[0], png=b"GIF89a")
    with pytest.raises(UsageError, match="key, picture 1: expected PNG, got"):
        keys.decode_pictures(dataclasses.replace(SMALL, pictures=(broken,)))
