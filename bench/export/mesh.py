"""Turns a trained field into a coloured triangle mesh."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from bench.errors import UsageError
from bench.export.field import CALLS_AHEAD, TrainedField, points_at_once
from bench.export.mesh_grid import Grid, choose_grid, density_on_grid, halve_grid, query_points, scale_of
from bench.export.surface import SurfaceMesh, find_surface
from bench.export.writers import HERE, Writers
from bench.report.images import image_grid

if TYPE_CHECKING:
    from trimesh import Trimesh

RESOLUTION = 96
"""Points of a grid along its longest side."""

MOST_FACES = 100_000
"""Faces of a captured scene's mesh, unless a resolution was asked for: about 10 megabytes of OBJ."""

COLOR_CELLS = 10
"""Depth below a mesh's surface from which its colours are taken, in cells of the grid."""

FIELD_UNIT = "the scene's own unit"
POSES_UNIT = "the poses' unit"


class MeshResult(NamedTuple):
    """Mesh of a field, or the reason that there is none.

    Attributes:
        surface: Mesh with colours at its vertices; None if the field has no surface.
        reason: Why there is no mesh; None if there is one.
        level: Density at the surface; None if there is no surface.
        share_inside: Share of the cube that is denser than `level`: near 1 for a field that fills everything.
        box: Lowest and highest corner of what was meshed, in `unit`.
        unit: Of the box, and of the mesh.
        cell: Distance of the grid's points, likewise.
        is_cropped: Whether a box was given or chosen; the whole cube that all cameras see otherwise.
    """

    surface: SurfaceMesh | None
    reason: str | None
    level: float | None
    share_inside: float
    box: tuple[tuple[float, ...], ...] = ()
    unit: str = FIELD_UNIT
    cell: float = 0.0
    is_cropped: bool = False

    @property
    def mesh(self) -> Trimesh | None:
        """Give the mesh as trimesh's, made anew."""
        return None if self.surface is None else self.surface.to_trimesh()

    @property
    def is_watertight(self) -> bool:
        """Whether each edge belongs to two faces."""
        return self.surface is not None and self.surface.is_watertight

    @property
    def num_dropped(self) -> int:
        """Count the small separate parts that were left out."""
        return 0 if self.surface is None else self.surface.num_dropped

    def told(self) -> str:
        """Describe the mesh in one sentence."""
        if self.surface is None:
            return f"no mesh: {self.reason}"
        parts = "part" if self.num_dropped == 1 else "parts"
        dropped = f", {self.num_dropped} small floating {parts} dropped" if self.num_dropped else ""
        closed = "watertight" if self.is_watertight else "not watertight"
        return (
            f"mesh of {len(self.surface.faces)} faces, {closed}, surface at a density of {self.level:.3g}{dropped}; "
            f"{self.told_box()}"
        )

    def told_box(self) -> str:
        """Describe the box, its unit and how to choose another."""
        low, high = (", ".join(f"{x:.3g}" for x in corner) for corner in self.box)
        other = "; --box x0,y0,z0,x1,y1,z1 crops it otherwise" if self.is_cropped else ""
        return f"box from ({low}) to ({high}) in {self.unit}, cells of {self.cell:.2g}{other}"

    def to_json(self) -> dict[str, Any]:
        """Return every value except the mesh itself, for JSON."""
        told = {name: value for name, value in self._asdict().items() if name != "surface"}
        told |= {"is_watertight": self.is_watertight, "num_dropped": self.num_dropped}
        if self.surface is not None:
            told |= {"num_vertices": len(self.surface.vertices), "num_faces": len(self.surface.faces)}
        return told


def mesh(
    field: TrainedField,
    *,
    resolution: int | None = None,
    half_width: float | None = None,
    level: float | None = None,
    box: Sequence[float] | None = None,
    writers: Writers = HERE,
) -> MeshResult:
    """Extract the surface of a field by marching cubes, with colours at its vertices.

    Vertices are interpolated between grid points by opacity, 1 - exp(-density * cell), not by density. The surface is
    the same, but a density of thousands next to a density of zero does not pull it to the outer grid point.

    Args:
        field: Field to mesh.
        resolution: Points of the grid along the longest side; None for `RESOLUTION`, and for half as many while a
            captured scene without an end has more than `MOST_FACES` faces: much of it is fog.
        half_width: Half width of the cube about the origin; None for all of the volume that cameras see.
        level: Density at the surface; None for `surface_level`.
        box: x0, y0, z0, x1, y1, z1 in the unit of the poses; None chooses it, see `choose_grid`.
        writers: What finds the surface.

    Raises:
        UsageError: The grid does not fit into memory.
    """
    grid = choose_grid(field, RESOLUTION if resolution is None else resolution, half_width, box)
    most = MOST_FACES if resolution is None and field.follows_capture else math.inf
    try:
        density = np.nan_to_num(np.maximum(density_on_grid(field, grid), 0), nan=0.0, posinf=1e30)
        found = _mesh_on_grid(field, grid, density, level, writers)
        while found.surface is not None and len(found.surface.faces) > most:
            grid, density = halve_grid(grid, density)
            found = _mesh_on_grid(field, grid, density, level, writers)
        return found
    except MemoryError as error:
        raise UsageError(
            f"--resolution: expected a grid that fits into memory, got {' x '.join(map(str, grid.shape))} points; "
            "lower it"
        ) from error


def _mesh_on_grid(
    field: TrainedField, grid: Grid, density: Float[np.ndarray, "gx gy gz"], level: float | None, writers: Writers
) -> MeshResult:
    """Extract the surface from a grid, and colour it."""
    found = writers.call(find_surface, density, grid.low, grid.cell, scale_of(field), level)
    box = tuple(tuple(float(x) for x in corner) for corner in (grid.low, grid.high))
    unit = FIELD_UNIT if field.capture is None else POSES_UNIT
    about: dict[str, Any] = {"box": box, "unit": unit, "cell": grid.cell, "is_cropped": grid.is_cropped}
    if found.surface is None:
        reason = (
            f"expected a density above {found.level:.3g} somewhere, got {found.highest:.3g} at most; give a lower level"
        )
        if found.level == math.inf:
            reason = (
                "expected a field that stops half of the light somewhere, got one that is empty or thin fog "
                f"(density {found.highest:.3g} at most); train longer, or give a level"
            )
        return MeshResult(None, reason, None, found.share_inside, **about)
    surface = found.surface._replace(colors=vertex_colors(field, found.surface, grid.cell))
    return MeshResult(surface, None, found.level, found.share_inside, **about)


def vertex_colors(field: TrainedField, surface: SurfaceMesh, cell: float) -> UInt8[np.ndarray, "v 3"]:
    """Compute the colours of a mesh's vertices, each seen along its normal from outside.

    The field's colour is composited over the first `COLOR_CELLS` cells below the surface. The colour exactly at the
    surface would be wrong: where a field is soft, no camera sees that colour, so training did not fit it.
    """
    num_at_once = max(1, CALLS_AHEAD * points_at_once() // (COLOR_CELLS + 1))  # of a fine mesh, not all at once
    starts = surface.vertices
    inward = -surface.normals
    shown = []
    for first in range(0, len(starts), num_at_once):
        some = slice(first, first + num_at_once)
        shown.append(look_inward(field, starts[some], inward[some], cell))
    return image_grid.quantize_colors(np.concatenate(shown)[None])[0]


def look_inward(
    field: TrainedField, starts: Float[np.ndarray, "v 3"], inward: Float[np.ndarray, "v 3"], cell: float
) -> Float[np.ndarray, "v 3"]:
    """Composite a field's colour over the first `COLOR_CELLS` cells from points on its surface.

    Args:
        field: Field that is asked; all points at once, so that a device is waited for once.
        starts: Points on the surface.
        inward: Directions, of length 1.
        cell: Length of a step.
    """
    depths = [0.0, *((i + 0.5) * cell for i in range(COLOR_CELLS))]
    asked = query_points(field, np.concatenate([starts + depth * inward for depth in depths]))
    densities, colors = (np.split(found, len(depths)) for found in asked)
    transmittance = np.ones(len(starts), np.float32)
    seen = np.zeros((len(starts), 3), np.float32)
    for density, color in zip(densities[1:], colors[1:], strict=True):
        after = transmittance * np.exp(-cell * scale_of(field) * np.maximum(density, 0))
        seen += (transmittance - after)[:, None] * color
        transmittance = after
    opacity = (1 - transmittance)[:, None]
    return np.where(opacity > 1e-3, seen / np.maximum(opacity, 1e-3), colors[0])
