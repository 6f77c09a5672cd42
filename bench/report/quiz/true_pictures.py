"""Gives a blind quiz its ceiling: true renders, path-traced now or read from a folder.

A folder holds PNG of square pictures, each named by the id of what it shows: `red-metallic-chair.png`,
`red-metallic-chair__2.png`. Pictures with alpha are put on neutral grey.

n: pictures, h and w: pixels.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from bench.analysis.quiz.pictures import GREY, quantize_pixels
from bench.analysis.true_renders import FAMILY, NUM_SPP
from bench.errors import UsageError
from bench.metrics.caption_scorers import RING
from tasks.captions import caption_task
from tasks.closed_world import pictures
from tasks.closed_world.meanings import Meaning, meaning_of
from tasks.path_tracing import mitsuba_renderer


def render_true_pictures(
    meanings: Sequence[Meaning], image_px: int, seed: int, *, num_workers: int | None = None
) -> tuple[list[int], list[UInt8[np.ndarray, "h w 3"]]]:
    """Render each meaning from one of the views that fields are scored on, before neutral grey.

    Args:
        meanings: What to show, each in a light of its own, under which no judge was trained.
        image_px: Width and height.
        seed: Of the draw of views.
        num_workers: See `tasks.path_tracing.mitsuba_renderer`.

    Returns:
        The ids of the views, and the pictures.
    """
    if not meanings:
        return [], []
    random = np.random.default_rng((seed, 2))
    views = [int(view) for view in random.choice(RING, len(meanings))]
    return views, render_true_views(meanings, views, image_px, seed, num_workers=num_workers)


def render_true_views(
    meanings: Sequence[Meaning], views: Sequence[int], image_px: int, seed: int = 0, *, num_workers: int | None = None
) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Render each meaning from the view of a given id, before neutral grey.

    Args:
        meanings: What to show, each in a light of its own, under which no judge was trained.
        views: Ids of `tasks.captions.caption_task.views`.
        image_px: Width and height.
        seed: Of the lights.
        num_workers: See `tasks.path_tracing.mitsuba_renderer`.
    """
    poses = caption_task.views(image_px).poses
    requests = []
    for number, (meaning, view) in enumerate(zip(meanings, views, strict=True)):
        spec = pictures.PictureSpec(FAMILY, number, meaning, "held_out", poses[view], seed + number)
        requests.append(pictures.shot(spec, image_px, NUM_SPP))
    images = mitsuba_renderer.photograph_all(requests, num_workers=num_workers)
    return [put_on_grey(image) for image in images]


def read_true_pictures(
    folder: pathlib.Path, num: int, seed: int
) -> tuple[list[Meaning], list[UInt8[np.ndarray, "h w 3"]]]:
    """Read true renders from a folder, drawn at random.

    Args:
        folder: See the head of this file.
        num: How many are drawn.
        seed: Of the draw.

    Raises:
        UsageError: There are fewer, or a name or a picture is none.
    """
    paths = sorted(folder.glob("*.png")) if folder.is_dir() else []
    if len(paths) < num:
        raise UsageError(
            f"--true-renders {folder}: expected {num} PNG such as red-metallic-chair.png, got {len(paths)}; write auto "
            "for renders made now, or lower --num-views"
        )
    drawn = np.random.default_rng((seed, 3)).permutation(len(paths))[:num]
    chosen = [paths[i] for i in drawn]
    meanings = [meaning_of_file(path) for path in chosen]
    return meanings, [read_picture(path) for path in chosen]


def meaning_of_file(path: pathlib.Path) -> Meaning:
    """Read what a picture shows from its name; UsageError if it is no id of a meaning.

    Example:
        >>> meaning_of_file(pathlib.Path("renders/red-metallic-chair__2.png")).kind
        'chair'
    """
    try:
        return meaning_of(path.stem.partition("__")[0])
    except UsageError as error:
        raise UsageError(f"{path}: expected a name such as red-metallic-chair.png, got another ({error})") from error


def read_picture(path: pathlib.Path) -> UInt8[np.ndarray, "h w 3"]:
    """Read a square picture, on neutral grey where it is transparent."""
    try:
        with Image.open(path) as opened:
            image = np.asarray(opened.convert("RGBA"))
    except Exception as error:  # of Pillow, as it comes
        raise UsageError(f"{path}: expected a PNG, got {error}; take it out of the folder") from error
    if image.shape[0] != image.shape[1]:
        raise UsageError(
            f"{path}: expected a square, got {image.shape[1]} x {image.shape[0]}; take it out of the folder"
        )
    return put_on_grey(image)


def put_on_grey(image: UInt8[np.ndarray, "h w 4"]) -> UInt8[np.ndarray, "h w 3"]:
    """Put sRGB with straight alpha on neutral grey."""
    straight: Float[np.ndarray, "h w 4"] = image.astype(np.float32) / 255
    return quantize_pixels(straight[..., :3] * straight[..., 3:] + GREY * (1 - straight[..., 3:]))
