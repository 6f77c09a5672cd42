"""Chooses among the folders that hold the same photographs at several sizes: `images`, `images_4`, `images_8`.

The smallest that is large enough saves reading photographs of a camera's full size only to shrink them.
"""

from __future__ import annotations

import pathlib
import re
from typing import NamedTuple

from bench.errors import UsageError
from tasks.sparse_views import photo_files

FOLDER_NAME = re.compile(r"images(_\d+(x\d+)?)?")


class PhotoFolder(NamedTuple):
    """A folder of photographs of one size.

    Attributes:
        path: The folder.
        photos: Its photographs, sorted by their paths in it, also those in folders inside.
        width: Pixels across of the first one.
    """

    path: pathlib.Path
    photos: tuple[pathlib.Path, ...]
    width: int


def choose_photo_folder(folder: pathlib.Path, image_px: int | None) -> PhotoFolder:
    """Choose the folder of the smallest photographs that are as wide as wanted, else of the widest.

    Args:
        folder: The scene's folder.
        image_px: The width that photographs will be shrunk to; None chooses the widest.

    Raises:
        UsageError: No folder holds photographs that can be read.
    """
    found = [_measure(path) for path in _candidates(folder)]
    known = [each for each in found if each is not None]
    if not known:
        raise UsageError(
            f"{folder}: expected a folder 'images' (or images_2, images_4, images_8) with photos in it, got none; put "
            "the photos that the cameras belong to there"
        )
    most = max(len(each.photos) for each in known)
    whole = [each for each in known if len(each.photos) == most]
    enough = [each for each in whole if image_px is not None and each.width >= image_px]
    if enough:
        return min(enough, key=lambda each: each.width)
    return max(whole, key=lambda each: each.width)


def _candidates(folder: pathlib.Path) -> list[pathlib.Path]:
    """List folders of photographs by name; the scene's own folder if there is none."""
    found = sorted(path for path in folder.iterdir() if path.is_dir() and FOLDER_NAME.fullmatch(path.name))
    return found or [folder]


def _measure(path: pathlib.Path) -> PhotoFolder | None:
    photos = sorted(each for each in path.rglob("*") if each.suffix.lower() in photo_files.EXTENSIONS)
    if not photos:
        others = sorted(each for each in path.rglob("*") if each.suffix.lower() in photo_files.OTHER_FORMATS)
        if others:
            photo_files.read_photo_header(others[0], str(path))  # says that the format is not read
        return None
    return PhotoFolder(path, tuple(photos), photo_files.read_photo_header(photos[0], str(photos[0])).width)
