"""Builds the closed world's houses, vehicles, plants and animals from parts without colour.

Each function returns the parts of one thing, with the slots "body", "shade", "tint" and "dark" of
`tasks.closed_world.object_models`. x is ahead, z is up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tasks.path_tracing.materials import Part
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


def upright(outline: Any, thickness: Real) -> Mesh:
    """Build a prism from a flat outline in x and z, with a thickness along y."""
    return prism(outline, thickness).turned("x", 90)


def _along(mesh: Mesh) -> Mesh:
    """Turn a mesh from the z axis to the x axis."""
    return mesh.turned("y", 90)


def _egg(x: Real, y: Real, z: Real) -> Mesh:
    """Build an ellipsoid with these half lengths."""
    return sphere(1.0, 32).scaled(x, y, z)


def _both(mesh: Mesh) -> Mesh:
    """Join a mesh and its mirror image across the x-z plane."""
    return join([mesh, mesh.scaled(1, -1, 1)])


def _wheels(xs: tuple[Real, ...], y: Real, radius: Real, width: Real) -> list[Part]:
    """Build wheels with light hubs on both sides, standing on z = 0."""
    tyre = cylinder(radius, width, 32, 0.03).turned("x", 90)
    hub = cylinder(radius * 0.5, width + 0.04, 24).turned("x", 90)
    return [Part(_both(m.moved(x, y, radius)), slot) for x in xs for m, slot in ((tyre, "dark"), (hub, "tint"))]


# ---- buildings -------------------------------------------------------------------------------------------------------


def house() -> list[Part]:
    """Build a house with a gable roof, a chimney, a door and windows."""
    slopes = [(-0.95, 0.92), (0.0, 1.74), (0.95, 0.92)]
    roof = upright([*slopes, *((x, z + 0.16) for x, z in slopes[::-1])], 1.9)
    eaves = upright([*slopes, *((x, z + 0.1) for x, z in slopes[::-1])], 1.98)
    gable = upright([(-0.75, 0), (0.75, 0), (0.75, 1.0), (0, 1.68), (-0.75, 1.0)], 1.6)
    windows = [box(1.52, 0.3, 0.34).moved(0, y, 0.6) for y in (-0.5, 0.5)]
    return [
        Part(gable, "body"),
        Part(roof, "body"),
        Part(eaves.scaled(1.02, 1, 1), "shade"),
        Part(box(0.24, 0.24, 0.6).moved(-0.4, 0.4, 1.62), "body"),
        Part(join([*windows, box(1.52, 0.32, 0.62).moved(0, 0, 0.31)]), "dark"),
        Part(box(0.32, 1.62, 0.34).moved(0, 0, 0.6), "dark"),
    ]


def bridge() -> list[Part]:
    """Build a stone bridge with one arch and parapets."""
    under = arc(0.85, 180, 0, 19) * [1, 0.88]
    over = spline([(1.4, 0.75), (0.75, 1.1), (0.0, 1.22), (-0.75, 1.1), (-1.4, 0.75)], 17)
    side = [(-1.4, 0), *under, (1.4, 0), *over]
    wall = [(x, z + 0.2) for x, z in over[::-1]] + [(x, z - 0.08) for x, z in over]
    posts = [box(0.16, 0.16, 0.4).moved(x, y, z + 0.15) for x, z in over[::4] for y in (-0.58, 0.58)]
    return [
        Part(upright(side, 1.15), "body"),
        *(Part(upright(wall, 0.12).moved(y=y), "shade") for y in (-0.58, 0.58)),
        Part(join(posts), "shade"),
    ]


def lighthouse() -> list[Part]:
    """Build a lighthouse: a tall tower, a gallery, a lantern and its cap."""
    return [
        Part(cone(0.52, 1.9, 0.32, 40).moved(z=1.05), "body"),
        Part(cylinder(0.72, 0.16, 40, 0.03).moved(z=0.08), "shade"),
        Part(cylinder(0.48, 0.1, 40).moved(z=2.02), "shade"),
        Part(torus(0.45, 0.03, 40, 8).moved(z=2.25), "shade"),
        Part(ring(rod((0.45, 0, 2.05), (0.45, 0, 2.25), 0.02, 6), 10), "shade"),
        Part(cylinder(0.25, 0.42, 32).moved(z=2.28), "tint"),
        Part(cone(0.38, 0.36, 0.02, 32).moved(z=2.66), "shade"),
        Part(box(0.2, 0.26, 0.45).moved(0.46, 0, 0.38), "dark"),
        *(Part(box(0.14, 0.16, 0.2).moved(x, 0, z), "dark") for x, z in ((0.4, 1.1), (-0.36, 1.5), (0.34, 1.6))),
    ]


def windmill() -> list[Part]:
    """Build a windmill with four sails."""
    sail = join([box(0.05, 0.32, 0.92).moved(0.0, 0.12, 0.66), rod((0, 0, 0), (0, 0, 1.15), 0.04)])
    sails = join(sail.turned("x", 20 + 90 * i) for i in range(4))
    return [
        Part(cone(0.62, 1.6, 0.4, 32).moved(z=0.8), "body"),
        Part(lathe([(0.46, 1.58), (0.44, 1.7), (0.3, 1.95), (0, 2.08)], 32), "shade"),
        Part(sails.turned("y", -6).moved(0.68, 0, 1.72), "tint"),
        Part(_along(cylinder(0.1, 0.5, 20)).moved(0.5, 0, 1.72), "dark"),
        Part(box(0.2, 0.28, 0.5).moved(0.52, 0, 0.25), "dark"),
        *(Part(box(0.14, 0.2, 0.22).moved(x, 0, 0.95), "dark") for x in (0.48, -0.48)),
    ]


# ---- vehicles --------------------------------------------------------------------------------------------------------


def car() -> list[Part]:
    """Build a small car."""
    low = [(-1.25, 0.2), (1.25, 0.2), (1.28, 0.42), (1.15, 0.58), (0.7, 0.66), (-1.1, 0.68), (-1.28, 0.5)]
    cabin = [(-1.0, 0.64), (0.72, 0.64), (0.3, 1.1), (-0.62, 1.1)]
    side = [(-0.82, 0.7), (-0.2, 0.7), (-0.2, 1.02), (-0.56, 1.02)]
    front = [(-0.1, 0.7), (0.54, 0.7), (0.26, 1.02), (-0.1, 1.02)]
    return [
        Part(upright(low, 1.1), "body"),
        Part(upright(cabin, 0.96), "body"),
        *(Part(upright(o, 0.98), "dark") for o in (side, front)),
        Part(box(0.03, 0.8, 0.46).turned("y", -42.4).moved(0.53, 0, 0.87), "dark"),
        Part(box(0.03, 0.8, 0.42).turned("y", 39.6).moved(-0.83, 0, 0.87), "dark"),
        *_wheels((-0.75, 0.78), 0.5, 0.27, 0.2),
        Part(_both(sphere(0.1, 20).moved(1.22, 0.36, 0.48)), "tint"),
        Part(box(2.66, 1.0, 0.1, 0.02).moved(0, 0, 0.26), "shade"),
    ]


def rocket() -> list[Part]:
    """Build a rocket with three fins and a round window."""
    hull = spline([(0.28, 0.3), (0.44, 0.8), (0.44, 1.4), (0.32, 1.85)], 16)
    nose = spline([(0.325, 1.85), (0.2, 2.15), (0.0, 2.42)], 8)
    fin = upright([(0.34, 1.0), (0.92, 0.35), (0.92, 0.0), (0.3, 0.4)], 0.1)
    return [
        Part(lathe([(0, 0.3), *hull], 40), "body"),
        Part(lathe(nose, 40), "shade"),
        Part(ring(fin, 3).turned("z", 60), "shade"),
        Part(cone(0.3, 0.22, 0.2, 32).moved(z=0.22), "dark"),
        Part(join(_along(cylinder(0.19, 0.1, 28)).moved(x, 0, 1.4) for x in (0.41, -0.41)), "tint"),
        Part(join(_along(cylinder(0.13, 0.12, 24)).moved(x, 0, 1.4) for x in (0.41, -0.41)), "dark"),
    ]


def boat() -> list[Part]:
    """Build a sailing boat with two sails."""
    sections = []
    for t in np.linspace(0, 1, 11):
        half = 0.52 * (1 - t**2.5) * (0.85 + 0.4 * t)
        sheer = 0.55 + 0.16 * (2 * t - 0.8) ** 2
        side = np.linspace(-1, 1, 11)
        depth = sheer - (sheer - 0.25 * t**3) * (1 - np.abs(side) ** 2.5)
        sections.append(np.stack([np.full(11, 2.1 * t - 1.05), half * side, depth], axis=-1))
    hull = np.stack(sections)
    deck = np.stack([hull[:, 0], hull[:, -1]], axis=1) - [0, 0, 0.05]
    stern = np.stack([hull[0], np.broadcast_to(hull[0].mean(axis=0), hull[0].shape)])
    main = [(0.02, 0.8), (-1.0, 0.8), (0.02, 2.1)]
    jib = [(0.16, 0.8), (0.95, 0.76), (0.16, 1.85)]
    return [
        Part(join([sheet(hull), sheet(stern)]), "body"),
        Part(sheet(deck), "shade"),
        Part(join(upright(o, 0.03) for o in (main, jib)), "tint"),
        Part(join([rod((0.08, 0, 0.3), (0.08, 0, 2.2), 0.055), rod((0.08, 0, 0.78), (-1.02, 0, 0.78), 0.045)]), "dark"),
    ]


def plane() -> list[Part]:
    """Build a passenger plane with two engines."""
    along = [(-1.35, 0.28), (-0.85, 0.12), (-0.3, 0.0), (0.5, 0.0), (0.95, 0.0), (1.25, -0.08)]
    path = spline([(x, 0, z) for x, z in along], 20)
    girth = spline([[0.06], [0.25], [0.34], [0.34], [0.27], [0.05]], 20)[:, 0]
    wing = prism([(0.5, 0.1), (-0.2, 1.35), (-0.6, 1.35), (-0.35, 0.1)], 0.1)
    tail = prism([(-0.9, 0.0), (-1.15, 0.68), (-1.4, 0.68), (-1.35, 0.0)], 0.08)
    fin = upright([(-0.7, 0.2), (-1.1, 0.95), (-1.4, 0.95), (-1.35, 0.2)], 0.1)
    engine = _along(capsule(0.16, 0.55, 16)).moved(0.25, 0.65, -0.2)
    return [
        Part(tube(path, girth, 24), "body"),
        Part(_both(wing.moved(0, 0, -0.06)), "body"),
        Part(_both(tail.moved(0, 0, 0.24)), "shade"),
        Part(fin, "shade"),
        Part(_both(engine), "shade"),
        Part(box(0.2, 0.42, 0.13).moved(0.97, 0, 0.17), "dark"),
        *(Part(box(0.13, 0.68, 0.12).moved(x, 0, 0.09), "dark") for x in (-0.45, -0.15, 0.15, 0.45)),
    ]


def steam_train() -> list[Part]:
    """Build a steam engine with a cab and a tall chimney."""
    return [
        Part(_along(cylinder(0.36, 1.3, 40, 0.04)).moved(0.35, 0, 0.72), "body"),
        Part(box(0.75, 0.9, 0.86, 0.03).moved(-0.66, 0, 0.84), "body"),
        Part(box(0.95, 1.06, 0.1, 0.03).moved(-0.66, 0, 1.32), "shade"),
        *(Part(box(0.4, 0.93, 0.3).moved(x, 0, 1.02), "dark") for x in (-0.66,)),
        Part(box(0.78, 0.5, 0.26).moved(-0.66, 0, 1.05), "dark"),
        Part(box(2.15, 0.7, 0.14, 0.03).moved(0, 0, 0.36), "shade"),
        Part(lathe([(0.11, 0.95), (0.13, 1.3), (0.22, 1.5), (0.22, 1.58), (0, 1.55)], 28).moved(0.75), "shade"),
        Part(capsule(0.16, 0.5, 20).moved(0.2, 0, 1.0), "shade"),
        Part(prism([(0.0, -0.4), (0.0, 0.4), (0.3, 0.0)], 0.26).moved(1.05, 0, 0.2), "shade"),
        Part(_along(cylinder(0.12, 0.1, 24)).moved(1.02, 0, 0.8), "tint"),
        *_wheels((-0.65, 0.0, 0.6), 0.42, 0.28, 0.1),
    ]


# ---- plants ----------------------------------------------------------------------------------------------------------


def tree() -> list[Part]:
    """Build a leafy tree: a trunk, and a crown of several balls."""
    balls = [(0, 0, 1.85, 0.6), (0.46, 0.1, 1.55, 0.44), (-0.4, 0.3, 1.58, 0.44), (-0.15, -0.46, 1.53, 0.44)]
    return [
        Part(join(sphere(r, 28).moved(x, y, z) for x, y, z, r in balls), "body"),
        Part(lathe([(0, 0), (0.28, 0), (0.17, 0.2), (0.15, 1.2), (0, 1.2)], 20), "shade"),
        Part(join([rod((0, 0, 0.7), (0.35, 0.1, 1.2), 0.06), rod((0, 0, 0.6), (-0.3, 0.2, 1.2), 0.06)]), "shade"),
    ]


def mushroom() -> list[Part]:
    """Build a mushroom with a wide cap."""
    cap = spline([(0.76, 1.06), (0.8, 1.16), (0.66, 1.46), (0.36, 1.68), (0.0, 1.76)], 20)
    stem = spline([(0.52, 0.0), (0.46, 0.22), (0.32, 0.6), (0.34, 1.1)], 12)
    return [Part(lathe([(0.3, 1.1), *cap]), "body"), Part(lathe([(0, 0), *stem], 32), "tint")]


def cactus() -> list[Part]:
    """Build a cactus with two arms in a pot."""
    left = spline([(0, 0.2, 1.15), (0, 0.55, 1.15), (0, 0.68, 1.35), (0, 0.68, 1.75)], 16)
    right = spline([(0.2, 0, 0.95), (0.5, 0, 0.95), (0.62, 0, 1.12), (0.62, 0, 1.45)], 16)
    tips = [sphere(0.15, 20).moved(0, 0.68, 1.75), sphere(0.15, 20).moved(0.62, 0, 1.45)]
    pot = [(0, 0), (0.36, 0), (0.48, 0.42), (0.54, 0.42), (0.54, 0.56), (0.46, 0.56), (0.42, 0.5), (0, 0.5)]
    return [
        Part(capsule(0.27, 1.9, 32).moved(z=1.25), "body"),
        Part(join([tube(left, 0.15, 16), tube(right, 0.15, 16), *tips]).turned("z", -45), "body"),
        Part(lathe(pot, 36), "shade"),
    ]


def flower() -> list[Part]:
    """Build a flower with eight petals on a stem with two leaves."""
    petal = _egg(0.34, 0.2, 0.06).turned("y", -18).moved(0.5)
    leaf = _egg(0.34, 0.12, 0.03).turned("y", -35).moved(0.34, 0, 0.55)
    return [
        Part(ring(petal, 8).turned("y", 32).moved(0.1, 0, 1.6), "body"),
        Part(_egg(0.24, 0.24, 0.14).turned("y", 32).moved(0.13, 0, 1.64), "dark"),
        Part(tube(spline([(0, 0, 0), (0.03, 0, 0.8), (0.08, 0, 1.58)], 12), 0.05), "shade"),
        Part(join([leaf, leaf.turned("z", 150).moved(z=0.1)]), "shade"),
    ]


# ---- figures and animals ---------------------------------------------------------------------------------------------


def snowman() -> list[Part]:
    """Build a snowman with a hat, a scarf, a nose and arms of sticks."""
    stick = join([rod((0, 0.34, 1.15), (0, 0.88, 1.5), 0.04), rod((0, 0.68, 1.37), (0, 0.74, 1.58), 0.03)])
    return [
        Part(join(sphere(r, 36).moved(z=z) for r, z in ((0.58, 0.52), (0.43, 1.2), (0.31, 1.76))), "body"),
        Part(join([cylinder(0.38, 0.05, 32).moved(z=1.98), cylinder(0.24, 0.4, 32).moved(z=2.18)]), "dark"),
        Part(_along(cone(0.08, 0.34, 0.0, 16)).moved(0.44, 0, 1.76), "shade"),
        Part(_both(sphere(0.05, 12).moved(0.26, 0.12, 1.88)), "dark"),
        Part(join(sphere(0.055, 12).moved(x, 0, z) for x, z in ((0.41, 1.05), (0.43, 1.22), (0.39, 1.39))), "dark"),
        Part(torus(0.29, 0.08, 32).moved(z=1.54), "shade"),
        Part(_both(stick), "dark"),
    ]


def robot() -> list[Part]:
    """Build a robot: boxes for head and trunk, jointed arms and legs, an antenna."""
    arm = join([capsule(0.11, 0.75, 16).moved(0, 0.62, 1.05), sphere(0.16, 20).moved(0, 0.62, 0.66)])
    leg = join([cylinder(0.12, 0.5, 20).moved(0, 0.24, 0.4), box(0.5, 0.34, 0.16, 0.03).moved(0.07, 0.24, 0.08)])
    return [
        Part(box(0.6, 0.92, 0.85, 0.06).moved(z=1.05), "body"),
        Part(box(0.55, 0.66, 0.52, 0.06).moved(z=1.78), "body"),
        Part(_both(arm), "shade"),
        Part(_both(leg), "shade"),
        Part(_both(_along(cylinder(0.1, 0.06, 20)).moved(0.28, 0.16, 1.86)), "tint"),
        Part(_both(sphere(0.055, 16).moved(0.31, 0.16, 1.86)), "dark"),
        Part(box(0.06, 0.36, 0.08).moved(0.27, 0, 1.62), "dark"),
        Part(box(0.06, 0.5, 0.36).moved(0.29, 0, 1.12), "tint"),
        Part(join([rod((0, 0, 2.0), (0, 0, 2.3), 0.03), sphere(0.08, 16).moved(z=2.34)]), "shade"),
    ]


def duck() -> list[Part]:
    """Build a bath duck."""
    return [
        Part(join([_egg(0.85, 0.58, 0.48).moved(0, 0, 0.45), sphere(0.38, 32).moved(0.55, 0, 1.12)]), "body"),
        Part(cone(0.3, 0.6, 0.04, 24).turned("y", -58).moved(-0.8, 0, 0.68), "body"),
        Part(join([_egg(0.3, 0.2, 0.06).moved(0.98, 0, 1.08), _egg(0.24, 0.16, 0.05).moved(0.92, 0, 1.0)]), "shade"),
        Part(_both(sphere(0.07, 16).moved(0.83, 0.2, 1.24)), "dark"),
        Part(_both(_egg(0.4, 0.1, 0.22).turned("y", 10).moved(-0.14, 0.52, 0.55)), "shade"),
    ]


def fish() -> list[Part]:
    """Build a fish with a forked tail and three fins."""
    tail = upright([(-0.75, 0.0), (-1.35, 0.55), (-1.2, 0.0), (-1.35, -0.55)], 0.1)
    above = upright([(0.35, 0.42), (-0.1, 0.85), (-0.5, 0.75), (-0.5, 0.3)], 0.08)
    below = upright([(0.1, -0.4), (-0.2, -0.8), (-0.35, -0.35)], 0.08)
    side = _egg(0.26, 0.04, 0.14).turned("y", -25).turned("z", 25).moved(0.0, 0.36, -0.08)
    return [
        Part(_egg(0.95, 0.36, 0.52), "body"),
        Part(join([tail, above, below, _both(side)]), "shade"),
        Part(_both(sphere(0.14, 20).moved(0.58, 0.22, 0.14)), "tint"),
        Part(_both(sphere(0.08, 16).moved(0.62, 0.3, 0.16)), "dark"),
    ]


def dog() -> list[Part]:
    """Build a dog, standing, with hanging ears and a tail in the air."""
    legs = [capsule(0.13, 0.8, 16).moved(x, y, 0.36) for x in (-0.5, 0.5) for y in (-0.2, 0.2)]
    tail = tube(spline([(-0.65, 0, 0.9), (-0.9, 0, 1.05), (-1.02, 0, 1.35)], 10), np.linspace(0.11, 0.05, 10))
    neck = rod((0.5, 0, 0.9), (0.78, 0, 1.3), 0.2, 20)
    return [
        Part(join([_along(capsule(0.32, 1.5, 28)).moved(0, 0, 0.8), *legs, tail, neck]), "body"),
        Part(join([sphere(0.33, 28).moved(0.82, 0, 1.42), _egg(0.3, 0.17, 0.15).moved(1.14, 0, 1.33)]), "body"),
        Part(_both(_egg(0.14, 0.07, 0.3).turned("x", 10).moved(0.74, 0.33, 1.36)), "shade"),
        Part(sphere(0.09, 16).moved(1.43, 0, 1.38), "dark"),
        Part(_both(sphere(0.06, 14).moved(1.08, 0.15, 1.55)), "dark"),
        Part(torus(0.25, 0.06, 28).turned("y", 35).moved(0.64, 0, 1.1), "shade"),
    ]


PARTS: dict[str, Callable[[], list[Part]]] = {
    "house": house,
    "bridge": bridge,
    "lighthouse": lighthouse,
    "windmill": windmill,
    "car": car,
    "rocket": rocket,
    "boat": boat,
    "plane": plane,
    "train": steam_train,
    "tree": tree,
    "mushroom": mushroom,
    "cactus": cactus,
    "flower": flower,
    "snowman": snowman,
    "robot": robot,
    "duck": duck,
    "fish": fish,
    "dog": dog,
}
"""Function that builds the parts, by kind, for the kinds in this file."""
