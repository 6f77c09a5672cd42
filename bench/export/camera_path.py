"""Lays the path of a video's camera: round an object, or along the cameras that a scene was captured with.

A turntable about a captured scene shows mostly what no photograph saw. There the video follows the training cameras.

k: cameras, n: frames, m: points along a path.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from bench.export.capture_geometry import CaptureGeometry
from tasks.cameras import BLENDER_FOV_DEG, Intrinsics, intrinsics_from_fov, look_at

RADIUS = 4.0
"""Distance of the turntable's camera from the origin, the same as that of all test cameras."""

JUMP = 6.0
"""A step between neighbouring cameras that is so many times their median is no part of a path."""

MOST_DETOUR = 2.0
"""Length of the photographs' own order, in lengths of a short tour, beyond which the order is no path."""

MOST_KEYS = 240
"""Cameras that a path goes by; of more, every nth."""

SMOOTHING = 0.02
"""Width of the Gaussian that smooths a path, as a share of its length; at least a third of the cameras' spacing."""

DENSE = 16
"""Points along a path for each frame."""

ELLIPSE_QUANTILE = 90
"""Per cent of the cameras that stand within the half axes of a forward-facing scene's ellipse, as in LLFF."""

FOCUS_WEIGHT = 0.75
"""Weight of far against near in the inverse depth that the ellipse's cameras turn to, as in LLFF."""


class CameraPath(NamedTuple):
    """A closed path of a camera, and the size of its frames.

    Attributes:
        poses: A camera for each frame, in the field's world.
        intrinsics: In pixels of a frame; the same for all.
        height: Pixels down of a frame.
        width: Pixels across.
        told: What the path is, for people.
    """

    poses: Float[np.ndarray, "n 4 4"]
    intrinsics: Intrinsics
    height: int
    width: int
    told: str


def lay_turntable(num_frames: int, image_px: int, elevation_deg: float) -> CameraPath:
    """Lay a circle about the origin, which begins on the +x axis."""
    azimuth_deg = np.arange(num_frames) * 360 / num_frames
    poses = look_at(azimuth_deg, np.full(num_frames, elevation_deg), np.full(num_frames, RADIUS))
    told = f"once round the centre at an elevation of {elevation_deg:g} degrees"
    return CameraPath(poses, intrinsics_from_fov(BLENDER_FOV_DEG, image_px, image_px), image_px, image_px, told)


def lay_capture_path(geometry: CaptureGeometry, num_frames: int, image_px: int) -> CameraPath:
    """Lay a path where the training cameras of a captured scene stood and looked.

    Args:
        geometry: The scene's cameras.
        num_frames: Frames of the path.
        image_px: Pixels along the longer side of a frame.
    """
    longer = max(geometry.width, geometry.height)
    width, height = (max(2, 2 * round(image_px * side / longer / 2)) for side in (geometry.width, geometry.height))
    across = width / geometry.width
    down = height / geometry.height
    lens = geometry.intrinsics
    numbers = (lens.focal_x * across, lens.focal_y * down, lens.center_x * across, lens.center_y * down)
    inner = Intrinsics(*(np.float32(x) for x in numbers))  # type: ignore[arg-type]
    if geometry.world == "forward-facing":
        poses = forward_ellipse(geometry.poses, geometry.near, geometry.far, num_frames)
        told = f"an ellipse about the mean of the {len(geometry.poses)} training cameras"
        return CameraPath(poses, inner, height, width, told)
    poses, told = follow_cameras(geometry.poses, num_frames)
    return CameraPath(poses, inner, height, width, told)


def forward_ellipse(
    poses: Float[np.ndarray, "k 4 4"], near: float, far: float, num_frames: int
) -> Float[np.ndarray, "n 4 4"]:
    """Lay an ellipse about the mean of cameras that look one way; all frames look at one point before it."""
    poses = np.asarray(poses, np.float64)
    mean = assemble_poses(poses[:, :3, 3].mean(0), -poses[:, :3, 2].mean(0), poses[:, :3, 1].mean(0))
    offsets = (poses[:, :3, 3] - mean[:3, 3]) @ mean[:3, :3]
    half = np.percentile(np.abs(offsets), ELLIPSE_QUANTILE, axis=0)
    focus = mean[:3, 3] - mean[:3, 2] / ((1 - FOCUS_WEIGHT) / near + FOCUS_WEIGHT / far)
    angle = 2 * np.pi * np.arange(num_frames) / num_frames
    around = np.stack([half[0] * np.cos(angle), half[1] * np.sin(angle), np.zeros(num_frames)], axis=-1)
    positions = mean[:3, 3] + around @ mean[:3, :3].T
    return assemble_poses(positions, focus - positions, np.broadcast_to(mean[:3, 1], positions.shape)).astype(
        np.float32
    )


def follow_cameras(poses: Float[np.ndarray, "k 4 4"], num_frames: int) -> tuple[Float[np.ndarray, "n 4 4"], str]:
    """Lay a smooth closed path through cameras, at an even speed; return it and what it is.

    Cameras come in their own order if that is a path, else in that of a short tour. The path is the longest run
    without a jump: round and round where its ends meet, else there and back.
    """
    poses = np.asarray(poses, np.float64)
    poses = poses[:: -(-len(poses) // MOST_KEYS)]
    places = place_cameras(poses)
    order, is_own = order_cameras(places)
    steps = np.linalg.norm(places[np.roll(order, -1)] - places[order], axis=1)
    jumps = np.flatnonzero(steps > JUMP * max(float(np.median(steps)), 1e-3))
    if len(jumps):
        ends = np.append(jumps, jumps[0] + len(order))
        longest = int(np.argmax(np.diff(ends)))
        run = order[np.arange(ends[longest] + 1, ends[longest + 1] + 1) % len(order)]
        keys = np.concatenate([run, run[-2:0:-1]])
    else:
        run = order
        keys = order
    way = "there and back" if len(jumps) else "round"
    which = "in the order of the photos" if is_own else "from one to the next"
    told = f"{way} along {len(run)} of the {len(poses)} training cameras, {which}"
    return smooth_loop(poses[keys], places[keys], num_frames), told


def place_cameras(poses: Float[np.ndarray, "k 4 4"]) -> Float[np.ndarray, "k 6"]:
    """Describe cameras by where they stand, in units of their spread, and the direction that they look in."""
    from_mean = poses[:, :3, 3] - poses[:, :3, 3].mean(axis=0)
    spread = max(float(np.sqrt((from_mean**2).sum(axis=1).mean())), 1e-9)
    return np.concatenate([from_mean / spread, -poses[:, :3, 2]], axis=1)


def order_cameras(places: Float[np.ndarray, "k 6"]) -> tuple[Int[np.ndarray, " k"], bool]:
    """Return cameras in an order that makes a path, and whether it is their own."""
    own = np.arange(len(places))
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    tour = find_tour(distances)

    def length(order: Int[np.ndarray, " k"]) -> float:
        return float(distances[order, np.roll(order, -1)].sum())

    is_own = length(own) <= MOST_DETOUR * length(tour)
    return (own, True) if is_own else (tour, False)


def find_tour(distances: Float[np.ndarray, "k k"]) -> Int[np.ndarray, " k"]:
    """Find a short closed tour: always on to the nearest, then turning parts round while that shortens it."""
    left = set(range(1, len(distances)))
    tour = [0]
    while left:
        tour.append(min(left, key=lambda other: distances[tour[-1], other]))
        left.remove(tour[-1])
    order = np.asarray(tour)
    for _ in range(20):
        has_changed = False
        for i in range(len(order) - 2):
            ends = order[i + 2 :]
            after = np.append(order[i + 3 :], order[0])
            gain = distances[order[i], order[i + 1]] + distances[ends, after]
            gain = gain - distances[order[i], ends] - distances[order[i + 1], after]
            best = int(np.argmax(gain))
            if gain[best] > 1e-9:
                order[i + 1 : i + 3 + best] = order[i + 1 : i + 3 + best][::-1].copy()
                has_changed = True
        if not has_changed:
            break
    return order


def smooth_loop(
    poses: Float[np.ndarray, "k 4 4"], places: Float[np.ndarray, "k 6"], num_frames: int
) -> Float[np.ndarray, "n 4 4"]:
    """Go once through cameras and back to the first, smoothly and at an even speed."""
    numbers = np.concatenate([poses[:, :3, 3], -poses[:, :3, 2], poses[:, :3, 1]], axis=1)
    closed = np.concatenate([numbers, numbers[:1]])
    steps = np.linalg.norm(np.diff(np.concatenate([places, places[:1]]), axis=0), axis=1)
    way = np.concatenate([[0.0], np.cumsum(np.maximum(steps, 1e-9))])
    num_dense = DENSE * num_frames
    at = np.arange(num_dense) * way[-1] / num_dense
    dense = np.stack([np.interp(at, way, values) for values in closed.T], axis=1)
    width = max(SMOOTHING, 0.35 / len(poses))
    damping = np.exp(-0.5 * (2 * np.pi * width * np.arange(num_dense // 2 + 1)) ** 2)
    smooth = np.fft.irfft(np.fft.rfft(dense, axis=0) * damping[:, None], num_dense, axis=0)[::DENSE]
    return assemble_poses(smooth[:, :3], smooth[:, 3:6], smooth[:, 6:]).astype(np.float32)


def assemble_poses(
    positions: Float[np.ndarray, "*n 3"], forward: Float[np.ndarray, "*n 3"], up: Float[np.ndarray, "*n 3"]
) -> Float[np.ndarray, "*n 4 4"]:
    """Build poses, camera to world, from where cameras stand, where they look and what they have above."""
    backward = -forward / np.linalg.norm(forward, axis=-1, keepdims=True)
    right = np.cross(up, backward)
    right = right / np.linalg.norm(right, axis=-1, keepdims=True)
    poses = np.zeros((*positions.shape[:-1], 4, 4))
    poses[..., :3, :] = np.stack([right, np.cross(backward, right), backward, positions], axis=-1)
    poses[..., 3, 3] = 1
    return poses
