"""Holds the cameras that a captured scene was seen from, and what its photographs show in common.

A field's world is that of `tasks.cameras`: turned, centred and scaled. Boxes and meshes are in the unit of the poses
that the user gave.

k: cameras, p: points.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from tasks.cameras import Intrinsics
from tasks.sparse_views.captured.captured_scene import CapturedScene
from tasks.task import Task, World

MOST_CAMERAS = 64
"""Cameras that are asked whether they see a point; of more, every nth."""

MOST_POINTS = 20000
"""Sparse points that are asked for a box; of more, every nth."""

COMMON_SHARE = 2 / 3
"""What so many of the cameras see, of those that see the most looked-at place, is seen in common."""

FEWEST_CAMERAS = 2
"""Cameras that must see a place: depth is unknown where fewer do."""

EDGE = 0.02
"""Share of the points that are seen in common that may lie outside of their box, at each end."""

GRID = 40
"""Points a side at which the cameras are asked."""


class CaptureGeometry(NamedTuple):
    """The cameras of a captured scene in a field's world, and the way back to the poses' own.

    Attributes:
        world: What lies around the scene.
        poses: Of all training cameras, in the order of their ids, in the field's world.
        intrinsics: The median of the training cameras, a pinhole, in pixels of `width` and `height`.
        width: Pixels across of a photograph.
        height: Pixels down.
        near: First depth of interest, in the field's unit.
        far: Last depth of interest.
        rotation: Turns the file's axes to the field's.
        center: The point of the file's world that is the field's origin.
        scale: Factor from the poses' unit to the field's.
        points: Sparse points in the file's world; none if there are none.
    """

    world: World
    poses: Float[np.ndarray, "k 4 4"]
    intrinsics: Intrinsics
    width: int
    height: int
    near: float
    far: float
    rotation: Float[np.ndarray, "3 3"]
    center: Float[np.ndarray, " 3"]
    scale: float
    points: Float[np.ndarray, "p 3"]

    def to_field(self, points: Float[np.ndarray, "p 3"]) -> Float[np.ndarray, "p 3"]:
        """Bring points of the poses' world to the field's."""
        return ((points - self.center) @ self.rotation.T * self.scale).astype(np.float32)

    def from_field(self, points: Float[np.ndarray, "p 3"]) -> Float[np.ndarray, "p 3"]:
        """Bring points of the field's world to the poses'."""
        return np.asarray(points, np.float64) / self.scale @ self.rotation + self.center


def read_geometry(task: Task, scene: Any) -> CaptureGeometry | None:
    """Read a captured scene's cameras; None for a scene that is in its own unit, with a turntable about it."""
    if not isinstance(task, CapturedScene):
        return None
    placement = task.placement()
    height, width = scene.train.colors.shape[1:3]
    known = task.capture().points
    points = np.zeros((0, 3)) if known is None else known.positions[:: max(1, len(known.positions) // MOST_POINTS)]
    lens = scene.train.intrinsics
    numbers = (lens.focal_x, lens.focal_y, lens.center_x, lens.center_y)
    return CaptureGeometry(
        world=placement.world,
        poses=np.asarray(scene.all_train_poses),
        intrinsics=Intrinsics(*(np.float32(np.median(x)) for x in numbers)),  # type: ignore[arg-type]
        width=width,
        height=height,
        near=float(scene.near),
        far=float(scene.far),
        rotation=placement.rotation,
        center=placement.center,
        scale=placement.scale,
        points=points,
    )


def count_cameras(geometry: CaptureGeometry, points: Float[np.ndarray, "p 3"]) -> Int[np.ndarray, " p"]:
    """Count the cameras that have a point of the field's world in their picture, from near to far before them."""
    lens = geometry.intrinsics
    counts = np.zeros(len(points), int)
    for pose in geometry.poses[:: -(-len(geometry.poses) // MOST_CAMERAS)]:
        x, y, z = ((points - pose[:3, 3]) @ pose[:3, :3]).T
        depth = np.maximum(-z, 1e-9)
        column = lens.focal_x * x / depth + lens.center_x
        row = -lens.focal_y * y / depth + lens.center_y
        is_inside = (column >= 0) & (column <= geometry.width) & (row >= 0) & (row <= geometry.height)
        counts += is_inside & (-z >= geometry.near) & (-z <= geometry.far)
    return counts


def common_box(geometry: CaptureGeometry) -> Float[np.ndarray, "2 3"]:
    """Find the box, in the poses' world, of what most training cameras see; sparse points narrow it.

    Of an unbounded scene only the ball half way from its centre to the cameras is asked: what stands about them is
    the way, and outside of them space is contracted.
    """
    candidates = _candidates(geometry)
    counts = count_cameras(geometry, geometry.to_field(candidates))
    common = candidates[counts >= max(1.0, COMMON_SHARE * counts.max())] if counts.max() else candidates
    low, high = np.quantile(common, (EDGE, 1 - EDGE), axis=0)
    is_within = np.all((geometry.points >= low) & (geometry.points <= high), axis=1)
    if is_within.sum() >= 100:
        ends = np.quantile(geometry.points[is_within], (0.01, 0.99), axis=0)
        margin = 0.1 * np.ptp(ends, axis=0)
        low = np.maximum(low, ends[0] - margin)
        high = np.minimum(high, ends[1] + margin)
    return np.stack([low, high])


def _candidates(geometry: CaptureGeometry) -> Float[np.ndarray, "p 3"]:
    """Spread points, in the poses' world, over all that the box may hold."""
    side = np.linspace(0, 1, GRID)
    grid = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
    if geometry.world != "forward-facing":
        points = 2 * grid - 1
        points = points[np.linalg.norm(points, axis=1) <= 1]
        radius = float(np.median(np.linalg.norm(geometry.poses[:, :3, 3], axis=1))) / 2
        return geometry.center + radius * points / geometry.scale
    # The frustum of the mean camera, which looks along -z from the origin.
    lens = geometry.intrinsics
    depth = geometry.near + grid[:, 2] * (geometry.far - geometry.near)
    x = (grid[:, 0] * geometry.width - lens.center_x) / lens.focal_x * depth
    y = -(grid[:, 1] * geometry.height - lens.center_y) / lens.focal_y * depth
    return geometry.from_field(np.stack([x, y, -depth], axis=-1))
