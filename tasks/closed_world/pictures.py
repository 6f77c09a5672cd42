"""Which picture of the closed world shows what, in what light and from where; and how pictures are taken.

Picture i of a family is the same however many there are: its meaning, light, camera and noise depend on the family and
on i alone. Of ten pictures nine are of the split `train`, five of them of things and four of pairs, and one is of
`held_out`, by turns of a thing and of a pair. All things of a split have their turn before any comes again.

`tasks.closed_world.dataset` takes them in bulk; `render_views` takes pictures of one meaning from any poses.

n: views, h and w: pixels of a view.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from tasks.cameras import BLENDER_FOV_DEG, look_at
from tasks.closed_world import appearance, meanings
from tasks.closed_world.appearance import Family
from tasks.closed_world.meanings import Meaning, ObjectPairSpec, ObjectSpec, Split, fraction
from tasks.path_tracing import mitsuba_renderer

WORLD_VERSION = 1
"""Goes up when `picture` changes: which picture shows what, from where."""

HIGHEST_DEG = 80.0

NEAREST, FURTHEST = 3.6, 4.4
"""Distances of cameras, in scene units. From the nearest a ball of radius 1.2 just fits."""


class PictureSpec(NamedTuple):
    """What a picture is to be.

    Attributes:
        family: Of pictures: other families have other meanings in other light.
        number: Its place in its family, which is also that of its light.
        meaning: What it shows.
        split: Of the meaning.
        pose: Camera to world, see `tasks.cameras`; the field of view is `BLENDER_FOV_DEG`.
        seed: Of its noise.
    """

    family: Family
    number: int
    meaning: Meaning
    split: Split
    pose: Float[np.ndarray, "4 4"]
    seed: int


def picture(family: Family, number: int) -> PictureSpec:
    """What a picture is to be.

    Args:
        family: Of pictures.
        number: Its place in the family.
    """
    tens, place = divmod(number, 10)
    split: Split = "train" if place < 9 else "held_out"
    if place < 5:
        meaning: Meaning = _thing(family, split, 5 * tens + place)
    elif place == 9 and tens % 2 == 0:
        meaning = _thing(family, split, tens // 2)
    else:
        meaning = meanings.draw_pair(split, family, number)
    around, up, away, noise = (fraction(family, number, what) for what in ("around", "up", "away", "noise"))
    # Even over the sphere's surface between the horizon and the highest elevation.
    elevation_deg = np.degrees(np.arcsin(up * np.sin(np.radians(HIGHEST_DEG))))
    radius = NEAREST + (FURTHEST - NEAREST) * away
    pose = look_at(np.asarray(360.0 * around), np.asarray(elevation_deg), np.asarray(radius))
    return PictureSpec(family, number, meaning, split, pose, int(noise * 2**31))


def shot(planned: PictureSpec, image_px: int, num_spp: int) -> mitsuba_renderer.RenderRequest:
    """A picture as `tasks.path_tracing.mitsuba_renderer` takes it.

    Args:
        planned: What it is to be.
        image_px: Width and height.
        num_spp: Samples a pixel of a matte thing; other finishes take more, see `tasks.closed_world.appearance.NOISE_SAMPLES`.
    """
    look = (planned.meaning.id, planned.family, planned.number)
    samples = _samples(planned.meaning, num_spp)
    return mitsuba_renderer.RenderRequest(
        appearance.describe, look, planned.pose, BLENDER_FOV_DEG, image_px, samples, planned.seed
    )


def render_views(
    meaning: Meaning,
    poses: Float[np.ndarray, "n 4 4"],
    *,
    image_px: int,
    num_spp: int,
    family: Family = "judge",
    number: int = 0,
    first_seed: int = 0,
    num_workers: int | None = None,
) -> UInt8[np.ndarray, "n h w 4"]:
    """Views of one meaning in one light: sRGB with straight alpha. What a perfect answer to its caption looks like.

    Args:
        meaning: What they show.
        poses: Cameras to world; the field of view is `BLENDER_FOV_DEG`.
        image_px: Width and height.
        num_spp: Samples a pixel of a matte thing.
        family: Of lights.
        number: Which light of the family.
        first_seed: Seed of the first view's noise; they count up.
        num_workers: Processes, see `tasks.path_tracing.mitsuba_renderer.photograph_all`.
    """
    look, samples = (meaning.id, family, number), _samples(meaning, num_spp)
    shots = [
        mitsuba_renderer.RenderRequest(
            appearance.describe, look, pose, BLENDER_FOV_DEG, image_px, samples, first_seed + i
        )
        for i, pose in enumerate(poses)
    ]
    return mitsuba_renderer.photograph_all(shots, num_workers=num_workers)


@functools.cache
def fingerprint(family: Family, image_px: int, num_spp: int) -> str:
    """Names what pictures of a family depend on: forms, colours, finishes, lights, meanings, cameras; never pixels.

    Args:
        family: Of pictures.
        image_px: Width and height.
        num_spp: Samples a pixel of a matte thing.
    """
    first = [picture(family, number) for number in range(40)]
    looks: dict[str, dict[Any, Any]] = {
        "things": {kind: appearance.build_object(ObjectSpec(kind, "red", "dotted")) for kind in meanings.KINDS},
        "materials": {(c, f): appearance.materials(c, f) for c in meanings.COLORS for f in meanings.FINISHES},
        "pairs": {
            p.meaning.id: appearance.build_object(p.meaning) for p in first if isinstance(p.meaning, ObjectPairSpec)
        },
        "lights": {number: appearance.light(family, number) for number in range(4)},
    }
    settings = {
        "meanings": [p.meaning.id for p in first], "poses": [p.pose for p in first], "noise": appearance.NOISE_SAMPLES,
        "version": WORLD_VERSION, "fov_deg": BLENDER_FOV_DEG, "image_px": image_px, "num_spp": num_spp,
    }  # fmt: skip
    return mitsuba_renderer.fingerprint(looks, **settings)


# ---- helpers ---------------------------------------------------------------------------------------------------------


def _thing(family: Family, split: Split, turn: int) -> ObjectSpec:
    """The thing whose turn it is: all have theirs before any comes again."""
    order = _order(family, split, turn // len(meanings.things(split)))
    return order[turn % len(order)]


@functools.lru_cache(maxsize=8)
def _order(family: Family, split: Split, round_: int) -> tuple[ObjectSpec, ...]:
    return tuple(sorted(meanings.things(split), key=lambda thing: fraction("order", family, split, round_, thing.id)))


def _samples(meaning: Meaning, num_spp: int) -> int:
    """Samples a pixel: for a pair, those of its noisier finish."""
    parts = (meaning,) if isinstance(meaning, ObjectSpec) else (meaning.first, meaning.second)
    return round(num_spp * max(appearance.NOISE_SAMPLES[thing.finish] for thing in parts))
