"""Reads and writes `transforms.json`, the format of NeRF Realistic Synthetic and of captured scenes.

NeRF Realistic Synthetic gives `camera_angle_x` for all frames; captured scenes (instant-ngp, nerfstudio) give focal
lengths and centres in pixels, for the whole file or for each frame. Cameras are OpenGL, as in `tasks.cameras`.

h and w: pixels of an image, c: 3 channels or 4.
"""

from __future__ import annotations

import functools
import json
import math
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from bench.errors import UsageError
from tasks.data_dir.guarded_files import read_plain_file
from tasks.data_dir.user_json import parse_json_text
from tasks.sparse_views import photo_files, transforms_keys

DISTORTIONS = ("k1", "k2", "k3", "k4", "p1", "p2")
PINHOLES = ("PINHOLE", "SIMPLE_PINHOLE", "OPENCV", "PERSPECTIVE")


class Frame(NamedTuple):
    """One photo.

    Attributes:
        id: Place in the file.
        where: File and frame, for messages.
        image: Path of the image; it may be missing, which shows when it is opened.
        pose: Camera to world.
        camera: Keys of the file with the intrinsics, overridden by those of the frame.
    """

    id: int
    where: str
    image: pathlib.Path
    pose: Float[np.ndarray, "4 4"]
    camera: Mapping[str, Any]


def read_frames(path: pathlib.Path) -> list[Frame]:
    """Read the frames of a transforms file, in its order.

    Raises:
        UsageError: The file is missing, or a key or a pose is wrong.
    """
    try:
        stat = path.stat()
        return list(_parsed(path, stat.st_mtime_ns, stat.st_size))
    except FileNotFoundError:
        raise UsageError(f"{path}: expected a transforms file, got no such file; check the folder") from None
    except OSError as error:
        raise UsageError(f"{path}: expected a transforms file, got {error.strerror!r}; check the folder") from error


@functools.lru_cache(maxsize=64)  # every trial asks for the shapes
def _parsed(path: pathlib.Path, mtime_ns: int, num_bytes: int) -> tuple[Frame, ...]:
    told = read_json(path)
    top = {key: value for key, value in told.items() if key != "frames"}
    transforms_keys.check_refused(str(path), top)
    transforms_keys.check_single_images(str(path), top, (*transforms_keys.SPLIT_KEYS, "mask_path"))
    return tuple(_frame(path, i, top, frame) for i, frame in enumerate(told["frames"]))


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Read a transforms file, which has frames, in any of the encodings that editors save JSON in.

    Raises:
        UsageError: It is no JSON, or has no frames.
        OSError: It cannot be read.
    """
    told = parse_json_text(read_plain_file(path), str(path))
    if not isinstance(told, dict) or not isinstance(told.get("frames"), list) or not told["frames"]:
        raise UsageError(f"{path}: expected a key 'frames' with at least one frame; is it a transforms file?")
    return told


def check_frame(where: str, frame: Any) -> None:
    """Refuse a frame without a file or a pose.

    Args:
        where: File and frame, for messages.
        frame: As JSON gives it.

    Raises:
        UsageError: It is no object, or lacks a key.
    """
    if not isinstance(frame, dict):
        raise UsageError(f"{where}: expected an object, got {frame!r:.40}; see transforms_train.json of any NeRF scene")
    for key, kind in (("file_path", str), ("transform_matrix", list)):
        if not isinstance(frame.get(key), kind):
            raise UsageError(
                f"{where}: expected a key {key!r} with a {kind.__name__}, got {frame.get(key)!r:.40}; add it"
            )


def _frame(path: pathlib.Path, i: int, top: Mapping[str, Any], frame: Any) -> Frame:
    where = f"{path}, frame {i}"
    check_frame(where, frame)
    transforms_keys.check_refused(where, frame)
    transforms_keys.check_single_images(where, frame, ("split", "mask_path"))
    return Frame(
        id=i,
        where=where,
        image=photo_files.find_photo(path.parent, frame["file_path"]),
        pose=read_pose(where, frame["transform_matrix"]),
        camera={**top, **frame},
    )


def read_pose(where: str, matrix: list[Any]) -> Float[np.ndarray, "4 4"]:
    """Read a pose, camera to world, of 3 rows or 4.

    Raises:
        UsageError: It is no rotation and translation.
    """
    try:
        pose = np.asarray(matrix, np.float64)
    except (TypeError, ValueError, OverflowError):
        pose = np.zeros(())
    if pose.shape == (3, 4):
        pose = np.vstack([pose, [0, 0, 0, 1]])
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise UsageError(f"{where}: expected transform_matrix of 4 x 4 numbers, got {matrix!r:.60}; export it again")
    rotation = pose[:3, :3]
    error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if error > 1e-3 or np.linalg.det(rotation) < 0 or np.abs(pose[3] - [0, 0, 0, 1]).max() > 1e-6:
        raise UsageError(
            f"{where}: expected transform_matrix to be a rotation and a translation (camera to world), got a matrix "
            f"{error:.2g} from orthonormal with determinant {np.linalg.det(rotation):.3g}; remove scale and mirroring"
        )
    return pose.astype(np.float32)


def intrinsics(frame: Frame, width: int, height: int) -> tuple[float, float, float, float]:
    """Return focal lengths x and y and centre x and y, in pixels of an image of this size.

    Raises:
        UsageError: The focal length is missing, the size differs from the image's, or the camera is not a pinhole.
    """
    told = frame.camera
    model = told.get("camera_model", "PINHOLE")
    bent = [key for key in DISTORTIONS if abs(_number(frame, key, 0.0)) > 1e-8]
    if model not in PINHOLES or bent:
        got = ", ".join(bent) or f"camera_model {model!r}"
        raise UsageError(
            f"{frame.where}: expected a pinhole camera, got {got}; undistort the images first "
            "(colmap image_undistorter)"
        )
    for key, value in (("w", width), ("h", height)):
        if _number(frame, key, value) != value:
            raise UsageError(
                f"{frame.where}: expected an image with {key}={told[key]}, got {value} in {frame.image.name}; "
                "give intrinsics and images of one size"
            )
    if "fl_x" in told:
        focal_x = _number(frame, "fl_x", 0.0)
    elif "camera_angle_x" in told:
        angle = _number(frame, "camera_angle_x", 0.0)
        focal_x = 0.5 * width / math.tan(0.5 * angle) if 0 < angle < math.pi else 0.0
    else:
        raise UsageError(f"{frame.where}: expected a key 'camera_angle_x' or 'fl_x', got neither; add it to the file")
    focal_y = _number(frame, "fl_y", focal_x)
    if focal_x <= 0 or focal_y <= 0:
        raise UsageError(
            f"{frame.where}: expected focal lengths above 0, got {focal_x:g} and {focal_y:g}; correct the file"
        )
    return focal_x, focal_y, _number(frame, "cx", width / 2), _number(frame, "cy", height / 2)


def _number(frame: Frame, key: str, default: float | int) -> float:
    return transforms_keys.read_number(frame.where, frame.camera, key, default)


def image_size(frame: Frame) -> tuple[int, int]:
    """Read the width and height of a frame's image, from its header only."""
    header = photo_files.read_photo_header(frame.image, frame.where)
    return header.width, header.height


def read_image(frame: Frame) -> UInt8[np.ndarray, "h w c"]:
    """Read a frame's image, with straight alpha if the file has alpha.

    Raises:
        UsageError: The image is missing, damaged or has more than 8 bits.
    """
    return photo_files.read_photo(frame.image, frame.where)


def area_filter(image: Float[np.ndarray, "h w c"], height: int, width: int) -> Float[np.ndarray, "h2 w2 c"]:
    """Shrink an image: each pixel is the mean of the area it covers, as with OpenCV's INTER_AREA.

    Args:
        image: Image of any range.
        height: New height, at most the old one.
        width: New width, at most the old one.
    """
    rows = _coverage(image.shape[0], height)
    columns = _coverage(image.shape[1], width)
    return np.einsum("yh,hwc,xw->yxc", rows, image, columns, optimize=["einsum_path", (0, 1), (0, 1)])


def _coverage(old: int, new: int) -> Float[np.ndarray, "new old"]:
    """Compute the share of each new pixel that each old pixel covers; rows add up to 1."""
    assert new <= old
    edges = np.arange(new + 1) * (old / new)
    low = edges[:-1, None]
    high = edges[1:, None]
    left = np.arange(old)[None, :]
    overlap = np.clip(np.minimum(high, left + 1) - np.maximum(low, left), 0, None)
    return (overlap * (new / old)).astype(np.float32)


def format_transforms(poses: Float[np.ndarray, "n 4 4"], file_paths: Iterable[str], fov_deg: float) -> str:
    """Write the text of a transforms file exactly as in NeRF Realistic Synthetic.

    Args:
        poses: Camera to world.
        file_paths: Paths of the images, without extension: `./train/r_0`.
        fov_deg: Horizontal field of view, in degrees.
    """
    frames = [
        # `rotation` is the step of the turntable in the original files: no reader uses it, but some expect it.
        {"file_path": file_path, "rotation": math.radians(0.72), "transform_matrix": pose.tolist()}
        for file_path, pose in zip(file_paths, np.asarray(poses, np.float64), strict=True)
    ]
    return json.dumps({"camera_angle_x": math.radians(fov_deg), "frames": frames}, indent=4) + "\n"
