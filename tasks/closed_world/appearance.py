"""Decides what meanings of the closed world look like: colours, finishes, places of the things of a pair, and lights.

The main function is `describe_meaning`: from a meaning, a family of lights and a number it makes a description for
`tasks.path_tracing.mitsuba_renderer`. Every finish is rendered with so many samples that all finishes have equal noise
(`NOISE_SAMPLES`); otherwise an encoder could recognise a finish by its noise.

There are two families of lights: "guide" for the pictures that guides are trained on, "judge" for those of judges. They
share no light and are built differently: the first are soft boxes round a photographer's table, the second a window.

h, w: pixels of a texture.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from tasks.closed_world.meanings import Meaning, ObjectPairSpec, ObjectSpec, fraction, meaning_of
from tasks.closed_world.object_models import PARTS, STANDS
from tasks.path_tracing.materials import (
    Fragment,
    Part,
    SoftBox,
    assign_materials,
    fitted,
    glossy,
    linear,
    map_meshes,
    matte,
    metal,
    picture_texture,
    studio,
)
from tasks.path_tracing.meshes import Mesh, join

Family = Literal["guide", "judge"]

FAMILIES: tuple[Family, ...] = ("guide", "judge")

TONES = {
    "red": "#c4161c",
    "orange": "#ef6f0e",
    "yellow": "#f8dc24",
    "green": "#2c9638",
    "turquoise": "#2bc0b8",
    "blue": "#1f48c4",
    "purple": "#6a2a9c",
    "pink": "#f48fbd",
    "brown": "#6b3d1e",
    "white": "#e4e4e2",
    "gray": "#808285",
    "black": "#18181b",
}
"""White reflects 0.77 of the light, so that no light here makes it clip."""

PALE = "#ece8df"

DARK = "#26262b"

_SECOND = dict.fromkeys(TONES, PALE) | dict.fromkeys(("yellow", "white", "gray"), DARK)
"""Second colour of patterns."""

HALF_GAP = 0.12
"""Half the distance of things that stand next to each other, before they are fitted."""

PERIOD = 0.40
"""Period of checks in scene units, on things of any size: 9 of 64 pixels. Stripes are closer, dots further apart."""

NOISE_SAMPLES = {"matte": 1.0, "glossy": 1.75, "metallic": 1.0, "striped": 1.35, "checkered": 2.25, "dotted": 1.4}
"""Factor on the samples that gives a finish the median noise of matte things.

It was measured on eight things at 36 and 64 samples a pixel.
"""


def describe_meaning(id: str, family: Family, number: int) -> dict[str, Fragment]:
    """Describe a meaning in a light, fitted into a ball of radius 1.2 and a cube of half side 1 about the origin.

    Args:
        id: Id of the meaning.
        family: Family of lights.
        number: Number of the light in the family.
    """
    return {"light": light(family, number), **build_object(meaning_of(id))}


def build_object(meaning: Meaning) -> dict[str, Fragment]:
    """Describe a meaning without a light."""
    if isinstance(meaning, ObjectSpec):
        return _in_looks(fit_kind(meaning.kind), meaning)
    whole = fitted(_together(meaning))
    split = len(fit_kind(meaning.first.kind))
    return _in_looks(whole[:split], meaning.first, "first-") | _in_looks(whole[split:], meaning.second, "second-")


def materials(color: str, finish: str) -> dict[str, Fragment]:
    """Choose the materials of a thing's slots.

    Args:
        color: Colour of the closed world.
        finish: Finish of the closed world.
    """
    tone = TONES[color]
    plain = _FINISHES.get(finish, matte)
    # Half of a checkered thing has the second colour. White with dark checks would look like black with pale checks.
    second = "#9c9ea2" if (color, finish) == ("white", "checkered") else _SECOND[color]
    body = matte(_PATTERNS[finish](tone, second)) if finish in _PATTERNS else plain(tone)
    shade = {"black": "#3c3c42", "white": "#a6a8aa"}.get(color) or _mixed(tone, "#000000", 0.45)
    tint = _mixed(tone, "#ffffff", 0.4) if color != "white" else "#c2c4c6"
    dark = DARK if color != "black" else "#6e7075"
    return {"body": body, "shade": plain(shade), "tint": plain(tint), "dark": matte(dark)}


@functools.lru_cache(maxsize=8)
def light(family: Family, number: int) -> Fragment:
    """Make one light of a family: an environment map, exposed so that white does not clip.

    Args:
        family: Family of lights.
        number: Number of the light; lights differ in direction, number of soft boxes, strength and warmth.
    """
    draw = functools.partial(_drawn, "light", family, number)
    boxes, lean = _table_boxes(draw) if family == "guide" else _window_boxes(draw)
    map_ = studio(boxes, height_px=64)
    rows, columns = map_["pixels"].shape[:2]
    around = 2 * np.pi * (np.arange(columns) + 0.5) / columns
    from_top = np.pi * (np.arange(rows)[:, None] + 0.5) / rows
    toward = np.cos(around - np.radians(draw("lean", 0, 360))) * np.sin(from_top)
    warmth = draw("warmth", -0.07, 0.07)
    gain = draw("strength", 0.92, 1.12) * np.asarray([1 + warmth, 1.0, 1 - warmth])
    up = np.cos(from_top)  # dark below, so that metal has something to reflect
    pixels = map_["pixels"] * ((1 + lean * toward) * (1 + 0.3 * up) / (1 + 0.5 * lean) / 1.12)[..., None] * gain
    return {**map_, "pixels": pixels}


# ---- lights ----------------------------------------------------------------------------------------------------------


def _drawn(*words: Any) -> float:
    """Draw a number uniformly between the last two arguments, by the words before them."""
    *about, low, high = words
    return low + (high - low) * fraction(*about)


def _table_boxes(draw: Callable[..., float]) -> tuple[list[SoftBox], float]:
    """Place two to four soft boxes round the thing, one of them the key light; the lean is zero."""
    turn = draw("turn", 0, 360)
    boxes = [SoftBox(turn, draw("height", 35, 60), draw("width", 0.22, 0.36), draw("tall", 0.22, 0.36), "#ffffff", 8.0)]
    for i in range(1 + int(draw("boxes", 0, 3))):
        around = turn + 90 + 85 * i + draw(f"around {i}", -25, 25)
        sides = draw(f"width {i}", 0.18, 0.32), draw(f"tall {i}", 0.25, 0.45)
        boxes.append(SoftBox(around, draw(f"height {i}", 20, 55), *sides, "#ffffff", draw(f"bright {i}", 2.5, 6.0)))
    return boxes, 0.0


def _window_boxes(draw: Callable[..., float]) -> tuple[list[SoftBox], float]:
    """Place a tall window with two wings on one side and a lamp overhead; the lean dims the other side."""
    turn = draw("turn", 0, 360)
    height = draw("height", 12, 32)
    tall = draw("tall", 0.5, 0.8)
    bright = draw("bright", 2.6, 4.0)
    wings = [SoftBox(turn + side, height, 0.2, tall, "#f4f8ff", bright) for side in (-27, 27)]
    lamp = SoftBox(turn + 180, draw("lamp", 60, 80), 0.25, 0.25, "#fff4e4", draw("lamp bright", 2.0, 5.0))
    return [*wings, lamp], draw("lean by", 0.1, 0.25)


# ---- colours and finishes --------------------------------------------------------------------------------------------


def _mixed(color: str, other: str, share: float) -> str:
    """Mix two colours in sRGB; return the mixture."""
    a = _channels(color)
    b = _channels(other)
    return "#" + "".join(f"{round(x + (y - x) * share):02x}" for x, y in zip(a, b, strict=True))


def _channels(color: str) -> list[int]:
    """Return red, green and blue of a colour such as `#c4161c`."""
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]


def _lacquer(color: str) -> Fragment:
    """Make a gloss stronger than plastic's, so that it shows from all directions and not only at grazing angles."""
    bsdf = glossy("#cdcecf" if color == TONES["white"] else color, 0.05)  # highlights are invisible on full white
    return {**bsdf, "bsdf": {**bsdf["bsdf"], "int_ior": 1.6}}


_METALS = {TONES["white"]: [0.96] * 3, TONES["gray"]: [0.40, 0.41, 0.42], TONES["black"]: [0.075, 0.075, 0.08]}


def _brushed(color: str) -> Fragment:
    """Make a metal lighter than its colour, because its surroundings are mostly darker than white."""
    bright = _METALS.get(color) or [min(1.15 * value, 1.0) for value in linear(_mixed(color, "#ffffff", 0.1))]
    return metal({"type": "rgb", "value": bright}, 0.2)


_FINISHES: dict[str, Callable[[str], Fragment]] = {"matte": matte, "glossy": _lacquer, "metallic": _brushed}


def _two_tones(is_second: Float[np.ndarray, "h w"], first: str, second: str) -> Fragment:
    amount = is_second[..., None].astype(np.float64)
    return picture_texture((1 - amount) * np.asarray(linear(first)) + amount * np.asarray(linear(second)), smooth=False)


def _striped(first: str, second: str) -> Fragment:
    """Make stripes along v: five eighths of a period have the first colour."""
    return _two_tones(np.repeat(np.arange(8.0)[:, None] >= 5, 4, axis=1) * 1.0, first, second)


def _checkered(first: str, second: str) -> Fragment:
    """Make checks: a period has two fields by two."""
    return _two_tones(np.asarray([[0.0, 1.0], [1.0, 0.0]]), first, second)


def _dotted(first: str, second: str) -> Fragment:
    """Make dots: a square period has two dots, so that rows are shifted by half a period."""
    u, v = np.meshgrid(*[(np.arange(32) + 0.5) / 32] * 2)
    gaps = [np.hypot((u - a + 0.5) % 1 - 0.5, (v - b + 0.5) % 1 - 0.5) for a, b in ((0.25, 0.25), (0.75, 0.75))]
    return _two_tones((np.minimum(*gaps) < 0.2) * 1.0, first, second)


_PATTERNS: dict[str, Callable[[str, str], Fragment]] = {
    "striped": _striped,
    "checkered": _checkered,
    "dotted": _dotted,
}

STRIPE_NORMAL = np.asarray([0.45, 0.3, 0.84]) / np.linalg.norm([0.45, 0.3, 0.84])
"""Normal of the stripes, which are slabs of space: with this direction they are visible from everywhere."""


def _patterned(mesh: Mesh, finish: str) -> Mesh:
    """Give a mesh the texture coordinates of a pattern."""
    if finish == "striped":
        height = mesh.corners @ STRIPE_NORMAL / (0.8 * PERIOD)
        return dataclasses.replace(mesh, uvs=np.stack([0 * height, height], axis=-1))
    return mesh.boxed_uvs(1 / (PERIOD if finish == "checkered" else 1.35 * PERIOD))


def _in_looks(parts: list[Part], thing: ObjectSpec, prefix: str = "") -> dict[str, Fragment]:
    if thing.finish in _PATTERNS:
        parts = [Part(_patterned(mesh, thing.finish) if slot == "body" else mesh, slot) for mesh, slot in parts]
    return assign_materials(parts, materials(thing.color, thing.finish), prefix)


# ---- places of the things --------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=len(PARTS))
def fit_kind(kind: str) -> list[Part]:
    """Build a kind's parts, fitted to the size of a picture and joined to one part a slot."""
    slots: dict[str, list[Mesh]] = {}
    for part in fitted(PARTS[kind]()):
        slots.setdefault(part.slot, []).append(part.mesh)
    return [Part(join(meshes), slot) for slot, meshes in slots.items()]


@functools.lru_cache(maxsize=len(PARTS))
def kind_bounds(kind: str) -> Float[np.ndarray, "2 3"]:
    """Compute the lowest and the highest corner of a kind as `fit_kind` builds it."""
    return join(part.mesh for part in fit_kind(kind)).bounds


class PairPlace(NamedTuple):
    """Says how to move and scale one thing of a pair; both are fitted to the size of a picture afterwards.

    Attributes:
        start: Added to its points.
        scale: Factor of what comes of it.
        end: Added at last.
    """

    start: Float[np.ndarray, "3"]
    scale: float
    end: Float[np.ndarray, "3"]

    def put_points(self, points: Float[np.ndarray, "*b 3"]) -> Float[np.ndarray, "*b 3"]:
        """Put points of the thing into their place."""
        return (points + self.start) * self.scale + self.end

    def put_mesh(self, mesh: Mesh) -> Mesh:
        """Put a mesh of the thing into its place."""
        moved = mesh.moved(*self.start)
        return moved if self.scale == 1 else moved.scaled(self.scale).moved(*self.end)


def place_pair(first: str, relation: str, second: str) -> tuple[PairPlace, PairPlace]:
    """Place two kinds next to each other, or the first on the second."""
    low, high = kind_bounds(first)
    floor, ceiling = kind_bounds(second)
    nowhere = np.zeros(3)
    if relation == "next to":
        left = PairPlace(np.asarray([0, -low[1] + HALF_GAP, -low[2]]), 1.0, nowhere)
        right = PairPlace(np.asarray([0, -ceiling[1] - HALF_GAP, -floor[2]]), 1.0, nowhere)
        return left, right
    raw = _raw_bounds(second)
    scale = (ceiling - floor)[2] / (raw[1] - raw[0])[2]
    stand = STANDS[second]
    top = np.asarray([stand.x, stand.y, stand.z])
    # As large as possible, but not much wider than its place, and not larger than the thing below it.
    size = float(min(1.35 * scale * stand.width / (high - low)[:2].max(), 0.95, 1.5 / (high - low)[2]))
    upper = PairPlace(np.asarray([0, 0, -low[2]]), size, scale * (top - raw.mean(axis=0)))
    return upper, PairPlace(nowhere, 1.0, nowhere)


@functools.lru_cache(maxsize=len(PARTS))
def _raw_bounds(kind: str) -> Float[np.ndarray, "2 3"]:
    """Compute the bounds of a kind before it is fitted, in which `STANDS` is written."""
    return join(part.mesh for part in PARTS[kind]()).bounds


def _together(pair: ObjectPairSpec) -> list[Part]:
    """Place the things of a pair; return the parts of the first, then those of the second."""
    one, other = place_pair(pair.first.kind, pair.relation, pair.second.kind)
    first = map_meshes(fit_kind(pair.first.kind), one.put_mesh)
    return first + map_meshes(fit_kind(pair.second.kind), other.put_mesh)
