"""Turns a trained field into a coloured triangle mesh."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from bench.errors import UsageError
from bench.export.capture_geometry import CaptureGeometry
from bench.export.field import CALLS_AHEAD, TrainedField, points_at_once
from bench.export.mesh_grid import Grid, choose_grid, density_on_grid, halve_grid, query_points, scale_of
from bench.report.images import image_grid
from tasks.data_dir.atomic_files import write_file

if TYPE_CHECKING:
    from trimesh import Trimesh

RESOLUTION = 96
"""Points of a grid along its longest side."""

MOST_FACES = 100_000
"""Faces of a captured scene's mesh, unless a resolution was asked for: about 10 megabytes of OBJ."""

COLOR_CELLS = 10
"""Depth below a mesh's surface from which its colours are taken, in cells of the grid."""

MIN_PART = 0.01
"""A separate part with less than this share of the mesh's surface is dropped."""

FIELD_UNIT = "the scene's own unit"
POSES_UNIT = "the poses' unit"


class MeshResult(NamedTuple):
    """Mesh of a field, or the reason that there is none.

    Attributes:
        mesh: Mesh with colours at its vertices; None if the field has no surface.
        reason: Why there is no mesh; None if there is one.
        level: Density at the surface; None if there is no surface.
        share_inside: Share of the cube that is denser than `level`: near 1 for a field that fills everything.
        is_watertight: Whether each edge belongs to two faces.
        num_dropped: Small separate parts that were left out.
        box: Lowest and highest corner of what was meshed, in `unit`.
        unit: Of the box, and of the mesh.
        cell: Distance of the grid's points, likewise.
        is_cropped: Whether a box was given or chosen; the whole cube that all cameras see otherwise.
    """

    mesh: Trimesh | None
    reason: str | None
    level: float | None
    share_inside: float
    is_watertight: bool = False
    num_dropped: int = 0
    box: tuple[tuple[float, ...], ...] = ()
    unit: str = FIELD_UNIT
    cell: float = 0.0
    is_cropped: bool = False

    def told(self) -> str:
        """Describe the mesh in one sentence."""
        if self.mesh is None:
            return f"no mesh: {self.reason}"
        parts = "part" if self.num_dropped == 1 else "parts"
        dropped = f", {self.num_dropped} small floating {parts} dropped" if self.num_dropped else ""
        closed = "watertight" if self.is_watertight else "not watertight"
        return (
            f"mesh of {len(self.mesh.faces)} faces, {closed}, surface at a density of {self.level:.3g}{dropped}; "
            f"{self.told_box()}"
        )

    def told_box(self) -> str:
        """Describe the box, its unit and how to choose another."""
        low, high = (", ".join(f"{x:.3g}" for x in corner) for corner in self.box)
        other = "; --box x0,y0,z0,x1,y1,z1 crops it otherwise" if self.is_cropped else ""
        return f"box from ({low}) to ({high}) in {self.unit}, cells of {self.cell:.2g}{other}"

    def to_json(self) -> dict[str, Any]:
        """Return every value except the mesh itself, for JSON."""
        told = {name: value for name, value in self._asdict().items() if name != "mesh"}
        if self.mesh is not None:
            told |= {"num_vertices": len(self.mesh.vertices), "num_faces": len(self.mesh.faces)}
        return told


def mesh(
    field: TrainedField,
    *,
    resolution: int | None = None,
    half_width: float | None = None,
    level: float | None = None,
    box: Sequence[float] | None = None,
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

    Raises:
        UsageError: The grid does not fit into memory.
    """
    grid = choose_grid(field, RESOLUTION if resolution is None else resolution, half_width, box)
    most = MOST_FACES if resolution is None and field.follows_capture else math.inf
    try:
        density = np.nan_to_num(np.maximum(density_on_grid(field, grid), 0), nan=0.0, posinf=1e30)
        found = _mesh_on_grid(field, grid, density, level)
        while found.mesh is not None and len(found.mesh.faces) > most:
            grid, density = halve_grid(grid, density)
            found = _mesh_on_grid(field, grid, density, level)
        return found
    except MemoryError as error:
        raise UsageError(
            f"--resolution: expected a grid that fits into memory, got {' x '.join(map(str, grid.shape))} points; "
            "lower it"
        ) from error


def _mesh_on_grid(
    field: TrainedField, grid: Grid, density: Float[np.ndarray, "gx gy gz"], level: float | None
) -> MeshResult:
    """Extract the surface from a grid."""
    import trimesh

    cell = grid.cell * scale_of(field)  # density is per length in the field's unit
    level = surface_level(density, cell) if level is None else level
    share_inside = float(np.mean(density > level))
    box = tuple(tuple(float(x) for x in corner) for corner in (grid.low, grid.high))
    unit = FIELD_UNIT if field.capture is None else POSES_UNIT
    if share_inside == 0:
        reason = f"expected a density above {level:.3g} somewhere, got {density.max():.3g} at most; give a lower level"
        if level == math.inf:
            reason = (
                "expected a field that stops half of the light somewhere, got one that is empty or thin fog "
                f"(density {density.max():.3g} at most); train longer, or give a level"
            )
        return MeshResult(
            None, reason, None, share_inside, box=box, unit=unit, cell=grid.cell, is_cropped=grid.is_cropped
        )
    made, num_dropped = march_cubes(-np.expm1(-density * cell), -math.expm1(-level * cell), grid.cell, grid.low)
    made.visual = trimesh.visual.ColorVisuals(made, vertex_colors=vertex_colors(field, made, grid.cell))
    closed = bool(made.is_watertight)
    return MeshResult(made, None, level, share_inside, closed, num_dropped, box, unit, grid.cell, grid.is_cropped)


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


def make_ball() -> Trimesh:
    """Make a small grey ball as fields are meshed: what runs for the first time has run then."""
    import trimesh

    distance = np.linalg.norm(np.indices((7, 7, 7)) - 3.0, axis=0)
    made, _ = march_cubes(np.clip(2.5 - distance, 0, 1), 0.5, 1.0, np.zeros(3))
    made.visual = trimesh.visual.ColorVisuals(made, vertex_colors=np.full((len(made.vertices), 3), 128, np.uint8))
    return made


def vertex_colors(field: TrainedField, made: Trimesh, cell: float) -> UInt8[np.ndarray, "v 3"]:
    """Compute the colours of a mesh's vertices, each seen along its normal from outside.

    The field's colour is composited over the first `COLOR_CELLS` cells below the surface. The colour exactly at the
    surface would be wrong: where a field is soft, no camera sees that colour, so training did not fit it.
    """
    num_at_once = max(1, CALLS_AHEAD * points_at_once() // (COLOR_CELLS + 1))  # of a fine mesh, not all at once
    starts = np.asarray(made.vertices)
    inward = -np.asarray(made.vertex_normals)
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
