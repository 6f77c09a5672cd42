"""Finds the surface in a grid of densities, and writes it as a mesh: work of the host, for which no device is asked.

v: vertices, f: faces, gx, gy and gz: points of a grid.
"""

from __future__ import annotations

import math
import pathlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from bench.export.capture_geometry import CaptureGeometry
from tasks.data_dir.atomic_files import write_file

if TYPE_CHECKING:
    from trimesh import Trimesh

MIN_PART = 0.01
"""A separate part with less than this share of the mesh's surface is dropped."""


class SurfaceMesh(NamedTuple):
    """A mesh as arrays.

    Attributes:
        vertices: In the world of the field, or of a captured scene's poses.
        faces: Three vertices each, counterclockwise seen from outside.
        normals: Of the vertices, outward, of length 1.
        colors: Of the vertices, as sRGB.
        is_watertight: Whether each edge belongs to two faces.
        num_dropped: Small separate parts that were left out.
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    normals: Float[np.ndarray, "v 3"]
    colors: UInt8[np.ndarray, "v 3"]
    is_watertight: bool
    num_dropped: int

    def to_trimesh(self) -> Trimesh:
        """Make the mesh of trimesh that it came from."""
        import trimesh

        made = trimesh.Trimesh(self.vertices, self.faces, vertex_normals=self.normals, process=False)
        made.visual = trimesh.visual.ColorVisuals(made, vertex_colors=self.colors)
        return made


class FoundSurface(NamedTuple):
    """Holds the surface in a grid of densities, and the level at which it was looked for.

    Attributes:
        surface: Grey; None if there is none.
        level: Density at the surface; infinity if no line through the grid loses half of its light.
        share_inside: Share of the grid that is denser.
        highest: The largest density.
    """

    surface: SurfaceMesh | None
    level: float
    share_inside: float
    highest: float


def find_surface(
    density: Float[np.ndarray, "gx gy gz"],
    low: Float[np.ndarray, " 3"],
    cell: float,
    scale: float,
    level: float | None = None,
) -> FoundSurface:
    """Find the surface in a grid of densities.

    Args:
        density: At least 0.
        low: Lowest corner of the grid.
        cell: Distance of its points.
        scale: Factor from the grid's unit to that of the density, which is per length.
        level: Density at the surface; None for `surface_level`.
    """
    field_cell = cell * scale
    level = surface_level(density, field_cell) if level is None else level
    share_inside = float(np.mean(density > level))
    highest = float(density.max())
    if share_inside == 0:
        return FoundSurface(None, level, share_inside, highest)
    opacity = -np.expm1(-density * field_cell)
    made, num_dropped = march_cubes(opacity, -math.expm1(-level * field_cell), cell, low)
    grey = np.full((len(made.vertices), 3), 128, np.uint8)
    arrays = (np.asarray(made.vertices), np.asarray(made.faces), np.asarray(made.vertex_normals), grey)
    return FoundSurface(SurfaceMesh(*arrays, bool(made.is_watertight), num_dropped), level, share_inside, highest)


def march_cubes(
    opacity: Float[np.ndarray, "gx gy gz"], level: float, cell: float, low: Float[np.ndarray, " 3"]
) -> tuple[Trimesh, int]:
    """Find the surface at which the opacity of a cell is `level`; return it with the number of small parts dropped."""
    import skimage.measure
    import trimesh

    # Zeros all round: the surface is closed where it reaches the border of the box.
    stopped = np.pad(opacity, 1)
    # "ascent", because faces of skimage are left-handed: normals must point outward.
    at, faces, _, _ = skimage.measure.marching_cubes(stopped, level, gradient_direction="ascent")
    made = trimesh.Trimesh((at - 1) * cell + low, faces, process=True)
    made.update_faces(np.all(made.faces != np.roll(made.faces, 1, axis=1), axis=1))
    return made, drop_small_parts(made)


def make_ball() -> SurfaceMesh:
    """Find the surface of a small grey ball as those of fields are found; the next surface is then found faster."""
    distance = np.linalg.norm(np.indices((7, 7, 7)) - 3.0, axis=0)
    found = find_surface(np.clip(2.5 - distance, 0, 1), np.zeros(3), 1.0, 1.0, level=0.5).surface
    assert found is not None
    return found


def surface_level(density: Float[np.ndarray, "gx gy gz"], cell: float) -> float:
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
        along = np.moveaxis(density, axis, 0)
        # Most lines pass an object by. A share is left for rounding: whether a line counts is decided below.
        stops = along.sum(axis=0, dtype=np.float64) * cell >= 0.999 * math.log(2)
        hit = along[:, stops]
        for lines in (hit, np.flip(hit, axis=0)):
            if not lines.size:
                continue
            depth = np.cumsum(lines, axis=0, dtype=np.float64) * cell  # optical depth: transmittance is exp(-depth)
            where = np.argmax(depth >= math.log(2), axis=0)
            there = np.take_along_axis(lines, where[None], axis=0)[0]
            seen.append(there[depth[-1] >= math.log(2)])
    found = np.concatenate(seen) if seen else np.empty(0)
    return min(math.log(2) / cell, float(np.median(found)) / 2) if len(found) else math.inf


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


def turn_upright(made: Trimesh, capture: CaptureGeometry | None) -> Trimesh:
    """Return a mesh with y up, as GLB and OBJ have it: turned as its field is, about the origin of its unit."""
    turned: Any = made.copy()
    rotation = np.eye(3) if capture is None else capture.rotation
    if capture is None or capture.world != "forward-facing":  # there, y is up in the field's world already
        rotation = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]) @ rotation
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    turned.apply_transform(matrix)
    return turned


def write_surface(folder: pathlib.Path, surface: SurfaceMesh, capture: CaptureGeometry | None) -> list[str]:
    """Write a surface as `write_mesh` does; return the names of the files."""
    return write_mesh(folder, surface.to_trimesh(), capture)


def write_mesh(folder: pathlib.Path, made: Trimesh, capture: CaptureGeometry | None = None) -> list[str]:
    """Write object.glb, object.obj and object.ply; return their names."""
    contents = encode_mesh(made, capture)
    for name, content in contents.items():
        write_file(folder / name, content, sync=False)
    return list(contents)


def encode_mesh(made: Trimesh, capture: CaptureGeometry | None = None) -> dict[str, Any]:
    """Encode a mesh as GLB, OBJ and PLY, by file name, all with colours at vertices.

    PLY keeps the axes of the world, or of a captured scene's poses. GLB and OBJ have y up. A field's colours are sRGB,
    and OBJ and PLY store them as they are. GLB stores linear colours, as its specification demands, as floats so that
    dark tones keep their precision. The material in GLB has no gloss: the colours already contain the scene's light.
    """
    turned: Any = turn_upright(made, capture)
    return {
        "object.glb": glb(turned),
        "object.obj": turned.export(file_type="obj", include_normals=True, include_color=True, header=None),
        "object.ply": made.export(file_type="ply", vertex_normal=True),
    }


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
