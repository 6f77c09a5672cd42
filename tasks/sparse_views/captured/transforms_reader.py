"""Reads a folder with `transforms.json`, as NeRF, instant-ngp and nerfstudio write it, or with one such file a split.

Keys are listed in `tasks.sparse_views.transforms_keys`. Frames whose photograph is missing are left out, and that is
said: the publishers of some scenes list more frames than they give photographs.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from bench.errors import UsageError
from tasks.sparse_views import photo_files, transforms_json, transforms_keys
from tasks.sparse_views.captured.capture import Capture, CapturedFrame, Split
from tasks.sparse_views.captured.doubts import Doubts
from tasks.sparse_views.captured.point_files import read_points_beside
from tasks.sparse_views.captured.transforms_camera import read_camera
from tasks.sparse_views.captured.transforms_splits import ListedFrame, split_frames
from tasks.sparse_views.transforms_keys import read_number
from tasks.task import World

ONE_FILE = "transforms.json"

FILE_A_SPLIT: dict[Split, str] = {split: f"transforms_{split}.json" for split in ("train", "val", "test")}

UNIT_SCALE = 0.33
"""Factor from positions to instant-ngp's unit cube, where the file gives no `scale`."""


class TransformsFile(NamedTuple):
    """One file of cameras.

    Attributes:
        path: Where it lies.
        top: What it says of all frames.
        frames: What it says of each.
        keys: Its keys, sorted by their use.
        split: The part that all its frames are of; None for a single file.
    """

    path: pathlib.Path
    top: Mapping[str, Any]
    frames: list[Any]
    keys: transforms_keys.KeyReport
    split: Split | None


def has_transforms(folder: pathlib.Path) -> bool:
    """Tell whether a folder has a transforms file, of all frames or of the training frames."""
    return (folder / ONE_FILE).is_file() or (folder / FILE_A_SPLIT["train"]).is_file()


def read_transforms(folder: pathlib.Path) -> Capture:
    """Read a folder with one transforms file, or with one a split.

    Raises:
        UsageError: A file, a frame or a photograph is not what it should be; the message says what to do.
    """
    doubts = Doubts()
    files = _files(folder, doubts)
    listed: list[ListedFrame] = []
    for file in files:
        found = [_listed(file, place, frame) for place, frame in enumerate(file.frames)]
        listed += split_frames(str(file.path), file.path.parent, file.top, found, doubts)
    frames = [_read_frame(folder, each, doubts) for each in _present(folder, listed, doubts)]
    top = files[0].top
    box = _box(str(files[0].path), top)
    points, points_read = read_points_beside(folder, top, doubts)
    _doubt_keys(files, doubts)
    paths = [file.path for file in files]
    numbers: list[Any] = [_numbers(frame) for frame in frames]
    numbers.append(None if box is None else box.tolist())
    return Capture(
        kind=_kind(files),
        folder=folder,
        files=tuple(paths),
        frames=tuple(frames),
        points=points,
        bounds=None,
        world=_world(top),
        box=box,
        read=(*_keys_read(files), *points_read),
        ignored=_ignored(files),
        doubts=doubts.lines(),
        numbers=numbers,
        has_test_file=any(file.split == "test" for file in files),
        num_absent=len(listed) - len(frames),
    )


def _files(folder: pathlib.Path, doubts: Doubts) -> list[TransformsFile]:
    one = folder / ONE_FILE
    by_split = {split: folder / name for split, name in FILE_A_SPLIT.items() if (folder / name).is_file()}
    if "train" in by_split:
        if one.is_file():
            doubts.add(f"{ONE_FILE} is not read, because {by_split['train'].name} stands beside it")
        if "val" in by_split and "test" not in by_split:
            doubts.add(f"there is no {FILE_A_SPLIT['test']}: the views of {by_split['val'].name} are held out")
        return [_open(path, split) for split, path in by_split.items()]
    for path in by_split.values():
        doubts.add(f"{path.name} is not read, because there is no {FILE_A_SPLIT['train']}")
    return [_open(one, None)]


def _open(path: pathlib.Path, split: Split | None) -> TransformsFile:
    try:
        told = transforms_json.read_json(path)
    except OSError as error:
        raise UsageError(f"{path}: expected a transforms file, got {error.strerror!r}; check the folder") from error
    top = {key: value for key, value in told.items() if key != "frames"}
    return TransformsFile(path, top, told["frames"], transforms_keys.report_keys(str(path), told), split)


def _listed(file: TransformsFile, place: int, frame: Any) -> ListedFrame:
    """Check a frame, and find its photograph."""
    where = f"{file.path}, frame {place}"
    transforms_json.check_frame(where, frame)
    image = photo_files.find_photo(file.path.parent, frame["file_path"])
    return ListedFrame(place, where, image, frame["file_path"], {**file.top, **frame}, file.split)


def _present(folder: pathlib.Path, listed: list[ListedFrame], doubts: Doubts) -> list[ListedFrame]:
    """Leave out frames whose photograph is missing, and those that are neither trained on nor held out."""
    present = [each for each in listed if each.image.is_file()]
    missing = [each for each in listed if not each.image.is_file()]
    if not present:
        raise UsageError(
            f"{folder}: expected photos, got none of the {len(listed)} that its cameras name; the first would be "
            f"{listed[0].image}: put them there, or correct file_path"
        )
    if missing:
        doubts.add(
            f"{len(missing)} of {len(listed)} frames have no photo and are left out; the first is "
            f"{missing[0].image.relative_to(folder) if missing[0].image.is_relative_to(folder) else missing[0].image}"
        )
    return present


def _read_frame(folder: pathlib.Path, each: ListedFrame, doubts: Doubts) -> CapturedFrame:
    header = photo_files.read_photo_header(each.image, each.where)
    return CapturedFrame(
        id=each.id,
        where=each.where,
        image=each.image,
        mask=_mask(folder, each),
        pose=_pose(each, doubts),
        camera=read_camera(each.where, each.told, each.image.name, header, doubts),
        split=each.split,
        has_alpha=header.has_alpha,
    )


def _pose(each: ListedFrame, doubts: Doubts) -> Float[np.ndarray, "4 4"]:
    """Read a pose; one with a scale in it, as some exporters write, gets rid of it."""
    matrix = each.told["transform_matrix"]
    try:
        scale = abs(np.linalg.det(np.asarray(matrix, np.float64)[:3, :3])) ** (1 / 3)
    except (TypeError, ValueError, IndexError, OverflowError, np.linalg.LinAlgError):
        scale = 1.0  # read_pose says what is wrong
    if np.isfinite(scale) and scale > 1e-6 and abs(scale - 1) > 1e-3:
        rotation = np.asarray(matrix, np.float64)[:3, :3] / scale
        if np.abs(rotation @ rotation.T - np.eye(3)).max() < 1e-3 and np.linalg.det(rotation) > 0:
            doubts.add(f"transform_matrix holds a scale of {scale:.4g}, which is taken out of the rotation")
            matrix = [[*row, top[3]] for row, top in zip(rotation.tolist(), matrix[:3], strict=True)]
    return transforms_json.read_pose(each.where, matrix).astype(np.float64)


def _mask(folder: pathlib.Path, each: ListedFrame) -> pathlib.Path | None:
    """Find the picture of a frame's mask.

    Raises:
        UsageError: It is named and not there: pixels that do not count would be trained on.
    """
    name = each.told.get("mask_path")
    if transforms_keys.is_empty(name):
        return None
    if not isinstance(name, str):
        raise UsageError(f"{each.where}: expected a path as mask_path, got {name!r:.40}; correct the file")
    mask = photo_files.find_photo(folder, name)
    if not mask.is_file():
        raise UsageError(
            f"{each.where}: expected a mask {mask}, got no such file; put it there, or take mask_path out of the file"
        )
    return mask


def _box(where: str, top: Mapping[str, Any]) -> Float[np.ndarray, "2 3"] | None:
    """Return the box that `aabb_scale` of instant-ngp puts around the scene, in the unit cubes of its `scale`."""
    if "aabb_scale" not in top:
        return None
    cubes = read_number(where, top, "aabb_scale", 1)
    scale = read_number(where, top, "scale", UNIT_SCALE)
    offset = top.get("offset", 0.5)
    try:
        middle = (0.5 - np.broadcast_to(np.asarray(offset, np.float64), 3)) / scale
    except (TypeError, ValueError, ZeroDivisionError):
        raise UsageError(f"{where}: expected 3 numbers as offset, got {offset!r:.40}; correct the file") from None
    if cubes <= 0 or scale <= 0:
        raise UsageError(
            f"{where}: expected aabb_scale and scale above 0, got {cubes:g} and {scale:g}; correct the file"
        )
    return np.stack([middle - 0.5 * cubes / scale, middle + 0.5 * cubes / scale])


def _world(top: Mapping[str, Any]) -> World | None:
    """Tell what `aabb_scale` says of the scene's surroundings: with 1, all of it lies in the unit cube."""
    scale = top.get("aabb_scale")
    return "bounded" if isinstance(scale, int | float) and 0 < scale <= 1 else None


def _kind(files: list[TransformsFile]) -> str:
    """Name the program that wrote a file, by its keys."""
    keys = set(files[0].keys.read) | set(files[0].keys.harmless)
    name = "transforms.json" if files[0].split is None else "transforms_train.json"
    if keys & {"applied_transform", "ply_file_path", "colmap_im_id", "camera_model", "orientation_override"}:
        return f"{name} of nerfstudio"
    if keys & {"aabb_scale", "sharpness", "fl_x"}:
        return f"{name} of instant-ngp"
    return f"{name} of NeRF"


def _keys_read(files: list[TransformsFile]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for file in files for key in file.keys.read if key != "frames"))


def _ignored(files: list[TransformsFile]) -> tuple[str, ...]:
    harmless = dict.fromkeys(key for file in files for key in file.keys.harmless)
    unknown = dict.fromkeys(key for file in files for key in file.keys.unknown)
    told = [f"{key} ({transforms_keys.HARMLESS[key]})" for key in harmless]
    return tuple(told + [f"{key} (not known)" for key in unknown])


def _doubt_keys(files: list[TransformsFile], doubts: Doubts) -> None:
    for key in dict.fromkeys(key for file in files for key in file.keys.suspect):
        doubts.add(
            f"the key {key!r} is not known and not read, although it sounds like the camera, the split or a mask"
        )


def _numbers(frame: CapturedFrame) -> Any:
    return [frame.id, frame.split, frame.pose.tolist(), list(frame.camera), frame.mask is not None]
