"""Builds meshes of simple shapes: sphere, box, surface of revolution, tube, prism and others.

Every shape is a `Mesh`, so its bounds are known, and many shapes of one material can become one mesh, which is fast to
trace. Shapes lie about the origin; the methods of a mesh, one after the other, put it in its place:

    handle = torus(0.25, 0.06).turned("x", 90).moved(0.45)

n: triangles; 3: a triangle's corners, then x y z (z is up); u, v: a grid's rows and columns; k: points of a curve.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

Real = float | int  # the type check at run time does not accept an int for a float
Points = Sequence[Any] | Float[np.ndarray, "_ _"]


@dataclasses.dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles that share no vertices; where a surface is smooth, neighbouring corners have equal normals.

    Attributes:
        corners: Positions of the corners, in scene units.
        normals: Normals of the corners, of length 1.
        uvs: Texture coordinates of the corners; a texture repeats outside of [0, 1].
    """

    corners: Float[np.ndarray, "n 3 3"]
    normals: Float[np.ndarray, "n 3 3"]
    uvs: Float[np.ndarray, "n 3 2"]

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """Lowest and highest corner of the bounding box."""
        points = self.corners.reshape(-1, 3)
        return np.stack([points.min(axis=0), points.max(axis=0)])

    def transformed(self, matrix: Float[np.ndarray, "3 3"]) -> Mesh:
        """Apply a linear map; after a reflection normals still point outward."""
        normals = self.normals @ np.linalg.inv(matrix)  # normals transform by the inverse, transposed
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        turn = slice(None, None, -1) if np.linalg.det(matrix) < 0 else slice(None)
        return Mesh((self.corners @ matrix.T)[:, turn], normals[:, turn], self.uvs[:, turn])

    def moved(self, x: Real = 0.0, y: Real = 0.0, z: Real = 0.0) -> Mesh:
        """Shift the mesh, in scene units."""
        return dataclasses.replace(self, corners=self.corners + np.asarray([x, y, z]))

    def scaled(self, x: Real, y: Real | None = None, z: Real | None = None) -> Mesh:
        """Scale the mesh by one number for all directions, or by one for each."""
        y = x if y is None else y
        z = x if z is None else z
        return self.transformed(np.diag([x, y, z]).astype(np.float64))

    def turned(self, axis: str, angle_deg: Real) -> Mesh:
        """Turn the mesh about "x", "y" or "z", counter-clockwise if the axis points at the viewer."""
        i = "xyz".index(axis)
        j = (i + 1) % 3
        k = (i + 2) % 3
        matrix = np.eye(3)
        matrix[j, j] = matrix[k, k] = np.cos(np.radians(angle_deg))
        matrix[k, j] = np.sin(np.radians(angle_deg))
        matrix[j, k] = -matrix[k, j]
        return self.transformed(matrix)

    def aimed(self, direction: Points | Float[np.ndarray, "3"]) -> Mesh:
        """Turn the mesh so that its +z points along a direction."""
        return self.transformed(_frame(np.asarray(direction, np.float64)))

    def boxed_uvs(self, per_unit: Real = 1.0) -> Mesh:
        """Set texture coordinates by projecting each triangle along the axis that it faces most; all have one scale."""
        facing = np.abs(np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0]))
        axis = facing.argmax(axis=-1)
        across = np.where(axis == 0, 1, 0)
        along = np.where(axis == 2, 1, 2)
        index = np.stack([across, along], axis=-1)[:, None, :]
        return dataclasses.replace(self, uvs=np.take_along_axis(self.corners, index, axis=2) * per_unit)


# ---- from points to a mesh -------------------------------------------------------------------------------------------


def _frame(forward: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Build a rotation whose third column is a direction."""
    z = forward / np.linalg.norm(forward)
    side = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
    x = side / np.linalg.norm(side)
    return np.stack([x, np.cross(z, x), z], axis=1)


def _shading_normals(corners: Float[np.ndarray, "n 3 3"], crease_deg: Real) -> Float[np.ndarray, "n 3 3"]:
    """Average the normals of faces that meet at a point, weighted by angle; leave out those beyond the crease angle."""
    edges = np.roll(corners, -1, axis=1) - corners
    faces = np.cross(edges[:, 0], edges[:, 1])
    faces /= np.linalg.norm(faces, axis=-1, keepdims=True)
    edges = edges / np.linalg.norm(edges, axis=-1, keepdims=True)
    angles = np.arccos(np.clip(-(edges * np.roll(edges, 1, axis=1)).sum(axis=-1), -1, 1)).reshape(-1)
    faces = np.repeat(faces, 3, axis=0)
    _, place, counts = np.unique(
        np.round(corners.reshape(-1, 3) * 1e6).astype(np.int64), axis=0, return_inverse=True, return_counts=True
    )
    place = place.reshape(-1)
    order = np.argsort(place, kind="stable")
    starts = np.cumsum(counts) - counts
    rank = np.empty_like(place)
    rank[order] = np.arange(len(place)) - starts[place[order]]
    total = np.zeros_like(faces)
    for shift in range(counts.max()):  # in turn, every corner meets all corners at its place
        other = order[starts[place] + (rank + shift) % counts[place]]
        meets = (shift < counts[place]) & ((faces * faces[other]).sum(axis=-1) > np.cos(np.radians(crease_deg)))
        total += np.where(meets, angles[other], 0)[:, None] * faces[other]
    return (total / np.linalg.norm(total, axis=-1, keepdims=True)).reshape(-1, 3, 3)


def _mesh(corners: Float[np.ndarray, "n 3 3"], uvs: Float[np.ndarray, "n 3 2"], crease_deg: Real) -> Mesh:
    """Make a mesh with normals, without triangles of zero area, such as those at a sphere's poles."""
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1)
    keep = area > 1e-10
    return Mesh(corners[keep], _shading_normals(corners[keep], crease_deg), uvs[keep])


def join(meshes: Iterable[Mesh]) -> Mesh:
    """Join several meshes to one."""
    meshes = list(meshes)
    names = [field.name for field in dataclasses.fields(Mesh)]
    return Mesh(*(np.concatenate([getattr(mesh, name) for mesh in meshes]) for name in names))


def ring(mesh: Mesh, count: int) -> Mesh:
    """Copy a mesh to so many even angles about z."""
    return join(mesh.turned("z", 360 * i / count) for i in range(count))


def sheet(points: Float[np.ndarray, "u v 3"], crease_deg: Real = 60.0) -> Mesh:
    """Build a surface from a grid of points, without thickness, as for petals, leaves and sails.

    Of the texture coordinates u runs along the columns and v along the rows.
    """
    points = np.asarray(points, np.float64)
    rows, columns = points.shape[:2]
    uvs = np.stack(np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows)), axis=-1)

    def triangles(x: Float[np.ndarray, "u v c"]) -> Float[np.ndarray, "n 3 c"]:
        a = x[:-1, :-1]
        b = x[:-1, 1:]
        c = x[1:, 1:]
        d = x[1:, :-1]
        both = np.stack([np.stack([a, b, c], axis=2), np.stack([a, c, d], axis=2)], axis=2)
        return both.reshape(-1, 3, x.shape[-1])

    return _mesh(triangles(points), triangles(uvs), crease_deg)


def spline(points: Points, num_points: int, *, closed: bool = False) -> Float[np.ndarray, "k d"]:
    """Compute a smooth curve through points of any dimension (Catmull-Rom); a closed one ends where it starts."""
    knots = np.asarray(points, np.float64)
    if closed:
        knots = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        knots = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    at = np.linspace(0, len(knots) - 3, num_points)
    i = np.minimum(at.astype(int), len(knots) - 4)
    t = (at - i)[:, None]
    a, b, c, d = (knots[i + j] for j in range(4))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def arc(radius: Real, start_deg: Real, stop_deg: Real, num_points: int) -> Float[np.ndarray, "k 2"]:
    """Compute points of a circle about the origin, from one angle to another."""
    angle = np.radians(np.linspace(start_deg, stop_deg, num_points))
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


# ---- shapes about the origin -----------------------------------------------------------------------------------------


def lathe(profile: Points, num_sides: int = 48, crease_deg: Real = 35.0) -> Mesh:
    """Revolve a profile of (radius, height) about z; normals point outward if the profile goes from bottom to top."""
    profile = np.asarray(profile, np.float64)
    angle = np.linspace(0, 2 * np.pi, num_sides + 1)
    circle = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1)
    circle[-1] = circle[0]
    return sheet(profile[:, :1, None] * circle + profile[:, 1:, None] * np.asarray([0.0, 0.0, 1.0]), crease_deg)


def sphere(radius: Real = 1.0, num_sides: int = 48) -> Mesh:
    """Build a sphere."""
    return lathe(arc(radius, -90, 90, num_sides // 2 + 1), num_sides, 80.0)


def cylinder(radius: Real, height: Real, num_sides: int = 48, bevel: Real = 0.0) -> Mesh:
    """Build a closed cylinder along z; `bevel` is the radius of its rounded rims."""
    return cone(radius, height, radius, num_sides, bevel)


def cone(radius: Real, height: Real, top_radius: Real = 0.0, num_sides: int = 48, bevel: Real = 0.0) -> Mesh:
    """Build a closed cone along z, cut off at its top radius; `bevel` is the radius of its rounded rims."""
    h = height / 2
    if not bevel:
        return lathe([(0, -h), (radius, -h), (top_radius, h), (0, h)], num_sides)
    rim = arc(bevel, -90, 0, 4)
    low = rim + [radius - bevel, bevel - h]
    high = rim[::-1] * [1, -1] + [top_radius - bevel, h - bevel]
    return lathe([(0, -h), *low, *high, (0, h)], num_sides, 40.0)


def torus(radius: Real, thickness: Real, num_sides: int = 64, num_around: int = 16) -> Mesh:
    """Build a torus about z: `radius` is that of its middle line, `thickness` that of its tube."""
    return lathe(arc(thickness, -180, 180, num_around + 1) + [radius, 0], num_sides, 80.0)


def capsule(radius: Real, length: Real, num_sides: int = 24) -> Mesh:
    """Build a cylinder along z with round ends; `length` is measured from tip to tip."""
    cap = arc(radius, 0, 90, num_sides // 4 + 1) + [0, length / 2 - radius]
    return lathe([*(cap[::-1] * [1, -1]), *cap], num_sides, 60.0)


def box(x: Real, y: Real, z: Real, bevel: Real = 0.0) -> Mesh:
    """Build a box with these lengths; `bevel` is the width of its bevelled edges."""
    signs = np.asarray([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)], np.float64)
    half = np.asarray([x, y, z]) / 2
    # Every corner of the box is three points, one on each face that meets there, and each has its face's normal.
    points = signs[:, None] * (half - bevel * (1 - np.eye(3)))
    normals = signs[:, None] * np.eye(3)
    index = np.asarray(_box_triangles(with_bevel=bool(bevel)))
    corners = points[index[..., 0], index[..., 1]]
    shading = normals[index[..., 0], index[..., 1]]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inward = (faces * shading.sum(axis=1)).sum(-1) < 0
    corners[inward] = corners[inward, ::-1]
    shading[inward] = shading[inward, ::-1]
    mesh = Mesh(corners, shading, np.zeros((len(corners), 3, 2)))
    return dataclasses.replace(mesh, uvs=mesh.boxed_uvs().uvs + 0.5)


def _box_triangles(*, with_bevel: bool) -> list[tuple[tuple[int, int], ...]]:
    """List a box's triangles; each of their vertices is a corner of the box and the axis of a face that meets there."""
    triangles: list[tuple[tuple[int, int], ...]] = []
    for axis in range(3):
        next_axis = (axis + 1) % 3
        last_axis = (axis + 2) % 3
        b = 4 >> next_axis
        c = 4 >> last_axis
        for a in (0, 4 >> axis):
            triangles += _quad((a, axis), (a + b, axis), (a + b + c, axis), (a + c, axis))
        if with_bevel:  # the edges along this axis, between the faces of the other two
            for start in (0, b, c, b + c):
                end = start + (4 >> axis)
                triangles += _quad((start, next_axis), (end, next_axis), (end, last_axis), (start, last_axis))
    if with_bevel:
        triangles += [((corner, 0), (corner, 1), (corner, 2)) for corner in range(8)]
    return triangles


def _quad(a: Any, b: Any, c: Any, d: Any) -> list[tuple[Any, Any, Any]]:
    """Split a quadrilateral into two triangles."""
    return [(a, b, c), (a, c, d)]


def tube(
    path: Points,
    radius: Real | Sequence[Any] | Float[np.ndarray, "*_"],
    num_sides: int = 12,
    *,
    closed: bool = False,
    across: Points = (0.0, 1.0, 0.0),
) -> Mesh:
    """Build a tube along a curve, with flat ends.

    Args:
        path: Points of the curve, see `spline`. A closed curve repeats its first point at its end.
        radius: One number; or one for each point; or two for each point of an oval tube: the radius along `across`, and
            the one at right angles to it.
        num_sides: Corners of the cross-section.
        closed: Whether the curve is closed, so that the tube has no ends.
        across: Direction at right angles to the curve's start; for a curve in a plane, the plane's normal.
    """
    path = np.asarray(path, np.float64)
    ahead = np.gradient(path, axis=0)
    if closed:
        ahead[0] = ahead[-1] = path[1] - path[-2]
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    sizes = np.asarray(radius, np.float64)
    sizes = np.broadcast_to(sizes[:, None] if sizes.ndim == 1 else sizes, (len(path), 2))[:, ::-1]
    circle = arc(1.0, 0, 360, num_sides + 1)
    circle[-1] = circle[0]
    x = np.cross(across, ahead[0])
    x = x if np.linalg.norm(x) > 0.1 else _frame(ahead[0])[:, 0]
    rows = []
    for point, z, size in zip(path, ahead, sizes, strict=True):
        x = x - z * (x @ z)  # carried along without twisting
        x = x / np.linalg.norm(x)
        rows.append(point + (circle * size) @ np.stack([x, np.cross(z, x)]))
    body = sheet(np.stack(rows), 60.0)
    if closed:
        return body
    ends = [
        sheet(np.stack([np.broadcast_to(middle, row.shape), row][:: 1 if first else -1]))
        for middle, row, first in ((path[0], rows[0], True), (path[-1], rows[-1], False))
        if np.ptp(row, axis=0).max() > 1e-6
    ]
    return join([body, *ends])


def rod(start: Points, end: Points, radius: Real, num_sides: int = 10) -> Mesh:
    """Build a thin cylinder between two points."""
    a = np.asarray(start, np.float64)
    b = np.asarray(end, np.float64)
    straight = cylinder(radius, float(np.linalg.norm(b - a)), num_sides)
    return straight.aimed(list(b - a)).moved(*((a + b) / 2))


def prism(outline: Points, height: Real, crease_deg: Real = 35.0) -> Mesh:
    """Build a prism from a flat outline, convex or not, with its height along z."""
    flat = np.asarray(outline, np.float64)
    nxt = np.roll(flat, -1, axis=0)
    if (flat[:, 0] * nxt[:, 1] - nxt[:, 0] * flat[:, 1]).sum() < 0:
        flat = flat[::-1]  # counter-clockwise from here on
    low = np.concatenate([flat, np.full((len(flat), 1), -height / 2)], axis=1)
    high = low * [1, 1, -1]
    around = [*range(len(flat)), 0]
    ears = np.asarray(_ears(flat))
    caps = np.concatenate([high[ears], low[ears][:, ::-1]])
    cap = _mesh(caps, caps[..., :2], 1.0)
    return join([sheet(np.stack([low[around], high[around]]), crease_deg), cap])


def _ears(flat: Float[np.ndarray, "k 2"]) -> list[tuple[int, int, int]]:
    """Cut a counter-clockwise outline into triangles, one corner after the other."""

    def cross(a: int, b: int, c: int) -> float:
        x, y = flat[b] - flat[a]
        z, w = flat[c] - flat[a]
        return float(x * w - y * z)

    def contains(a: int, b: int, c: int, p: int) -> bool:
        return cross(a, b, p) >= 0 and cross(b, c, p) >= 0 and cross(c, a, p) >= 0

    def is_ear(at: int) -> bool:
        a = left[at - 1]
        b = left[at]
        c = left[(at + 1) % len(left)]
        others = (p for p in left if p not in (a, b, c))
        return cross(a, b, c) > 0 and not any(contains(a, b, c, p) for p in others)

    left = list(range(len(flat)))
    triangles = []
    while len(left) >= 3:
        at = next(filter(is_ear, range(len(left))), None)
        if at is None:
            raise ValueError("prism: expected an outline that does not cross itself, without points on a line")
        triangles.append((left[at - 1], left[at], left[(at + 1) % len(left)]))
        left.pop(at)
    return triangles
