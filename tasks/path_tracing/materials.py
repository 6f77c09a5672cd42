"""Builds descriptions of scenes and objects: parts, materials, textures and a light.

An object is a list of parts. A `Part` is a shape in its place, with the name of a slot. `assign_materials` gives a
material to each slot, so that one mug can have every colour and finish:

    mug = [Part(cylinder(0.4, 0.8), "body"), Part(torus(0.25, 0.06).turned("x", 90).moved(0.45), "body")]
    striped = glossy(stripes("#d8342c", "#f4efe6", 6))
    description = {"studio": studio(), **assign_materials(fitted(mug), {"body": striped})}

A description is a dict of fragments in Mitsuba's form, with plain values, arrays and meshes only. Nothing here imports
Mitsuba; `tasks.path_tracing.mitsuba_renderer` loads a description. Colours are written as on the web: "#rrggbb", sRGB.
Shapes come from `tasks.path_tracing.meshes`.

h, w: pixels of a texture, rows along v and columns along u.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from tasks.path_tracing.meshes import Mesh, Real, join

Fragment = dict[str, Any]
Color = str | Fragment


# ---- objects ---------------------------------------------------------------------------------------------------------


class Part(NamedTuple):
    """A shape in its place, and the name of its slot, which later gets a material."""

    mesh: Mesh
    slot: str


def map_meshes(parts: Iterable[Part], change: Callable[[Mesh], Mesh]) -> list[Part]:
    """Change the mesh of each part: `map_meshes(mug, lambda m: m.moved(x=0.5))`."""
    return [Part(change(part.mesh), part.slot) for part in parts]


def fitted(parts: Iterable[Part], radius: Real = 1.2, half_side: Real = 1.0) -> list[Part]:
    """Centre parts at the origin and scale them to the largest size that fits into a ball and a cube."""
    parts = list(parts)
    points = join(part.mesh for part in parts).corners.reshape(-1, 3)
    middle, scale = fit_points(points, radius, half_side)
    return map_meshes(parts, lambda mesh: mesh.moved(*-middle).scaled(scale))


def fit_points(
    points: Float[np.ndarray, "p 3"], radius: Real = 1.2, half_side: Real = 1.0
) -> tuple[Float[np.ndarray, "3"], float]:
    """Compute the middle of points, and the largest factor with which they fit about it into a ball and a cube."""
    low = points.min(axis=0)
    high = points.max(axis=0)
    middle = (low + high) / 2
    reach = np.linalg.norm(points - middle, axis=-1).max()
    return middle, float(min(radius / reach, 2 * half_side / (high - low).max()))


def assign_materials(parts: Iterable[Part], materials: Mapping[str, Fragment], prefix: str = "") -> dict[str, Fragment]:
    """Give every slot its material; all parts of a slot become one mesh.

    Args:
        parts: Parts of the object.
        materials: Materials by slot; slots that the object lacks are ignored.
        prefix: Prefix of the names, for a description that holds several objects.

    Raises:
        ValueError: A slot has no material.
    """
    slots: dict[str, list[Mesh]] = {}
    for part in parts:
        slots.setdefault(part.slot, []).append(part.mesh)
    missing = sorted(set(slots) - set(materials))
    if missing:
        names = ", ".join(missing)
        raise ValueError(f"assign_materials: expected a material for every slot, got none for {names}; add it")
    return {
        prefix + slot: {"type": "mesh", "mesh": join(meshes), "bsdf": materials[slot]} for slot, meshes in slots.items()
    }


# ---- materials: fragments that Mitsuba calls a bsdf ------------------------------------------------------------------


def linear(color: str) -> list[float]:
    """Convert a web colour to linear RGB.

    Example:
        >>> linear("#ffffff"), [round(x, 4) for x in linear("#80ff00")]
        ([1.0, 1.0, 1.0], [0.2159, 1.0, 0.0])
    """
    if len(color) != 7 or color[0] != "#":
        raise ValueError(f"linear: expected a colour such as '#d8342c', got {color!r}")
    srgb = np.asarray([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return [float(x) for x in np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)]


def _tint(color: Color) -> Fragment:
    return {"type": "rgb", "value": linear(color)} if isinstance(color, str) else color


def _both_sides(bsdf: Fragment) -> Fragment:
    return {"type": "twosided", "bsdf": bsdf}


def matte(color: Color) -> Fragment:
    """Describe chalk, paper or clay: a surface that looks the same from all directions."""
    return _both_sides({"type": "diffuse", "reflectance": _tint(color)})


def glossy(color: Color, roughness: Real = 0.08) -> Fragment:
    """Describe plastic or lacquer: a coloured ground under a clear coat that reflects the light."""
    coat: Fragment = (
        {"type": "roughplastic", "distribution": "ggx", "alpha": roughness} if roughness else {"type": "plastic"}
    )
    return _both_sides({**coat, "diffuse_reflectance": _tint(color), "nonlinear": False})


def metal(color: Color = "#e6e8ea", roughness: Real = 0.15) -> Fragment:
    """Describe brushed metal; with roughness 0 a mirror."""
    kind: Fragment = (
        {"type": "roughconductor", "distribution": "ggx", "alpha": roughness} if roughness else {"type": "conductor"}
    )
    return _both_sides({**kind, "material": "none", "specular_reflectance": _tint(color)})


def glass(color: Color = "#ffffff", ior: Real = 1.5) -> Fragment:
    """Describe clear glass, or water with ior 1.33; the mesh must be closed, with normals that point outward."""
    return {"type": "dielectric", "int_ior": ior, "ext_ior": 1.0, "specular_transmittance": _tint(color)}


# ---- textures: fragments that may be used in place of a colour -------------------------------------------------------


def picture_texture(pixels: Float[np.ndarray, "h w 3"], *, smooth: bool = True) -> Fragment:
    """Make a texture from an image in linear RGB; its first row lies at v = 0."""
    kind = "bilinear" if smooth else "nearest"
    return {"type": "bitmap", "pixels": np.asarray(pixels), "raw": True, "filter_type": kind, "wrap_mode": "repeat"}


def stripes(first: str, second: str, count: int = 1) -> Fragment:
    """Make a texture of stripes along u, with `count` pairs along v."""
    return picture_texture(np.tile(np.asarray([[linear(first)], [linear(second)]]), (count, 1, 1)), smooth=False)


def checker(first: str, second: str, count_u: int = 1, count_v: int = 1) -> Fragment:
    """Make a texture of checks, with so many pairs of fields in each direction."""
    a = linear(first)
    b = linear(second)
    return picture_texture(np.tile(np.asarray([[a, b], [b, a]]), (count_v, count_u, 1)), smooth=False)


def blend(first: str, second: str, amount: Float[np.ndarray, "h w"]) -> Fragment:
    """Make a texture between two colours: the first where the amount is 0, the second where it is 1."""
    a = np.asarray(linear(first))
    b = np.asarray(linear(second))
    return picture_texture(a + (b - a) * np.clip(amount, 0, 1)[..., None])


def wood(light: str, dark: str, seed: int, *, rings: Real = 9.0, size: int = 96) -> Fragment:
    """Make a texture of wood with its grain along u: wavy lines of two browns."""
    random = np.random.Generator(np.random.PCG64(seed))
    v, u = np.meshgrid(np.arange(size) / size, np.arange(size) / size, indexing="ij")
    bend = sum(
        a * np.sin(2 * np.pi * (i * u + j * v) + p)
        for i, j, a, p in zip(
            (1, 2, 1, 3), (1, 0, 2, 1), random.uniform(0.02, 0.07, 4), random.uniform(0, 6.3, 4), strict=True
        )
    )
    lines = 0.5 + 0.5 * np.sin(2 * np.pi * (rings * (v + bend)))
    return blend(light, dark, 0.8 * lines**2 + random.uniform(0, 0.2, (size, 1)))


def speckle(ground: str, spots: str, seed: int, *, share: Real = 0.1, size: int = 64) -> Fragment:
    """Make a texture with random spots of one pixel, as in granite or terracotta."""
    random = np.random.Generator(np.random.PCG64(seed))
    return blend(ground, spots, (random.random((size, size)) < share) * random.random((size, size)))


# ---- light -----------------------------------------------------------------------------------------------------------


class SoftBox(NamedTuple):
    """A bright rectangle far away.

    Attributes:
        azimuth_deg: Azimuth of its direction, see `tasks.cameras`.
        elevation_deg: Elevation of its direction.
        width: Half its width, divided by its distance.
        height: Half its height, divided by its distance.
        color: Colour of its light.
        radiance: Radiance, added to that of the sky, which is about 0.5.
    """

    azimuth_deg: Real
    elevation_deg: Real
    width: Real
    height: Real
    color: str
    radiance: Real


SOFT_BOXES = (
    SoftBox(-55, 48, 0.60, 0.50, "#fff1dc", 3.4),
    SoftBox(70, 28, 0.30, 0.70, "#e6efff", 2.6),
    SoftBox(185, 38, 0.55, 0.45, "#fff8ee", 2.4),
    SoftBox(10, 82, 0.45, 0.45, "#ffffff", 1.2),
)


EXPOSURE = 1.35
"""Radiance of a white matte card in the position with most light.

The tone curve of `tasks.path_tracing.mitsuba_renderer` brings it below 1.
"""


def studio(boxes: Sequence[SoftBox] = SOFT_BOXES, *, height_px: int = 128) -> Fragment:
    """Make the light of a photographer's studio: a sky that is brighter above, and soft boxes that gloss reflects.

    The exposure is set by a white matte card, see `EXPOSURE`, so that nothing matte clips with any soft boxes.

    Args:
        boxes: Soft boxes, brighter than the sky.
        height_px: Rows of the environment map, a multiple of 8; the map is twice as wide.
    """
    rows, columns = np.meshgrid(np.arange(height_px) + 0.5, np.arange(2 * height_px) + 0.5, indexing="ij")
    polar = np.pi * rows / height_px
    around = np.pi * columns / height_px
    # Mitsuba's map has +y up; `to_world` below turns +y to our +z, and these are the directions after the turn.
    x = np.sin(around) * np.sin(polar)
    y = np.cos(around) * np.sin(polar)
    z = np.cos(polar)
    directions = np.stack([x, y, z], axis=-1)
    sky = 0.50 + 0.14 * z
    radiance = sky[..., None] * np.asarray([0.97, 1.0, 1.04])
    for light in boxes:
        shape = _box_shape(light, directions)
        radiance = radiance + (light.radiance * shape)[..., None] * np.asarray(linear(light.color))
    # Light of blocks of 8 x 8 pixels, summed on cards that face the middle of each block.
    weighted = radiance.mean(axis=-1) * np.sin(polar) * (np.pi / height_px) ** 2
    blocks = weighted.reshape(height_px // 8, 8, height_px // 4, 8).sum(axis=(1, 3)).reshape(-1)
    cards = directions.reshape(height_px // 8, 8, height_px // 4, 8, 3).mean(axis=(1, 3)).reshape(-1, 3)
    cards /= np.linalg.norm(cards, axis=-1, keepdims=True)
    brightest = (np.maximum(cards @ cards.T, 0) @ blocks).max() / np.pi / EXPOSURE
    to_world = np.asarray([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    return {"type": "envmap", "pixels": radiance / brightest, "to_world": to_world}


def _box_shape(light: SoftBox, directions: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """Compute how much of each pixel of the environment a soft box covers: 1 inside, 0 outside, with soft edges."""
    azimuth = np.radians(light.azimuth_deg)
    elevation = np.radians(light.elevation_deg)
    right = np.asarray([-np.sin(azimuth), np.cos(azimuth), 0.0])
    toward = np.asarray([*(np.cos(elevation) * np.asarray([np.cos(azimuth), np.sin(azimuth)])), np.sin(elevation)])
    ahead = directions @ toward
    distance = np.maximum(ahead, 1e-3)
    inside = [
        np.clip((size - np.abs(directions @ axis) / distance) / 0.08 + 0.5, 0, 1)
        for axis, size in ((right, light.width), (np.cross(toward, right), light.height))
    ]
    return np.where(ahead > 0, inside[0] * inside[1], 0.0)


def in_studio(build: Callable[[], dict[str, Fragment]]) -> dict[str, Fragment]:
    """Build a description and add the studio's light.

    Raises:
        ValueError: A slot has the light's name.
    """
    description = build()
    if "studio" in description:
        raise ValueError("in_studio: expected slots with other names than the light's, got 'studio'; rename the slot")
    return {"studio": studio(), **description}
