"""Reads and writes the key of a blind quiz: what each numbered picture shows, and the picture itself.

A key is one Parquet file, a row for each picture, apart from the folder that people answer. It holds the pictures as
PNG before they were enlarged, so that every judge, those of later versions too, is asked about what people saw. A
quiz is known by a hash over its pictures in their order; answers name that hash. A quiz of several forms has a column
`form` besides.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.errors import DamagedFile, UsageError
from tasks.closed_world.meanings import Meaning, meaning_of
from tasks.data_dir.atomic_files import write_file
from tasks.data_dir.guarded_files import MIB, read_plain_file

if TYPE_CHECKING:  # wrong answers are refused before anything heavy is imported
    import numpy as np
    from jaxtyping import Float

SCHEMA = 1
"""Schema of the file."""

MAX_BYTES = 512 * MIB
"""Largest file that is read; 400 pictures of 64 px take 3 MiB."""

TRUE_RENDERS = "true renders"
"""The arm of pictures that were path-traced from the meanings themselves: the ceiling."""

COLUMNS = ("number", "arm", "meaning", "view", "trial", "store", "guides", "png")

FORM = "form"
"""A column of quizzes that have several forms."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuizPicture:
    """A picture of a quiz, and what it shows.

    Attributes:
        number: From 1.
        arm: Whose object it is: a variant, or `TRUE_RENDERS`.
        meaning: Id of what the caption means, see `tasks.closed_world.meanings`.
        view: Id of the view among `tasks.captions.caption_task.views`; None where it is not known.
        trial: Id of the trial; None of a true render.
        store: Label of the folder of results that it came from; None of a true render.
        guides: Encoders that guided the trial, with the SHA-256 of their weights: they do not judge it.
        png: The picture before neutral grey, at the size of the view.
        form: The form that shows it, from 1. A person answers one form, in which nothing is shown twice.
    """

    number: int
    arm: str
    meaning: str
    view: int | None
    trial: str | None
    store: str | None
    guides: dict[str, str | None]
    png: bytes
    form: int = 1

    @property
    def parsed(self) -> Meaning:
        """The meaning."""
        return meaning_of(self.meaning)


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuizKey:
    """Says what the pictures of a quiz show.

    Attributes:
        pictures: In the order of their numbers.
        about: How it was made: `command`, without folders, and `stores`, the labels of the folders of results.
    """

    pictures: tuple[QuizPicture, ...]
    about: dict[str, Any]

    @property
    def quiz(self) -> str:
        """Hash of the quiz: over the pictures in their order, whatever is known of them."""
        return hash_quiz([picture.png for picture in self.pictures])

    @property
    def numbers_of_forms(self) -> tuple[tuple[int, ...], ...]:
        """The numbers of each form's pictures."""
        numbers: list[list[int]] = [[] for _ in range(max(picture.form for picture in self.pictures))]
        for picture in self.pictures:
            numbers[picture.form - 1].append(picture.number)
        return tuple(map(tuple, numbers))


def hash_quiz(pngs: Sequence[bytes]) -> str:
    """Hash pictures in their order.

    Example:
        >>> hash_quiz([b"a", b"b"])[:8], hash_quiz([b"b", b"a"])[:8]
        ('8a1d3b64', '975f12ca')
    """
    digest = hashlib.sha256()
    for number, png in enumerate(pngs, start=1):
        digest.update(f"{number} {hashlib.sha256(png).hexdigest()}\n".encode())
    return digest.hexdigest()


def write_key(path: pathlib.Path, key: QuizKey) -> None:
    """Write a key."""
    import pyarrow
    import pyarrow.parquet

    types = {"number": pyarrow.int32(), "view": pyarrow.int32(), "png": pyarrow.binary(), FORM: pyarrow.int32()}
    columns = (*COLUMNS, FORM) if len(key.numbers_of_forms) > 1 else COLUMNS
    schema = pyarrow.schema([(name, types.get(name, pyarrow.string())) for name in columns])
    told = json.dumps({"schema": SCHEMA, "quiz": key.quiz, "about": key.about})
    rows = [dataclasses.asdict(picture) | {"guides": json.dumps(picture.guides)} for picture in key.pictures]
    table = pyarrow.Table.from_pylist(rows, schema=schema)
    buffer = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table.replace_schema_metadata({"quiz": told}), buffer, compression="zstd")
    write_file(path, buffer.getvalue().to_pybytes())


def read_key(path: pathlib.Path) -> QuizKey:
    """Read a key.

    Raises:
        UsageError: There is none, or it is none, or its pictures are not those that it was written with.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        content = read_plain_file(path, MAX_BYTES)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: expected the key of a quiz, got no such file; name it with --key FILE") from error
    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(content), use_threads=False, pre_buffer=False)
        told = json.loads((table.schema.metadata or {})[b"quiz"])
        columns = (*COLUMNS, FORM) if FORM in table.column_names else COLUMNS
        rows = table.select(columns).to_pylist()
        pictures = tuple(QuizPicture(**row | {"guides": dict(json.loads(row["guides"]))}) for row in rows)
        key = QuizKey(pictures=pictures, about=dict(told["about"]))
        is_whole = told["quiz"] == key.quiz and is_numbered(key)
        for picture in key.pictures:
            meaning_of(picture.meaning)
    except Exception as error:  # of Arrow, of JSON and of Python, as it comes
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DamagedFile(
            f"{path}: expected the key of a quiz, got {reason}; name the file that `quiz` wrote"
        ) from error
    if not is_whole or not key.pictures:
        raise DamagedFile(f"{path}: expected the pictures that the key was written with, got others; bring it again")
    return key


def is_numbered(key: QuizKey) -> bool:
    """Whether pictures and forms are numbered from 1 without a gap."""
    numbers = [picture.number for picture in key.pictures]
    forms = sorted({picture.form for picture in key.pictures})
    return numbers == list(range(1, len(numbers) + 1)) and forms == list(range(1, len(forms) + 1))


def decode_pictures(key: QuizKey) -> list[Float[np.ndarray, "h w 3"]]:
    """Decode the pictures, in [0, 1].

    Raises:
        UsageError: A picture is none, or is not square.
    """
    import numpy as np
    from PIL import Image

    images = []
    for picture in key.pictures:
        where = f"key, picture {picture.number}"
        try:
            with Image.open(io.BytesIO(picture.png)) as opened:
                image = np.asarray(opened.convert("RGB"), np.float32) / 255
        except Exception as error:  # of Pillow, as it comes
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise DamagedFile(f"{where}: expected PNG, got {reason}; bring the key again") from error
        if image.shape[0] != image.shape[1]:
            raise DamagedFile(
                f"{where}: expected a square, got {image.shape[1]} x {image.shape[0]}; bring the key again"
            )
        images.append(image)
    return images
