"""Measures the upper bounds of caption metrics: renders the objects that captions mean, and scores the renders.

    python -m bench upper-bounds --set closed-world --num 64

Only captions of the closed world have a known object. It is path-traced from the views that fields are scored on.
`bench.analysis.upper_bounds` reads the result.

c: captions, v: views of each, h and w: pixels of a view.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8

from bench.analysis import upper_bounds
from bench.errors import UsageError
from bench.metrics.metric_key import MetricKey
from bench.metrics.scores import Scores
from bench.metrics.task_kinds.captions import CAPTIONS
from models.clip.checkpoints import catalog
from tasks.captions import caption_sets, caption_task
from tasks.captions.caption_task import CaptionData
from tasks.closed_world import pictures
from tasks.closed_world.appearance import Family
from tasks.data_dir import location
from tasks.data_dir.atomic_files import write_file
from tasks.path_tracing import mitsuba_renderer

PROTOCOLS = ("std-v1", "recognition-v1")
"""Whose metrics get an upper bound."""

FAMILY: Family = "guide"
"""Family of lights: the judges were not trained under it."""

IMAGE_PX = 64
"""Size that the embedded judges take."""

NUM_SPP = 64

DIGITS = 5
"""Of a stored number."""


def measure_set(captions: str, num_captions: int) -> tuple[str, dict[str, Any]]:
    """Render the objects of a set's first captions, score the renders, and store the upper bounds that tables print.

    Args:
        captions: Name of the retrieval set.
        num_captions: How many of its captions.

    Returns:
        The name of the entry, and the entry.

    Raises:
        UsageError: No captions, or captions that mean nothing in the closed world.
    """
    names = caption_sets.caption_set(captions).captions[: max(0, num_captions)]
    if not names:
        raise UsageError(f"--num: expected at least 1 caption, got {num_captions}; leave it out for 64")
    data = [caption_task.CaptionTask(caption=name, captions=captions, view_px=IMAGE_PX).load() for name in names]
    images = cached_renders(data, IMAGE_PX, NUM_SPP)
    settings = {"family": FAMILY, "image_px": IMAGE_PX, "num_spp": NUM_SPP, "fingerprint": renders_fingerprint()}
    entry = measure(data, images, settings)
    name = entry_name(data[0])
    write_entry(name, entry)
    return name, entry


# ---- renders ---------------------------------------------------------------------------------------------------------


def cached_renders(data: Sequence[CaptionData], image_px: int, num_spp: int) -> UInt8[np.ndarray, "c v h w 4"]:
    """Render captions, or load their renders from the cache folder, so that new judges need no new renders."""
    path = location.folder() / "truth" / f"{re.sub('[^a-z0-9]+', '-', set_name(data[0]))}.npz"
    made_of = np.asarray([renders_fingerprint(image_px, num_spp), *(one.caption for one in data)])
    poses = np.stack([one.test.poses for one in data])
    try:
        with np.load(path, allow_pickle=False) as kept:
            if np.array_equal(kept["made_of"], made_of) and np.array_equal(kept["poses"], poses):
                return kept["images"]
    except FileNotFoundError:
        pass
    except Exception as error:  # of NumPy, zipfile and zlib, as it comes, on a file that is cut or flipped
        print(f"{path}: cached renders are damaged ({type(error).__name__}): they are rendered again", file=sys.stderr)
    num_views = poses.shape[0] * poses.shape[1]

    def print_progress(view: int) -> None:
        if (view + 1) % 100 == 0:
            print(f"{view + 1} of {num_views} views", file=sys.stderr, flush=True)

    images = render_captions(data, image_px=image_px, num_spp=num_spp, on_view=print_progress)
    packed = io.BytesIO()
    np.savez_compressed(packed, images=images, made_of=made_of, poses=poses)
    write_file(path, packed.getvalue())
    return images


def render_captions(
    data: Sequence[CaptionData],
    *,
    image_px: int,
    num_spp: int,
    num_workers: int | None = None,
    on_view: Callable[[int], None] | None = None,
) -> UInt8[np.ndarray, "c v h w 4"]:
    """Render the objects that captions mean, from the views of their tasks: sRGB with straight alpha.

    Args:
        data: Of captions of the closed world; each gets a light of its own.
        image_px: Width and height.
        num_spp: Samples a pixel of a matte thing.
        num_workers: See `tasks.path_tracing.mitsuba_renderer`.
        on_view: Likewise.

    Raises:
        UsageError: A caption means nothing in the closed world.
    """
    requests = []
    for one in data:
        meaning = caption_sets.meaning_of_caption(one.caption)
        for i, pose in enumerate(one.test.poses):
            seed = one.place * len(one.test.poses) + i
            picture = pictures.PictureSpec(FAMILY, one.place, meaning, "held_out", pose, seed)
            requests.append(pictures.shot(picture, image_px, num_spp))
    images = mitsuba_renderer.photograph_all(requests, num_workers=num_workers, on_view=on_view)
    return images.reshape(len(data), -1, *images.shape[1:])


def stored_views(data: CaptionData, images: UInt8[np.ndarray, "v h w 4"]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Put renders in the form in which a trial's views are stored: on the task's background, in float16."""
    straight = images.astype(np.float32) / 255
    color = straight[..., :3]
    opacity = straight[..., 3]
    on_background = color * opacity[..., None] + data.background * (1 - opacity[..., None])
    return {
        "color": on_background.astype(np.float16),
        "opacity": opacity.astype(np.float16),
        "ids": np.asarray(data.test.ids, np.int32),
    }


def renders_fingerprint(image_px: int = IMAGE_PX, num_spp: int = NUM_SPP) -> str:
    """Name what the renders depend on, beside their captions and cameras."""
    return pictures.pictures_fingerprint(FAMILY, image_px, num_spp)


# ---- numbers ---------------------------------------------------------------------------------------------------------


def measure(
    data: Sequence[CaptionData], images: UInt8[np.ndarray, "c v h w 4"], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Score true renders by `PROTOCOLS`, the first of which the entry is named after.

    Args:
        data: Of captions of one retrieval set.
        images: Their renders.
        settings: How these were rendered, for the file.

    Returns:
        By metric the mean over captions with its interval, and every caption's own mean over views.
    """
    protocols = [CAPTIONS.protocol(name) for name in PROTOCOLS]
    protocol = protocols[0]
    by_caption: dict[str, list[float | None]] = {}
    for each in protocols:
        scores = [each.score(one, stored_views(one, views)) for one, views in zip(data, images, strict=True)]
        for metric in scores[0].per_view:
            if not MetricKey.parse(metric).is_of_guide:
                by_caption[metric] = [caption_mean(found, metric) for found in scores]
    first = data[0]
    known = {metric: values for metric, values in by_caption.items() if any_known(values)}
    metrics = {metric: summarize_metric(metric, values) for metric, values in known.items()}
    return {
        "captions": set_name(first),
        "sha256": first.captions.sha256,
        "size": len(first.captions.captions),
        "num_captions": len(data),
        "protocol": f"{protocol.name} {protocol.version}",
        "judges": {name: catalog.weights_fingerprint(name) for name in first.judges},
        "renders": dict(settings),
        "metrics": metrics,
        "rendered": [caption_sets.normalized(one.caption) for one in data],
        "by_caption": by_caption,
    }


def caption_mean(scores: Scores, metric: str) -> float | None:
    """Average the views of a caption that have a number; None if none has."""
    values = [x for x in scores.per_view[metric] if x is not None]
    return round(float(np.mean(values)), DIGITS) if values else None


def any_known(values: Sequence[float | None]) -> bool:
    """Whether one of the numbers is not missing."""
    return any(x is not None for x in values)


def summarize_metric(metric: str, values: Sequence[float | None]) -> dict[str, float | None]:
    """Average a metric over captions, with the interval of the mean."""
    known = np.asarray([x for x in values if x is not None])
    found = upper_bounds.metric_interval(metric, known)
    return {name: None if x is None else round(x, DIGITS) for name, x in found._asdict().items()}


# ---- the file --------------------------------------------------------------------------------------------------------


def entry_name(data: CaptionData) -> str:
    """Name a retrieval set in the file: its name and the first digits of its SHA-256; never the path of a user's."""
    return f"{set_name(data)}-{data.captions.sha256[:8]}"


def set_name(data: CaptionData) -> str:
    """Name a retrieval set without the path of a user's file."""
    return "file" if data.captions.name.startswith("file:") else data.captions.name


def write_entry(name: str, entry: Mapping[str, Any]) -> None:
    """Put an entry into the file, in one step; the others stay."""
    path = upper_bounds.FILE
    entries = json.loads(path.read_text()) if path.is_file() else {}
    text = json.dumps(entries | {name: entry}, indent=1, allow_nan=False)
    # A list goes on one line: only programs read the numbers of all captions.
    text = re.sub(r"\[\s[^\[\]{}]*\]", lambda found: re.sub(r"\s*\n\s*", " ", found[0]), text)
    write_file(path, text + "\n")
    upper_bounds.stored_bounds.cache_clear()
