"""Decides which views a page can turn: those of some trials, side by side in one small picture each (a reel).

Of captions the eight views round the object, of photographs the test views in the order of their ids, and beside them
where they are wrong and what is true. Renders over training are a reel too. Reels show; no number is made of them.

n: frames, h and w: pixels of a view.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped
from PIL import Image

from bench.metrics.task_kinds import kind_of
from bench.report.defaults import MOST_TRIALS, NUM_CLUSTERS
from bench.report.images import image_grid
from bench.report.images.caption_sheets import views_of
from bench.storage.trial_reader import TrialReader
from bench.suites.suite import TrialSlot
from bench.suites.trial import Trial

MOST_FRAMES = 12

FRAME_PX = 64
"""Height of a frame at most; larger views are averaged down."""

QUALITY = 88

Kind = Literal["views", "errors", "training", "truth"]


class FrameStrip(NamedTuple):
    """Frames of one trial in one picture.

    Attributes:
        kind: What they show.
        path: In the report's folder.
        labels: One a frame.
        width: Of a frame, in pixels.
        height: Likewise.
        content: Of the WebP.
    """

    kind: Kind
    path: str
    labels: tuple[str, ...]
    width: int
    height: int
    content: bytes


def of_cells(
    cells: Sequence[TrialSlot], trials: Mapping[str, Trial], store: TrialReader
) -> dict[str, tuple[FrameStrip, ...]]:
    """Reel of trials, by trial id; those without views have none, and what is true of a scene stands once.

    Args:
        cells: Places, those that are shown.
        trials: By id.
        store: With views.
    """
    found: dict[str, tuple[FrameStrip, ...]] = {}
    told: set[str] = set()
    for cell in cells:
        views = None if cell.trial_id in found else views_of(store, cell.trial_id)
        if views is not None and "color" in views:
            reels = tuple(of_trial(trials[cell.trial_id], views, with_truth=cell.cluster not in told))
            told |= {cell.cluster for reel in reels if reel.kind == "truth"}
            found[cell.trial_id] = reels
    return found


def cells_shown(cells: Sequence[TrialSlot], num_clusters: int | None = None) -> list[TrialSlot]:
    """The places of the first clusters.

    Args:
        cells: Places of one table and seed.
        num_clusters: How many; None for `NUM_CLUSTERS`, and fewer where there were more than `MOST_TRIALS` trials.

    Example:
        >>> cells = [TrialSlot("t", arm, f"{arm}-{i}", f"scene {i}", 0) for i in range(9) for arm in "abcdefghij"]
        >>> len(cells_shown(cells)), len(cells_shown(cells, 2)), len(cells_shown(cells, 0))
        (60, 20, 0)
    """
    num_arms = len({cell.arm for cell in cells})
    if num_clusters is None:
        num_clusters = min(NUM_CLUSTERS, max(1, MOST_TRIALS // max(1, num_arms)))
    shown = set(list(dict.fromkeys(cell.cluster for cell in cells))[:num_clusters])
    return [cell for cell in cells if cell.cluster in shown]


def of_trial(trial: Trial, views: Mapping[str, Shaped[np.ndarray, "..."]], *, with_truth: bool) -> Iterator[FrameStrip]:
    """A trial's reels.

    Args:
        trial: Whose views they are.
        views: As stored.
        with_truth: Whether what is true of photographs shall be among them.
    """
    kind = kind_of(trial.task)
    ids = [int(i) for i in views["ids"]]
    known = kind.frame_labels(trial.task.load())
    chosen = thinned([i for i in sorted(ids) if i in known])
    if chosen:
        colors = np.stack([views["color"][ids.index(i)] for i in chosen]).astype(np.float32)
        labels = [known[i] for i in chosen]
        yield reel("views", trial.id, labels, colors)
        if kind.has_photographs:
            yield from beside_truth(trial, chosen, labels, colors, with_truth=with_truth)
    if "strip" in views and len(views["strip"]):
        steps = thinned([int(step) for step in views["strip_steps"]])
        places = [list(views["strip_steps"]).index(step) for step in steps]
        yield reel("training", trial.id, [f"step {step}" for step in steps], views["strip"][places].astype(np.float32))


def beside_truth(
    trial: Trial,
    chosen: Sequence[int],
    labels: Sequence[str],
    colors: Float[np.ndarray, "n h w 3"],
    *,
    with_truth: bool,
) -> Iterator[FrameStrip]:
    """Where views are wrong, and what is true; nothing where the truth is of another size or other views."""
    truth = trial.task.load().test
    if not set(chosen) <= set(truth.ids) or truth.colors.shape[1:] != colors.shape[1:]:
        return
    photos = truth.colors[[truth.ids.index(i) for i in chosen]].astype(np.float32)
    wrong = np.stack([image_grid.error_map(color, photo) for color, photo in zip(colors, photos, strict=True)])
    yield reel("errors", trial.id, labels, wrong)
    if with_truth:
        yield reel("truth", trial.id, labels, photos)


def thinned(values: Sequence[int], most: int = MOST_FRAMES) -> list[int]:
    """At most so many of a list, evenly, its ends among them.

    Example:
        >>> thinned([3, 4, 5, 6, 7], 3), thinned([1, 2], 3)
        ([3, 5, 7], [1, 2])
    """
    places = np.unique(np.linspace(0, len(values) - 1, min(len(values), most)).round().astype(int))
    return [values[i] for i in places]


def reel(kind: Kind, trial_id: str, labels: Sequence[str], colors: Float[np.ndarray, "n h w 3"]) -> FrameStrip:
    """Frame side by side as one WebP, scaled down where they are large."""
    num, height, width = colors.shape[:3]
    row = Image.fromarray(image_grid.to_bytes(np.concatenate(list(colors), axis=1)))
    if height > FRAME_PX:
        width, height = max(1, round(width * FRAME_PX / height)), FRAME_PX
        # a box of pixels becomes one: no frame reaches into its neighbour
        row = row.resize((num * width, height), Image.Resampling.BOX)
    out = io.BytesIO()
    row.save(out, "WEBP", quality=QUALITY, method=6)
    end = "" if kind == "views" else f"-{kind}"
    return FrameStrip(kind, f"media/{trial_id}{end}.webp", tuple(labels), width, height, out.getvalue())
