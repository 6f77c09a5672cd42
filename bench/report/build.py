"""Builds a report in two steps: gathers what it holds, then draws it, unless it is drawn already.

    contents = build.gather_contents(chosen, store, command="...")
    report = build.draw_report(contents, build.default_folder(chosen))

`run`, `report` and `compare` call these two and nothing else.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from bench.analysis import paired_comparison, view_differences
from bench.analysis.absent_metrics import leave_out_absent_metrics
from bench.analysis.table_result import TableResult
from bench.counted_nouns import pluralize
from bench.import_paths import ROOT
from bench.metrics.task_kinds import kind_of
from bench.report import caption_notes, manifest, photograph_notes
from bench.report.arm_notes import degenerate_field_notes, imagenet_encoder_notes, masked_score_notes, write_arm_notes
from bench.report.caption_context import CaptionTableContext, find_retrieval_set, gather_context
from bench.report.images import caption_sheets
from bench.report.images.interactive_media import InteractiveMedia
from bench.report.images.table_sheets import plan_sheets
from bench.report.page import compact, report_files
from bench.report.report_contents import NO_MEDIA, DeferredDrawing, ReportContents
from bench.report.tables import footers
from bench.report.tables.costs import DevicePrice
from bench.storage.doctor_stamp import describe_stamp
from bench.storage.score_frame import score_frame
from bench.storage.trial_reader import TrialReader, is_stored
from bench.suites import selection
from bench.suites.suite import Table

MOST_NAMES = 8
"""A title names so many scenes of a user's, and counts the others."""


class DrawnReport(NamedTuple):
    """A report on disk.

    Attributes:
        page: Path of its `index.html`.
        is_unchanged: Whether the folder held it already, so that nothing was drawn.
    """

    page: pathlib.Path
    is_unchanged: bool

    def describe(self) -> str:
        """Name the page for the command line."""
        return f"{self.page} (unchanged)" if self.is_unchanged else str(self.page)


def default_folder(chosen: selection.Selection) -> pathlib.Path:
    """Name the folder of a suite's report."""
    return ROOT / "reports" / selection.study_name(chosen)


# --- gather -----------------------------------------------------------------------------------------------------------


def gather_contents(
    chosen: selection.Selection,
    store: TrialReader,
    *,
    command: str,
    media: DeferredDrawing[InteractiveMedia] = NO_MEDIA,
    price: DevicePrice | None = None,
    refresh_s: float | None = None,
    is_small: bool = False,
) -> ReportContents:
    """Compare what is stored, and plan the pictures; draw nothing.

    Args:
        chosen: Trials and tables.
        store: Where the trials lie; those that are missing are counted.
        command: Command line that makes the report again.
        media: Turntables and meshes.
        price: Price of an hour of a device; None to print hours only.
        refresh_s: Seconds after which the page loads itself again; None for a page that does not.
        is_small: Whether to write the small form.
    """
    trial_ids = [trial.id for trial in chosen.trials if is_stored(store, trial.id)]
    # Not `store.frame()`: a store may hold many more trials, and to read all their scores takes long.
    frame = score_frame((store.read(trial_id), store.scores(trial_id)) for trial_id in sorted(trial_ids))
    contexts = {}
    for table in chosen.tables:
        context = gather_context(table, chosen, store)
        if context is not None:
            contexts[table.name] = context
    results = []
    for table in chosen.tables:
        result = compare_table(table, chosen, frame, contexts.get(table.name))
        notes = degenerate_field_notes(table, chosen.cells, store)
        notes += masked_score_notes(table, chosen.cells, store)
        notes += imagenet_encoder_notes(table, chosen.cells, chosen.trials)
        notes += chosen.uneven_settings(table)
        if chosen.suite.folders:
            notes += photograph_notes.write_photograph_notes(table, chosen.cells, chosen.trials)
            result = dataclasses.replace(result, view_names=photograph_notes.name_views(table, chosen))
        results.append(add_notes(result, notes))
    return ReportContents(
        title=study_title(chosen),
        question=chosen.suite.question,
        notes=tuple(head_notes(chosen, store, results, is_small)),
        command=command,
        results=tuple(results),
        frame=frame,
        cells=tuple(chosen.cells),
        records=tuple(store.read(trial_id) for trial_id in trial_ids),
        contexts=contexts,
        sheets=plan_sheets(chosen, store, contexts),
        media=media,
        price=price,
        refresh_s=refresh_s,
        is_small=is_small,
        doctor=describe_stamp(),
    )


def study_title(chosen: selection.Selection) -> str:
    """Name a study for its page: by its suite, and by the scenes that are a user's own."""
    names = chosen.suite.folders
    if not names:
        return chosen.suite.name
    shown = ", ".join(names[:MOST_NAMES])
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{chosen.suite.name}: {shown}{more}"


def head_notes(
    chosen: selection.Selection, store: TrialReader, results: Sequence[TableResult], is_small: bool
) -> list[str]:
    """Write the sentences at the head of a page."""
    nouns = dict.fromkeys(pluralize(result.cluster_noun) for result in results)
    notes = [
        f"Budget {chosen.budget.name}. A small study of the {' and '.join(nouns)} below; "
        "its numbers are not those of a paper."
    ]
    if chosen.suite.left_out_at(chosen.budget):
        notes.append(chosen.suite.left_out_at(chosen.budget))
    notes += dict.fromkeys(filter(None, map(footers.few_scenes, results)))
    if is_small:
        notes.append(compact.NOTE)
    if shows_captions(chosen, store):
        notes.append(caption_sheets.HOW_SHOWN)
    notes += [f"Set aside, it did not parse, and its trial runs again: {name}" for name in store.set_aside]
    notes += [f"Left out: {line}" for line in store.left_out]
    return notes


def shows_captions(chosen: selection.Selection, store: TrialReader) -> bool:
    """Tell whether the store keeps views of an object that was made from a caption."""
    tables = {table.name for table in chosen.tables if find_retrieval_set(table) is not None}
    trial_ids = {cell.trial_id for cell in chosen.cells if cell.table in tables}
    return any(store.finished(trial_id) and store.has_views(trial_id) for trial_id in trial_ids)


def compare_table(
    table: Table, chosen: selection.Selection, frame: pd.DataFrame, context: CaptionTableContext | None = None
) -> TableResult:
    """Compare the arms of one table, and add what is read beside its numbers.

    Args:
        table: The table.
        chosen: Its places, and the suite's other tables.
        frame: Scores of the trials.
        context: What is known of a table of captions; None for one of photographs.
    """
    cells = [cell for cell in chosen.cells if cell.table == table.name]
    noun = kind_of(table.tasks[0]).noun
    beside = None
    if chosen.suite.read_together:
        beside = {other.name: other.baseline for other in chosen.tables if other is not table}
    clusters = [cell.cluster for cell in cells]
    result = paired_comparison.compare(
        frame,
        chosen.cells,
        table=table.name,
        baseline=table.baseline,
        protocol=table.protocol,
        metrics=table.metrics,
        beside=beside,
        allow_no_baseline=True,
    )
    result = leave_out_absent_metrics(result)
    result = result.with_text(
        question=table.question,
        cluster_noun=noun,
        arm_notes=write_arm_notes(table, cells, noun),
        notes=() if context is None else caption_notes.write_caption_notes(context, table.metrics, clusters),
    )
    result = dataclasses.replace(result, published=table.published)
    if context is None:
        return view_differences.add_scene_differences(result, frame, cells)
    gap = caption_notes.guide_judge_gap(result, context.judge)
    references = caption_notes.find_reference_rows(context, table.metrics, clusters)
    return dataclasses.replace(add_notes(result, [gap] if gap else []), references=references)


def add_notes(result: TableResult, notes: Sequence[str]) -> TableResult:
    """Return a table with more notes."""
    return dataclasses.replace(result, notes=(*result.notes, *notes))


# --- draw -------------------------------------------------------------------------------------------------------------


def draw_report(contents: ReportContents, folder: pathlib.Path) -> DrawnReport:
    """Draw a report, unless its folder holds the same one already.

    The small form is always drawn: it is kept beside code, where a manifest would differ from machine to machine.

    Args:
        contents: What it holds.
        folder: Where it lies; made if it is missing.

    Raises:
        UsageError: Names of two tables or pictures make the same file name.
    """
    page = folder / report_files.PAGE
    if contents.is_small:
        manifest.remove_manifest(folder)
        report_files.write_report(contents, folder)
        return DrawnReport(page, is_unchanged=False)
    digest = manifest.contents_digest(contents)
    if manifest.is_current(folder, digest):
        return DrawnReport(page, is_unchanged=True)
    manifest.remove_manifest(folder)  # if drawing stops halfway, the next one starts anew
    files = report_files.write_report(contents, folder)
    manifest.write_manifest(folder, digest, files)
    return DrawnReport(page, is_unchanged=False)
