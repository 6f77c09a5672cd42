"""Decides where a captured scene lies in the world of `tasks.cameras`: what is up, its centre, its scale, near and far.

A file's world has any unit and any axis up. Here, by what lies around the scene:

- bounded: the centre is where the cameras look, they stand about 4 from it, as in NeRF Realistic Synthetic; z is up.
- unbounded: the same centre, and all cameras stand in the unit ball, as mip-NeRF 360 has it for its contraction.
- forward-facing: the centre is the cameras' mean position, they look along -z with y up, and `near` is 1, as for NDC.

n: frames, k: points.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bench.errors import UsageError
from tasks.sparse_views.camera_geometry import (
    MeetingPoint,
    angles_from_mean_axis_deg,
    find_meeting_point,
    find_up_axis,
    view_axes,
)
from tasks.sparse_views.captured.capture import Capture
from tasks.sparse_views.captured.scene_range import DepthRange, estimate_range
from tasks.task import World

BOUNDED_RADIUS = 4.0
"""Distance of the cameras from the centre of a bounded scene."""

FORWARD_DEG = 30.0
"""Angle from the mean axis that nine tenths of the cameras of a forward-facing scene keep to."""


class ScenePlacement(NamedTuple):
    """The map from a file's world to the world of `tasks.cameras`, and what was found on the way.

    Attributes:
        rotation: Turns the file's axes.
        center: The point of the file's world that becomes the origin.
        scale: Factor of lengths.
        near: First `t` of interest, in the new unit.
        far: Last `t` of interest.
        world: What lies around the scene.
        reasons: Where each of these comes from, for people: "up", "centre", "world", "near and far".
        depths: Nearest and farthest depth of what each frame shows, in the file's unit; NaN where nothing is known.
    """

    rotation: Float[np.ndarray, "3 3"]
    center: Float[np.ndarray, " 3"]
    scale: float
    near: float
    far: float
    world: World
    reasons: dict[str, str]
    depths: Float[np.ndarray, "n 2"]


def place_points(placement: ScenePlacement, points: Float[np.ndarray, "*k 3"]) -> Float[np.ndarray, "*k 3"]:
    """Bring points of the file's world to ours."""
    return (points - placement.center) @ placement.rotation.T * placement.scale


def place_poses(placement: ScenePlacement, poses: Float[np.ndarray, "n 4 4"]) -> Float[np.ndarray, "n 4 4"]:
    """Bring poses of the file's world to ours, as float32."""
    placed = np.array(poses, np.float64)
    placed[:, :3, :3] = placement.rotation @ placed[:, :3, :3]
    placed[:, :3, 3] = place_points(placement, placed[:, :3, 3])
    return placed.astype(np.float32)


def estimate_placement(
    capture: Capture,
    *,
    world: World | None = None,
    center: tuple[float, float, float] | None = None,
    scale: float | None = None,
    near: float | None = None,
    far: float | None = None,
) -> ScenePlacement:
    """Place a scene; what is given is taken, and the rest is estimated.

    Args:
        capture: The scene.
        world: What lies around it.
        center: The point that becomes the origin, in the file's world.
        scale: Factor of lengths.
        near: First depth of interest, in the file's unit.
        far: Last depth of interest.

    Raises:
        UsageError: Near and far cannot be estimated, or nothing that the photographs show lies between them.
    """
    poses = np.stack([frame.pose for frame in capture.frames])
    if np.ptp(poses[:, :3, 3], axis=0).max() < 1e-9:
        raise UsageError(
            f"{capture.folder}: expected several positions, got one for all cameras; photos from one place show no "
            "depth, so take them from several"
        )
    meeting = find_meeting_point(poses)
    chosen, why_world = (world, "as given") if world is not None else _world(capture, poses)
    found = estimate_range(capture, poses, meeting, chosen, near, far)
    origin, why_center = _center(capture, poses, meeting, chosen)
    if center is not None:
        origin = np.asarray(center, np.float64)
        why_center = "as given"
    rotation, why_up = _rotation(poses, chosen)
    factor = scale if scale is not None else _scale(poses, origin, chosen, found)
    return ScenePlacement(
        rotation=rotation,
        center=origin,
        scale=float(factor),
        near=float(found.near * factor),
        far=float(found.far * factor),
        world=chosen,
        reasons={"world": why_world, "up": why_up, "centre": why_center, "near and far": found.source},
        depths=found.depths,
    )


def _world(capture: Capture, poses: Float[np.ndarray, "n 4 4"]) -> tuple[World, str]:
    num_with_alpha = sum(frame.has_alpha for frame in capture.frames)
    if 2 * num_with_alpha > len(capture.frames):
        return "bounded", "the photos have alpha"
    if capture.world is not None:
        return capture.world, "the file says so (aabb_scale)"
    widest = float(np.quantile(angles_from_mean_axis_deg(poses), 0.9))
    if widest < FORWARD_DEG:
        return "forward-facing", f"nine tenths of the cameras look within {widest:.0f} degrees of one direction"
    return "unbounded", "the photos have no alpha, and the cameras look from around"


def _center(
    capture: Capture, poses: Float[np.ndarray, "n 4 4"], meeting: MeetingPoint, world: World
) -> tuple[Float[np.ndarray, " 3"], str]:
    positions = poses[:, :3, 3]
    if world == "forward-facing":
        return positions.mean(axis=0), "the mean of the cameras' positions"
    if meeting.is_known and np.median(meeting.depths) > 0:
        return meeting.position, "where the cameras' axes meet"
    if capture.points is not None:
        return np.median(capture.points.positions, axis=0), "the median of the sparse points"
    return positions.mean(axis=0), "the mean of the cameras' positions, as their axes do not meet before them"


def _rotation(poses: Float[np.ndarray, "n 4 4"], world: World) -> tuple[Float[np.ndarray, "3 3"], str]:
    """Return the rotation whose rows are our axes in the file's world."""
    up, source, is_rolled = find_up_axis(poses)
    if is_rolled:
        source += "; the cameras lie on their sides"
    if world == "forward-facing":
        backward = -view_axes(poses).mean(axis=0)
        backward /= np.linalg.norm(backward)
        right = np.cross(poses[:, :3, 1].mean(axis=0), backward)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(backward, right), backward]), "the mean of the cameras' own up"
    if np.allclose(up, [0, 0, 1]):
        return np.eye(3), source
    # The first axis is the file's x as far as it is level, so that the scene is turned as little as need be.
    start = np.array([1.0, 0, 0]) if abs(up[0]) < 0.9 else np.array([0.0, 1, 0])
    across = start - up * (up @ start)
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(up, across), up]), source


def _scale(
    poses: Float[np.ndarray, "n 4 4"], origin: Float[np.ndarray, " 3"], world: World, found: DepthRange
) -> float:
    if world == "forward-facing":
        return 1 / found.near
    distances = np.linalg.norm(poses[:, :3, 3] - origin, axis=1)
    return BOUNDED_RADIUS / float(np.median(distances)) if world == "bounded" else 1 / float(distances.max())
