"""Says what is odd about a captured scene: its cameras, its photographs and its split, a line each.

n: frames.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from bench.errors import UsageError
from tasks.sparse_views import photo_files
from tasks.sparse_views.camera_geometry import find_meeting_point, view_axes
from tasks.sparse_views.captured.capture import Capture, CapturedFrame
from tasks.sparse_views.captured.doubts import Doubts
from tasks.sparse_views.captured.placement import ScenePlacement
from tasks.sparse_views.photo_checks import repeated_photos

NEAR_TWIN = 1e-4
"""Distance between two cameras, in distances from the scene, below which they take the same photograph."""

FEW_VIEWS = 8


def doubt_cameras(capture: Capture, placement: ScenePlacement, doubts: Doubts) -> None:
    """Say which cameras look away from the scene, and whose photographs show nothing between near and far.

    Args:
        capture: The scene.
        placement: Where it lies.
        doubts: Collects the lines.
    """
    near = placement.near / placement.scale
    far = placement.far / placement.scale
    nearest, farthest = placement.depths.T
    for frame, is_before, is_behind in zip(capture.frames, farthest < near, nearest > far, strict=True):
        if is_before or is_behind:
            doubts.add(f"what a photo shows lies {'before near' if is_before else 'behind far'}", frame.image.name)
    if placement.world == "forward-facing":
        return
    for frame in capture.frames:
        to_center = placement.center - frame.pose[:3, 3]
        distance = np.linalg.norm(to_center)
        if distance > 1e-9 and _angle_deg(frame, to_center / distance) > 0.5 * diagonal_fov_deg(frame) + 5:
            doubts.add("a camera looks away from the scene's centre, which its photo does not show", frame.image.name)
    meeting = find_meeting_point(np.stack([frame.pose for frame in capture.frames]))
    if not meeting.is_known:
        doubts.add("the cameras differ so little in direction that the scene's depth is hardly seen")


def _angle_deg(frame: CapturedFrame, direction: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(view_axes(frame.pose[None])[0] @ direction, -1, 1))))


def diagonal_fov_deg(frame: CapturedFrame) -> float:
    """Compute the field of view from corner to corner, in degrees, without the lens's distortion."""
    camera = frame.camera
    half = np.hypot(0.5 * camera.width / camera.focal_x, 0.5 * camera.height / camera.focal_y)
    return float(2 * np.degrees(np.arctan(half)))


def check_alpha(capture: Capture, frames: Sequence[CapturedFrame], doubts: Doubts) -> None:
    """Refuse photographs of which some have alpha and some have none: grey would stand behind some only.

    Args:
        capture: The scene.
        frames: Photographs to compare.
        doubts: Collects lines.

    Raises:
        UsageError: Some have alpha that is not 1 everywhere, and others have none.
    """
    with_alpha = [frame for frame in frames if frame.has_alpha]
    if not with_alpha or len(with_alpha) == len(frames):
        return
    for frame in with_alpha:
        if photo_files.read_photo(frame.image, frame.where)[..., 3].min() < 255:
            raise UsageError(
                f"{capture.folder}: expected photos that all have alpha or none, got {len(with_alpha)} of "
                f"{len(frames)} with it, such as {frame.image.name}; save all of them in one way"
            )
    doubts.add(f"{len(with_alpha)} of {len(frames)} photos have an alpha channel, which is 1 everywhere")


def doubt_photos(
    capture: Capture,
    train: Sequence[CapturedFrame],
    test: Sequence[CapturedFrame],
    hashes: Mapping[pathlib.Path, str],
    doubts: Doubts,
) -> None:
    """Say which photographs are the same, which cameras of both splits are, and whether masks are few.

    Args:
        capture: The scene.
        train: Photographs that may be trained on.
        test: Photographs that are held out.
        hashes: Of all of them.
        doubts: Collects the lines.
    """
    for path in repeated_photos(hashes, [frame.image for frame in train]):
        doubts.add("a photo to train on is there twice", path.name)
    positions = np.stack([frame.pose[:3, 3] for frame in train])
    size = np.linalg.norm(positions - positions.mean(axis=0), axis=1).max()
    for frame in test:
        gaps = np.linalg.norm(positions - frame.pose[:3, 3], axis=1)
        twin = int(gaps.argmin())
        turned = np.abs(train[twin].pose[:3, :3] - frame.pose[:3, :3]).max()
        if gaps[twin] <= NEAR_TWIN * size and turned < 1e-3:
            doubts.add("a held-out photo is taken by a camera of a photo to train on", frame.image.name)
    num_masks = sum(frame.mask is not None for frame in (*train, *test))
    if 0 < num_masks < len(train) + len(test):
        doubts.add(f"{num_masks} of {len(train) + len(test)} photos have a mask; of the others all pixels count")
    if len(train) < FEW_VIEWS:
        doubts.add(f"only {len(train)} photos are left to train on")
    if num_masks == 0:
        _doubt_unnamed_masks(capture, train[0].image.parent, doubts)


def _doubt_unnamed_masks(capture: Capture, photos: pathlib.Path, doubts: Doubts) -> None:
    """Say that masks lie where some programs look for them, beside the photographs or in a folder, and are not read."""
    for place in dict.fromkeys((capture.folder, photos)):
        for start in ("masks", "dynamic_mask"):
            names = sorted(path.name for path in place.iterdir() if path.name.startswith(start))
            if names:
                doubts.add(f"{names[0]} lies in the folder, but no camera file names masks: all pixels count")
