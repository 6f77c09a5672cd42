"""Turns a trained field into a coloured triangle mesh."""

from __future__ import annotations

import math
import pathlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from bench.export.field import TrainedField, at_points, points_at_once
from bench.report.images import image_grid
from tasks.data_dir.atomic_files import write_file

if TYPE_CHECKING:
    from trimesh import Trimesh

COLOR_CELLS = 10
"""How deep below a mesh's surface its colours come from, in cells of the grid."""


MIN_PART = 0.01
"""Share of a mesh's surface below which a part that floats by itself is dropped."""


class MeshResult(NamedTuple):
    """What became of a field as a mesh.

    Attributes:
        mesh: With colours at its vertices; None where there is no surface.
        reason: Why there is none; None if there is one.
        level: Density at its surface; None where there is none.
        share_inside: Share of the cube that is denser than that: near 1 for a field that fills everything.
        is_watertight: Whether each edge is of two faces.
        num_dropped: Small parts that floated by themselves and were left out.
    """

    mesh: Trimesh | None
    reason: str | None
    level: float | None
    share_inside: float
    is_watertight: bool = False
    num_dropped: int = 0

    def told(self) -> str:
        """The mesh in a sentence."""
        if self.mesh is None:
            return f"no mesh: {self.reason}"
        dropped = f", {self.num_dropped} small floating parts dropped" if self.num_dropped else ""
        closed = "watertight" if self.is_watertight else "not watertight"
        return f"mesh of {len(self.mesh.faces)} faces, {closed}, surface at a density of {self.level:.3g}{dropped}"

    def to_json(self) -> dict[str, Any]:
        """All but the mesh itself."""
        told = {name: value for name, value in self._asdict().items() if name != "mesh"}
        if self.mesh is not None:
            told |= {"num_vertices": len(self.mesh.vertices), "num_faces": len(self.mesh.faces)}
        return told


def mesh(
    field: TrainedField, *, resolution: int = 96, half_width: float | None = None, level: float | None = None
) -> MeshResult:
    """The surface of a field, by marching cubes, with colours at its vertices.

    Vertices are placed between the points of the grid by the share of light that a cell of each one's density stops,
    1 - exp(-density * cell), and not by density itself: the surface is the same, and a density of thousands beside
    none does not pull it to the outer point.

    Args:
        field: What is meshed.
        resolution: Points of the grid along a side.
        half_width: Of the cube about the origin; None for all of the volume that cameras see.
        level: Density at the surface; None for `surface_level`.
    """
    import skimage.measure
    import trimesh

    half_width = field.half_width if half_width is None else half_width
    cell = 2 * half_width / (resolution - 1)
    density = np.nan_to_num(np.maximum(density_on_grid(field, resolution, half_width), 0), nan=0.0, posinf=1e30)
    level = surface_level(density, cell) if level is None else level
    share_inside = float(np.mean(density > level))
    if share_inside == 0:
        reason = f"expected a density above {level:.3g} somewhere, got {density.max():.3g} at most; give a lower level"
        if level == math.inf:
            reason = (
                "expected a field that stops half of the light somewhere, got one that is empty or thin fog "
                f"(density {density.max():.3g} at most); train longer, or give a level"
            )
        return MeshResult(None, reason, None, share_inside)
    # Zeros all round, so that what reaches the border of the cube is closed there.
    stopped = np.pad(-np.expm1(-density * cell), 1)
    # "ascent", because its faces are left-handed: outsides shall be outside.
    at, faces, _, _ = skimage.measure.marching_cubes(stopped, -math.expm1(-level * cell), gradient_direction="ascent")
    made = trimesh.Trimesh((at - 1) * cell - half_width, faces, process=True)
    made.update_faces(np.all(made.faces != np.roll(made.faces, 1, axis=1), axis=1))
    num_dropped = drop_small_parts(made)
    made.visual = trimesh.visual.ColorVisuals(made, vertex_colors=vertex_colors(field, made, cell))
    return MeshResult(made, None, level, share_inside, bool(made.is_watertight), num_dropped)


def vertex_colors(field: TrainedField, made: Trimesh, cell: float) -> UInt8[np.ndarray, "v 3"]:
    """What one sees of a field who looks at a mesh's vertices straight from outside.

    That is the field's colour composited over the first `COLOR_CELLS` cells below the surface. The colour at the
    surface itself is seen by nobody where a field is soft, and training has left it as it happened to be.
    """
    start, inward = made.vertices.astype(np.float32), -made.vertex_normals.astype(np.float32)
    left = np.ones(len(start), np.float32)
    seen, unseen = np.zeros_like(start), at_points(field, start)[1]
    for i in range(COLOR_CELLS):
        density, color = at_points(field, start + np.float32((i + 0.5) * cell) * inward)
        after = left * np.exp(-cell * np.maximum(density, 0))
        seen += (left - after)[:, None] * color
        left = after
    stopped = (1 - left)[:, None]
    return image_grid.quantize_colors(np.where(stopped > 1e-3, seen / np.maximum(stopped, 1e-3), unseen)[None])[0]


def surface_level(density: Float[np.ndarray, "g g g"], cell: float) -> float:
    """The density at which a field has its surface, if nobody says another.

    It is that at which one cell of the grid stops half of the light, log(2) / cell. Fields trained briefly are
    nowhere so dense and yet hide what is behind them: then it is half of the density that one looks at, which is the
    median, over lines along the axes from all six sides, of the density where a line has lost half of its light.

    Args:
        density: On a grid, none negative.
        cell: Distance of its points.

    Returns:
        A density; infinity if no line loses half of its light.

    Example:
        >>> soft, hard = np.zeros((2, 9, 9, 9), np.float32)
        >>> soft[2:7, 2:7, 2:7], hard[2:7, 2:7, 2:7] = 3.0, 1000.0
        >>> surface_level(soft, cell=0.1), round(surface_level(hard, cell=0.1), 3)
        (1.5, 6.931)
    """
    seen = []
    for axis in range(3):
        for lines in (np.moveaxis(density, axis, 0), np.flip(np.moveaxis(density, axis, 0), axis=0)):
            depth = np.cumsum(lines, axis=0, dtype=np.float64) * cell  # optical: the light that is left is exp(-depth)
            where = np.argmax(depth >= math.log(2), axis=0)
            there = np.take_along_axis(lines, where[None], axis=0)[0]
            seen.append(there[depth[-1] >= math.log(2)])
    found = np.concatenate(seen)
    return min(math.log(2) / cell, float(np.median(found)) / 2) if len(found) else math.inf


def density_on_grid(field: TrainedField, resolution: int, half_width: float) -> Float[np.ndarray, "g g g"]:
    """Density at the points of a grid that fills a cube about the origin; axes x, y, z."""
    places = np.linspace(-half_width, half_width, resolution, dtype=np.float32)
    num_points, num_at_once = resolution**3, points_at_once()
    found = []
    for start in range(0, num_points, num_at_once):  # all points of a fine grid would take gigabytes
        index = np.arange(start, min(start + num_at_once, num_points))
        points = places[np.stack(np.unravel_index(index, (resolution,) * 3), axis=-1)]
        found.append(at_points(field, points)[0])
    return np.concatenate(found).reshape((resolution,) * 3)


def drop_small_parts(made: Trimesh) -> int:
    """Takes parts out of a mesh that have less than `MIN_PART` of its surface; the largest stays. Says how many."""
    import trimesh

    labels = trimesh.graph.connected_component_labels(made.edges, node_count=len(made.vertices))[made.faces[:, 0]]
    areas = np.bincount(labels, made.area_faces)
    is_part = np.bincount(labels) > 0
    kept = (areas >= MIN_PART * areas.sum()) | (areas == areas.max())
    made.update_faces(kept[labels])
    made.remove_unreferenced_vertices()
    return int(np.sum(is_part & ~kept))


def write_mesh(folder: pathlib.Path, made: Trimesh) -> list[str]:
    """Writes object.glb, object.obj and object.ply, all with colours at vertices.

    PLY keeps the world's axes, z up. GLB and OBJ have y up. Colours of a field are those of a screen (sRGB), and so
    they stand in OBJ and PLY; GLB's are linear by its specification, and are written as numbers with enough digits
    for that. Its material has no gloss of its own: the colours have been seen under light already.

    Returns:
        Their names.
    """
    turned: Any = made.copy()
    turned.apply_transform([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    contents: dict[str, Any] = {
        "object.glb": glb(turned),
        "object.obj": turned.export(file_type="obj", include_normals=True, include_color=True, header=None),
        "object.ply": made.export(file_type="ply", vertex_normal=True),
    }
    for name, content in contents.items():
        write_file(folder / name, content)
    return list(contents)


def glb(made: Any) -> bytes:
    """A mesh as binary glTF, with linear colours as numbers; a vertex's bytes would tell dark tones too coarsely."""
    screen = np.asarray(made.visual.vertex_colors, np.float32)[:, :3] / 255
    linear = np.where(screen <= 0.04045, screen / 12.92, ((screen + 0.055) / 1.055) ** 2.4).astype(np.float32)
    bare = made.copy()
    bare.visual = None
    bare.vertex_attributes["_LINEAR"] = np.pad(linear, ((0, 0), (0, 1)), constant_values=1)

    def finish(tree: dict[str, Any]) -> None:
        [drawn] = tree["meshes"][0]["primitives"]
        drawn["attributes"]["COLOR_0"] = drawn["attributes"].pop("_LINEAR")
        drawn["material"] = 0
        tree["materials"] = [{"name": "vertex colors", "pbrMetallicRoughness": {"metallicFactor": 0.0}}]

    return bare.export(file_type="glb", include_normals=True, tree_postprocessor=finish)
