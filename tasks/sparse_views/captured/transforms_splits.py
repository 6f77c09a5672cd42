"""Decides which frames of a transforms file are trained on and which are held out, where the file itself says so.

nerfstudio names the photographs of each part in `train_filenames`, `val_filenames` and `test_filenames`; others give
each frame a key `split`. What `test_filenames` names is held out, else what `val_filenames` names.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from bench.errors import UsageError
from tasks.sparse_views import photo_files
from tasks.sparse_views.captured.capture import Split
from tasks.sparse_views.captured.doubts import Doubts
from tasks.sparse_views.transforms_keys import SPLIT_KEYS, is_empty

WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "eval": "test",
}
"""Values of a frame's key `split`."""


class ListedFrame(NamedTuple):
    """A frame before its photograph is looked at.

    Attributes:
        id: Place in the file.
        where: File and frame, for messages.
        image: Where the photograph is expected.
        file_path: Its name in the file.
        told: Keys of the file, overridden by those of the frame.
        split: The part that it is in; None where nothing says so.
    """

    id: int
    where: str
    image: pathlib.Path
    file_path: str
    told: Mapping[str, Any]
    split: Split | None


def split_frames(
    where: str, folder: pathlib.Path, top: Mapping[str, Any], frames: list[ListedFrame], doubts: Doubts
) -> list[ListedFrame]:
    """Give each frame the part that its file puts it in, and leave out those that the file puts in none.

    Args:
        where: The file, for messages.
        folder: Folder that names are relative to.
        top: Keys of the file.
        frames: Its frames.
        doubts: Collects what is odd.

    Raises:
        UsageError: A list names no photograph of the file, or two lists name the same.
    """
    lists = {key: top[key] for key in SPLIT_KEYS if not is_empty(top.get(key))}
    if lists:
        return _by_lists(where, folder, lists, frames, doubts)
    return [_by_its_word(frame) for frame in frames]


def _by_its_word(frame: ListedFrame) -> ListedFrame:
    word = frame.told.get("split")
    if is_empty(word) or frame.split is not None:
        return frame
    if not isinstance(word, str) or word.lower() not in WORDS:
        raise UsageError(f"{frame.where}: expected split 'train', 'val' or 'test', got {word!r:.40}; correct the file")
    return frame._replace(split=WORDS[word.lower()])


def _by_lists(
    where: str, folder: pathlib.Path, lists: Mapping[str, Any], frames: list[ListedFrame], doubts: Doubts
) -> list[ListedFrame]:
    by_name = {_plain(frame.file_path): frame for frame in frames}
    by_path = {frame.image: frame for frame in frames}
    parts: dict[int, list[str]] = {frame.id: [] for frame in frames}
    for key, names in lists.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UsageError(f"{where}: expected a list of file names as {key!r}, got {names!r:.40}; correct the file")
        found = [by_name.get(_plain(name)) or by_path.get(photo_files.find_photo(folder, name)) for name in names]
        known = [frame for frame in found if frame is not None]
        if not known:
            raise UsageError(
                f"{where}: expected {key!r} to name photos of its frames, got {names[0]!r}, which is none of them; "
                "write the names as in file_path"
            )
        if len(known) < len(names):
            doubts.add(f"{key} names {len(names) - len(known)} photos that no frame has")
        for frame in known:
            parts[frame.id].append(key)
    held_out = "test_filenames" if "test_filenames" in lists else "val_filenames"
    return [each for frame in frames if (each := _with_part(frame, parts[frame.id], lists, held_out, doubts))]


def _with_part(
    frame: ListedFrame, keys: list[str], lists: Mapping[str, Any], held_out: str, doubts: Doubts
) -> ListedFrame | None:
    """Put a frame into its part; None leaves it out."""
    if "train_filenames" in keys and held_out in keys:
        raise UsageError(
            f"{frame.where}: expected a photo that is either trained on or held out, got {frame.file_path} in "
            f"train_filenames and {held_out}; take it out of one"
        )
    if held_out in keys:
        return frame._replace(split="test")
    if "train_filenames" in keys or (not keys and "train_filenames" not in lists):
        return frame._replace(split="train")
    if keys:
        return frame._replace(split="val")
    if held_out not in lists:  # the file names the training photos alone: the others are held out
        return frame._replace(split="test")
    doubts.add("a photo that is in none of the file's lists is left out", frame.image.name)
    return None


def _plain(name: str) -> str:
    """Write a name as others may: with slashes, and without `./` before it."""
    return str(pathlib.PurePosixPath(name.replace("\\", "/")))
