"""Makes a blind quiz: a folder for those who answer, and beside it the key.

    quiz/pictures/0001.png ...   the pictures, enlarged, under numbers
    quiz/sheets/sheet-01.png ... 25 pictures each with their numbers, for those who answer many at once
    quiz/answers.csv             a row for each number, to be filled in; its first line names the quiz
    quiz/index.html              a page to answer by buttons or keys, which saves such a file
    quiz/words.txt               all kinds, colours and finishes
    quiz-key.parquet             what the pictures show; `votes` finds it there

Where things are shown several times the quiz has forms, of which a person answers one: it shows nothing twice. Then
there are pictures/form-1, sheets/form-1 and answers-form-1.csv, as many as there are forms, and the page lists them.

h and w: pixels.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from bench.analysis.quiz.answers import answers_name
from bench.analysis.quiz.key import TRUE_RENDERS, QuizKey, QuizPicture, write_key
from bench.analysis.quiz.pictures import to_png
from bench.errors import UsageError
from bench.report.images.image_grid import LabelledImage, draw_gallery, encode_png
from bench.report.quiz import dealing, sampling, true_pictures
from bench.report.quiz.quiz_page import render_quiz_page
from bench.report.quiz.sampling import ChosenView, QuizTrial
from bench.storage.store import Store
from tasks.closed_world.meanings import PROPERTIES
from tasks.data_dir.atomic_files import write_file

LEAST_PX = 192
"""Pictures are enlarged to at least so many pixels, all to one size."""

SHEET_COLUMNS = 5

SHEET_PICTURES = 25

AUTO = "auto"
"""In place of a folder: true renders are made now."""

NONE = "none"
"""In place of a folder: no true renders."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuizOptions:
    """A user's choices.

    Attributes:
        num_views: Pictures, true renders among them.
        seed: Of all draws.
        true_renders: `AUTO`, `NONE` or a folder.
        arms: Names of the arms to show; None for all.
        trial_ids: Trials to choose from; None for all.
        forms: How many forms there are; None for the fewest in which nothing is shown twice.
        command: The command line without folders, for the key.
    """

    num_views: int = 400
    seed: int = 0
    true_renders: str = AUTO
    arms: Sequence[str] | None = None
    trial_ids: frozenset[str] | None = None
    forms: int | None = None
    command: str = ""


def make_quiz(
    stores: Mapping[str, Store],
    out: pathlib.Path,
    key_path: pathlib.Path,
    options: QuizOptions,
    say: Callable[[str], None] = lambda line: None,
) -> QuizKey:
    """Make a quiz of stored trials and true renders.

    Args:
        stores: Folders of results by label.
        out: The folder for those who answer; it must hold no other quiz.
        key_path: Where the key is put.
        options: The user's choices.
        say: Called with a line on what takes long.

    Raises:
        UsageError: There are no such trials or too few views, so many forms are impossible, or a quiz is there already.
    """
    refuse_old_quiz(out, key_path)
    arms = group_arms(sampling.list_quiz_trials(stores, options.trial_ids), options.arms)
    num_true = 0 if options.true_renders == NONE else options.num_views // (len(arms) + 1)
    chosen = sampling.choose_quiz_views(arms, options.num_views, options.seed, num_true=num_true)
    if options.forms is not None:
        dealing.choose_num_forms(chosen, options.forms, num_more=num_true)  # before anything takes long
    images = sampling.read_chosen_views(chosen, stores)
    true_views, true_images = take_true_renders(chosen, images, num_true, options, say)
    shown = [*chosen, *true_views]
    pixels = [*images, *true_images]
    forms = dealing.deal_forms(shown, options.seed, options.forms)
    shuffled = np.random.default_rng((options.seed, 4)).permutation(len(shown))
    order = sorted(shuffled, key=lambda i: forms[i])  # keeps the shuffled order in each form
    pictures = [make_picture(number, shown[i], pixels[i], forms[i]) for number, i in enumerate(order, start=1)]
    about = {"command": options.command, "stores": list(stores)}
    key = QuizKey(pictures=tuple(pictures), about=about)
    write_folder(key, [pixels[i] for i in order], out)
    write_key(key_path, key)
    return key


def refuse_old_quiz(out: pathlib.Path, key_path: pathlib.Path) -> None:
    """Refuse to write over a quiz: somebody may have answered it.

    Raises:
        UsageError: One is there.
    """
    there = [str(path) for path in (out, key_path) if path.is_file() or (path.is_dir() and any(path.iterdir()))]
    if there:
        raise UsageError(f"quiz: expected a new place, got {' and '.join(there)} there; choose another --out")


def group_arms(trials: Sequence[QuizTrial], wanted: Sequence[str] | None) -> dict[str, list[QuizTrial]]:
    """Group trials by arm.

    Raises:
        UsageError: An arm that is asked for is not there.
    """
    names = sampling.name_quiz_arms(trials)
    arms: dict[str, list[QuizTrial]] = collections.defaultdict(list)
    for trial, name in names.items():
        arms[name].append(trial)
    for name in wanted or ():
        if name not in arms:
            known = "; ".join(sorted(arms))
            raise UsageError(f"--arms: expected arms of these results, got {name!r}; there are: {known}")
    return {name: arms[name] for name in (wanted or sorted(arms))}


def take_true_renders(
    chosen: Sequence[ChosenView],
    images: Sequence[UInt8[np.ndarray, "h w 3"]],
    num: int,
    options: QuizOptions,
    say: Callable[[str], None],
) -> tuple[list[ChosenView], list[UInt8[np.ndarray, "h w 3"]]]:
    """Render true pictures at the size that most views have, or read them from a folder."""
    if num == 0:
        return [], []
    if options.true_renders != AUTO:
        meanings, read = true_pictures.read_true_pictures(pathlib.Path(options.true_renders), num, options.seed)
        views = [ChosenView(arm=TRUE_RENDERS, of=None, meaning=meaning, view=-1) for meaning in meanings]
        return views, read
    sizes = collections.Counter(len(image) for image in images)
    image_px = sizes.most_common(1)[0][0]
    shown = [one.meaning for one in chosen]
    meanings = sampling.draw_true_meanings(shown, num, options.seed)
    say(f"rendering {len(meanings)} true pictures of {image_px} px, about {0.25 * len(meanings):.0f} s of a core")
    view_ids, rendered = true_pictures.render_true_pictures(meanings, image_px, options.seed)
    views = [
        ChosenView(arm=TRUE_RENDERS, of=None, meaning=meaning, view=view)
        for meaning, view in zip(meanings, view_ids, strict=True)
    ]
    return views, rendered


def make_picture(number: int, shown: ChosenView, image: UInt8[np.ndarray, "h w 3"], form: int) -> QuizPicture:
    """Make a row of the key."""
    of = shown.of
    origin: dict[str, Any] = {"trial": None, "store": None, "guides": {}}
    if of is not None:
        origin = {"trial": of.trial, "store": of.store, "guides": dict(of.guides)}
    return QuizPicture(
        number=number,
        arm=shown.arm,
        meaning=shown.meaning.id,
        view=None if shown.view < 0 else shown.view,
        png=to_png(image),
        form=form,
        **origin,
    )


# ---- the folder ------------------------------------------------------------------------------------------------------


def write_folder(key: QuizKey, images: Sequence[UInt8[np.ndarray, "h w 3"]], out: pathlib.Path) -> None:
    """Write what those who answer get: nothing there says what a picture shows."""
    picture_px = max(LEAST_PX, *(len(image) for image in images))
    enlarged = [enlarge(image, picture_px) for image in images]
    forms = key.numbers_of_forms
    for form, numbers in enumerate(forms, start=1):
        folder = "" if len(forms) == 1 else f"form-{form}"
        for number in numbers:
            write_file(out / "pictures" / folder / f"{number:04}.png", to_png(enlarged[number - 1]))
        for place, first in enumerate(range(0, len(numbers), SHEET_PICTURES), start=1):
            part = numbers[first : first + SHEET_PICTURES]
            sheet = draw_quiz_sheet([enlarged[number - 1] for number in part], part)
            write_file(out / "sheets" / folder / f"sheet-{place:02}.png", sheet)
        write_file(out / answers_name(form, len(forms)), answer_template(key.quiz, numbers).encode())
    write_file(out / "words.txt", list_words(len(forms)).encode())
    page = render_quiz_page(key.quiz, [picture.png for picture in key.pictures], forms)
    write_file(out / "index.html", page.encode())


def enlarge(image: UInt8[np.ndarray, "h w 3"], picture_px: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """Enlarge a picture by a bicubic filter."""
    resized = Image.fromarray(image).resize((picture_px, picture_px), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def draw_quiz_sheet(images: Sequence[UInt8[np.ndarray, "h w 3"]], numbers: Sequence[int]) -> bytes:
    """Draw pictures in a grid, each above its number, as PNG."""
    labelled = zip(images, numbers, strict=True)
    tiles = [LabelledImage(image.astype(np.float32) / 255, str(number)) for image, number in labelled]
    return encode_png(draw_gallery(tiles, SHEET_COLUMNS, len(images[0])))


def answer_template(quiz: str, numbers: Sequence[int]) -> str:
    """Write the table to be filled in.

    Example:
        >>> print(answer_template("3f9c", [1, 2]), end="")
        # quiz 3f9c
        number,kind,color,finish
        1,,,
        2,,,
    """
    rows = [f"{number},,,\n" for number in numbers]
    return f"# quiz {quiz}\nnumber,{','.join(PROPERTIES)}\n{''.join(rows)}"


def list_words(num_forms: int) -> str:
    """List the words of answers for a person."""
    lines = [f"{name}: {', '.join(values)}" for name, values in PROPERTIES.items()]
    told = [
        "Of each picture say what it shows, whatever you think of it: one kind, one colour, one finish. Where two",
        "things are shown, say one of them. Write ? only where you cannot tell at all: it counts as wrong.",
    ]
    if num_forms > 1:
        told += ["Answer one form, and look at no other: whoever sees a thing twice learns from the clearer picture."]
    return "\n".join([*told, "", *lines, ""])
