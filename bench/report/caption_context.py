"""Gathers what is read beside the numbers of a table of captions: retrieval set, judge, confusions and failures."""

from __future__ import annotations

from typing import Any, NamedTuple

from bench.analysis import confusions, failure_modes
from bench.metrics.task_kinds import kind_of
from bench.report.tables.words import primary_judge
from bench.storage.trial_reader import TrialReader
from bench.suites.selection import Selection
from bench.suites.suite import Table
from tasks.captions.caption_sets import CaptionSet


class CaptionTableContext(NamedTuple):
    """Facts that are read beside the numbers of a table of captions.

    Attributes:
        captions: The retrieval set.
        judge: Encoder that judges the first columns.
        confusions: By arm and caption, which wrong captions the judge found, see `bench.analysis.confusions`.
        departs: How trials depart from the protocol.
        failures: Sentences on degenerate objects, see `bench.analysis.failure_modes.describe_failures`.
        num_empty: Finished trials whose field is empty.
        num_finished: Finished trials.
    """

    captions: CaptionSet
    judge: str
    confusions: tuple[dict[str, Any], ...] = ()
    departs: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    num_empty: int = 0
    num_finished: int = 0

    @property
    def size(self) -> int:
        """Counts the captions of the retrieval set."""
        return len(self.captions.captions)


def find_retrieval_set(table: Table) -> CaptionSet | None:
    """Find the captions among which judges look for those of a table; None if they look for none."""
    first = table.tasks[0]
    return kind_of(first).retrieval_set(first)


def gather_context(table: Table, chosen: Selection, store: TrialReader) -> CaptionTableContext | None:
    """Gather the context of a table of captions; None for a table of photographs.

    Args:
        table: The table.
        chosen: Places of trials in tables.
        store: Where scores lie.
    """
    captions = find_retrieval_set(table)
    if captions is None:
        return None
    cells = [cell for cell in chosen.cells if cell.table == table.name]
    judge = primary_judge(table.metrics)
    scores: dict[str, dict[str, Any]] = {}
    for cell in cells:
        found = store.scores(cell.trial_id).get(table.protocol) if store.finished(cell.trial_id) else None
        if found:
            scores[cell.trial_id] = found
    departs = dict.fromkeys(found["departs"] for found in scores.values() if found["departs"])
    failed = {cell.trial_id for cell in cells if store.failed(cell.trial_id)}
    failures = failure_modes.count_failures(cells, scores, failed, judge, captions.sha256)
    return CaptionTableContext(
        captions=captions,
        judge=judge,
        confusions=tuple(confusions.count_confusions(cells, scores, judge, captions)),
        departs=tuple(departs),
        failures=tuple(failure_modes.describe_failures(failures)),
        num_empty=sum(found["field_state"] == "empty" for found in scores.values()),
        num_finished=len(scores),
    )
