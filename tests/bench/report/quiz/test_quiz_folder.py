"""A quiz is made, answered and counted by the commands; its folder gives nothing away."""

from __future__ import annotations

import collections
import io

import numpy as np
import pytest
from PIL import Image

from bench import __main__ as command_line
from bench.analysis.quiz import judging
from bench.analysis.quiz.key import TRUE_RENDERS, decode_pictures, read_key
from bench.report.quiz import quiz_folder, true_pictures
from tests.fixtures.quizzes import ARMS, judges_that_know, right_row, store_objects, write_answers


@pytest.fixture
def renderer(monkeypatch):
    """Stands in for the renderer of true pictures."""

    def render(meanings, image_px, seed, **options):
        return [3] * len(meanings), [np.full((image_px, image_px, 3), 9 + i, np.uint8) for i in range(len(meanings))]

    monkeypatch.setattr(true_pictures, "render_true_pictures", render)
    monkeypatch.setattr(quiz_folder, "LEAST_PX", 16)


def run(*words):
    return command_line.main([str(word) for word in words])


def make(tmp_path, *words, out="quiz"):
    if not (tmp_path / "runs").exists():
        store_objects(tmp_path / "runs")
    return run("quiz", "--results", tmp_path / "runs", "--out", tmp_path / out, *words)


ONE_FORM = ("--arms", "plain", "--num-views", 6)
"""Each thing once: three objects and three true renders."""


def test_from_stored_objects_to_counted_answers(tmp_path, renderer, monkeypatch, capsys):
    assert make(tmp_path, "--num-views", 30) == 0
    key = read_key(tmp_path / "quiz-key.parquet")
    told = capsys.readouterr().out
    assert f"quiz {key.quiz[:8]}, 30 pictures" in told and "full: 10, plain: 10, true renders: 10" in told
    assert f"in {len(key.numbers_of_forms)} forms of " in told
    assert "filled in behind it: python -m bench votes " in told and told.endswith("/answers-form-1.csv\n")
    rows = [right_row(x.number, x.meaning) if x.number <= 20 else f"{x.number},?,red,matte" for x in key.pictures]
    answers = write_answers(tmp_path / "quiz" / "answers.csv", rows, key.quiz)
    monkeypatch.setattr(judging, "judge_pictures", judges_that_know({"a": set(range(1, 16))}))
    assert run("votes", answers, "--judge", "a") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"quiz {key.quiz[:8]}: 30 of 30 pictures answered, by 1 person; ")
    assert lines[1].startswith(f"forms of {key.quiz[:8]}: 1 answered by 1 person, 2 by 1 person, ")
    assert lines[2] == "warning: answers saw 3 objects more than once: shares may be too high"
    [row] = [line for line in lines if line.startswith(TRUE_RENDERS)][:1]
    right = [x.number <= 20 for x in key.pictures if x.arm == TRUE_RENDERS]
    assert f"{np.mean(right):.2f} [" in row
    assert any(line.startswith("a  ") and "captions" in line for line in lines)
    assert run("votes", answers, "--judge", "a", "--json") == 0


def test_the_folder_gives_nothing_away(tmp_path, renderer):
    assert make(tmp_path, "--num-views", 30) == 0
    names = sorted(str(path.relative_to(tmp_path / "quiz")) for path in (tmp_path / "quiz").rglob("*"))
    told = (
        " ".join(names)
        + (tmp_path / "quiz" / "answers-form-1.csv").read_text()
        + (tmp_path / "quiz" / "words.txt").read_text()
    )
    assert not [word for word in (*ARMS, "true", "s0__", "red-metallic") if word in told]
    key = read_key(tmp_path / "quiz-key.parquet")
    forms = key.numbers_of_forms
    for form, numbers in enumerate(forms, start=1):
        assert f"sheets/form-{form}/sheet-01.png" in names
        assert sum(name.startswith(f"pictures/form-{form}/0") for name in names) == len(numbers)
        lines = (tmp_path / "quiz" / f"answers-form-{form}.csv").read_text().splitlines()
        assert lines[:2] == [f"# quiz {key.quiz}", "number,kind,color,finish"]
        assert lines[2:] == [f"{number},,," for number in numbers]
        shown = [key.pictures[number - 1].meaning for number in numbers]
        assert len(set(shown)) == len(shown) and len(shown) in (30 // len(forms), 30 // len(forms) + 1)
    for path in (tmp_path / "quiz").rglob("*.png"):
        with Image.open(path) as opened:
            assert not opened.info, "no text in a picture"
            assert opened.size == (16, 16) or path.parent.parent.name == "sheets"


def test_one_form_has_no_folders(tmp_path, renderer, capsys):
    assert make(tmp_path, *ONE_FORM) == 0
    names = sorted(path.relative_to(tmp_path / "quiz").as_posix() for path in (tmp_path / "quiz").rglob("*.*"))
    pictures = [f"pictures/{number:04}.png" for number in range(1, 7)]
    assert names == ["answers.csv", "index.html", *pictures, "sheets/sheet-01.png", "words.txt"]
    key = read_key(tmp_path / "quiz-key.parquet")
    assert key.numbers_of_forms == (tuple(range(1, 7)),)
    lines = (tmp_path / "quiz" / "answers.csv").read_text().splitlines()
    assert lines == [f"# quiz {key.quiz}", "number,kind,color,finish", *(f"{number},,," for number in range(1, 7))]
    told = capsys.readouterr().out
    assert "fill in" in told and "forms" not in told and "form-1" not in told
    assert "form" not in (tmp_path / "quiz" / "words.txt").read_text()


def test_asked_forms_are_made_and_said_in_the_key(tmp_path, renderer):
    assert make(tmp_path, *ONE_FORM, "--forms", 2) == 0
    key = read_key(tmp_path / "quiz-key.parquet")
    assert key.numbers_of_forms == ((1, 2, 3), (4, 5, 6)) and "--forms 2" in key.about["command"]
    words = (tmp_path / "quiz" / "words.txt").read_text()
    assert "Answer one form" in words


def test_pictures_are_those_of_the_key(tmp_path, renderer, monkeypatch):
    monkeypatch.setattr(quiz_folder, "LEAST_PX", 192)
    assert make(tmp_path, "--num-views", 9) == 0
    key = read_key(tmp_path / "quiz-key.parquet")
    for picture, image in zip(key.pictures, decode_pictures(key), strict=True):
        folder = tmp_path / "quiz" / "pictures" / f"form-{picture.form}"
        with Image.open(folder / f"{picture.number:04}.png") as opened:
            shown = np.asarray(opened)
        np.testing.assert_array_equal(shown, quiz_folder.enlarge((image * 255 + 0.5).astype(np.uint8), 192))
    arms = [picture.arm for picture in key.pictures]
    assert arms != sorted(arms), "in an order that says nothing"


def test_the_same_choices_make_the_same_quiz(tmp_path, renderer):
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert make(tmp_path, "--num-views", 9, "--seed", seed, out=out) == 0
    keys = [read_key(tmp_path / f"{name}-key.parquet").quiz for name in "abc"]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("words", "counts"),
    [
        (["--true-renders", "none"], {"full": 5, "plain": 5}),
        (["--true-renders", "none", "--arms", "plain"], {"plain": 10}),
        (["--arms", "plain"], {"plain": 5, TRUE_RENDERS: 5}),
    ],
)
def test_choices(tmp_path, renderer, words, counts):
    assert make(tmp_path, "--num-views", 10, *words) == 0
    key = read_key(tmp_path / "quiz-key.parquet")
    assert collections.Counter(picture.arm for picture in key.pictures) == counts
    assert str(tmp_path) not in str(key.about), "no folder of somebody's machine"


def test_several_stores_bear_their_labels(tmp_path, renderer):
    store_objects(tmp_path / "old", ARMS[:1])
    store_objects(tmp_path / "new", ARMS[:1])
    words = ["--results", tmp_path / "old", "--results", f"fresh={tmp_path / 'new'}"]
    assert run("quiz", *words, "--num-views", 9, "--out", tmp_path / "q") == 0
    key = read_key(tmp_path / "q-key.parquet")
    assert {picture.arm for picture in key.pictures} == {"old: full", "fresh: full", TRUE_RENDERS}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--arms", "fulll"], "--arms: expected arms of these results, got 'fulll'; there are: full; plain"),
        (["--num-views", "1"], "--num-views: expected a whole number from 2 to 9999, got '1'"),
        (["--num-views", "500"], "quiz: expected 167 views of full, got 48; lower --num-views"),
        (["--num-views", "30", "--forms", "1"], "--forms: expected 8 to 30, as a thing has 8 pictures and a form"),
        (["--num-views", "30", "--forms", "31"], "--forms: expected 8 to 30, as there are 30 pictures, got 31; write"),
        (["--num-views", "30", "--true-renders", "nowhere"], "--true-renders nowhere: expected 10 PNG such as"),
        (["--only", "arm=x"], "quiz: expected --suite beside --only and --budget, got none"),
        (["--suite", "text-to-4d"], "expected a suite, got 'text-to-4d'"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, words, said):
    assert make(tmp_path, *words) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "quiz").exists()


def test_a_quiz_is_not_written_over(tmp_path, renderer, capsys):
    assert make(tmp_path, "--num-views", 9) == 0
    capsys.readouterr()
    assert make(tmp_path, "--num-views", 9) == 2
    assert "quiz: expected a new place, got" in capsys.readouterr().err


def test_sheets_number_their_pictures():
    images = [np.full((192, 192, 3), shade, np.uint8) for shade in (10, 200, 90)]
    with Image.open(io.BytesIO(quiz_folder.draw_quiz_sheet(images, [26, 27, 28]))) as opened:
        sheet = np.asarray(opened)
    assert sheet.shape[1] == 6 + 3 * 198 and sheet.shape[0] == 6 + 192 + 17 + 6
    assert [sheet[100, 100 + 198 * i, 0] for i in range(3)] == [10, 200, 90]
    assert (sheet[200:215] < 200).any(), "a number under each"
