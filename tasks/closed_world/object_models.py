"""Builds the closed world's primitives, furniture, kitchen things and tools from parts without colour.

`PARTS` holds a function for every kind, including those of `tasks.closed_world.more_object_models`. Its parts have at
most four slots, to which `tasks.closed_world.appearance` gives materials: "body" has the thing's colour and finish,
"shade" and "tint" have a darker and a lighter tone of the same colour, and "dark" is for eyes, windows and tyres. So a
thing never shows a second colour.

x is ahead, z is up; any unit of length may be used, because the thing is fitted into a ball at the end. `STANDS` names
the places on which another thing may stand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tasks.closed_world import more_object_models
from tasks.closed_world.more_object_models import upright
from tasks.path_tracing.materials import Part
from tasks.path_tracing.meshes import (
    Mesh,
    Real,
    arc,
    box,
    cone,
    cylinder,
    join,
    lathe,
    ring,
    rod,
    sheet,
    sphere,
    spline,
    torus,
    tube,
)


class SupportSurface(NamedTuple):
    """Place on a thing where another one may stand, in the thing's own unit of length.

    Attributes:
        x: Middle of the place.
        y: Middle of the place.
        z: Height of the place.
        width: Smaller width of the place; the thing on it may be a little wider, but not more.
    """

    x: Real
    y: Real
    z: Real
    width: Real


# ---- primitives ------------------------------------------------------------------------------------------------------


def ball() -> list[Part]:
    """Build a ball."""
    return [Part(sphere(1.0), "body")]


def cube() -> list[Part]:
    """Build a cube, its edges a little rounded."""
    return [Part(box(1.6, 1.6, 1.6, 0.05).moved(z=0.8), "body")]


def cone_() -> list[Part]:
    """Build a cone on its base."""
    return [Part(cone(0.85, 1.75), "body")]


def cylinder_() -> list[Part]:
    """Build a cylinder, upright."""
    return [Part(cylinder(0.62, 1.6, 48, 0.04).moved(z=0.8), "body")]


def ring_() -> list[Part]:
    """Build a ring, leaning, so that its hole is seen from most sides."""
    return [Part(torus(0.85, 0.21, 48).turned("y", 38), "body")]


# ---- furniture -------------------------------------------------------------------------------------------------------


def _legs(x: Real, y: Real, height: Real, width: Real) -> Mesh:
    return join(box(width, width, height).moved(i * x, j * y, height / 2) for i in (-1, 1) for j in (-1, 1))


def chair() -> list[Part]:
    """Build a plain chair with a high back."""
    back = [box(0.12, 0.12, 1.05).moved(-0.44, y, 1.4) for y in (-0.44, 0.44)]
    rails = [box(0.07, 0.8, 0.2).moved(-0.44, 0, z) for z in (1.28, 1.75)]
    return [
        Part(box(1.0, 1.0, 0.13, 0.03).moved(z=0.88), "body"),
        Part(_legs(0.42, 0.42, 0.85, 0.13), "body"),
        Part(join([*back, *rails]), "body"),
    ]


def table() -> list[Part]:
    """Build a long table."""
    return [Part(box(1.25, 1.9, 0.13, 0.03).moved(z=1.0), "body"), Part(_legs(0.5, 0.82, 0.95, 0.15), "body")]


def bench() -> list[Part]:
    """Build a park bench of slats between two dark frames."""
    seat = [box(0.2, 2.2, 0.08).moved(x, 0, 0.5) for x in (-0.24, 0.0, 0.24)]
    back = [box(0.08, 2.2, 0.2).turned("y", -12).moved(-0.40 - 0.09 * i, 0, 0.78 + 0.28 * i) for i in range(2)]
    frames = [
        m.moved(y=y)
        for y in (-0.9, 0.9)
        for m in (
            rod((0.3, 0, 0), (0.3, 0, 0.48), 0.06),
            rod((-0.3, 0, 0), (-0.3, 0, 0.48), 0.06),
            rod((-0.32, 0, 0.45), (-0.56, 0, 1.15), 0.05),
            rod((-0.42, 0, 0.78), (0.34, 0, 0.78), 0.05),
            rod((0.32, 0, 0.45), (0.32, 0, 0.78), 0.05),
        )
    ]
    return [Part(join([*seat, *back]), "body"), Part(join(frames), "shade")]


def sofa() -> list[Part]:
    """Build a sofa with two cushions and fat arms."""
    arm = join([box(0.95, 0.3, 0.55, 0.05).moved(z=0.42), cylinder(0.19, 0.95, 24, 0.03).turned("y", 90).moved(z=0.72)])
    return [
        Part(box(0.95, 2.0, 0.42, 0.05).moved(z=0.33), "body"),
        Part(box(0.3, 2.0, 0.85, 0.1).turned("y", -8).moved(-0.42, 0, 0.78), "body"),
        *(Part(arm.moved(0, y, 0), "body") for y in (-1.1, 1.1)),
        *(Part(box(0.7, 0.9, 0.2, 0.07).moved(0.12, y, 0.6), "tint") for y in (-0.46, 0.46)),
        Part(_legs(0.38, 1.1, 0.14, 0.1), "dark"),
    ]


def lamp() -> list[Part]:
    """Build a table lamp: foot, stem and a wide shade."""
    foot = lathe([(0, 0), (0.5, 0), (0.5, 0.06), (0.2, 0.16), (0.06, 0.22), (0.06, 1.3), (0, 1.3)], 32)
    return [
        Part(foot, "shade"),
        Part(lathe([(0.76, 0.98), (0.40, 1.72), (0.37, 1.70), (0.73, 0.98), (0.76, 0.98)], 48), "body"),
        Part(sphere(0.16, 24).moved(z=1.3), "tint"),
        Part(sphere(0.06, 16).moved(z=1.78), "shade"),
    ]


def bed() -> list[Part]:
    """Build a bed with a headboard and two pillows."""
    return [
        Part(box(2.1, 1.3, 0.3, 0.08).moved(z=0.48), "body"),
        Part(box(2.15, 1.34, 0.16).moved(z=0.28), "shade"),
        Part(box(0.12, 1.4, 1.05, 0.04).moved(-1.08, 0, 0.62), "shade"),
        Part(box(0.12, 1.4, 0.6, 0.04).moved(1.08, 0, 0.38), "shade"),
        *(Part(box(0.42, 0.54, 0.2, 0.08).moved(-0.75, y, 0.68), "tint") for y in (-0.31, 0.31)),
        Part(_legs(1.08, 0.62, 0.25, 0.13), "shade"),
    ]


# ---- kitchen ---------------------------------------------------------------------------------------------------------


def mug() -> list[Part]:
    """Build a straight mug with a handle."""
    cup = [(0, 0), (0.5, 0), (0.56, 0.05), (0.56, 1.2), (0.47, 1.2), (0.46, 0.1), (0, 0.1)]
    bow = arc(0.36, -85, 85, 17)
    handle = np.stack([0.53 + 1.05 * bow[:, 0], 0 * bow[:, 0], 0.6 + bow[:, 1]], axis=-1)
    return [Part(lathe(cup), "body"), Part(tube(handle, 0.095), "body")]


def teapot() -> list[Part]:
    """Build a round teapot with spout, handle and lid."""
    body = spline([(0.5, 0.0), (0.76, 0.2), (0.84, 0.52), (0.68, 0.88), (0.38, 1.06)], 20)
    spout = spline([(0.66, 0, 0.3), (0.9, 0, 0.42), (1.0, 0, 0.7), (1.18, 0, 0.96)], 14)
    handle = spline([(-0.6, 0, 0.86), (-0.96, 0, 0.94), (-1.08, 0, 0.56), (-0.74, 0, 0.24)], 18)
    return [
        Part(lathe([(0, 0), *body]), "body"),
        Part(lathe([(0.41, 1.03), (0.39, 1.09), (0.1, 1.2), (0, 1.21)], 32), "shade"),
        Part(sphere(0.14, 24).moved(z=1.3), "shade"),
        Part(tube(spout, np.linspace(0.24, 0.1, 14), 16), "body"),
        Part(tube(handle, 0.1), "body"),
    ]


def bottle() -> list[Part]:
    """Build a bottle with a long neck and a stopper."""
    shoulder = spline([(0.46, 1.05), (0.42, 1.25), (0.2, 1.5), (0.16, 1.7)], 12)
    profile = [(0, 0), (0.42, 0), (0.46, 0.05), *shoulder, (0.16, 1.98), (0.2, 2.0), (0.2, 2.1), (0, 2.1)]
    return [
        Part(lathe(profile), "body"),
        Part(cylinder(0.13, 0.24, 24).moved(z=2.2), "shade"),
    ]


def cupcake() -> list[Part]:
    """Build a cupcake: a pleated paper cup, three rolls of cream and a cherry."""
    angle = np.linspace(0, 2 * np.pi, 49)
    pleats = 1 + 0.05 * np.where(np.arange(49) % 2, 1, -1)
    pleats[-1] = pleats[0]
    circle = np.stack([pleats * np.cos(angle), pleats * np.sin(angle), 0 * angle], axis=-1)
    paper = np.stack([radius * circle + [0, 0, z] for radius, z in ((0.0, 0.0), (0.46, 0.0), (0.66, 0.6))])
    rolls = [torus(r, 0.21, 40).moved(z=z) for r, z in ((0.52, 0.72), (0.34, 1.0), (0.16, 1.24))]
    return [
        Part(sheet(paper, 20.0), "shade"),
        Part(join([*rolls, cone(0.6, 0.7, 0.2, 32).moved(z=0.9)]), "body"),
        Part(sphere(0.14, 24).moved(z=1.5), "dark"),
    ]


# ---- tools and things to wear ----------------------------------------------------------------------------------------


def hammer() -> list[Part]:
    """Build a claw hammer, its head up."""
    claw = upright([(-0.1, 0.2), (-0.55, 0.12), (-0.9, -0.2), (-0.55, -0.1), (-0.1, -0.22)], 0.36)
    return [
        Part(box(0.46, 0.42, 0.5, 0.05).moved(z=1.6), "body"),
        Part(claw.moved(-0.08, 0, 1.6), "body"),
        Part(cylinder(0.2, 0.3, 24).turned("y", 90).moved(0.34, 0, 1.6), "body"),
        Part(cylinder(0.29, 0.3, 32, 0.03).turned("y", 90).moved(0.6, 0, 1.6), "body"),
        Part(tube([(0, 0, 0), (0, 0, 0.55), (0, 0, 0.75), (0, 0, 1.6)], [0.2, 0.2, 0.13, 0.13], 16), "shade"),
    ]


def umbrella() -> list[Part]:
    """Build an open umbrella with a hooked handle."""
    angle = np.radians(np.linspace(0, 360, 65))
    between = 1 - np.abs(np.cos(4 * angle))  # 0 at the ribs
    circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=-1)
    across = np.linspace(1, 0, 9)
    curve = np.stack([1.15 * np.sin(across * np.pi / 2), 1.55 + 0.62 * np.cos(1.45 * across)], axis=-1)
    cloth = [r * (1 - 0.1 * t * between)[:, None] * circle + [0, 0, z] for t, (r, z) in zip(across, curve, strict=True)]
    rib = tube([(r, 0, z) for r, z in curve[:-1]], 0.02, 6)
    hook = arc(0.16, 180, 360, 10) + [0.16, 0.2]
    stick = [(0, 0, 2.35), (0, 0, 0.2), *((x, 0, z) for x, z in hook)]
    return [Part(sheet(np.stack(cloth), 12.0), "body"), Part(ring(rib, 8), "shade"), Part(tube(stick, 0.055), "dark")]


def key() -> list[Part]:
    """Build an old key, upright, its ring up."""
    teeth = [box(0.46, 0.26, 0.2).moved(0.3, 0, 0.14), box(0.36, 0.26, 0.2).moved(0.25, 0, 0.5)]
    return [
        Part(torus(0.42, 0.17, 40).turned("x", 90).moved(z=1.55), "body"),
        Part(cylinder(0.15, 1.2, 20).moved(z=0.6), "body"),
        Part(torus(0.18, 0.09, 24).moved(z=0.98), "body"),
        Part(join(teeth), "body"),
    ]


def hat() -> list[Part]:
    """Build a hat with a wide brim, a ribbon and a dented crown."""
    angle = np.linspace(0, 2 * np.pi, 49)
    rows = []
    for radius, rise in ((0.5, 0.0), (0.75, 0.0), (0.98, 0.1), (1.06, 0.18)):
        rows.append(np.stack([radius * np.cos(angle), 0.85 * radius * np.sin(angle), rise * np.sin(angle) ** 2], -1))
    crown = lathe([(0.64, 0), (0.58, 0.68), (0.5, 0.84), (0.3, 0.82), (0, 0.66)], 40)
    return [
        Part(sheet(np.stack(rows)), "body"),
        Part(crown.scaled(1, 0.85, 1), "body"),
        Part(lathe([(0.655, 0.02), (0.63, 0.24)], 40).scaled(1, 0.85, 1), "shade"),
    ]


def bell() -> list[Part]:
    """Build a hand bell with a loop and a clapper."""
    wall = spline([(0.82, 0.0), (0.66, 0.22), (0.5, 0.6), (0.45, 1.0), (0.3, 1.2), (0.0, 1.26)], 24)
    inside = [(r * 0.9, z) for r, z in wall[:12]][::-1]
    return [
        Part(lathe([*inside, (0.78, 0.0), (0.86, 0.0), (0.86, 0.08), *wall[1:]], 40), "body"),
        Part(sphere(0.17, 24).moved(z=0.0), "dark"),
        Part(torus(0.2, 0.07, 32).turned("x", 90).moved(z=1.42), "shade"),
    ]


def guitar() -> list[Part]:
    """Build a guitar, upright, its strings toward x."""
    right = spline([(0.0, 0.0), (0.56, 0.06), (0.76, 0.45), (0.46, 0.88), (0.56, 1.26), (0.28, 1.5), (0.0, 1.54)], 30)
    outline = np.concatenate([right[:-1], (right * [-1, 1])[::-1][:-1]])
    return [
        Part(upright(outline, 0.4).turned("z", 90), "body"),
        Part(box(0.14, 0.24, 0.95).moved(0.15, 0, 1.85), "shade"),
        Part(box(0.14, 0.38, 0.38, 0.03).moved(0.15, 0, 2.4), "shade"),
        Part(cylinder(0.22, 0.03, 32).turned("y", 90).moved(0.205, 0, 1.02), "dark"),
        Part(box(0.1, 0.54, 0.1).moved(0.23, 0, 0.42), "dark"),
        *(Part(rod((0.26, y, 0.4), (0.26, y, 2.4), 0.014, 6), "tint") for y in (-0.06, 0.0, 0.06)),
    ]


def ladder() -> list[Part]:
    """Build a folding ladder, open, with broad steps on one side."""
    front = [rod((0.6, y, 0), (0.06, 0.75 * y, 2.0), 0.07) for y in (-0.5, 0.5)]
    behind = [rod((-0.6, y, 0), (-0.06, 0.75 * y, 2.0), 0.06) for y in (-0.5, 0.5)]
    at = (0.2, 0.4, 0.6, 0.8)
    steps = [box(0.26, 0.96 - 0.24 * t, 0.07).moved(0.6 - 0.54 * t, 0, 2.0 * t) for t in at]
    bars = [rod((-0.6 + 0.54 * t, -0.46, 2 * t), (-0.6 + 0.54 * t, 0.46, 2 * t), 0.04) for t in (0.3, 0.7)]
    return [
        Part(join([*front, *steps, box(0.4, 0.8, 0.1).moved(z=2.02)]), "body"),
        Part(join([*behind, *bars]), "shade"),
    ]


def crown() -> list[Part]:
    """Build a crown with eight points, a ball on each."""
    angle = np.linspace(0, 2 * np.pi, 65)
    spikes = 0.75 + 0.5 * np.abs(((np.arange(65) % 8) - 4) / 4)
    low = np.stack([0.8 * np.cos(angle), 0.8 * np.sin(angle), 0 * angle], -1)
    high = np.stack([0.95 * np.cos(angle), 0.95 * np.sin(angle), spikes], -1)
    return [
        Part(sheet(np.stack([low, high])), "body"),
        Part(torus(0.82, 0.09, 48).moved(z=0.06), "shade"),
        Part(ring(sphere(0.11, 16).moved(0.96, 0, 1.3), 8), "tint"),
    ]


PARTS: dict[str, Callable[[], list[Part]]] = {
    "ball": ball,
    "cube": cube,
    "cone": cone_,
    "cylinder": cylinder_,
    "ring": ring_,
    "chair": chair,
    "table": table,
    "bench": bench,
    "sofa": sofa,
    "lamp": lamp,
    "bed": bed,
    "mug": mug,
    "teapot": teapot,
    "bottle": bottle,
    "cupcake": cupcake,
    "hammer": hammer,
    "umbrella": umbrella,
    "key": key,
    "hat": hat,
    "bell": bell,
    "guitar": guitar,
    "ladder": ladder,
    "crown": crown,
    **more_object_models.PARTS,
}
"""Function that builds the parts, by kind."""

STANDS = {
    "cube": SupportSurface(0, 0, 1.6, 1.6),
    "cylinder": SupportSurface(0, 0, 1.6, 1.24),
    "chair": SupportSurface(0.08, 0, 0.945, 0.8),
    "table": SupportSurface(0, 0, 1.065, 1.25),
    "bench": SupportSurface(0, 0, 0.54, 0.62),
    "sofa": SupportSurface(0.14, 0, 0.7, 0.8),
    "bed": SupportSurface(0.2, 0, 0.63, 1.3),
    "bridge": SupportSurface(0, 0, 1.2, 1.0),
}
"""Place for another thing, by kind, for the kinds that can carry one."""
