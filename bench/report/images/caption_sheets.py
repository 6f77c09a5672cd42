"""Which pictures show a table of captions: a contact sheet of its arms, all captions of its baseline, a strip of steps.

Nothing true stands beside them: what a judge took an object for does. All objects are seen from one camera, that of
`VIEW_ID`; none is chosen for its looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from bench.metrics.scores import NOT_A_THING
from bench.report.images import image_grid
from bench.report.images.image_grid import LabelledImage
from bench.storage.trial_reader import TrialReader
from bench.suites.suite import TrialSlot
from tasks.captions.caption_sets import CaptionSet

VIEW_ID = 1
"""Of `tasks.captions.caption_task.views`: azimuth 45, elevation 15 degrees."""

HOW_SHOWN = "Objects made from captions are all shown from one camera (azimuth 45, elevation 15); none was chosen."
"""For the head of a page."""

NUM_ROWS, NUM_TILES, NUM_STRIPS = 12, 64, 6
"""Captions of each picture, the first so many."""

NUM_COLUMNS = 8

LABEL_LINES = 3


def contact_sheet(
    cells: Sequence[TrialSlot], store: TrialReader, *, protocol: str, judge: str, captions: CaptionSet
) -> Image.Image | None:
    """A row a caption, a column an arm: what was made of it, and what the judge took it for.

    Args:
        cells: Of one table and seed.
        store: With views and scores.
        protocol: Whose scores.
        judge: Whose verdict.
        captions: The retrieval set.

    Returns:
        The sheet, or None where the store keeps no view of it.
    """
    arms, rows = dict.fromkeys(cell.arm for cell in cells), {}
    for caption in list(dict.fromkeys(cell.cluster for cell in cells))[:NUM_ROWS]:
        by_arm = {cell.arm: cell.trial_id for cell in cells if cell.cluster == caption}
        rows[caption] = {
            arm: tile_of(store, by_arm[arm], protocol, judge, captions)
            if arm in by_arm
            else LabelledImage(None, "not planned")
            for arm in arms
        }
    if not any(tile.color is not None for row in rows.values() for tile in row.values()):
        return None
    return image_grid.sheet(rows, num_label_lines=LABEL_LINES)


def all_of_one_arm(
    cells: Sequence[TrialSlot], store: TrialReader, *, protocol: str, judge: str, captions: CaptionSet
) -> Image.Image | None:
    """One arm's objects with their captions under them, green where the judge found the caption in this view.

    Args:
        cells: Of one table, arm and seed.
        store: With views and scores.
        protocol: Whose scores.
        judge: Whose verdict.
        captions: The retrieval set.

    Returns:
        The picture, or None where the store keeps no view of it.
    """
    tiles = []
    for cell in cells[:NUM_TILES]:
        tile = tile_of(store, cell.trial_id, protocol, judge, captions)
        tiles.append(tile._replace(label=cell.cluster, tone="better" if tile.tone == "better" else "quiet"))
    if not any(tile.color is not None for tile in tiles):
        return None
    return image_grid.gallery(tiles, NUM_COLUMNS, num_label_lines=LABEL_LINES)


def strips(cells: Sequence[TrialSlot], store: TrialReader) -> Image.Image | None:
    """How one arm's objects came about: a row a caption, a column a step of training.

    Args:
        cells: Of one table, arm and seed.
        store: With views.

    Returns:
        The sheet, or None where the store keeps no such renders.
    """
    rows = {}
    for cell in cells[:NUM_STRIPS]:
        views = views_of(store, cell.trial_id) or {}
        if "strip" in views and "strip_steps" in views:
            colors, steps = views["strip"].astype(np.float32), views["strip_steps"]
            tiles = zip(steps, colors, strict=True)
            rows[cell.cluster] = {f"step {int(step)}": LabelledImage(color) for step, color in tiles}
    return image_grid.sheet(rows) if any(rows.values()) else None


def tile_of(store: TrialReader, trial_id: str, protocol: str, judge: str, captions: CaptionSet) -> LabelledImage:
    """A trial's object from the one camera, and what the judge took it for."""
    if not store.finished(trial_id):
        return LabelledImage(None, "failed" if store.failed(trial_id) else "not run", "worse")
    views, scores = views_of(store, trial_id), store.scores(trial_id).get(protocol)
    label, tone = verdict(scores, judge, captions)
    return LabelledImage(image_grid.view_of(views or {}, VIEW_ID), label, tone)


def verdict(scores: Mapping[str, Any] | None, judge: str, captions: CaptionSet) -> tuple[str, Any]:
    """What a judge took the view for, and how that is coloured: "found", or the caption that it found instead.

    Example:
        >>> captions = CaptionSet("mine", ("a red kite", "a blue bus"), "")
        >>> scores = {"view_ids": [0, 1], "field_state": "ok", "about": {"place": 0}}
        >>> verdict(scores | {"context": {"predicted@me": [0, 1]}}, "me", captions)
        ('a blue bus', 'worse')
        >>> verdict(scores | {"context": {"predicted@me": [1, 0]}}, "me", captions)
        ('found', 'better')
        >>> verdict(scores | {"context": {}}, "me", captions)
        ('not judged', 'quiet')
    """
    if scores is None:
        return "not scored", "quiet"
    if scores["field_state"] in NOT_A_THING:
        return f"{scores['field_state']} field", "worse"
    predicted = scores["context"].get(f"predicted@{judge}")
    if predicted is None or VIEW_ID not in scores["view_ids"]:
        return "not judged", "quiet"
    place = predicted[scores["view_ids"].index(VIEW_ID)]
    if place is None:
        return "not finite", "worse"
    return ("found", "better") if place == scores["about"]["place"] else (captions.captions[place], "worse")


def views_of(store: TrialReader, trial_id: str) -> dict[str, np.ndarray] | None:
    """A trial's views; None where the store keeps none."""
    return store.views(trial_id) if store.finished(trial_id) and store.has_views(trial_id) else None
