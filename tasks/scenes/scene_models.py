"""Builds the eight objects of the embedded scenes from parts; `tasks.scenes.scenes` gives the reasons for these eight.

Each public function returns the description of one object, without a light. Any unit of length may be used, because the
object is fitted into the scene's ball at the end. x is along the object, z is up; a figure looks toward +x.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from jaxtyping import Float

from tasks.path_tracing.materials import (
    Fragment,
    Part,
    assign_materials,
    blend,
    checker,
    fitted,
    glass,
    glossy,
    linear,
    map_meshes,
    matte,
    metal,
    picture_texture,
    speckle,
    wood,
)
from tasks.path_tracing.meshes import (
    Mesh,
    Real,
    arc,
    box,
    capsule,
    cone,
    cylinder,
    join,
    lathe,
    prism,
    ring,
    rod,
    sheet,
    sphere,
    spline,
    torus,
    tube,
)

# ---- mirror-like metal -----------------------------------------------------------------------------------------------


def kettle() -> dict[str, Fragment]:
    """Build a copper kettle, its lid and bow of steel, all polished to a mirror."""
    body = spline([(0.80, 0.06), (0.93, 0.20), (0.90, 0.42), (0.72, 0.66), (0.46, 0.82), (0.34, 0.88)], 40)
    lid = [(0.37, 0.86), (0.37, 0.90), *spline([(0.35, 0.91), (0.25, 0.98), (0.10, 1.02), (0.0, 1.03)], 14)]
    spout = spline([(0.66, 0, 0.32), (0.95, 0, 0.42), (1.08, 0, 0.66), (1.18, 0, 0.92), (1.36, 0, 1.02)], 32)
    half = [(-0.62, 0, 0.72), (-0.72, 0, 1.08), (-0.50, 0, 1.44)]
    bow = spline([*half, (0, 0, 1.60), *((-x, y, z) for x, y, z in half[::-1])], 79)
    parts = [
        Part(lathe([(0, 0.06), *body], 96), "copper"),
        Part(tube(spout, np.linspace(0.20, 0.075, 32), 32), "copper"),
        Part(lathe([(0, 0), (0.80, 0), (0.86, 0.03), (0.86, 0.08), (0.80, 0.10)], 96), "steel"),
        Part(lathe(lid, 64), "steel"),
        Part(torus(0.085, 0.025).turned("y", 68).moved(1.35, 0, 1.015), "steel"),
        Part(lathe([(0.05, 1.02), (0.05, 1.09), *(arc(0.11, -60, 90, 12) + [0, 1.17])], 32), "black"),
        *(Part(sphere(0.085, 24).moved(x, 0, 0.74), "steel") for x in (-0.62, 0.62)),
        Part(tube(bow, 0.034, 16), "steel"),
        Part(tube(bow[23:-23], 0.075, 20), "black"),
        *(Part(cylinder(0.085, 0.05).aimed(bow[i + 1] - bow[i]).moved(*bow[i]), "steel") for i in (23, 55)),
    ]
    return assign_materials(
        fitted(parts),
        {"copper": metal("#f3a27c", 0.0), "steel": metal("#e9ebee", 0.0), "black": glossy("#22201f", 0.12)},
    )


# ---- glossy plastic --------------------------------------------------------------------------------------------------


def _wheel(radius: Real) -> list[Part]:
    """Build a spoked wheel, flat in the x-z plane, its outer side toward -y."""
    rim = lathe([(radius * 0.78, -0.05), (radius, -0.05), (radius, 0.03), (radius * 1.1, 0.05), (radius * 0.78, 0.05)])
    spokes = ring(box(radius * 1.6, 0.05, 0.05), 3)
    upright = [Part(join([rim, spokes]), "wheel"), Part(cylinder(radius * 0.28, 0.15, 24, 0.02), "brass")]
    return map_meshes(upright, lambda mesh: mesh.turned("x", 90))


def locomotive() -> dict[str, Fragment]:
    """Build a toy locomotive with six spoked wheels."""
    along = partial(Mesh.turned, axis="y", angle_deg=90)
    chimney = [(0, 0.9), (0.09, 0.9), (0.09, 1.15), (0.17, 1.34), (0.17, 1.38), (0.12, 1.38), (0, 1.3)]
    parts = [
        Part(along(cylinder(0.33, 1.15, 64, 0.04)).moved(0.28, 0, 0.62), "boiler"),
        *(Part(along(torus(0.33, 0.022)).moved(x, 0, 0.62), "brass") for x in (-0.05, 0.3, 0.62)),
        Part(along(cylinder(0.27, 0.06, 48, 0.02)).moved(0.87, 0, 0.62), "black"),
        Part(along(sphere(0.05)).moved(0.90, 0, 0.62), "brass"),
        Part(lathe(chimney).moved(x=0.62), "black"),
        Part(torus(0.165, 0.022).moved(0.62, 0, 1.36), "brass"),
        Part(capsule(0.13, 0.5).moved(0.22, 0, 0.87), "brass"),
    ]
    parts += [
        Part(box(0.62, 0.80, 0.46, 0.03).moved(-0.58, 0, 0.56), "cab"),
        *(Part(box(0.09, 0.09, 0.42, 0.02).moved(x, y, 0.98), "cab") for x in (-0.84, -0.32) for y in (-0.35, 0.35)),
        Part(box(0.78, 0.94, 0.07, 0.03).moved(-0.58, 0, 1.20), "roof"),
        Part(box(0.60, 0.74, 0.07, 0.03).moved(-0.58, 0, 1.255), "roof"),
        Part(box(1.84, 0.60, 0.12, 0.03).moved(0.04, 0, 0.30), "frame"),
        Part(box(0.08, 0.84, 0.16, 0.03).moved(0.95, 0, 0.32), "roof"),
        *(Part(along(cone(0.05, 0.12, 0.10, 24, 0.015)).moved(1.05, y, 0.33), "black") for y in (-0.28, 0.28)),
        Part(prism([(0.0, -0.36), (0.0, 0.36), (0.26, 0.0)], 0.22).moved(0.95, 0, 0.16), "wheel"),
        Part(along(cylinder(0.09, 0.10, 32, 0.02)).moved(0.82, 0, 1.03), "brass"),
    ]
    for side in (1, -1):
        for x, radius in ((-0.60, 0.27), (0.02, 0.21), (0.52, 0.21)):
            parts += map_meshes(_wheel(radius), lambda m: m.moved(x, -0.36, radius).scaled(1, side, 1))  # noqa: B023
        parts.append(Part(box(1.14, 0.05, 0.07, 0.02).moved(-0.04, -0.46 * side, 0.22), "boiler"))
    colors = {
        "boiler": "#1c7a4c", "cab": "#d4281f", "roof": "#f0b323", "frame": "#27354f", "wheel": "#d4281f",
        "brass": "#f0b323", "black": "#23262b",
    }  # fmt: skip
    return assign_materials(fitted(parts), {slot: glossy(color, 0.06) for slot, color in colors.items()})


# ---- thin rods and holes ---------------------------------------------------------------------------------------------


def _bird() -> list[Part]:
    """Build a small bird looking along +x, its feet at the origin."""
    wing = sphere(1.0, 24).scaled(0.19, 0.035, 0.10).turned("y", 24)
    eye = sphere(0.022, 16)
    return [
        Part(sphere(1.0, 32).scaled(0.21, 0.145, 0.15).turned("y", -28).moved(0, 0, 0.17), "yellow"),
        Part(sphere(0.12, 32).moved(0.14, 0, 0.34), "yellow"),
        Part(cone(0.04, 0.12, 0, 16).turned("y", 90).moved(0.30, 0, 0.33), "orange"),
        Part(box(0.26, 0.10, 0.03, 0.012).turned("y", -48).moved(-0.23, 0, 0.02), "orange"),
        Part(wing.moved(-0.05, -0.135, 0.19), "orange"),
        Part(wing.moved(-0.05, 0.135, 0.19), "orange"),
        Part(eye.moved(0.215, -0.075, 0.375), "dark"),
        Part(eye.moved(0.215, 0.075, 0.375), "dark"),
        Part(rod((0.02, -0.05, 0.0), (0.02, -0.05, 0.08), 0.014), "dark"),
        Part(rod((0.02, 0.05, 0.0), (0.02, 0.05, 0.08), 0.014), "dark"),
    ]


def birdcage() -> dict[str, Fragment]:
    """Build a cage of thin brass wire with a bird on its swing."""
    bend = [(0.62, 0, 0.10), (0.62, 0, 0.55), (0.62, 0, 1.0), (0.54, 0, 1.30), (0.32, 0, 1.52), (0.03, 0, 1.62)]
    base = [(0, 0), (0.66, 0), (0.72, 0.04), (0.72, 0.13), (0.68, 0.15), (0.66, 0.10), (0, 0.10)]
    swing = [(0, -0.2, 0.72), (0, -0.2, 1.25), (0, 0, 1.56), (0, 0.2, 1.25), (0, 0.2, 0.72)]
    cup = lathe([(0, -0.09), (0.10, -0.09), (0.13, 0.05), (0.11, 0.05), (0.08, -0.05), (0, -0.05)], 24)
    wire = torus(0.62, 0.02, 64, 8)
    parts = [
        Part(lathe(base, 64), "wood"),
        Part(ring(tube(spline(bend, 24), 0.0135, 8), 20), "brass"),
        Part(wire.moved(z=0.40), "brass"),
        Part(wire.moved(z=0.98), "brass"),
        Part(torus(0.36, 0.016, 48, 8).moved(z=1.495), "brass"),
        Part(lathe([(0, 1.56), (0.07, 1.58), (0.05, 1.66), (0.02, 1.72), (0, 1.72)], 24), "brass"),
        Part(torus(0.10, 0.018, 32, 8).turned("x", 90).moved(z=1.82), "brass"),
        *(Part(rod(a, b, 0.01), "brass") for a, b in zip(swing[:-1], swing[1:], strict=True)),
        Part(rod((0, -0.24, 0.72), (0, 0.24, 0.72), 0.022, 16), "wood"),
        Part(cup.moved(0.0, 0.50, 0.52), "blue"),
        Part(cup.moved(0.0, -0.50, 0.52), "red"),
        *map_meshes(_bird(), lambda mesh: mesh.scaled(1.12).moved(0, 0, 0.74)),
    ]
    materials = {
        "brass": metal("#e7bd62", 0.18), "wood": glossy(wood("#a9683a", "#6b3a1d", 5), 0.15),
        "yellow": matte("#f5c62c"), "orange": matte("#ea7f1e"), "dark": glossy("#2a2422"), "blue": glossy("#2c7fc4"),
        "red": glossy("#cf3a35"),
    }  # fmt: skip
    return assign_materials(fitted(parts), materials)


# ---- fine texture ----------------------------------------------------------------------------------------------------


def _patchwork() -> Float[np.ndarray, "h w 3"]:
    """Draw bands of small patterns, from the mouth of a balloon (row 0) to its top."""
    v, u = np.meshgrid(np.arange(144), np.arange(384), indexing="ij")
    colors = np.asarray([linear(c) for c in ("#f6ead2", "#c8312b", "#1f3f77", "#eaa92e", "#1f8a86")])
    ids = np.zeros(v.shape, int)
    triangle = np.abs(u % 24 - 12)
    ids[v < 30] = np.where((u // 16) % 2, 1, 0)[v < 30]
    bands = [
        (30, 34, np.full(v.shape, 3)),
        (34, 54, np.where((v - 34) % 20 > triangle + 4, 4, 2)),
        (54, 57, np.full(v.shape, 0)),
        (57, 81, np.where((u // 6 + v // 6) % 2, 0, 1)),
        (81, 84, np.full(v.shape, 2)),
        (84, 108, np.where((u % 12 - 6) ** 2 + ((v - 84) % 12 - 6) ** 2 < 14, 0, 4)),
        (108, 111, np.full(v.shape, 3)),
        (111, 127, np.where((u // 8 + (v - 111) // 4) % 2, 3, 1)),
        (127, 144, np.where((u // 32) % 2, 2, 0)),
    ]
    for low, high, pattern in bands:
        ids[low:high] = pattern[low:high]
    return colors[ids]


def balloon() -> dict[str, Fragment]:
    """Build a hot-air balloon in patchwork, its basket hung on ropes."""
    gore = [(0.16, 0.55), (0.30, 0.72), (0.55, 1.02), (0.76, 1.38), (0.80, 1.72), (0.66, 2.06), (0.36, 2.28), (0, 2.34)]
    corners = [(-0.17, -0.17), (0.17, -0.17), (0.17, 0.17), (-0.17, 0.17)]
    rim = [(x, y, 0.29) for x, y in (*corners, corners[0])]
    basket = box(0.36, 0.36, 0.28, 0.03).moved(z=0.14)
    parts = [
        Part(lathe(spline(gore, 64), 96), "envelope"),
        Part(torus(0.165, 0.018, 48, 8).moved(z=0.555), "rope"),
        Part(basket.boxed_uvs(2.5), "wicker"),
        Part(tube(rim, 0.028, 10), "leather"),
        *(Part(rod((0.9 * x, 0.9 * y, 0.26), (0.65 * x, 0.65 * y, 0.56), 0.010, 8), "rope") for x, y in corners),
        *(Part(capsule(0.05, 0.13, 16).moved(0.22, 0, 0.12).turned("z", 90 * i), "sack") for i in range(4)),
        Part(cylinder(0.04, 0.10, 24).moved(z=0.46), "steel"),
    ]
    weave = checker("#c99a5b", "#7f5528", 4, 4)
    materials = {
        "envelope": matte(picture_texture(_patchwork(), smooth=False)),
        "rope": matte("#5b4636"),
        "wicker": matte(weave),
        "leather": glossy("#6a3a22", 0.2), "sack": matte(speckle("#d8c39a", "#8a7448", 3, share=0.3)),
        "steel": metal(),
    }  # fmt: skip
    return assign_materials(fitted(parts), materials)


# ---- self-occlusion --------------------------------------------------------------------------------------------------


def _petal(length: Real, width: Real, lift_deg: Real, curl: Real) -> Mesh:
    """Build a petal from the origin outward along +x, cupped, its tip bent up."""
    along, across = np.meshgrid(np.linspace(0, 1, 15), np.linspace(-1, 1, 11), indexing="ij")
    half = width * (np.sin(np.pi * along**0.8) ** 0.75 * (1 - 0.15 * along) + 0.10 * (1 - along))
    x = length * along
    z = curl * length * along**2 + 0.55 * half * across**2
    return sheet(np.stack([x, half * across, z], axis=-1)).turned("y", -lift_deg)


def lotus() -> dict[str, Fragment]:
    """Build a lotus flower over three leaves of its own."""
    layers = [  # from the outside inward: number of petals, their length, half width, steepness and bend
        (8, 0.95, 0.27, 12, 0.25),
        (8, 0.95, 0.27, 32, 0.26),
        (8, 0.85, 0.25, 50, 0.18),
        (7, 0.70, 0.21, 63, 0.10),
        (5, 0.48, 0.14, 72, 0.05),
    ]
    parts = []
    for i, (count, length, width, lift_deg, curl) in enumerate(layers):
        petal = _petal(length, width, lift_deg, curl).moved(0.10, 0, 0.02 * i)
        parts.append(Part(ring(petal, count).turned("z", 22.5 * i + 5), "outer" if i < 2 else "inner"))
    angle = np.radians(np.linspace(25, 335, 41))
    radius = np.asarray([0, 0.3, 0.6, 0.9, 1.0])[:, None]
    rise = 0.02 * np.cos(9 * angle) * radius + 0.10 * radius**4
    pad = np.stack([radius * np.cos(angle), radius * np.sin(angle), rise], axis=-1)
    stem = spline([(0, 0, 0.05), (0.05, 0.02, -0.25), (-0.03, 0.0, -0.55)], 12)
    parts += [
        Part(lathe([(0, 0.05), (0.10, 0.05), (0.17, 0.28), (0.16, 0.31), (0, 0.32)], 32), "pod"),
        Part(ring(tube([(0.17, 0, 0.10), (0.24, 0, 0.25), (0.27, 0, 0.36)], [0.008, 0.008, 0.02], 8), 24), "stamen"),
        Part(sheet(pad).scaled(0.86).turned("z", 200).moved(-0.34, -0.12, -0.16), "leaf"),
        Part(sheet(pad).scaled(0.62).turned("z", 20).moved(0.52, 0.42, -0.12), "leaf"),
        Part(sheet(pad).scaled(0.48).turned("z", -70).moved(0.50, -0.60, -0.13), "leaf"),
        Part(tube(stem, 0.04), "pod"),
    ]
    fade = np.linspace(0, 1, 64)[:, None] ** 0.9 * np.ones((1, 4))
    veins = 0.5 + 0.5 * np.cos(np.linspace(0, 2 * np.pi * 18, 160))[None, :] * np.ones((4, 1))
    materials = {
        "outer": matte(blend("#f9e3ea", "#d8447f", fade)), "inner": matte(blend("#fbeef0", "#e8719c", fade)),
        "pod": matte("#9dbb4b"), "stamen": matte("#f2b92d"), "leaf": glossy(blend("#2f7d46", "#4fa05a", veins), 0.25),
    }  # fmt: skip
    return assign_materials(fitted(parts), materials)


# ---- a transparent part ----------------------------------------------------------------------------------------------


def _ship() -> list[Part]:
    """Build a two-masted ship along +x, its water line at z = 0, about 1 long."""
    sections = []
    for t in np.linspace(0, 1, 13):
        half = 0.13 * np.sin(np.pi * min(0.5, 0.16 + 0.62 * (1 - t) ** 0.8)) * (1 - t**3)
        deck = 0.10 + 0.10 * (2 * t - 1) ** 2
        side = np.linspace(-1, 1, 11)
        depth = deck - (deck + 0.08) * (1 - side**2) ** 0.6
        sections.append(np.stack([np.full(11, t - 0.5), half * side, depth], axis=-1))
    hull = np.stack(sections)
    deck = np.stack([hull[:, 0], hull[:, -1]], axis=1) - [0, 0, 0.02]
    sprit = rod((0.42, 0, 0.18), (0.68, 0, 0.30), 0.012)
    pennant = prism([(0, 0), (-0.14, 0.03), (0, 0.07)], 0.008).turned("x", 90)
    parts = [Part(sheet(hull), "hull"), Part(sheet(deck), "deck"), Part(sprit, "deck")]
    for x, height in ((-0.20, 0.66), (0.16, 0.72)):
        parts.append(Part(rod((x, 0, 0.05), (x, 0, height), 0.014), "deck"))
        for low, high, wide in ((0.20, 0.44, 0.20), (0.47, height - 0.05, 0.15)):
            up, side = np.meshgrid(np.linspace(0, 1, 7), np.linspace(-1, 1, 7), indexing="ij")
            belly = x + 0.02 + 0.09 * np.sin(np.pi * up) * (1 - 0.6 * side**2)
            cloth = np.stack([belly, wide * side * (1 - 0.12 * up), low + (high - low) * up], axis=-1)
            parts.append(Part(sheet(cloth), "sail"))
            parts.append(Part(rod((x, -wide, high), (x, wide, high), 0.010), "deck"))
        parts.append(Part(pennant.moved(x, 0, height - 0.07), "flag"))
    jib = np.asarray([[(0.22, 0, 0.60), (0.22, 0, 0.60)], [(0.60, 0, 0.29), (0.24, 0.02, 0.24)]])
    return [*parts, Part(sheet(jib), "sail")]


def ship_in_bottle() -> dict[str, Fragment]:
    """Build a bottle on a stand, with a ship on a sea inside."""
    outer = [(0.50, -0.85), (0.54, -0.6), (0.54, 0.25), (0.50, 0.48), (0.26, 0.72), (0.17, 0.82), (0.16, 1.06)]
    lip = [(0.20, 1.07), (0.20, 1.14), (0.13, 1.14), (0.13, 1.06), (0.135, 0.84)]
    inner = [(0.22, 0.71), (0.45, 0.47), (0.50, 0.25), (0.50, -0.6), (0.46, -0.80)]
    wall = [(0, -0.88), (0.46, -0.88), *spline(outer, 48), *lip, *spline(inner, 40), (0, -0.80)]
    shore = np.asarray([(0, -0.76), *spline([(0.44, -0.76), (0.485, -0.6), (0.485, 0.24), (0.42, 0.49)], 20), (0, 0.5)])
    circle = arc(1.0, 0, 360, 49)
    sea = np.concatenate([shore[:, :1, None] * circle, np.repeat(shore[:, 1:, None], 49, axis=1)], axis=-1)
    level = 0.18 + 0.012 * np.sin(25 * sea[..., 2]) * np.cos(14 * sea[..., 1])
    sea[..., 0] = np.maximum(sea[..., 0], level)
    lying = partial(Mesh.turned, axis="y", angle_deg=90)
    foot = prism([*(arc(0.56, 200, 340, 24)), (0.50, -0.72), (-0.50, -0.72)], 0.10)
    parts = [
        Part(lying(lathe(wall, 96, 40.0)), "glass"),
        Part(lying(sheet(sea, 30.0)), "sea"),
        Part(lying(cone(0.115, 0.28, 0.14, 32, 0.02).moved(z=1.12)), "cork"),
        *(Part(foot.turned("x", 90).turned("z", 90).moved(x=x), "stand") for x in (-0.50, 0.32)),
        Part(box(0.82, 0.10, 0.08, 0.02).moved(-0.09, 0, -0.66), "stand"),
        *map_meshes(_ship(), lambda mesh: mesh.scaled(0.95).moved(-0.10, 0, -0.18)),
    ]
    materials = {
        "glass": glass("#fbfefd"), "cork": matte(speckle("#c99b66", "#7d552c", 4, share=0.25)),
        "stand": glossy(wood("#8a4f2a", "#5a2f17", 8), 0.12), "sea": glossy("#1f6fa3", 0.15), "hull": matte("#a8452a"),
        "deck": matte("#c89a5e"), "sail": matte("#f3ead6"), "flag": matte("#d0312d"),
    }  # fmt: skip
    return assign_materials(fitted(parts), materials)


# ---- many small parts ------------------------------------------------------------------------------------------------


def _bricks(x: int, y: int, layer: int, columns: int, rows: int) -> Mesh:
    """Build a toy brick with its studs; its corner lies on a grid of unit 1 with layers 1.2 high."""
    knob = cylinder(0.3, 0.24, 12).moved(z=1.2 + 0.1)
    body = box(columns - 0.04, rows - 0.04, 1.18, 0.06).moved(columns / 2, rows / 2, 0.6)
    studs = [knob.moved(i + 0.5, j + 0.5) for i in range(columns) for j in range(rows)]
    return join([body, *studs]).moved(x, y, 1.2 * layer)


def castle() -> dict[str, Fragment]:
    """Build a walled castle of some two hundred toy bricks."""
    parts = []

    def lay(x: int, y: int, layer: int, columns: int, rows: int, slot: str) -> None:
        parts.append(Part(_bricks(x, y, layer, columns, rows), slot))

    for layer in range(3):  # walls in bond, with a gate to the front
        for side in range(4):
            for i in range(5):
                start = 3 + 2 * i - layer % 2 + (layer % 2 and i == 0)
                size = 1 if layer % 2 and i == 0 else 2
                if side == 0 and 5 <= start <= 8 and layer < 2:
                    continue
                slot = "sand" if (i + layer) % 3 else "tan"
                x, y, w, d = (
                    (start, 1, size, 1),
                    (start, 12, size, 1),
                    (1, start, 1, size),
                    (12, start, 1, size),
                )[side]
                lay(x, y, layer, w, d, slot)
    for i in range(3, 11, 2):  # battlements
        for x, y in ((i, 1), (i, 12), (1, i), (12, i)):
            lay(x, y, 3, 1, 1, "tan")
    for x, y in ((0, 0), (11, 0), (0, 11), (11, 11)):
        for layer in range(5):
            for i, j in ((0, 0), (1, 0), (2, 0), (0, 1), (2, 1), (0, 2), (1, 2), (2, 2)):
                if layer < 4 or (i + j) % 2 == 0:
                    lay(x + i, y + j, layer, 1, 1, "grey" if (i + j + layer) % 2 else "pale")
        parts.append(Part(cone(1.42, 3.2, 0.12, 24).moved(x + 1.5, y + 1.5, 5.3 + 1.6), "red"))
    for layer in range(6):  # the keep
        for i, j, w, d in ((5, 5, 2, 2), (7, 5, 2, 2), (5, 7, 2, 2), (7, 7, 2, 2)):
            lay(i, j, layer, w, d, "sand" if (i + j) // 2 % 2 == layer % 2 else "tan")
    lay(5, 5, 6, 4, 4, "red")
    lay(6, 6, 7, 2, 2, "red")
    parts.append(Part(box(14.6, 14.6, 0.5, 0.1).moved(7, 7, -0.25), "green"))
    parts.append(Part(rod((7, 7, 9.6), (7, 7, 12.2), 0.12), "grey"))
    parts.append(Part(prism([(0, 0), (2.4, 0.65), (0, 1.3)], 0.12).turned("x", 90).moved(7, 7, 10.8), "blue"))
    colors = {
        "sand": "#dcb56c", "tan": "#c7944a", "grey": "#7b858f", "pale": "#a9b1b8", "red": "#cc2f27", "green": "#3d9147",
        "blue": "#2460c0",
    }  # fmt: skip
    return assign_materials(fitted(parts), {slot: glossy(color, 0.12) for slot, color in colors.items()})


# ---- two separate objects --------------------------------------------------------------------------------------------


def _pedestal() -> list[tuple[float, float]]:
    """List the profile of a chess piece's foot, from its middle outward and up to a neck at height 0.34."""
    foot = [(0.0, 0.0), (0.36, 0.0), (0.38, 0.03), (0.38, 0.09), (0.35, 0.12)]
    return [*foot, (0.32, 0.13), (0.33, 0.17), (0.30, 0.21), (0.27, 0.22), (0.235, 0.25), (0.215, 0.285), (0.2, 0.34)]


def _king() -> list[Part]:
    stem = spline([(0.2, 0.34), (0.145, 0.6), (0.125, 0.9), (0.14, 1.08)], 16)
    collar = [(0.22, 1.10), (0.24, 1.13), (0.22, 1.16), (0.17, 1.17), (0.19, 1.20), (0.17, 1.23), (0.14, 1.24)]
    crown = [
        *spline([(0.14, 1.24), (0.18, 1.40), (0.235, 1.58)], 8),
        (0.235, 1.61),
        (0.19, 1.63),
        (0.08, 1.69),
        (0, 1.7),
    ]
    cross = [box(0.075, 0.06, 0.26, 0.012).moved(z=1.81), box(0.20, 0.06, 0.075, 0.012).moved(z=1.84)]
    return [Part(lathe([*_pedestal(), *stem, *collar, *crown], 64), "ivory"), *(Part(m, "ivory") for m in cross)]


def _knight() -> list[Part]:
    places = [  # along the neck, over the head and down to the nose: x, z, half width, half depth
        (0.00, 0.36, 0.20, 0.22),
        (-0.07, 0.58, 0.165, 0.25),
        (-0.08, 0.82, 0.14, 0.22),
        (-0.01, 1.04, 0.125, 0.185),
        (0.12, 1.13, 0.12, 0.15),
        (0.27, 1.05, 0.105, 0.14),
        (0.40, 0.90, 0.08, 0.10),
        (0.45, 0.82, 0.06, 0.07),
    ]
    along = spline(places, 40)
    horse = tube(np.stack([along[:, 0], 0 * along[:, 0], along[:, 1]], axis=-1), along[:, 2:], 32)
    mane = [(-0.26, 0, 0.52), (-0.29, 0, 0.70), (-0.285, 0, 0.88), (-0.21, 0, 1.06), (-0.08, 0, 1.22), (0.08, 0, 1.29)]
    ear = cone(0.05, 0.16, 0.0, 16).turned("y", -12)
    eye = sphere(0.024, 16)
    return [
        Part(lathe([*_pedestal(), (0.19, 0.38), (0.0, 0.40)], 64), "ebony"),
        Part(horse, "ebony"),
        *(Part(sphere(1.0, 20).scaled(0.075, 0.05, 0.085).moved(*p), "ebony") for p in spline(mane, 9)),
        Part(ear.moved(0.10, -0.065, 1.31), "ebony"),
        Part(ear.moved(0.10, 0.065, 1.31), "ebony"),
        Part(eye.moved(0.20, -0.105, 1.12), "ivory"),
        Part(eye.moved(0.20, 0.105, 1.12), "ivory"),
    ]


def chess() -> dict[str, Fragment]:
    """Build a king and a knight, side by side."""
    king = map_meshes(_king(), lambda mesh: mesh.scaled(1.3, 1.3, 1).turned("z", 35).moved(-0.54, 0.12))
    knight = map_meshes(_knight(), lambda mesh: mesh.scaled(1.3, 1.3, 1.1).turned("z", -25).moved(0.54, -0.12))
    ivory = wood("#f0dfbb", "#dcc08c", 2, rings=5)
    ebony = wood("#6b3a22", "#3f2012", 6)
    return assign_materials(fitted([*king, *knight]), {"ivory": glossy(ivory, 0.14), "ebony": glossy(ebony, 0.12)})
