"""Draws what people said of a quiz: one picture for each arm, every object beside a true render of the same thing.

The true render stands on the right, seen from the same direction. Under both are the caption and how many of the
people named the kind. The objects are those of the quiz, in the order of their captions, single things first.

h and w: pixels.
"""

from __future__ import annotations

import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from bench.analysis.quiz.counts import AnsweredPicture, AnsweredQuiz, mark_kinds, match_answers
from bench.analysis.quiz.key import TRUE_RENDERS, QuizKey, QuizPicture, decode_pictures
from bench.analysis.quiz.pictures import quantize_pixels
from bench.errors import UsageError
from bench.report.images.image_grid import label_font, wrap_text
from bench.report.quiz.true_pictures import render_true_views
from bench.suites.variant_names import slug
from tasks.closed_world import grammar
from tasks.closed_world.meanings import ObjectPairSpec

PICTURE_PX = 96
"""Side of a picture."""

NUM_COLUMNS = 8
"""Objects in a row."""

GAP_PX = 8

LINE_PX = 15
"""Height of a line of text."""


class SheetCell(NamedTuple):
    """One object of a sheet.

    Attributes:
        image: The object.
        true_image: The thing itself, from the same direction.
        caption: What was asked for.
        told: How many people named the kind: "2/2".
    """

    image: UInt8[np.ndarray, "h w 3"]
    true_image: UInt8[np.ndarray, "h w 3"]
    caption: str
    told: str


def write_answer_sheets(quizzes: Sequence[AnsweredQuiz], folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Draw a sheet for each arm, and write it as lossy WebP.

    Args:
        quizzes: Answers of people to one quiz.
        folder: Where the sheets are written, each under its arm's name.

    Returns:
        The files by arm.

    Raises:
        UsageError: There are several quizzes, or there is no trained object.
    """
    key = quizzes[0].key
    if {quiz.key.quiz for quiz in quizzes} != {key.quiz}:
        raise UsageError("--sheets: expected answers to one quiz, got several; draw each alone")
    rows, _ = match_answers(quizzes, (), lambda key, names: {})
    images = dict(zip((picture.number for picture in key.pictures), decode_pictures(key), strict=True))
    told = count_people(rows)
    arms = sorted({picture.arm for picture in key.pictures} - {TRUE_RENDERS})
    chosen = {arm: choose_pictures(key, arm, set(told)) for arm in arms}
    shown = [picture for pictures in chosen.values() for picture in pictures]
    if not shown:
        raise UsageError("--sheets: expected a quiz that shows trained objects, got true renders alone; leave it out")
    image_px = images[shown[0].number].shape[0]
    things = sorted({(picture.meaning, picture.view or 0) for picture in shown})
    meanings = {picture.meaning: picture.parsed for picture in shown}
    renders = render_true_views([meanings[name] for name, _ in things], [view for _, view in things], image_px)
    true_images = dict(zip(things, renders, strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for arm, pictures in chosen.items():
        cells = [
            SheetCell(
                quantize_pixels(images[picture.number]),
                true_images[picture.meaning, picture.view or 0],
                grammar.caption(picture.parsed),
                told.get(picture.number, "not asked"),
            )
            for picture in pictures
        ]
        written[arm] = folder / f"{slug(arm)}.webp"
        draw_answer_sheet(cells).save(written[arm], "WEBP", quality=80, method=6)
    return written


def choose_pictures(key: QuizKey, arm: str, answered: Collection[int] = ()) -> list[QuizPicture]:
    """Choose a picture of each object of an arm: single things first, in the order of their captions.

    Args:
        key: The quiz.
        arm: The arm.
        answered: Numbers of the pictures that somebody answered: they are chosen before those of other forms.
    """
    first: dict[str, QuizPicture] = {}
    for picture in sorted(key.pictures, key=lambda picture: picture.number not in answered):
        if picture.arm == arm:
            first.setdefault(picture.meaning, picture)
    return sorted(first.values(), key=lambda x: (isinstance(x.parsed, ObjectPairSpec), grammar.caption(x.parsed)))


def count_people(rows: Sequence[AnsweredPicture]) -> Mapping[int, str]:
    """Say of each picture how many of its people named the kind; who left the kind empty is not counted.

    Returns:
        By the picture's number, such as "1/2".
    """
    told = [row for row in rows if "kind" in row.chosen]
    right = mark_kinds([row.chosen["kind"] for row in told], told)
    answered: dict[int, list[bool]] = {}
    for row, is_right in zip(told, right, strict=True):
        answered.setdefault(row.picture.number, []).append(is_right)
    return {number: f"{sum(marks)}/{len(marks)}" for number, marks in answered.items()}


def draw_answer_sheet(cells: Sequence[SheetCell]) -> Image.Image:
    """Draw the objects of an arm in rows."""
    texts = [wrap_text(f"{cell.caption} ({cell.told})", 2 * PICTURE_PX) for cell in cells]
    width = 2 * PICTURE_PX + GAP_PX
    height = PICTURE_PX + GAP_PX + LINE_PX * max(len(lines) for lines in texts)
    num_rows = -(-len(cells) // NUM_COLUMNS)
    sheet = Image.new("RGB", (NUM_COLUMNS * width - GAP_PX, num_rows * height - GAP_PX), "white")
    drawn = ImageDraw.Draw(sheet)
    for place, (cell, lines) in enumerate(zip(cells, texts, strict=True)):
        left = place % NUM_COLUMNS * width
        top = place // NUM_COLUMNS * height
        for side, image in enumerate((cell.image, cell.true_image)):
            large = Image.fromarray(image).resize((PICTURE_PX, PICTURE_PX), Image.Resampling.BICUBIC)
            sheet.paste(large, (left + side * PICTURE_PX, top))
        drawn.multiline_text((left, top + PICTURE_PX + 1), "\n".join(lines), fill="black", font=label_font(), spacing=2)
    return sheet
