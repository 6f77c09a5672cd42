"""Decides the meaning, light and camera of each picture of the closed world, and renders pictures of one meaning.

Picture i of a family does not depend on the number of pictures: its meaning, light, camera and noise depend on the
family and on i alone. Of ten pictures nine belong to the split `train` (five show things, four show pairs), and one to
`held_out` (in turn a thing and a pair). Every thing of a split is shown before any is shown again.

`tasks.closed_world.dataset` renders many pictures; `render_meaning` renders one meaning from any poses.

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
"""Part of every fingerprint; raise it with any change of `plan_picture`."""

HIGHEST_DEG = 80.0
"""Highest elevation of a camera."""

NEAREST = 3.6
"""Smallest distance of a camera, in scene units: a ball of radius 1.2 just fits into the picture."""

FURTHEST = 4.4
"""Largest distance of a camera, in scene units."""


class PictureSpec(NamedTuple):
    """Plan of a picture.

    Attributes:
        family: Family of pictures; each has its own meanings and lights.
        number: Place in the family, which is also the number of its light.
        meaning: Meaning that it shows.
        split: Split of the meaning.
        pose: Camera to world, see `tasks.cameras`; the field of view is `BLENDER_FOV_DEG`.
        seed: Seed of its noise.
    """

    family: Family
    number: int
    meaning: Meaning
    split: Split
    pose: Float[np.ndarray, "4 4"]
    seed: int


def plan_picture(family: Family, number: int) -> PictureSpec:
    """Plan a picture.

    Args:
        family: Family of pictures.
        number: Place in the family.
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
    # Uniform over the sphere's surface between the horizon and the highest elevation.
    elevation_deg = np.degrees(np.arcsin(up * np.sin(np.radians(HIGHEST_DEG))))
    radius = NEAREST + (FURTHEST - NEAREST) * away
    pose = look_at(np.asarray(360.0 * around), np.asarray(elevation_deg), np.asarray(radius))
    return PictureSpec(family, number, meaning, split, pose, int(noise * 2**31))


def shot(planned: PictureSpec, image_px: int, num_spp: int) -> mitsuba_renderer.RenderRequest:
    """Make the request to the renderer for a planned picture.

    Args:
        planned: Plan of the picture.
        image_px: Width and height.
        num_spp: Samples a pixel of a matte thing; other finishes take more, see `appearance.NOISE_SAMPLES`.
    """
    look = (planned.meaning.id, planned.family, planned.number)
    samples = _samples(planned.meaning, num_spp)
    return mitsuba_renderer.RenderRequest(
        appearance.describe_meaning, look, planned.pose, BLENDER_FOV_DEG, image_px, samples, planned.seed
    )


def render_meaning(
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
    """Render views of one meaning in one light, as sRGB with straight alpha: the ground truth for its caption.

    Args:
        meaning: Meaning to show.
        poses: Camera to world; the field of view is `BLENDER_FOV_DEG`.
        image_px: Width and height.
        num_spp: Samples a pixel of a matte thing.
        family: Family of lights.
        number: Number of the light in the family.
        first_seed: Seed of the first view's noise; each next view has the next seed.
        num_workers: Number of processes, see `tasks.path_tracing.mitsuba_renderer.photograph_all`.
    """
    look = (meaning.id, family, number)
    samples = _samples(meaning, num_spp)
    shots = [
        mitsuba_renderer.RenderRequest(
            appearance.describe_meaning, look, pose, BLENDER_FOV_DEG, image_px, samples, first_seed + i
        )
        for i, pose in enumerate(poses)
    ]
    return mitsuba_renderer.photograph_all(shots, num_workers=num_workers)


@functools.cache
def pictures_fingerprint(family: Family, image_px: int, num_spp: int) -> str:
    """Hash everything that pictures of a family depend on: shapes, materials, lights, meanings, cameras; never pixels.

    Args:
        family: Family of pictures.
        image_px: Width and height.
        num_spp: Samples a pixel of a matte thing.
    """
    first = [plan_picture(family, number) for number in range(40)]
    shown = [spec.meaning for spec in first]
    pairs = [meaning for meaning in shown if isinstance(meaning, ObjectPairSpec)]
    looks: dict[str, dict[Any, Any]] = {}
    looks["things"] = {kind: appearance.build_object(ObjectSpec(kind, "red", "dotted")) for kind in meanings.KINDS}
    looks["materials"] = {(c, f): appearance.materials(c, f) for c in meanings.COLORS for f in meanings.FINISHES}
    looks["pairs"] = {pair.id: appearance.build_object(pair) for pair in pairs}
    looks["lights"] = {number: appearance.light(family, number) for number in range(4)}
    return mitsuba_renderer.rendering_fingerprint(
        looks,
        meanings=[meaning.id for meaning in shown],
        poses=[spec.pose for spec in first],
        noise=appearance.NOISE_SAMPLES,
        version=WORLD_VERSION,
        fov_deg=BLENDER_FOV_DEG,
        image_px=image_px,
        num_spp=num_spp,
    )


# ---- helpers ---------------------------------------------------------------------------------------------------------


def _thing(family: Family, split: Split, turn: int) -> ObjectSpec:
    """Return the thing that is shown at a turn; every thing of the split is shown before any is shown again."""
    order = _order(family, split, turn // len(meanings.things(split)))
    return order[turn % len(order)]


@functools.lru_cache(maxsize=8)
def _order(family: Family, split: Split, round_: int) -> tuple[ObjectSpec, ...]:
    return tuple(sorted(meanings.things(split), key=lambda thing: fraction("order", family, split, round_, thing.id)))


def _samples(meaning: Meaning, num_spp: int) -> int:
    """Compute the samples a pixel; the noisier finish of a pair decides."""
    return round(num_spp * max(appearance.NOISE_SAMPLES[thing.finish] for thing in meanings.things_of(meaning)))
