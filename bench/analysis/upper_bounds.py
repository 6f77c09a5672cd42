"""What judges say of true renders: the ceiling of what they can say of a field, for captions whose object is known.

    python -m bench.analysis.upper_bounds --set closed-world --num 64

renders what captions of the closed world mean, from the views that fields are scored on, scores that like any field,
and writes it into `scorers/ceilings.json`, which comes with the project; `of_true_renders` reads it for tables.

c: captions, v: views of each, h and w: pixels of a view.
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import pathlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from bench.analysis import statistics
from bench.errors import UsageError
from bench.metrics import r_precision
from bench.metrics.caption_protocols import CAPTION_PROTOCOLS
from bench.metrics.metric_key import MetricKey
from bench.metrics.registry import metric_named
from tasks.captions import caption_sets, caption_task
from tasks.captions.caption_task import CaptionData
from tasks.closed_world import pictures
from tasks.closed_world.appearance import Family
from tasks.data_dir import location
from tasks.data_dir.atomic_files import write_file
from tasks.path_tracing import mitsuba_renderer

FILE = pathlib.Path(__file__).parent.parent / "metrics" / "ceilings.json"

FAMILY: Family = "guide"
"""Of lights: those that the judges were not trained under."""

IMAGE_PX = 64
"""What the embedded judges take."""

NUM_SPP = 64

DIGITS = 5
"""Of a stored number."""


def upper_bound(
    set_sha: str, metric: str, clusters: Sequence[str] | None = None
) -> tuple[statistics.Interval, int] | None:
    """What stands below a metric's column: the mean over true renders, and of how many captions it is.

    Args:
        set_sha: SHA-256 of the retrieval set, or how it begins.
        metric: Of `std-v1`.
        clusters: Only these captions, as `CaptionTask.cluster` has them, so that the ceiling is of what the table
            holds; None takes all.

    Returns:
        The mean with its interval over captions; None where nothing true was rendered, or not for this metric.
    """
    true = by_caption(set_sha, metric)
    chosen = list(true) if clusters is None else [name for name in dict.fromkeys(clusters) if name in true]
    values = [true[name] for name in chosen]
    return (interval(metric, np.asarray(values, np.float64)), len(values)) if values else None


def by_caption(set_sha: str, metric: str) -> dict[str, float]:
    """What true renders of a set's captions score, those that have a number; empty where nothing true was rendered.

    Args:
        set_sha: SHA-256 of the retrieval set, or how it begins.
        metric: Of `std-v1`.
    """
    entry = _entry_of(set_sha)
    numbers = entry.get("by_caption", {}).get(metric)
    if numbers is None:
        return {}
    return {name: x for name, x in zip(entry["rendered"], numbers, strict=True) if x is not None}


def _entry_of(set_sha: str) -> dict[str, Any]:
    found = [entry for entry in stored().values() if set_sha and entry["sha256"].startswith(set_sha)]
    return found[0] if found else {}


def interval(metric: str, values: Float[np.ndarray, " c"]) -> statistics.Interval:
    """A mean over captions with its 95% interval, cut to where the metric can lie.

    Example:
        >>> [round(x, 3) for x in interval("rprec1@embedded-judge-rn", np.asarray([1.0, 1.0, 0.5, 1.0]))]
        [0.875, 0.477, 1.0]
    """
    return statistics.t_interval(values, limits=metric_named(metric).limits)


def chance_of(metric: str, set_size: int) -> float | None:
    """What a metric is by chance in a set of so many captions; None where that depends on the encoder.

    Example:
        >>> [chance_of(f"{name}@embedded-judge-rn", 128) for name in ("rprec1_white", "rprec5", "rank", "margin")]
        [0.0078125, 0.0390625, 64.5, None]
    """
    base = MetricKey.parse(metric).base
    if base in r_precision.TOP:
        return r_precision.chance(set_size, top=r_precision.TOP[base])
    return (set_size + 1) / 2 if base == "rank" else None


@functools.cache
def stored() -> dict[str, dict[str, Any]]:
    """What the project's file holds, by `entry_name`; nothing before the file is there."""
    return json.loads(FILE.read_text()) if FILE.is_file() else {}


# ---- renders ---------------------------------------------------------------------------------------------------------


def rendered(
    data: Sequence[CaptionData],
    *,
    image_px: int,
    num_spp: int,
    num_workers: int | None = None,
    on_view: Callable[[int], None] | None = None,
) -> UInt8[np.ndarray, "c v h w 4"]:
    """What captions mean, from the views of their tasks: sRGB with straight alpha, each in a light of its own.

    Args:
        data: Of captions of the closed world.
        image_px: Width and height.
        num_spp: Samples a pixel of a matte thing.
        num_workers: See `tasks.path_tracing.mitsuba_renderer.photograph_all`.
        on_view: Likewise.

    Raises:
        UsageError: A caption means nothing in the closed world.
    """
    shots = []
    for one in data:
        meaning = caption_sets.meaning_of_caption(one.caption)
        for i, pose in enumerate(one.test.poses):
            seed = one.place * len(one.test.poses) + i
            planned = pictures.PictureSpec(FAMILY, one.place, meaning, "held_out", pose, seed)
            shots.append(pictures.shot(planned, image_px, num_spp))
    images = mitsuba_renderer.photograph_all(shots, num_workers=num_workers, on_view=on_view)
    return images.reshape(len(data), -1, *images.shape[1:])


def as_stored(data: CaptionData, images: UInt8[np.ndarray, "v h w 4"]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Renders as a trial's views are stored: on the task's background, in float16."""
    straight = images.astype(np.float32) / 255
    color, opacity = straight[..., :3], straight[..., 3]
    on_background = color * opacity[..., None] + data.background * (1 - opacity[..., None])
    return {
        "color": on_background.astype(np.float16),
        "opacity": opacity.astype(np.float16),
        "ids": np.asarray(data.test.ids, np.int32),
    }


def fingerprint(image_px: int = IMAGE_PX, num_spp: int = NUM_SPP) -> str:
    """Names what the renders depend on, beside their captions and cameras."""
    return pictures.fingerprint(FAMILY, image_px, num_spp)


# ---- numbers ---------------------------------------------------------------------------------------------------------


def entry_name(data: CaptionData) -> str:
    """Of a retrieval set in the file: its name and how its SHA-256 begins; of a user's file never the path."""
    return f"{_set_name(data)}-{data.captions.sha256[:8]}"


def _set_name(data: CaptionData) -> str:
    return "file" if data.captions.name.startswith("file:") else data.captions.name


def measured(
    data: Sequence[CaptionData], images: UInt8[np.ndarray, "c v h w 4"], renders: Mapping[str, Any]
) -> dict[str, Any]:
    """What `std-v1` says of true renders.

    Args:
        data: Of captions of one retrieval set.
        images: Their renders.
        renders: How these were made, for the file.

    Returns:
        By metric the mean over captions with its interval, and every caption's own mean over views.
    """
    protocol = CAPTION_PROTOCOLS["std-v1"]
    scores = [protocol.score(one, as_stored(one, views)) for one, views in zip(data, images, strict=True)]
    first = data[0]
    metrics = [name for name in scores[0].per_view if not MetricKey.parse(name).is_of_guide]
    by_caption: dict[str, list[float | None]] = {}
    for metric in metrics:
        means = [[x for x in found.per_view[metric] if x is not None] for found in scores]
        by_caption[metric] = [round(float(np.mean(x)), DIGITS) if x else None for x in means]
    told = {name: np.asarray([x for x in values if x is not None]) for name, values in by_caption.items()}
    intervals = {name: interval(name, values) for name, values in told.items() if len(values)}
    return {
        "captions": _set_name(first),
        "sha256": first.captions.sha256,
        "size": len(first.captions.captions),
        "num_captions": len(data),
        "protocol": f"{protocol.name} {protocol.version}",
        "judges": scores[0].about["judges"],
        "renders": dict(renders),
        "metrics": {
            name: {key: None if x is None else round(x, DIGITS) for key, x in found._asdict().items()}
            for name, found in intervals.items()
        },
        "rendered": [caption_sets.normalized(one.caption) for one in data],
        "by_caption": by_caption,
    }


def write(name: str, entry: Mapping[str, Any]) -> None:
    """Puts an entry into the file, in one step; the others stay."""
    whole = json.loads(FILE.read_text()) if FILE.is_file() else {}
    text = json.dumps(whole | {name: entry}, indent=1, allow_nan=False)
    # a list on one line: numbers of all captions are looked at by programs alone
    text = re.sub(r"\[\s[^\[\]{}]*\]", lambda found: re.sub(r"\s*\n\s*", " ", found[0]), text)
    write_file(FILE, text + "\n")
    stored.cache_clear()


# ---- the command -----------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Renders what captions of the closed world mean, scores it, and writes the ceilings that tables print."""
    parser = argparse.ArgumentParser(prog="python -m bench.analysis.upper_bounds", description=main.__doc__)
    parser.add_argument("--set", default="closed-world", metavar="NAME", help="retrieval set (default: %(default)s)")
    parser.add_argument(
        "--num", type=int, default=64, metavar="N", help="its first so many captions (default: %(default)s)"
    )
    args = parser.parse_args(arguments)
    names = caption_sets.caption_set(args.set).captions[: args.num]
    if not names:
        raise UsageError(f"--num: expected at least 1 caption, got {args.num}")
    data = [caption_task.CaptionTask(caption=name, captions=args.set, view_px=IMAGE_PX).load() for name in names]
    images = renders_of(data, IMAGE_PX, NUM_SPP)
    renders = {"family": FAMILY, "image_px": IMAGE_PX, "num_spp": NUM_SPP, "fingerprint": fingerprint()}
    entry = measured(data, images, renders)
    write(entry_name(data[0]), entry)
    for metric, found in entry["metrics"].items():
        ends = "" if found["low"] is None else f" [{found['low']:.3f}, {found['high']:.3f}]"
        print(f"{entry_name(data[0])}, {len(data)} captions, {metric}: {found['mean']:.3f}{ends}")
    return 0


def renders_of(data: Sequence[CaptionData], image_px: int, num_spp: int) -> UInt8[np.ndarray, "c v h w 4"]:
    """Renders that are kept in the cache folder, so that new judges need no new ones."""
    path = location.folder() / "truth" / f"{re.sub('[^a-z0-9]+', '-', _set_name(data[0]))}.npz"
    made_of = np.asarray([fingerprint(image_px, num_spp), *(one.caption for one in data)])
    poses = np.stack([one.test.poses for one in data])
    if path.is_file():
        with np.load(path) as kept:
            if np.array_equal(kept["made_of"], made_of) and np.array_equal(kept["poses"], poses):
                return kept["images"]
    total = poses.shape[0] * poses.shape[1]

    def said(view: int) -> None:
        if (view + 1) % 100 == 0:
            print(f"{view + 1} of {total} views", file=sys.stderr, flush=True)

    images = rendered(data, image_px=image_px, num_spp=num_spp, on_view=said)
    packed = io.BytesIO()
    np.savez_compressed(packed, images=images, made_of=made_of, poses=poses)
    write_file(path, packed.getvalue())
    return images


if __name__ == "__main__":
    sys.exit(main())
