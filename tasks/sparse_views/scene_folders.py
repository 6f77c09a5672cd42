"""Finds the scenes in a user's folders, and decides which task opens one.

A scene is a folder of photographs with a file that says where the cameras were: `MARKS` lists these files. A folder
of scenes holds such folders side by side.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from bench.errors import UsageError, nearest
from tasks.sparse_views.nerf_synthetic import BlenderScene
from tasks.task import FolderScene

MARKS = ("transforms_train.json", "transforms_test.json", "transforms.json")
"""Files and folders of which a scene has one at least; each is a path from the scene's folder."""


def find_scene_folders(path: pathlib.Path) -> list[pathlib.Path]:
    """Find the scenes in a folder: itself if it is one, else all scene folders in it, by name.

    Raises:
        UsageError: There is no such folder, or it neither is nor holds a scene.
    """
    place = pathlib.Path(os.path.abspath(path.expanduser()))  # not resolved: a link may carry the scene's name
    if not place.is_dir():
        raise UsageError(f"--scenes: expected a folder, got {path}{_what_is_there(place)}")
    if is_scene_folder(place):
        return [place]
    found = sorted(inner for inner in place.iterdir() if inner.is_dir() and is_scene_folder(inner))
    if not found:
        raise UsageError(
            f"--scenes: expected a scene, or a folder of scenes, got {path}, where no folder holds "
            f"{' or '.join(MARKS)}; name the folder that holds the photographs and their cameras"
        )
    return found


def is_scene_folder(folder: pathlib.Path) -> bool:
    """Tell whether a folder holds one of the `MARKS` of a scene."""
    return any((folder / mark).exists() for mark in MARKS)


def open_scene(folder: pathlib.Path) -> FolderScene:
    """Make the task of a scene's folder, with its default settings and its size still open.

    Args:
        folder: One that `find_scene_folders` found. Its name is the scene's; where it lies is no part of the task's
            identity.
    """
    return BlenderScene(scene=folder.name, folder=str(folder.parent))


def name_scenes(folders: Sequence[pathlib.Path]) -> dict[str, pathlib.Path]:
    """Name scenes by their folders.

    Raises:
        UsageError: Two folders have one name: their numbers would stand under one head.
    """
    named: dict[str, pathlib.Path] = {}
    for folder in folders:
        first = named.setdefault(folder.name, folder)
        if first != folder:
            raise UsageError(
                f"--scenes: expected scenes of different names, got {folder.name!r} twice, {first} and {folder}; "
                "rename a folder"
            )
    return named


def _what_is_there(place: pathlib.Path) -> str:
    """Say what stands where a folder was expected, and which neighbour may be meant."""
    if place.exists():
        return ", a file; name the folder that holds it"
    near = place.parent
    known = [inner.name for inner in near.iterdir() if inner.is_dir()] if near.is_dir() else []
    return f", which is not there; {nearest(place.name, known)}" if known else ", which is not there; correct the path"
