"""Decides where a field is asked for its mesh, and asks it there: in the axes and the unit of the user's poses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bench.export.capture_geometry import FEWEST_CAMERAS, common_box, count_cameras
from bench.export.field import CALLS_AHEAD, TrainedField, at_points, points_at_once

MIN_SIDE = 4
"""Points along the shortest side of a grid."""


class Grid(NamedTuple):
    """Points at equal distances in a box, in the axes and the unit of the user's poses.

    Attributes:
        low: Lowest corner.
        cell: Distance of neighbouring points.
        shape: Points along x, y and z.
        is_cropped: Whether the box was given or chosen, instead of the cube that all cameras see.
    """

    low: Float[np.ndarray, " 3"]
    cell: float
    shape: tuple[int, int, int]
    is_cropped: bool = False

    @property
    def high(self) -> Float[np.ndarray, " 3"]:
        """Compute the highest corner."""
        return self.low + self.cell * (np.asarray(self.shape) - 1)


def choose_grid(
    field: TrainedField, resolution: int, half_width: float | None = None, box: Sequence[float] | None = None
) -> Grid:
    """Choose the points at which a field is asked.

    They fill the box that is given; else, of a captured scene without an end, what most training cameras see; else
    the largest cube that all cameras see.
    """
    if box is None and field.capture is not None and field.follows_capture and half_width is None:
        low, high = common_box(field.capture)
    elif box is None:
        center = np.zeros(3) if field.capture is None else field.capture.center
        half_width = field.half_width if half_width is None else half_width
        half = half_width / (1.0 if field.capture is None else field.capture.scale)
        return Grid(center - half, 2 * half / (resolution - 1), (resolution,) * 3)
    else:
        low, high = np.asarray(box, np.float64).reshape(2, 3)
    cell = float((high - low).max() / (resolution - 1))
    across, deep, up = (max(MIN_SIDE, round(float(x)) + 1) for x in (high - low) / cell)
    return Grid(low, cell, (across, deep, up), is_cropped=True)


def scale_of(field: TrainedField) -> float:
    """Return the factor from the poses' unit to the field's."""
    return 1.0 if field.capture is None else field.capture.scale


def query_points(
    field: TrainedField, points: Float[np.ndarray, "v 3"]
) -> tuple[Float[np.ndarray, " v"], Float[np.ndarray, "v 3"]]:
    """Evaluate density and colour at points of the poses' world."""
    return at_points(field, points.astype(np.float32) if field.capture is None else field.capture.to_field(points))


def density_on_grid(field: TrainedField, grid: Grid) -> Float[np.ndarray, "gx gy gz"]:
    """Evaluate density at the points of a grid; axes x, y, z.

    It is 0 where fewer than two cameras of a captured scene without an end see: training says nothing of it.
    """
    num_points = math.prod(grid.shape)
    num_at_once = CALLS_AHEAD * points_at_once()
    found = np.empty(num_points, np.float32)
    for start in range(0, num_points, num_at_once):  # all points of a fine grid would take gigabytes
        index = np.arange(start, min(start + num_at_once, num_points))
        points = grid.low + grid.cell * np.stack(np.unravel_index(index, grid.shape), axis=-1)
        density = query_points(field, points)[0]
        if field.capture is not None and field.follows_capture:
            density = density * (count_cameras(field.capture, field.capture.to_field(points)) >= FEWEST_CAMERAS)
        found[index] = density
    return found.reshape(grid.shape)


def halve_grid(grid: Grid, density: Float[np.ndarray, "gx gy gz"]) -> tuple[Grid, Float[np.ndarray, "hx hy hz"]]:
    """Average density over blocks of two points a side; the last point of an odd number is left out."""
    across, deep, up = (max(1, num // 2) for num in density.shape)
    blocks = density[: 2 * across, : 2 * deep, : 2 * up].reshape(across, 2, deep, 2, up, 2)
    halved = blocks.mean(axis=(1, 3, 5), dtype=np.float64).astype(np.float32)
    low = grid.low + 0.5 * grid.cell
    return grid._replace(low=low, cell=2 * grid.cell, shape=(across, deep, up)), halved
