"""Reads the camera of a frame of `transforms.json`: focal lengths, principal point and lens, for its picture.

The numbers may be meant for a picture of another size. Where both sizes differ by one factor the numbers are scaled,
and that is said; where they do not, the frame is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from bench.errors import UsageError
from tasks.lens_distortion import COEFFICIENTS as LENS_COEFFICIENTS
from tasks.lens_distortion import lens_distortion
from tasks.sparse_views.captured.capture import PhotoCamera
from tasks.sparse_views.captured.doubts import Doubts
from tasks.sparse_views.photo_files import PhotoHeader
from tasks.sparse_views.transforms_keys import COEFFICIENTS, PINHOLE_MODELS, UNDISTORT, read_number

MOST_OFF_CENTER = 0.25
"""Distance of a principal point from the middle of the picture, in pictures, from which it is doubted."""


def read_camera(where: str, told: Mapping[str, Any], photo: str, header: PhotoHeader, doubts: Doubts) -> PhotoCamera:
    """Read a frame's camera.

    Args:
        where: File and frame, for messages.
        told: Keys of the file, overridden by those of the frame.
        photo: Name of the photograph.
        header: Of the photograph.
        doubts: Collects what is odd.

    Raises:
        UsageError: Numbers are missing or wrong, or meant for a picture of another shape.
    """
    width, height = _told_size(where, told, header)
    focal_x, focal_y = _focal_lengths(where, told, width, height)
    if "fl_x" in told and "camera_angle_x" in told:
        of_angle = _focal_of_angle(where, told, "camera_angle_x", width)
        if abs(of_angle / focal_x - 1) > 0.02:
            doubts.add(
                f"fl_x={focal_x:g} and camera_angle_x, which gives {of_angle:g} for w={width:g}, disagree; fl_x is used"
            )
    model, coefficients = _lens(where, told)
    camera = PhotoCamera(
        width=width,
        height=height,
        focal_x=focal_x,
        focal_y=focal_y,
        center_x=read_number(where, told, "cx", width / 2),
        center_y=read_number(where, told, "cy", height / 2),
        model=model,
        coefficients=coefficients,
    )
    return fit_camera(where, camera, photo, header, doubts)


def fit_camera(where: str, camera: PhotoCamera, photo: str, header: PhotoHeader, doubts: Doubts) -> PhotoCamera:
    """Bring a camera to the size of its picture, and check that the principal point lies inside.

    Args:
        where: File and frame, for messages.
        camera: For the size that the file means.
        photo: Name of the photograph.
        header: Of the photograph.
        doubts: Collects what is odd.

    Raises:
        UsageError: The picture has another shape, or the principal point lies outside of it.
    """
    if header.is_turned:
        doubts.add("EXIF says that the photo is to be shown turned: its pixels are read as they are stored", photo)
    if (camera.width, camera.height) != (header.width, header.height):
        if not is_same_shape((camera.width, camera.height), (header.width, header.height)):
            raise UsageError(_other_shape(where, camera, photo, header))
        factor = header.width / camera.width
        doubts.add(
            f"the cameras are meant for photos of {camera.width:g} x {camera.height:g}, which are {header.width} x "
            f"{header.height}: intrinsics are multiplied by {factor:.4g}"
        )
        camera = camera.resized(header.width, header.height)
    across = camera.center_x / camera.width
    down = camera.center_y / camera.height
    if not (0 < across < 1 and 0 < down < 1):
        raise UsageError(
            f"{where}: expected a principal point inside of the photo of {header.width} x {header.height}, got "
            f"cx={camera.center_x:g}, cy={camera.center_y:g}; if the cameras are meant for photos of another size, "
            "give that size as w and h"
        )
    if max(abs(across - 0.5), abs(down - 0.5)) > MOST_OFF_CENTER:
        doubts.add(
            f"the principal point ({camera.center_x:g}, {camera.center_y:g}) is far from the middle of "
            f"{header.width} x {header.height}: are the intrinsics meant for another size?",
            photo,
        )
    return camera


def is_same_shape(told: tuple[int, int], found: tuple[int, int]) -> bool:
    """Tell whether two sizes differ by one factor, but for the rounding of the smaller one to whole pixels."""
    factors = sorted((found[0] / told[0], found[1] / told[1]))
    smaller = min(*told, *found)
    return factors[1] / factors[0] - 1 < 1.5 / smaller


def _other_shape(where: str, camera: PhotoCamera, photo: str, header: PhotoHeader) -> str:
    is_swapped = is_same_shape((camera.height, camera.width), (header.width, header.height))
    advice = "give intrinsics and photos of one shape"
    if is_swapped:
        advice = "the photo lies on its side; turn its pixels (mogrify -auto-orient), or swap w and h"
    return (
        f"{where}: expected a photo of the shape {camera.width:g} x {camera.height:g}, got {header.width} x "
        f"{header.height} in {photo}; {advice}"
    )


def _told_size(where: str, told: Mapping[str, Any], header: PhotoHeader) -> tuple[int, int]:
    """Return the size that the intrinsics are meant for; the picture's own where the file does not say."""
    width = read_number(where, told, "w", header.width)
    height = read_number(where, told, "h", header.height)
    if "w" in told and "h" not in told:
        height = header.height * width / header.width
    elif "h" in told and "w" not in told:
        width = header.width * height / header.height
    if width < 1 or height < 1:
        raise UsageError(f"{where}: expected w and h of at least 1, got {width:g} and {height:g}; correct the file")
    return round(width), round(height)


def _focal_lengths(where: str, told: Mapping[str, Any], width: int, height: int) -> tuple[float, float]:
    if "fl_x" in told:
        focal_x = read_number(where, told, "fl_x", 0.0)
        focal_y = read_number(where, told, "fl_y", focal_x)
    elif "fl_y" in told:
        focal_y = read_number(where, told, "fl_y", 0.0)
        focal_x = focal_y
    elif "camera_angle_x" in told:
        focal_x = _focal_of_angle(where, told, "camera_angle_x", width)
        focal_y = _focal_of_angle(where, told, "camera_angle_y", height) if "camera_angle_y" in told else focal_x
    elif "camera_angle_y" in told:
        focal_y = _focal_of_angle(where, told, "camera_angle_y", height)
        focal_x = focal_y
    else:
        raise UsageError(f"{where}: expected a key 'camera_angle_x' or 'fl_x', got neither; add it to the file")
    if focal_x <= 0 or focal_y <= 0:
        raise UsageError(f"{where}: expected focal lengths above 0, got {focal_x:g} and {focal_y:g}; correct the file")
    return focal_x, focal_y


def _focal_of_angle(where: str, told: Mapping[str, Any], key: str, num_px: int) -> float:
    angle = read_number(where, told, key, 0.0)
    if not 0 < angle < math.pi:
        raise UsageError(f"{where}: expected {key} in radians, above 0 and below 3.14, got {angle:g}; correct the file")
    return 0.5 * num_px / math.tan(0.5 * angle)


def _lens(where: str, told: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, float], ...]]:
    """Return the camera model and its coefficients that are not zero."""
    numbers = ((key, read_number(where, told, key, 0.0)) for key in COEFFICIENTS)
    coefficients = tuple((key, value) for key, value in numbers if value)
    model = told.get("camera_model") or ("OPENCV" if coefficients else "PINHOLE")
    model = "PINHOLE" if isinstance(model, str) and model in PINHOLE_MODELS else model
    if not isinstance(model, str) or model not in LENS_COEFFICIENTS:
        raise UsageError(
            f"{where}: expected a camera_model among {', '.join(LENS_COEFFICIENTS)}, got {model!r:.40}; {UNDISTORT}"
        )
    lens_distortion(where, str(model), dict(coefficients))  # refuses coefficients that the model does not have
    return str(model), coefficients
