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
"""Depth below a mesh's surface from which its colours are taken, in cells of the grid."""

MIN_PART = 0.01
"""A separate part with less than this share of the mesh's surface is dropped."""


class MeshResult(NamedTuple):
    """Mesh of a field, or the reason that there is none.

    Attributes:
        mesh: Mesh with colours at its vertices; None if the field has no surface.
        reason: Why there is no mesh; None if there is one.
        level: Density at the surface; None if there is no surface.
        share_inside: Share of the cube that is denser than `level`: near 1 for a field that fills everything.
        is_watertight: Whether each edge belongs to two faces.
        num_dropped: Small separate parts that were left out.
    """

    mesh: Trimesh | None
    reason: str | None
    level: float | None
    share_inside: float
    is_watertight: bool = False
    num_dropped: int = 0

    def told(self) -> str:
        """Describe the mesh in one sentence."""
        if self.mesh is None:
            return f"no mesh: {self.reason}"
        dropped = f", {self.num_dropped} small floating parts dropped" if self.num_dropped else ""
        closed = "watertight" if self.is_watertight else "not watertight"
        return f"mesh of {len(self.mesh.faces)} faces, {closed}, surface at a density of {self.level:.3g}{dropped}"

    def to_json(self) -> dict[str, Any]:
        """Return every value except the mesh itself, for JSON."""
        told = {name: value for name, value in self._asdict().items() if name != "mesh"}
        if self.mesh is not None:
            told |= {"num_vertices": len(self.mesh.vertices), "num_faces": len(self.mesh.faces)}
        return told


def mesh(
    field: TrainedField, *, resolution: int = 96, half_width: float | None = None, level: float | None = None
) -> MeshResult:
    """Extract the surface of a field by marching cubes, with colours at its vertices.

    Vertices are interpolated between grid points by opacity, 1 - exp(-density * cell), not by density. The surface is
    the same, but a density of thousands next to a density of zero does not pull it to the outer grid point.

    Args:
        field: Field to mesh.
        resolution: Points of the grid along a side.
        half_width: Half width of the cube about the origin; None for all of the volume that cameras see.
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
    # Zeros all round: the surface is closed where it reaches the border of the cube.
    stopped = np.pad(-np.expm1(-density * cell), 1)
    # "ascent", because faces of skimage are left-handed: normals must point outward.
    at, faces, _, _ = skimage.measure.marching_cubes(stopped, -math.expm1(-level * cell), gradient_direction="ascent")
    made = trimesh.Trimesh((at - 1) * cell - half_width, faces, process=True)
    made.update_faces(np.all(made.faces != np.roll(made.faces, 1, axis=1), axis=1))
    num_dropped = drop_small_parts(made)
    made.visual = trimesh.visual.ColorVisuals(made, vertex_colors=vertex_colors(field, made, cell))
    return MeshResult(made, None, level, share_inside, bool(made.is_watertight), num_dropped)


def vertex_colors(field: TrainedField, made: Trimesh, cell: float) -> UInt8[np.ndarray, "v 3"]:
    """Compute the colours of a mesh's vertices, each seen along its normal from outside.

    The field's colour is composited over the first `COLOR_CELLS` cells below the surface. The colour exactly at the
    surface would be wrong: where a field is soft, no camera sees that colour, so training did not fit it.
    """
    start = made.vertices.astype(np.float32)
    inward = -made.vertex_normals.astype(np.float32)
    transmittance = np.ones(len(start), np.float32)
    seen = np.zeros_like(start)
    _, color_at_surface = at_points(field, start)
    for i in range(COLOR_CELLS):
        density, color = at_points(field, start + np.float32((i + 0.5) * cell) * inward)
        after = transmittance * np.exp(-cell * np.maximum(density, 0))
        seen += (transmittance - after)[:, None] * color
        transmittance = after
    opacity = (1 - transmittance)[:, None]
    colors = np.where(opacity > 1e-3, seen / np.maximum(opacity, 1e-3), color_at_surface)
    return image_grid.quantize_colors(colors[None])[0]


def surface_level(density: Float[np.ndarray, "g g g"], cell: float) -> float:
    """Choose the density at which a field has its surface.

    One cell of the grid absorbs half of the light at a density of log(2) / cell. A field that was trained briefly may
    be less dense everywhere and still be opaque. For such a field the level is half of the density that is seen:
    lines run through the grid along the axes, from all six sides; each line has a density at the point where half of
    its light is absorbed; the density that is seen is the median of these.

    Args:
        density: Density on a grid, at least 0.
        cell: Distance between neighbouring points of the grid.

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
            depth = np.cumsum(lines, axis=0, dtype=np.float64) * cell  # optical depth: transmittance is exp(-depth)
            where = np.argmax(depth >= math.log(2), axis=0)
            there = np.take_along_axis(lines, where[None], axis=0)[0]
            seen.append(there[depth[-1] >= math.log(2)])
    found = np.concatenate(seen)
    return min(math.log(2) / cell, float(np.median(found)) / 2) if len(found) else math.inf


def density_on_grid(field: TrainedField, resolution: int, half_width: float) -> Float[np.ndarray, "g g g"]:
    """Evaluate density at the points of a grid that fills a cube about the origin; axes x, y, z."""
    places = np.linspace(-half_width, half_width, resolution, dtype=np.float32)
    num_points = resolution**3
    num_at_once = points_at_once()
    found = []
    for start in range(0, num_points, num_at_once):  # all points of a fine grid would take gigabytes
        index = np.arange(start, min(start + num_at_once, num_points))
        points = places[np.stack(np.unravel_index(index, (resolution,) * 3), axis=-1)]
        found.append(at_points(field, points)[0])
    return np.concatenate(found).reshape((resolution,) * 3)


def drop_small_parts(made: Trimesh) -> int:
    """Remove separate parts with less than `MIN_PART` of a mesh's surface, never the largest; return their number."""
    import trimesh

    labels = trimesh.graph.connected_component_labels(made.edges, node_count=len(made.vertices))[made.faces[:, 0]]
    areas = np.bincount(labels, made.area_faces)
    is_part = np.bincount(labels) > 0
    kept = (areas >= MIN_PART * areas.sum()) | (areas == areas.max())
    made.update_faces(kept[labels])
    made.remove_unreferenced_vertices()
    return int(np.sum(is_part & ~kept))


def write_mesh(folder: pathlib.Path, made: Trimesh) -> list[str]:
    """Write object.glb, object.obj and object.ply, all with colours at vertices.

    PLY keeps the world's axes, z up. GLB and OBJ have y up. A field's colours are sRGB, and OBJ and PLY store them as
    they are. GLB stores linear colours, as its specification demands, as floats so that dark tones keep their
    precision. The material in GLB has no gloss: the colours already contain the light of the scene.

    Returns:
        Names of the files.
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
    """Encode a mesh as binary glTF, with linear colours as floats; bytes would be too coarse for dark tones."""
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
