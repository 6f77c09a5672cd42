"""Places the things of a meaning: which triangles they have, and how these are scaled and moved.

The triangles of every kind lie in one array, so that a picture needs only a few numbers: for each of its things the
range of its triangles, a scale and a shift. Shapes and places are those of `tasks.closed_world.appearance`.

n: triangles of all kinds together; 3: corners, then x y z.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from tasks.closed_world import appearance
from tasks.closed_world.meanings import KINDS, Meaning, ObjectSpec
from tasks.path_tracing.materials import fit_points
from tasks.path_tracing.meshes import join

SLOTS = ("body", "shade", "tint", "dark")
"""Slots of a thing, in the order of their numbers."""


class KindShapes(NamedTuple):
    """Holds the triangles of every kind, one kind after the other.

    Attributes:
        corners: Fitted to the size of a picture, in scene units.
        normals: Of the corners.
        slots: Index in `SLOTS` of each triangle.
        starts: First triangle of each kind, in the order of `KINDS`, and the number of all.
    """

    corners: Float[np.ndarray, "n 3 3"]
    normals: Float[np.ndarray, "n 3 3"]
    slots: Int[np.ndarray, " n"]
    starts: Int[np.ndarray, " k"]


class PlacedThing(NamedTuple):
    """A thing in its place: each corner is scaled, then moved.

    Attributes:
        spec: What it is.
        scale: Factor.
        shift: In scene units.
    """

    spec: ObjectSpec
    scale: float
    shift: Float[np.ndarray, "3"]


@functools.cache
def kind_shapes() -> KindShapes:
    """Build the triangles of every kind; a second on one core."""
    corners = []
    normals = []
    slots = []
    counts = [0]
    for kind in KINDS:
        parts = appearance.fit_kind(kind)
        whole = join(part.mesh for part in parts)
        corners.append(whole.corners)
        normals.append(whole.normals)
        slots += [np.full(len(part.mesh.corners), SLOTS.index(part.slot), np.int32) for part in parts]
        counts.append(len(whole.corners))
    return KindShapes(
        np.concatenate(corners).astype(np.float32),
        np.concatenate(normals).astype(np.float32),
        np.concatenate(slots),
        np.cumsum(counts).astype(np.int32),
    )


def place_meaning(meaning: Meaning) -> list[PlacedThing]:
    """Place the things of a meaning, as `appearance.build_object` does."""
    if isinstance(meaning, ObjectSpec):
        return [PlacedThing(meaning, 1.0, np.zeros(3))]
    first, second = _pair_places(meaning.first.kind, meaning.relation, meaning.second.kind)
    return [PlacedThing(meaning.first, *first), PlacedThing(meaning.second, *second)]


@functools.lru_cache(maxsize=1 << 13)
def _pair_places(
    first: str, relation: str, second: str
) -> tuple[tuple[float, Float[np.ndarray, "3"]], tuple[float, Float[np.ndarray, "3"]]]:
    """Compute scale and shift of both things of a pair, fitted together to the size of a picture."""
    places = appearance.place_pair(first, relation, second)
    points = [place.put_points(_points(kind)) for kind, place in zip((first, second), places, strict=True)]
    middle, factor = fit_points(np.concatenate(points))
    one, other = (_scale_and_shift(place, middle, factor) for place in places)
    return one, other


def _scale_and_shift(
    place: appearance.PairPlace, middle: Float[np.ndarray, "3"], factor: float
) -> tuple[float, Float[np.ndarray, "3"]]:
    """Compute scale and shift of a thing in its place of a pair that is fitted about its middle."""
    origin = place.put_points(np.zeros(3))
    return factor * place.scale, factor * (origin - middle)


@functools.cache
def _points(kind: str) -> Float[np.ndarray, "p 3"]:
    """List the distinct corners of a kind."""
    place = KINDS.index(kind)
    shapes = kind_shapes()
    corners = shapes.corners[shapes.starts[place] : shapes.starts[place + 1]]
    return np.unique(corners.reshape(-1, 3).astype(np.float64), axis=0)
