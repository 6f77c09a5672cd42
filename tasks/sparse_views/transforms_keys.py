"""Lists the keys that `transforms.json` may have: those that are read, that do not matter, and that are refused.

A key that says how a lens bends light, which photos are held out, or which pixels count, changes what a scene is. Such
a key is read, or the file is refused; one that is not known here but sounds like it is warned of.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from bench.errors import UsageError

KeyUse = Literal["read", "harmless", "refused"]

PINHOLE_MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE")
"""Values of `camera_model` without coefficients; `PERSPECTIVE` is nerfstudio's older word for one."""

COEFFICIENTS = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")

SPLIT_KEYS = ("train_filenames", "val_filenames", "test_filenames")

READ = (
    "frames", "file_path", "transform_matrix", "camera_model", "camera_angle_x", "camera_angle_y", "fl_x", "fl_y", "cx",
    "cy", "w", "h", *COEFFICIENTS, *SPLIT_KEYS, "split", "mask_path", "ply_file_path", "applied_transform",
    "applied_scale", "aabb_scale", "scale", "offset",
)  # fmt: skip
"""Keys that change what is loaded; `aabb_scale`, `scale` and `offset` say how far it reaches."""

HARMLESS = {
    "rotation": "the turntable's step in Blender, which no reader uses",
    "sharpness": "how sharp a photo is, which is for choosing photos",
    "blur_score": "how sharp a photo is, which is for choosing photos",
    "colmap_im_id": "the photo's number in COLMAP",
    "original_fn": "the photo's name before it was copied",
    "depth_path": "depth is not used",
    "depth_file_path": "depth is not used",
    "depth_unit_scale_factor": "depth is not used",
    "integer_depth_scale": "depth is not used",
    "enable_depth_loading": "depth is not used",
    "orientation_override": "nerfstudio's own placement; poses are turned upright here",
    "auto_scale_poses_override": "nerfstudio's own placement; poses are brought to one scale here",
    "render_aabb": "a viewer's box",
    "up": "a viewer's axis; it is estimated from the cameras here",
    "fps": "of the video that the photos were taken from",
    "n_frames": "the frames are counted here",
    "n_extra_learnable_dims": "a setting of instant-ngp's training",
    "sharpen": "a setting of instant-ngp's training",
    "fix_premult": "a setting of instant-ngp's training",
    "white_transparent": "a setting of instant-ngp's training; the background is the task's",
    "black_transparent": "a setting of instant-ngp's training; the background is the task's",
    "colmap_reproj_error": "how good COLMAP's fit is",
    "colmap_matching_points": "how good COLMAP's fit is",
    "created_by": "who wrote the file",
    "timestamp": "when the photo was taken",
}
"""Keys that may be left unread, and why."""

UNDISTORT = "undistort the photos first (colmap image_undistorter)"

REFUSED = {
    "is_fisheye": 'write "camera_model": "OPENCV_FISHEYE" in its place, or ' + UNDISTORT,
    "latlong": "a panorama is no photo of a lens; cut it into photos of pinhole cameras first",
    "equirectangular": "a panorama is no photo of a lens; cut it into photos of pinhole cameras first",
    "lens": UNDISTORT,
    "ftheta_*": UNDISTORT,
    "rolling_shutter": "photos of a moving shutter have no single pose; take it out to accept that error",
    "orthographic": "rays of a camera start at one point here; export a perspective camera",
}
"""Keys that mean another image than the one that would be read, and what to do; a value of false or zeros is none."""

SUSPECT = re.compile(
    r"lens|distort|fisheye|ftheta|pano|spher|ortho|shutter|mask|split|train|test|eval|holdout|held|intrins|focal|fov|fl_"
    r"|crop|downscale|resol|k\d|p\d|skew|time$",
    re.IGNORECASE,
)
"""What an unknown key sounds like if it may say something of the camera, the split or the pixels that count."""


class KeyReport(NamedTuple):
    """The keys of one file.

    Attributes:
        read: Keys that are read.
        harmless: Keys that do not matter.
        unknown: Keys that nothing is known of.
        suspect: Those of the unknown keys that sound as if they mattered.
    """

    read: tuple[str, ...]
    harmless: tuple[str, ...]
    unknown: tuple[str, ...]
    suspect: tuple[str, ...]


def report_keys(where: str, told: Mapping[str, Any]) -> KeyReport:
    """Sort the keys of a file with its frames.

    Args:
        where: The file, for messages.
        told: The file's content.

    Raises:
        UsageError: A key is refused.
    """
    frames = told.get("frames")
    each = [frame for frame in frames if isinstance(frame, Mapping)] if isinstance(frames, list) else []
    check_refused(where, told)
    for place, frame in enumerate(each):
        check_refused(f"{where}, frame {place}", frame)
    names = list(dict.fromkeys([*told, *(name for frame in each for name in frame)]))
    unknown = [name for name in names if name not in READ and name not in HARMLESS and not refused_reason(name)]
    read = [name for name in names if name in READ]
    harmless = [name for name in names if name in HARMLESS]
    suspect = [name for name in unknown if SUSPECT.search(name)]
    return KeyReport(read=tuple(read), harmless=tuple(harmless), unknown=tuple(unknown), suspect=tuple(suspect))


def check_refused(where: str, told: Mapping[str, Any]) -> None:
    """Refuse keys that mean another image than the one that would be read.

    Raises:
        UsageError: There is one; the message says what to do.
    """
    for name, value in told.items():
        reason = refused_reason(name)
        if reason and not is_empty(value):
            raise UsageError(f"{where}: expected a key that is read, got {name!r}={value!r:.40}; {reason}")


def refused_reason(name: str) -> str | None:
    """Say what to do about a key that is refused; None for any other key."""
    return REFUSED.get("ftheta_*" if name.startswith("ftheta_") else name)


def is_empty(value: Any) -> bool:
    """Tell whether a value says nothing: false, no text, or nothing but zeros."""
    if isinstance(value, list | tuple):
        return all(map(is_empty, value))
    return value is None or value is False or value in ("", 0)


def check_single_images(where: str, told: Mapping[str, Any], names: Iterable[str]) -> None:
    """Refuse keys that a task on plain images does not read, although they change what its images mean.

    Args:
        where: The file, or one of its frames, for messages.
        told: Its content.
        names: The keys.

    Raises:
        UsageError: There is one of them.
    """
    for name in names:
        if not is_empty(told.get(name)):
            raise UsageError(
                f"{where}: expected a file without {name!r}, which a scene of plain images does not read; give the "
                "folder itself as a captured scene (--scenes FOLDER), or take the key out"
            )


def read_number(where: str, told: Mapping[str, Any], key: str, default: float | int) -> float:
    """Read a number of a file.

    Raises:
        UsageError: It is none, not finite, or far too large.
    """
    value = told.get(key, default)
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UsageError(f"{where}: expected a number for {key!r}, got {value!r:.40}; correct the file")
    return number
