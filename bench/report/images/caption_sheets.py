"""Draws the pictures of a table of captions: arms side by side, all captions of one arm, steps of training.

Nothing true stands beside the objects, but the caption that a judge took them for. All objects are seen from one
camera, that of `VIEW_ID`; none is chosen for its looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from bench.metrics.scores import NOT_A_THING
from bench.report.images import image_grid
from bench.report.images.image_grid import LabelledImage
from bench.storage.trial_reader import TrialReader, read_whole_views
from bench.suites.suite import TrialSlot
from tasks.captions.caption_sets import CaptionSet

VIEW_ID = 1
"""One of `tasks.captions.caption_task.views`: azimuth 45, elevation 15 degrees."""

HOW_SHOWN = "Objects made from captions are all shown from one camera (azimuth 45, elevation 15); none was chosen."
"""A note for the head of a page."""

NUM_ROWS = 12
"""Captions of a contact sheet, the first so many."""

NUM_TILES = 64
"""Captions of a gallery, the first so many."""

NUM_STRIPS = 6
"""Captions whose training is shown, the first so many."""

NUM_COLUMNS = 8

LABEL_LINES = 3


class JudgedStore(NamedTuple):
    """A store with views, and the encoder that judged them.

    Attributes:
        store: Store with views and scores.
        protocol: Protocol of the scores.
        judge: Encoder that judged.
        captions: The retrieval set.
    """

    store: TrialReader
    protocol: str
    judge: str
    captions: CaptionSet


def draw_contact_sheet(cells: Sequence[TrialSlot], judged_store: JudgedStore) -> Image.Image | None:
    """Draw one row for each caption and one column for each arm: the object, and the caption the judge took it for.

    Args:
        cells: Places of one table and seed.
        judged_store: A store with views, and the encoder that judged them.

    Returns:
        The sheet, or None where the store keeps no view of it.
    """
    arms = list(dict.fromkeys(cell.arm for cell in cells))
    clusters = list(dict.fromkeys(cell.cluster for cell in cells))
    rows = {}
    for caption in clusters[:NUM_ROWS]:
        by_arm = {cell.arm: cell.trial_id for cell in cells if cell.cluster == caption}
        row = {arm: LabelledImage(None, "not planned") for arm in arms}
        for arm, trial_id in by_arm.items():
            row[arm] = make_tile(trial_id, judged_store)
        rows[caption] = row
    if not any(tile.color is not None for row in rows.values() for tile in row.values()):
        return None
    return image_grid.draw_sheet(rows, num_label_lines=LABEL_LINES)


def draw_arm_gallery(cells: Sequence[TrialSlot], judged_store: JudgedStore) -> Image.Image | None:
    """Draw one arm's objects over their captions, green where the judge found the caption in this view.

    Args:
        cells: Places of one table, arm and seed.
        judged_store: A store with views, and the encoder that judged them.

    Returns:
        The picture, or None where the store keeps no view of it.
    """
    tiles = []
    for cell in cells[:NUM_TILES]:
        tile = make_tile(cell.trial_id, judged_store)
        tiles.append(tile._replace(label=cell.cluster, tone="better" if tile.tone == "better" else "quiet"))
    if not any(tile.color is not None for tile in tiles):
        return None
    return image_grid.draw_gallery(tiles, NUM_COLUMNS, num_label_lines=LABEL_LINES)


def draw_training_strips(cells: Sequence[TrialSlot], store: TrialReader) -> Image.Image | None:
    """Draw one arm's objects over training: one row for each caption, one column for each step.

    Args:
        cells: Places of one table, arm and seed.
        store: Store with views.

    Returns:
        The sheet, or None where the store keeps no such renders.
    """
    rows = {}
    for cell in cells[:NUM_STRIPS]:
        views = find_views(store, cell.trial_id) or {}
        if "strip" in views and "strip_steps" in views:
            tiles = zip(views["strip_steps"], views["strip"].astype(np.float32), strict=True)
            rows[cell.cluster] = {f"step {int(step)}": LabelledImage(color) for step, color in tiles}
    return image_grid.draw_sheet(rows) if any(rows.values()) else None


def make_tile(trial_id: str, judged_store: JudgedStore) -> LabelledImage:
    """Make a trial's tile: its object from the one camera, and the caption that the judge took it for."""
    store = judged_store.store
    if not store.finished(trial_id):
        return LabelledImage(None, "failed" if store.failed(trial_id) else "not run", "worse")
    views = find_views(store, trial_id) or {}
    scores = store.scores(trial_id).get(judged_store.protocol)
    label, tone = describe_verdict(scores, judged_store.judge, judged_store.captions)
    return LabelledImage(image_grid.find_view(views, VIEW_ID), label, tone)


def describe_verdict(scores: Mapping[str, Any] | None, judge: str, captions: CaptionSet) -> tuple[str, Any]:
    """Describe a judge's verdict on the view and its tone: "found", or the caption that it found instead.

    Example:
        >>> captions = CaptionSet("mine", ("a red kite", "a blue bus"), "")
        >>> scores = {"view_ids": [0, 1], "field_state": "ok", "about": {"place": 0}}
        >>> describe_verdict(scores | {"context": {"predicted@me": [0, 1]}}, "me", captions)
        ('a blue bus', 'worse')
        >>> describe_verdict(scores | {"context": {"predicted@me": [1, 0]}}, "me", captions)
        ('found', 'better')
        >>> describe_verdict(scores | {"context": {}}, "me", captions)
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
    if place == scores["about"]["place"]:
        return "found", "better"
    return captions.captions[place], "worse"


def find_views(store: TrialReader, trial_id: str) -> dict[str, np.ndarray] | None:
    """Read a trial's views; None where the store keeps none, or damaged ones."""
    return read_whole_views(store, trial_id) if store.finished(trial_id) else None
