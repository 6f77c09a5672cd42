"""Finds where cameras look, and which way is up, from their poses alone.

The axis of a camera is the line through the middle of its view. Cameras around a thing have axes that meet near it.

n: cameras.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

NUM_REWEIGHTINGS = 20

LEAST_SPREAD = 2e-3
"""Of axes that meet: the mean squared sine of their angle from the direction in which they differ least. It is that of
cameras that turn by about five degrees; with less, the place where they meet is not known along the axes."""

CLEARLY_UP = 0.2
"""Share of the turns about the axis up in all turns of the cameras, below which right-hand axes do not tell."""


class MeetingPoint(NamedTuple):
    """The place that cameras look at.

    Attributes:
        position: The point that is nearest to all axes.
        depths: Of that point for each camera, along its axis; below 0 where it lies behind.
        misses: Its distance from each axis.
        is_known: Whether the axes differ enough in direction for it to be known.
    """

    position: Float[np.ndarray, " 3"]
    depths: Float[np.ndarray, " n"]
    misses: Float[np.ndarray, " n"]
    is_known: bool


def view_axes(poses: Float[np.ndarray, "n 4 4"]) -> Float[np.ndarray, "n 3"]:
    """Return the directions in which cameras look."""
    return -np.asarray(poses, np.float64)[:, :3, 2]


def find_meeting_point(poses: Float[np.ndarray, "n 4 4"]) -> MeetingPoint:
    """Find the point nearest to all axes; a camera that looks elsewhere counts little.

    The first guess is the least-squares solution. Weights then fall with the distance of an axis, as for the sum of
    distances, so that a few cameras that look away do not pull it to them.
    """
    positions = np.asarray(poses, np.float64)[:, :3, 3]
    axes = view_axes(poses)
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]  # removes the part along the axis
    # A distance of nothing would get all weight.
    smallest = 1e-3 * max(np.linalg.norm(positions - positions.mean(axis=0), axis=1).max(), 1e-9)
    weights = np.ones(len(positions))
    point = positions.mean(axis=0)
    for _ in range(NUM_REWEIGHTINGS):
        weighted = weights[:, None, None] * across
        # The small term keeps the point near the cameras along directions in which parallel axes leave it open.
        matrix = weighted.sum(axis=0) + 1e-9 * weights.sum() * np.eye(3)
        target = (weighted @ positions[:, :, None])[..., 0].sum(axis=0) + 1e-9 * weights.sum() * positions.mean(axis=0)
        point = np.linalg.solve(matrix, target)
        misses = np.linalg.norm((across @ (point - positions)[:, :, None])[..., 0], axis=1)
        weights = 1 / np.maximum(misses, smallest)
    spread = np.linalg.eigvalsh(across.mean(axis=0))[0]
    depths = np.einsum("nk,nk->n", point - positions, axes)
    return MeetingPoint(point, depths, misses, bool(len(positions) > 1 and spread > LEAST_SPREAD))


def angles_from_mean_axis_deg(poses: Float[np.ndarray, "n 4 4"]) -> Float[np.ndarray, " n"]:
    """Compute the angle between each camera's axis and the mean of all, in degrees."""
    axes = view_axes(poses)
    mean = axes.mean(axis=0)
    length = np.linalg.norm(mean)
    if length < 1e-6:
        return np.full(len(axes), 180.0)
    return np.degrees(np.arccos(np.clip(axes @ (mean / length), -1, 1)))


class UpAxis(NamedTuple):
    """The direction that is up in the world of some cameras.

    Attributes:
        direction: Of length 1.
        source: How it was found, for people.
        is_rolled: Whether the cameras lie on their sides: photographs of a phone held upright, say.
    """

    direction: Float[np.ndarray, " 3"]
    source: str
    is_rolled: bool


NAMED_AXES: dict[str, tuple[float, float, float]] = {"+z": (0, 0, 1), "+y": (0, 1, 0), "-y": (0, -1, 0)}
"""Axes that programs write as up, in order of their frequency."""

NEAR_AN_AXIS_DEG = 10.0
"""Angle up to which the estimate takes one of these axes in place of its own direction."""


def find_up_axis(poses: Float[np.ndarray, "n 4 4"]) -> UpAxis:
    """Find what is up: people hold cameras level, so that the right-hand axes of all photographs are horizontal.

    The direction in which right-hand axes reach least is up. Where they do not tell, because all cameras stand side by
    side, it is the mean of the cameras' own up. One of the axes that programs write as up is preferred if it is near.
    """
    poses = np.asarray(poses, np.float64)
    across = poses[:, :3, 0]
    along = poses[:, :3, 1]
    is_rolled = np.linalg.norm(across.mean(axis=0)) > 0.8 > 1.2 * np.linalg.norm(along.mean(axis=0))
    rights = along if is_rolled else across
    ups = across if is_rolled else along
    mean = ups.mean(axis=0)
    # The world's up may be held upside down by one photographer, but not by most.
    values, vectors = np.linalg.eigh(np.einsum("ni,nj->ij", rights, rights) / len(rights))
    direction = vectors[:, 0] * (1 if vectors[:, 0] @ mean >= 0 else -1)
    source = "the direction in which no camera's right-hand side reaches"
    if values[1] < CLEARLY_UP * values.sum() or abs(direction @ mean) < 0.1:
        direction = mean
        source = "the mean of the cameras' own up"
    length = np.linalg.norm(direction)
    if length < 1e-6:
        return UpAxis(np.array([0.0, 0.0, 1.0]), "+z, because the cameras' own up has no mean", False)
    direction = direction / length
    for name, axis in NAMED_AXES.items():
        if np.degrees(np.arccos(np.clip(direction @ np.array(axis), -1, 1))) < NEAR_AN_AXIS_DEG:
            return UpAxis(np.array(axis, np.float64), f"{name} of the file, as the cameras are held", bool(is_rolled))
    return UpAxis(direction, source, bool(is_rolled))
