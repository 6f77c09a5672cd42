"""Chooses the pictures that an encoder is trained on and those that it is tested on, and has missing ones rendered.

n: pictures of training, h and w: pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from models.clip.pretraining import evaluate
from models.clip.pretraining.casting.cast_pictures import cast_pictures
from models.clip.pretraining.recipes import Recipe
from tasks.closed_world import dataset
from tasks.closed_world.meanings import Meaning
from tasks.closed_world.pictures import pictures_fingerprint, plan_picture

SEEN = "seen combinations, other renders"

HELD_OUT = "held-out combinations"


class PictureSets(NamedTuple):
    """Holds the pictures of a recipe.

    Attributes:
        images: Of training, sRGB with straight alpha.
        meanings: What each of them shows.
        tests: By title, path-traced pictures that are not trained on, and their meanings.
    """

    images: UInt8[np.ndarray, "n h w 4"]
    meanings: Sequence[Meaning]
    tests: dict[str, tuple[UInt8[np.ndarray, "_ h w 4"], Sequence[Meaning]]]


def read_pictures(recipe: Recipe, *, show: bool = True) -> PictureSets:
    """Render what is missing, and read or cast the pictures of training.

    Args:
        recipe: Of the encoder.
        show: Whether to draw a progress bar, on stderr.
    """
    tower_px = recipe.image_tower.image_px
    num_traced = recipe.num_renders if recipe.renderer == "path tracing" else recipe.num_test_renders
    dataset.prepare_pictures(num_traced, tower_px, recipe.num_spp, recipe.family, dataset=False, show=show)
    read = functools.partial(dataset.read_arrays, num_traced, tower_px, recipe.num_spp, recipe.family)
    known = read("train")
    is_kept = evaluate.is_kept_for_testing(known.numbers)
    kept_meanings = [meaning for meaning, kept in zip(known.meanings, is_kept, strict=True) if kept]
    held_out = read("held_out")
    tests = {SEEN: (known.images[is_kept], kept_meanings), HELD_OUT: (held_out.images, held_out.meanings)}
    if recipe.renderer == "casting":
        images, meanings = cast_pictures(recipe.family, training_numbers(recipe), tower_px, show=show)
        return PictureSets(images, meanings, tests)
    trained = [meaning for meaning, kept in zip(known.meanings, is_kept, strict=True) if not kept]
    return PictureSets(known.images[~is_kept], trained, tests)


def training_numbers(recipe: Recipe) -> list[int]:
    """List the numbers of the pictures that are trained on: no held-out meaning, none that is kept for testing."""
    numbers = np.arange(recipe.num_renders)
    left = numbers[~evaluate.is_kept_for_testing(numbers.tolist())]
    return [int(number) for number in left if plan_picture(recipe.family, int(number)).split == "train"]


def describe_pictures(recipe: Recipe) -> str:
    """Say in a line what an encoder was trained on, for its card."""
    tower_px = recipe.image_tower.image_px
    fingerprint = pictures_fingerprint(recipe.family, tower_px, recipe.num_spp)
    traced = f"{recipe.num_spp} samples a pixel, fingerprint {fingerprint}"
    world = f"closed world, family {recipe.family}, {recipe.num_renders}"
    if recipe.renderer == "casting":
        tests = f"tested on path-traced ones among {recipe.num_test_renders}, {traced}"
        return f"{world} cast pictures of {tower_px} px; {tests}"
    return f"{world} renders of {tower_px} px, {traced}"
