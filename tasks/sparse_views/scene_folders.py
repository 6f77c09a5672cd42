"""Finds the scenes in a user's folders, and decides which task opens one.

A scene is a folder of photographs with a file that says where the cameras were: `MARKS` lists these files. A folder
of scenes holds such folders side by side.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from bench.errors import UsageError, nearest
from tasks.sparse_views import photo_checks, transforms_json
from tasks.sparse_views.captured.captured_scene import CapturedScene
from tasks.sparse_views.nerf_synthetic import BlenderScene
from tasks.task import FolderScene

MARKS = (
    "transforms_train.json", "transforms_test.json", "transforms.json", "poses_bounds.npy", "sparse/0/cameras.bin",
    "sparse/0/cameras.txt", "sparse/cameras.bin", "sparse/cameras.txt", "colmap/sparse/0/cameras.bin",
    "colmap/sparse/0/cameras.txt", "cameras.bin", "cameras.txt",
)  # fmt: skip
"""Files and folders of which a scene has one at least; each is a path from the scene's folder."""

SYNTHETIC_KEYS = frozenset({"camera_angle_x", "frames", "file_path", "rotation", "transform_matrix"})
"""Keys of the files of NeRF Realistic Synthetic."""


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
        for outer in place.parents[:2]:  # the folder of photographs was named, or one inside of it
            if is_scene_folder(outer):
                raise UsageError(
                    f"--scenes: expected a scene, or a folder of scenes, got {path}, which is a part of one; name "
                    f"{outer}, which holds {next(mark for mark in MARKS if (outer / mark).exists())}"
                )
        raise UsageError(
            f"--scenes: expected a scene, or a folder of scenes, got {path}, where no folder holds "
            "transforms_train.json, transforms.json, poses_bounds.npy or a COLMAP model (sparse/0); name the folder "
            "that holds one of these beside the photographs"
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
    if is_synthetic(folder):
        return BlenderScene(scene=folder.name, folder=str(folder.parent))
    return CapturedScene(scene=folder.name, folder=str(folder.parent))


def is_synthetic(folder: pathlib.Path) -> bool:
    """Tell whether a folder is like those of NeRF Realistic Synthetic: two splits, and cameras 4 from the scene."""
    files = [folder / f"transforms_{split}.json" for split in ("train", "test")]
    if not all(file.is_file() for file in files):
        return False
    try:
        for file in files:
            told = transforms_json.read_json(file)
            keys = {*told, *(key for frame in told["frames"] for key in frame)}
            if not keys <= SYNTHETIC_KEYS:
                return False
        task = BlenderScene(scene=folder.name, folder=str(folder.parent))
        poses = np.stack([frame.pose for frame in transforms_json.read_frames(files[0])])
        photo_checks.refuse_empty_range(str(folder), poses, task.near, task.far)
    except (UsageError, OSError, TypeError):
        return False  # the reader of captured scenes says what is wrong
    return True


def name_scenes(folders: Sequence[pathlib.Path]) -> dict[str, pathlib.Path]:
    """Name scenes by their folders.

    Raises:
        UsageError: Two folders have one name: their numbers would stand under one head; or one's is no text.
    """
    named: dict[str, pathlib.Path] = {}
    for folder in folders:
        if any("\ud800" <= letter <= "\udfff" for letter in folder.name):
            raise UsageError(
                f"--scenes: expected a folder's name in UTF-8, got {folder.name.encode(errors='surrogateescape')!r}; "
                "rename the folder"
            )
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
