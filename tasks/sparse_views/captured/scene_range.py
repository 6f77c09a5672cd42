"""Decides from where to where rays are sampled: from bounds in the file, from sparse points, else from the cameras.

All depths are along the viewing axis, in the file's unit.

n: frames, k: points.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bench.errors import UsageError
from tasks.sparse_views.camera_geometry import MeetingPoint, view_axes
from tasks.sparse_views.captured.capture import Capture, CapturedFrame
from tasks.task import World

QUANTILES = (0.01, 0.99)
"""Of the depths of a frame's points: the few beyond are mistakes of the matching as often as not."""

FEWEST_POINTS = 8
"""Points that a frame must show for its depths to count."""

MARGINS = (0.8, 1.2)
"""Factors of the nearest and the farthest sparse point: between points there are surfaces without any."""

BOUND_MARGINS = (0.9, 1.1)
"""Factors of bounds that the file gives; NeRF takes 0.9 and 1."""

CAMERA_FACTORS: dict[World, tuple[float, float]] = {
    "bounded": (0.5, 1.5),
    "unbounded": (0.25, 40.0),
    "forward-facing": (0.3, 40.0),
}
"""Near and far in distances to the place where the axes meet, where nothing else is known. 0.5 and 1.5 are 2 and 6 of
NeRF Realistic Synthetic, whose cameras stand at 4. Where a scene has no end, samples are spaced in inverse depth: a far
end that is too far costs next to nothing, and a near one that is too near costs most samples."""


class KnownDepths(NamedTuple):
    """Holds the depths that frames show, as far as they are known.

    Attributes:
        of_frames: Nearest and farthest depth of each; NaN where nothing is known.
        source: Where they come from, for people.
        margins: Factors of the nearest and the farthest.
        odd_frames: Share of the frames that may show something nearer than near, or farther than far, as points that
            were matched wrongly do.
    """

    of_frames: Float[np.ndarray, "n 2"]
    source: str
    margins: tuple[float, float]
    odd_frames: float = 0.0


class DepthRange(NamedTuple):
    """Near and far.

    Attributes:
        near: First depth of interest.
        far: Last depth of interest.
        source: Where they come from, for people.
        depths: Nearest and farthest depth of what each frame shows; NaN where nothing is known.
    """

    near: float
    far: float
    source: str
    depths: Float[np.ndarray, "n 2"]


def estimate_range(
    capture: Capture,
    poses: Float[np.ndarray, "n 4 4"],
    meeting: MeetingPoint,
    world: World,
    near: float | None,
    far: float | None,
) -> DepthRange:
    """Estimate near and far; what is given is taken.

    Args:
        capture: The scene.
        poses: Of its frames.
        meeting: The place that its cameras look at.
        world: What lies around it.
        near: First depth of interest; None estimates it.
        far: Last depth of interest; None estimates it.

    Raises:
        UsageError: They cannot be estimated, or nothing that the photographs show lies between them.
    """
    depths = _known_depths(capture, poses, meeting, world)
    known = depths.of_frames[np.isfinite(depths.of_frames).all(axis=1)]
    if not len(known) and (near is None or far is None):
        raise UsageError(_no_range(capture, meeting))
    found_near = near or depths.margins[0] * float(np.quantile(known[:, 0], depths.odd_frames))
    found_far = far or depths.margins[1] * float(np.quantile(known[:, 1], 1 - depths.odd_frames))
    source = depths.source
    if near is not None or far is not None:
        source = f"as given; else from {source}" if near is None or far is None else "as given"
    if not found_near < found_far:
        raise UsageError(
            f"{capture.folder}: expected near below far, got near={found_near:.4g} and far={found_far:.4g} in the "
            "unit of its poses; correct task.near or task.far"
        )
    _check_not_empty(capture, known, found_near, found_far)
    return DepthRange(float(found_near), float(found_far), source, depths.of_frames)


def _known_depths(
    capture: Capture, poses: Float[np.ndarray, "n 4 4"], meeting: MeetingPoint, world: World
) -> KnownDepths:
    """Ask the file's bounds, then its points, then the cameras."""
    if capture.bounds is not None:
        return KnownDepths(capture.bounds, "the bounds in the file", BOUND_MARGINS)
    if capture.points is not None:
        depths = point_depths(capture)
        if np.isfinite(depths).any():
            return KnownDepths(depths, capture.points.source, MARGINS, odd_frames=0.05)
    depths = np.full((len(poses), 2), np.nan)
    if meeting.is_known and np.median(meeting.depths) > 0:
        ahead = meeting.depths > 0
        depths[ahead] = meeting.depths[ahead, None]
    margins = CAMERA_FACTORS[world]
    source = "the cameras: the place where their axes meet"
    if capture.box is not None and world != "bounded" and np.isfinite(depths).any():
        # The file says where the scene ends; near stays as the cameras have it.
        depths[:, 1] = np.maximum(depths[:, 1], _exit_depths(poses, capture.box))
        margins = (margins[0], MARGINS[1])
        source = "the cameras, where their axes meet, and the box of aabb_scale"
    return KnownDepths(depths, source, margins)


def _exit_depths(poses: Float[np.ndarray, "n 4 4"], box: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, " n"]:
    """Compute the depth at which each camera's axis leaves a box; 0 where it does not meet it."""
    axes = view_axes(poses)
    safe = np.where(np.abs(axes) > 1e-9, axes, 1e-9)
    crossings = (box[None] - poses[:, None, :3, 3]) / safe[:, None]
    enter = crossings.min(axis=1).max(axis=1)
    leave = crossings.max(axis=1).min(axis=1)
    return np.where(leave > np.maximum(enter, 0), leave, 0.0)


def point_depths(capture: Capture) -> Float[np.ndarray, "n 2"]:
    """Compute the nearest and farthest depth of the sparse points in each frame; NaN where it shows too few.

    Raises:
        UsageError: Most points lie behind the cameras that saw them.
    """
    assert capture.points is not None
    depths = np.full((len(capture.frames), 2), np.nan)
    num_behind = 0
    num_seen = 0
    for place, frame in enumerate(capture.frames):
        seen_by = capture.points.seen_by
        positions = capture.points.positions if seen_by is None else capture.points.positions[seen_by[place]]
        found = _depths_in_view(frame, positions, is_seen=seen_by is not None)
        num_behind += int((found <= 0).sum()) if seen_by is not None else 0
        num_seen += len(found)
        ahead = found[found > 0]
        if len(ahead) >= FEWEST_POINTS:
            depths[place] = np.quantile(ahead, QUANTILES)
    if 2 * num_behind > num_seen > 0:
        raise UsageError(
            f"{capture.folder}: expected cameras that look at the points that they saw, got {num_behind} of {num_seen} "
            "points behind them; cameras look along their -z axis with y up here (OpenGL), so export the poses again"
        )
    return depths


def _depths_in_view(frame: CapturedFrame, points: Float[np.ndarray, "k 3"], is_seen: bool) -> Float[np.ndarray, " j"]:
    """Return the depths of points that a frame shows; of all that are given, if it is known to show them."""
    in_camera = (points - frame.pose[:3, 3]) @ frame.pose[:3, :3]
    depth = -in_camera[:, 2]
    if is_seen:
        return depth
    camera = frame.camera
    ahead = depth > 1e-9
    safe = np.where(ahead, depth, 1.0)
    column = camera.center_x + camera.focal_x * in_camera[:, 0] / safe
    row = camera.center_y - camera.focal_y * in_camera[:, 1] / safe
    is_inside = (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    return depth[ahead & is_inside]


def _check_not_empty(capture: Capture, known: Float[np.ndarray, "m 2"], near: float, far: float) -> None:
    """Refuse a range in which no frame shows anything."""
    if len(known) and not ((known[:, 1] >= near) & (known[:, 0] <= far)).any():
        raise UsageError(
            f"{capture.folder}: expected something between near={near:.4g} and far={far:.4g}, got cameras that look at "
            f"depths from {known[:, 0].min():.4g} to {known[:, 1].max():.4g} in the unit of their poses; set task.near "
            "and task.far around these, or leave both out"
        )


def _no_range(capture: Capture, meeting: MeetingPoint) -> str:
    start = f"{capture.folder}: expected sparse points, or cameras whose axes meet, to tell near and far, got "
    if not meeting.is_known:
        return start + "cameras that all look in one direction; set task.near and task.far in the unit of their poses"
    return start + (
        "cameras that look away from each other, with axes that meet behind them; cameras look along their -z axis "
        "with y up here (OpenGL): export the poses again, or set task.near and task.far if the photos look outward"
    )
