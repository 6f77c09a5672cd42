"""Draws the views that a page can turn: those of a trial side by side in one small picture, a reel.

A reel holds the eight views round an object that was made from a caption, or the test views of a scene in the order of
their ids. Beside those of a scene stand reels of error maps and of the photographs. Renders over training are a reel
too. Reels show; no number is made of them.

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
from bench.report.images.caption_sheets import find_views
from bench.report.images.image_grid import draw_error_map, quantize_colors
from bench.report.photograph_notes import name_held_out, name_view
from bench.storage.trial_reader import TrialReader
from bench.suites.suite import TrialSlot
from bench.suites.trial import Trial

MOST_FRAMES = 12

FRAME_PX = 64
"""Height of a frame at most; larger views are averaged down."""

QUALITY = 88

ReelKind = Literal["views", "errors", "training", "truth"]


class FrameStrip(NamedTuple):
    """Frames of one trial in one picture: a reel.

    Attributes:
        kind: Whether frames are views, error maps, steps of training, or photographs.
        path: Path in the report's folder.
        labels: Labels of the frames.
        width: Width of a frame in pixels.
        height: Height of a frame in pixels.
        content: Bytes of a WebP.
        views: Ids of the views that frames show; empty where they show steps of training.
    """

    kind: ReelKind
    path: str
    labels: tuple[str, ...]
    width: int
    height: int
    content: bytes
    views: tuple[int, ...] = ()


def choose_cells(cells: Sequence[TrialSlot], num_clusters: int | None = None) -> list[TrialSlot]:
    """Choose the places of the first clusters.

    Args:
        cells: Places of one table and seed.
        num_clusters: How many; None for `NUM_CLUSTERS`, and fewer where there were more than `MOST_TRIALS` trials.

    Example:
        >>> cells = [TrialSlot("t", arm, f"{arm}-{i}", f"scene {i}", 0) for i in range(9) for arm in "abcdefghij"]
        >>> len(choose_cells(cells)), len(choose_cells(cells, 2)), len(choose_cells(cells, 0))
        (60, 20, 0)
    """
    num_arms = len({cell.arm for cell in cells})
    if num_clusters is None:
        num_clusters = min(NUM_CLUSTERS, max(1, MOST_TRIALS // max(1, num_arms)))
    clusters = list(dict.fromkeys(cell.cluster for cell in cells))
    chosen = set(clusters[:num_clusters])
    return [cell for cell in cells if cell.cluster in chosen]


def draw_reels(
    cells: Sequence[TrialSlot], trials: Mapping[str, Trial], store: TrialReader
) -> dict[str, tuple[FrameStrip, ...]]:
    """Draw reels by trial; trials without views have none, and photographs of a scene stand once.

    Args:
        cells: Places that are shown.
        trials: Trials by id.
        store: Store with views.
    """
    found: dict[str, tuple[FrameStrip, ...]] = {}
    clusters_with_truth: set[str] = set()
    for cell in cells:
        views = None if cell.trial_id in found else find_views(store, cell.trial_id)
        if views is not None and "color" in views:
            with_truth = cell.cluster not in clusters_with_truth
            reels = tuple(draw_trial_reels(trials[cell.trial_id], views, with_truth=with_truth))
            if any(reel.kind == "truth" for reel in reels):
                clusters_with_truth.add(cell.cluster)
            found[cell.trial_id] = reels
    return found


def draw_trial_reels(
    trial: Trial, views: Mapping[str, Shaped[np.ndarray, "..."]], *, with_truth: bool
) -> Iterator[FrameStrip]:
    """Draw the reels of one trial.

    Args:
        trial: Trial of the views.
        views: Stored views.
        with_truth: Whether to draw a reel of the photographs too.
    """
    kind = kind_of(trial.task)
    ids = [int(i) for i in views["ids"]]
    known = kind.frame_labels(trial.task.load())
    chosen = thin_evenly([i for i in sorted(ids) if i in known])
    if chosen:
        colors = np.stack([views["color"][ids.index(i)] for i in chosen]).astype(np.float32)
        names = name_held_out(trial.task)
        labels = [f"view {name_view(i, names)}" if i in names else known[i] for i in chosen]
        yield encode_reel("views", trial.id, labels, colors)._replace(views=tuple(chosen))
        if kind.has_photographs:
            for reel in draw_truth_reels(trial, chosen, labels, colors, with_truth=with_truth):
                yield reel._replace(views=tuple(chosen))
    if "strip" in views and len(views["strip"]):
        all_steps = [int(step) for step in views["strip_steps"]]
        steps = thin_evenly(all_steps)
        colors = views["strip"][[all_steps.index(step) for step in steps]].astype(np.float32)
        yield encode_reel("training", trial.id, [f"step {step}" for step in steps], colors)


def draw_truth_reels(
    trial: Trial,
    chosen: Sequence[int],
    labels: Sequence[str],
    colors: Float[np.ndarray, "n h w 3"],
    *,
    with_truth: bool,
) -> Iterator[FrameStrip]:
    """Draw error maps and photographs; nothing where photographs are of another size or of other views.

    Args:
        trial: Trial of the views.
        chosen: Ids of the views.
        labels: Labels of the views.
        colors: Colours of the views.
        with_truth: Whether to draw a reel of the photographs too.
    """
    truth = trial.task.load().test
    if not set(chosen) <= set(truth.ids) or truth.colors.shape[1:] != colors.shape[1:]:
        return
    photos = truth.colors[[truth.ids.index(i) for i in chosen]].astype(np.float32)
    errors = np.stack([draw_error_map(color, photo) for color, photo in zip(colors, photos, strict=True)])
    yield encode_reel("errors", trial.id, labels, errors)
    if with_truth:
        yield encode_reel("truth", trial.id, labels, photos)


def thin_evenly(values: Sequence[int], most: int = MOST_FRAMES) -> list[int]:
    """Thin a list evenly to so many values at most, its ends among them.

    Example:
        >>> thin_evenly([3, 4, 5, 6, 7], 3), thin_evenly([1, 2], 3)
        ([3, 5, 7], [1, 2])
    """
    places = np.unique(np.linspace(0, len(values) - 1, min(len(values), most)).round().astype(int))
    return [values[i] for i in places]


def encode_reel(
    kind: ReelKind, trial_id: str, labels: Sequence[str], colors: Float[np.ndarray, "n h w 3"]
) -> FrameStrip:
    """Encode frames side by side as one WebP, scaled down where they are large."""
    num, height, width = colors.shape[:3]
    row = Image.fromarray(quantize_colors(np.concatenate(list(colors), axis=1)))
    if height > FRAME_PX:
        width = max(1, round(width * FRAME_PX / height))
        height = FRAME_PX
        # a box of pixels becomes one: no frame reaches into its neighbour
        row = row.resize((num * width, height), Image.Resampling.BOX)
    out = io.BytesIO()
    row.save(out, "WEBP", quality=QUALITY, method=6)
    end = "" if kind == "views" else f"-{kind}"
    return FrameStrip(kind, f"media/{trial_id}{end}.webp", tuple(labels), width, height, out.getvalue())
