"""Reads the sparse points that lie beside a transforms file: a PLY file that it names, or nerfstudio's COLMAP model.

k: points.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from bench.errors import UsageError
from tasks.data_dir.guarded_files import MIB, read_plain_file
from tasks.sparse_views.captured import colmap_files
from tasks.sparse_views.captured.capture import SparsePoints
from tasks.sparse_views.captured.doubts import Doubts

PLY_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip

MOST_HEADER_LINES = 200


def read_points_beside(
    folder: pathlib.Path, top: Mapping[str, Any], doubts: Doubts
) -> tuple[SparsePoints | None, tuple[str, ...]]:
    """Read the points that belong to a transforms file, in the world of its poses.

    Args:
        folder: The scene's folder.
        top: Keys of the transforms file.
        doubts: Collects what is odd.

    Returns:
        The points, or None, and the names of what was read.
    """
    name = top.get("ply_file_path")
    if isinstance(name, str) and name:
        file = folder / name.replace("\\", "/")
        if file.is_file():
            positions = read_ply(file)
            return SparsePoints(positions, None, f"{len(positions)} points of {file.name}"), (file.name,)
        doubts.add(f"ply_file_path names {name}, which is not there: no sparse points are read from it")
    model = colmap_files.find_model(folder / "colmap")
    file_of_points = model and colmap_files.part_file(model, "points3D")
    if not file_of_points:
        return None, ()
    transform = _applied(top)
    if transform is None:
        doubts.add(
            f"{file_of_points.relative_to(folder)} is not read: without applied_transform nobody knows how the poses "
            "were turned after COLMAP"
        )
        return None, ()
    read = colmap_files.read_point_file(file_of_points).positions
    # Without a matrix product, whose rounding differs between machines: positions are a part of the fingerprint.
    columns = [sum(read[:, i] * row[i] for i in range(3)) + row[3] for row in transform]
    positions = np.stack(columns, axis=-1)
    name = str(file_of_points.relative_to(folder))
    return SparsePoints(positions, None, f"{len(positions)} points of {name}"), (name,)


def _applied(top: Mapping[str, Any]) -> Float[np.ndarray, "3 4"] | None:
    """Return what nerfstudio did to COLMAP's world: `applied_transform`, then `applied_scale`; None if not told."""
    if "applied_transform" not in top:
        return None
    scale = top.get("applied_scale", 1.0)
    try:
        return np.asarray(top["applied_transform"], np.float64)[:3, :4].reshape(3, 4) * float(scale)
    except (TypeError, ValueError, IndexError):
        raise UsageError(
            f"applied_transform: expected 3 x 4 numbers, got {top['applied_transform']!r:.60}; correct the file"
        ) from None


def read_ply(file: pathlib.Path) -> Float[np.ndarray, "k 3"]:
    """Read the positions of the points in a PLY file, text or binary.

    Raises:
        UsageError: It is no PLY file with x, y and z.
    """
    try:
        content = read_plain_file(file, 4 * 1024 * MIB)
        header, separator, body = content.partition(b"end_header")
        if not content.startswith(b"ply") or not separator:
            raise ValueError("no header")
        kind, count, properties = _ply_header(header.decode("ascii").splitlines())
        body = body[body.index(b"\n") + 1 :]
        columns = _columns(properties)
        if kind == "ascii":
            rows = [line.split() for line in body.decode("ascii").splitlines()[:count]]
            return np.array(rows, np.float64).reshape(count, -1)[:, columns]
        order = "<" if kind == "binary_little_endian" else ">"
        layout = np.dtype([(name, order + PLY_TYPES[word]) for word, name in properties])
        table = np.frombuffer(body, layout, count)
        return np.stack([table[axis].astype(np.float64) for axis in ("x", "y", "z")], axis=-1)
    except (OSError, ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: expected a PLY file of points with x, y, z, got {error}; export it again") from error


def _columns(properties: list[tuple[str, str]]) -> list[int]:
    names = [name for _, name in properties]
    return [names.index(axis) for axis in ("x", "y", "z")]


def _ply_header(lines: list[str]) -> tuple[str, int, list[tuple[str, str]]]:
    """Return the format, the number of vertices, and the type and name of their properties."""
    kind = ""
    count = 0
    properties: list[tuple[str, str]] = []
    element = ""
    for line in lines[:MOST_HEADER_LINES]:
        words = line.split()
        if words[:1] == ["format"]:
            kind = words[1]
        elif words[:1] == ["element"]:
            if element == "" and words[1] != "vertex":
                raise ValueError(f"element {words[1]} before the vertices")
            element = words[1]
            count = int(words[2]) if element == "vertex" else count
        elif words[:1] == ["property"] and element == "vertex":
            properties.append((words[1], words[2]))
    return kind, count, properties
