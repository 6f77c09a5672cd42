"""Decides what a report holds: gathers results, pictures and notes, then writes the page."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from PIL import Image

from bench.analysis import failure_modes, paired_comparison
from bench.analysis.paired_comparison import TableResult
from bench.import_paths import ROOT
from bench.report import caption_context, caption_results
from bench.report.caption_context import CaptionTableContext
from bench.report.images import caption_sheets, image_grid
from bench.report.page import compact, page
from bench.report.page.script_data import InteractiveMedia
from bench.report.tables import contents, formats
from bench.report.tables.costs import DevicePrice
from bench.storage.trial_reader import TrialReader
from bench.suites import selection
from bench.suites.suite import Table, TrialSlot
from bench.suites.trial import Trial
from tasks.captions.caption_task import CaptionTask


def write(
    chosen: selection.Selection,
    trials_store: TrialReader,
    *,
    command: str,
    out: pathlib.Path | None = None,
    price: DevicePrice | None = None,
    every_s: float | None = None,
    media: InteractiveMedia | None = None,
    is_small: bool = False,
) -> tuple[list[TableResult], pathlib.Path]:
    """Compares what is stored and writes the report's folder; the tables, and the page's path."""
    frame = trials_store.frame()
    of_captions = {table.name: known for table in chosen.tables if (known := judged(table, chosen, trials_store))}
    results = [
        with_notes(
            result_of(table, chosen, frame, of_captions.get(table.name)),
            degenerate_field_notes(table, chosen.cells, trials_store),
        )
        for table in chosen.tables
    ]
    stored = [trials_store.read(trial.id) for trial in chosen.trials if is_stored(trials_store, trial.id)]
    sheets = pictures(chosen, trials_store, of_captions)
    nouns = " and ".join(contents.plural(noun) for noun in dict.fromkeys(result.cluster_noun for result in results))
    notes = [f"Budget {chosen.budget.name}. A small study of the {nouns} below; its numbers are not those of a paper."]
    notes += [compact.NOTE] * is_small + [caption_sheets.HOW_SHOWN] * bool(of_captions and sheets)
    notes += [f"Set aside, it did not parse, and its trial runs again: {name}" for name in trials_store.set_aside]
    written = page.write(
        chosen.suite.name,
        results,
        frame=frame,
        cells=chosen.cells,
        records=stored,
        sheets=sheets,
        command=command,
        question=chosen.suite.question,
        notes=notes,
        judged=of_captions,
        price=price,
        every_s=every_s,
        is_small=is_small,
        exhibits=media or InteractiveMedia(),
        out=out or ROOT / "reports" / selection.study(chosen),
    )
    return results, written


def result_of(
    table: Table, chosen: selection.Selection, frame: pd.DataFrame, known: CaptionTableContext | None = None
) -> TableResult:
    """The paired comparison of one table."""
    mine, noun = [cell for cell in chosen.cells if cell.table == table.name], caption_context.NOUN if known else "scene"
    few = caption_results.arms_with_fewer_trials(mine, noun)
    arms = {
        name: "; ".join(filter(None, (arm.note, describe_arm(table, name), few.get(name, ""))))
        for name, arm in table.arms.items()
    }
    result = paired_comparison.compare(
        frame,
        chosen.cells,
        table=table.name,
        baseline=table.baseline,
        protocol=table.protocol,
        metrics=table.metrics,
        question=table.question,
        arm_notes=arms,
        notes=caption_results.notes(known, table.metrics, [cell.cluster for cell in mine]) if known else (),
        cluster_noun=noun,
        beside={t.name: t.baseline for t in chosen.tables if t is not table} if chosen.suite.read_together else None,
    )
    said = caption_results.guide_judge_gap(result, known.judge) if known else None
    beside = caption_results.bounds(known, table.metrics, [cell.cluster for cell in mine]) if known else ()
    return dataclasses.replace(with_notes(result, [said] if said else []), published=table.published, bounds=beside)


def with_notes(result: TableResult, lines: Sequence[str]) -> TableResult:
    """A table that says something more."""
    return dataclasses.replace(result, notes=(*result.notes, *lines))


def judged(table: Table, chosen: selection.Selection, trials_store: TrialReader) -> CaptionTableContext | None:
    """What a table of captions says beside its numbers; None for one of photographs."""
    first = table.tasks[0]
    if not isinstance(first, CaptionTask):
        return None
    mine, judge = [cell for cell in chosen.cells if cell.table == table.name], contents.primary_judge(table.metrics)
    scores = {
        cell.trial_id: found
        for cell in mine if trials_store.finished(cell.trial_id)
        if (found := trials_store.scores(cell.trial_id).get(table.protocol))
    }  # fmt: skip
    departs = dict.fromkeys(found["departs"] for found in scores.values() if found["departs"])
    failed = {cell.trial_id for cell in mine if trials_store.failed(cell.trial_id)}
    return CaptionTableContext(
        captions=first.found_in,
        judge=judge,
        confusions=tuple(caption_results.confused(mine, scores, judge, first.found_in)),
        departs=tuple(departs),
        failures=tuple(failure_modes.lines(failure_modes.counted(mine, scores, failed, judge, first.found_in.sha256))),
        num_empty=sum(found["field_state"] == "empty" for found in scores.values()),
        num_finished=len(scores),
    )


def pictures(
    chosen: selection.Selection, trials_store: TrialReader, of_captions: Mapping[str, CaptionTableContext]
) -> dict[str, Image.Image]:
    """All sheets by title; objects of a baseline that several tables share are shown once."""
    found: dict[str, Image.Image | None] = {}
    shown = set()
    for table in chosen.tables:
        known = of_captions.get(table.name)
        if known is None:
            found[f"{table.name}: the same view by each arm"] = sheet(table, chosen, trials_store, errors=False)
            found[f"{table.name}: where they are wrong"] = sheet(table, chosen, trials_store, errors=True)
            continue
        cells = first_seed(table, chosen)
        of_baseline = tuple(cell for cell in cells if cell.arm == table.baseline)
        how: dict[str, Any] = {"protocol": table.protocol, "judge": known.judge, "captions": known.captions}
        title = f"{table.name}: every arm, and what {known.judge} takes it for"
        found[title] = caption_sheets.contact_sheet(cells, trials_store, **how)
        ids = tuple(cell.trial_id for cell in of_baseline)
        if ids and ids not in shown:
            shown.add(ids)
            title = f"{table.name}: {table.baseline}, green where {known.judge} finds the caption"
            found[title] = caption_sheets.all_of_one_arm(of_baseline, trials_store, **how)
            found[f"{table.name}: {table.baseline}, over training"] = caption_sheets.strips(of_baseline, trials_store)
    return {title: image for title, image in found.items() if image is not None}


def first_seed(table: Table, chosen: selection.Selection) -> list[TrialSlot]:
    """A table's places of the first seed."""
    seed = min(cell.seed for cell in chosen.cells if cell.table == table.name)
    return [cell for cell in chosen.cells if cell.table == table.name and cell.seed == seed]


def degenerate_field_notes(table: Table, cells: Sequence[TrialSlot], trials_store: TrialReader) -> list[str]:
    """Which arms have fields that ended empty or solid, and on what: a failure of training, not a quality."""
    lines = []
    for arm in table.arms:
        mine = [cell for cell in cells if (cell.table, cell.arm) == (table.name, arm)]
        mine = [cell for cell in mine if is_stored(trials_store, cell.trial_id)]
        found: dict[str, list[str]] = {}
        for cell in mine:
            state = trials_store.scores(cell.trial_id).get(table.protocol, {}).get("field_state", "ok")
            if state in ("empty", "solid"):  # "unknown" is of renders without opacity: nothing failed
                found.setdefault(state, []).append(f"{cell.cluster} (seed {cell.seed})")
        lines += [
            f"{arm}: {contents.counted(len(where), f'{state} field')} of {len(mine)}: {few_of(where)}"
            for state, where in found.items()
        ]
    return lines


def few_of(names: Sequence[str], most: int = 4) -> str:
    """The first few names, and how many more there are.

    Example:
        >>> few_of(["a", "b", "c"], 2), few_of(["a", "b"], 2)
        ('a, b and 1 more', 'a, b')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def describe_arm(table: Table, name: str) -> str:
    """How an arm differs from the baseline, in words."""
    found, own = table.said_differences(name)
    changed = [f"{field.removeprefix('method.')} {value} instead of {other}" for field, (value, other) in found.items()]
    return ", ".join([*changed, *(f"with {field.removeprefix('method.')} {value}" for field, value in own.items())])


def sheet(table: Table, chosen: selection.Selection, trials_store: TrialReader, *, errors: bool) -> Image.Image | None:
    """A picture: a row a scene, the truth and then every arm's first seed, from one test camera."""
    trials = {trial.id: trial for trial in chosen.trials}
    cells, rows = first_seed(table, chosen), {}
    for cluster in dict.fromkeys(cell.cluster for cell in cells):
        row = [cell for cell in cells if cell.cluster == cluster]
        views = {cell.arm: stored_views(trials_store, cell.trial_id) for cell in row}
        if any(views.values()):
            rows[cluster] = image_grid.comparison(
                first_of(row, table.baseline, trials).task.load(),
                views,
                labels=labels(row, trials_store, table),
                errors=errors,
            )
    return image_grid.sheet(rows) if rows else None


def first_of(row: Sequence[TrialSlot], baseline: str, trials: dict[str, Trial]) -> Trial:
    """The baseline's trial, or the first there is: its training views choose the camera."""
    found = [cell for cell in row if cell.arm == baseline] or list(row)
    return trials[found[0].trial_id]


def labels(row: Sequence[TrialSlot], trials_store: TrialReader, table: Table) -> dict[str, str]:
    """What stands under each tile: the mean of the table's first metric, or why there is none."""
    metric = table.metrics[0]
    said = {}
    for cell in row:
        if not is_stored(trials_store, cell.trial_id):
            said[cell.arm] = "not run"
            continue
        scores = trials_store.scores(cell.trial_id).get(table.protocol)
        values = [x for x in scores["per_view"].get(metric, []) if x is not None] if scores else []
        said[cell.arm] = f"mean {sum(values) / len(values):.2f}" if values else "failed"
    return said


def stored_views(trials_store: TrialReader, trial_id: str) -> dict | None:
    """A trial's views; None where it has none."""
    if not trials_store.finished(trial_id) or not trials_store.has_views(trial_id):
        return None
    return trials_store.views(trial_id)


def is_stored(trials_store: TrialReader, trial_id: str) -> bool:
    """Whether the trial left a record."""
    return trials_store.finished(trial_id) or trials_store.failed(trial_id)


def print_tables(results: Sequence[TableResult]) -> None:
    """Prints every table in the terminal; notes that all of several tables share stand once, behind them."""
    shared = [note for note in results[0].notes if all(note in r.notes for r in results)] if len(results) > 1 else []
    for result in results:
        own = tuple(note for note in result.notes if note not in shared)
        formats.print_table(dataclasses.replace(result, notes=own))
        print()
    for note in shared:
        print(f"all tables: {formats.printable(note)}")
    if shared:
        print()
