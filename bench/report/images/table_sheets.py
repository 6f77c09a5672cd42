"""Decides which pictures a report shows of each table, and plans them; they are drawn when the page is.

A table of photographs has two sheets: the same view by each arm, and where they are wrong. A table of captions has a
contact sheet of its arms, all objects of its baseline, and that baseline over training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PIL import Image

from bench.metrics.registry import metric_named
from bench.report.caption_context import CaptionTableContext
from bench.report.images.caption_sheets import (
    JudgedStore,
    draw_arm_gallery,
    draw_contact_sheet,
    draw_training_strips,
    find_views,
)
from bench.report.images.image_grid import compare_views, draw_sheet, find_middle_view
from bench.report.photograph_notes import name_held_out, name_view
from bench.report.report_contents import DeferredDrawing
from bench.storage.trial_reader import TrialReader, is_stored
from bench.suites.selection import Selection
from bench.suites.suite import Table, TrialSlot
from bench.suites.trial import Trial

Sheet = DeferredDrawing[Image.Image | None]


def plan_sheets(chosen: Selection, store: TrialReader, contexts: Mapping[str, CaptionTableContext]) -> dict[str, Sheet]:
    """Plan all sheets by title; trials that several tables share are shown once, and so is a shared baseline.

    Args:
        chosen: Tables and trials.
        store: Where their views and scores lie.
        contexts: What is known of the tables of captions, by table.
    """
    found: dict[str, Sheet] = {}
    shown: set[tuple[str, ...]] = set()
    for table in chosen.tables:
        context = contexts.get(table.name)
        if context is None:
            found |= plan_photo_sheets(table, chosen, store)
            continue
        cells = cells_of_first_seed(table, chosen)
        all_ids = tuple(cell.trial_id for cell in cells)
        if all_ids not in shown:  # a table of other metrics has the same pictures
            shown.add(all_ids)
            found |= plan_contact_sheet(table, cells, store, context)
        baseline = [cell for cell in cells if cell.arm == table.baseline]
        trial_ids = tuple(cell.trial_id for cell in baseline)
        if trial_ids and trial_ids not in shown:
            shown.add(trial_ids)
            found |= plan_baseline_sheets(table, baseline, store, context)
    return found


def plan_photo_sheets(table: Table, chosen: Selection, store: TrialReader) -> dict[str, Sheet]:
    """Plan the two sheets of a table of photographs."""
    cells = cells_of_first_seed(table, chosen)
    trials = {trial.id: trial for trial in chosen.trials}

    def plan(errors: bool) -> Sheet:
        inputs = [table.baseline, table.protocol, table.metrics[0], errors, list_inputs(cells, store)]
        return DeferredDrawing(inputs, lambda: draw_photo_sheet(table, cells, trials, store, errors=errors))

    return {
        f"{table.name}: the same view by each arm": plan(errors=False),
        f"{table.name}: where they are wrong": plan(errors=True),
    }


def plan_contact_sheet(
    table: Table, cells: Sequence[TrialSlot], store: TrialReader, context: CaptionTableContext
) -> dict[str, Sheet]:
    """Plan the sheet of all arms of a table of captions."""
    title = f"{table.name}: every arm, and what {context.judge} takes it for"
    return {title: plan_judged_sheet(draw_contact_sheet, table, cells, store, context)}


def plan_baseline_sheets(
    table: Table, cells: Sequence[TrialSlot], store: TrialReader, context: CaptionTableContext
) -> dict[str, Sheet]:
    """Plan the sheets of a baseline's objects: all captions, and some over training."""
    title = f"{table.name}: {table.baseline}, green where {context.judge} finds the caption"
    over_training: Sheet = DeferredDrawing(list_inputs(cells, store), lambda: draw_training_strips(cells, store))
    return {
        title: plan_judged_sheet(draw_arm_gallery, table, cells, store, context),
        f"{table.name}: {table.baseline}, over training": over_training,
    }


def plan_judged_sheet(
    draw: Callable[[Sequence[TrialSlot], JudgedStore], Image.Image | None],
    table: Table,
    cells: Sequence[TrialSlot],
    store: TrialReader,
    context: CaptionTableContext,
) -> Sheet:
    """Plan a sheet whose labels say what the judge of a table takes objects for."""
    judged_store = JudgedStore(store, table.protocol, context.judge, context.captions)
    inputs = [table.protocol, context.judge, context.captions.sha256, list_inputs(cells, store)]
    return DeferredDrawing(inputs, lambda: draw(cells, judged_store))


def list_inputs(cells: Sequence[TrialSlot], store: TrialReader) -> list[tuple[TrialSlot, list[tuple[str, int, int]]]]:
    """List the places that a picture shows, each with the files of its trial."""
    return [(cell, store.file_stamps(cell.trial_id) if is_stored(store, cell.trial_id) else []) for cell in cells]


def cells_of_first_seed(table: Table, chosen: Selection) -> list[TrialSlot]:
    """List a table's places of its first seed."""
    cells = [cell for cell in chosen.cells if cell.table == table.name]
    seed = min(cell.seed for cell in cells)
    return [cell for cell in cells if cell.seed == seed]


# --- sheets of photographs --------------------------------------------------------------------------------------------


def draw_photo_sheet(
    table: Table, cells: Sequence[TrialSlot], trials: Mapping[str, Trial], store: TrialReader, *, errors: bool
) -> Image.Image | None:
    """Draw one row for each scene: the truth and then every arm, from one test camera.

    Args:
        table: Its baseline and first metric.
        cells: Its places of one seed.
        trials: Trials by id.
        store: Where views and scores lie.
        errors: Whether to draw error maps instead of colours.

    Returns:
        The sheet, or None where the store keeps no view of it.
    """
    rows = {}
    for cluster in dict.fromkeys(cell.cluster for cell in cells):
        row = [cell for cell in cells if cell.cluster == cluster]
        views = {cell.arm: find_views(store, cell.trial_id) for cell in row}
        if any(views.values()):
            task = find_reference_trial(row, table.baseline, trials).task
            scene = task.load()
            view_id = find_middle_view(scene)
            rows[cluster] = compare_views(
                scene,
                views,
                view_id=view_id,
                labels=label_tiles(row, store, table, view_id),
                truth_label=f"view {name_view(view_id, name_held_out(task))}",
                errors=errors,
            )
    return draw_sheet(rows, num_label_lines=2) if rows else None


def find_reference_trial(row: Sequence[TrialSlot], baseline: str, trials: Mapping[str, Trial]) -> Trial:
    """Find the baseline's trial of a scene, or the first there is: its training views choose the camera."""
    of_baseline = [cell for cell in row if cell.arm == baseline]
    return trials[(of_baseline or list(row))[0].trial_id]


def label_tiles(row: Sequence[TrialSlot], store: TrialReader, table: Table, view_id: int) -> dict[str, str]:
    """Write each arm's label: the table's first metric in the view that is shown and its mean, or why there is none."""
    labels = {}
    for cell in row:
        if not is_stored(store, cell.trial_id):
            labels[cell.arm] = "not run"
            continue
        scores = store.scores(cell.trial_id).get(table.protocol)
        labels[cell.arm] = describe_view_score(scores, table.metrics[0], view_id) if scores else "failed"
    return labels


def describe_view_score(scores: Mapping[str, Any], metric: str, view_id: int) -> str:
    """Write a metric's number in one view, and its mean over all views.

    Example:
        >>> scores = {"view_ids": [0, 7], "per_view": {"psnr": [20.0, 22.0], "ssim": [None, 0.5]}}
        >>> describe_view_score(scores, "psnr", 7), describe_view_score(scores, "ssim", 0)
        ('22.00 here, mean 21.00', 'mean 0.500')
        >>> describe_view_score(scores, "lpips_vgg", 7)
        'failed'
    """
    values = scores["per_view"].get(metric, [])
    known = [value for value in values if value is not None]
    if not known:
        return "failed"
    digits = metric_named(metric).digits
    here = dict(zip(scores["view_ids"], values, strict=True)).get(view_id)
    mean = f"mean {sum(known) / len(known):.{digits}f}"
    return mean if here is None else f"{here:.{digits}f} here, {mean}"
