"""Leaves metrics out of a table that none of its scenes can have, such as a foreground without alpha."""

from __future__ import annotations

import dataclasses

from bench.analysis.table_result import TableResult
from bench.metrics.registry import NO_BACKGROUND, metric_named

REASONS = (NO_BACKGROUND,)
"""What a scorer says where a scene can have no such number, however it was trained and rendered."""


def leave_out_absent_metrics(result: TableResult) -> TableResult:
    """Return a table without the metrics that no scene of it can have, with a note in a line that names them.

    A metric stays where a trial has a number of it, or lacks it for another reason, or is the only one.
    """
    reasons = {metric: reason_of_all(result, metric) for metric in result.metrics}
    kept = tuple(metric for metric in result.metrics if reasons[metric] is None)
    if not kept or len(kept) == len(result.metrics):
        return result
    titles: dict[str, list[str]] = {}
    for metric, reason in reasons.items():
        if reason is not None:
            titles.setdefault(reason, []).append(metric_named(metric).title)
    notes = tuple(f"{'; '.join(names)}: left out, {reason}" for reason, names in titles.items())
    entries = [entry for entry in result.entries if entry.metric in kept]
    by_cluster = {metric: numbers for metric, numbers in result.by_cluster.items() if metric in kept}
    tests_beside = {metric: num for metric, num in result.tests_beside.items() if metric in kept}
    return dataclasses.replace(
        result,
        metrics=kept,
        entries=tuple(entries),
        by_cluster=by_cluster,
        tests_beside=tests_beside,
        notes=(*result.notes, *notes),
    )


def reason_of_all(result: TableResult, metric: str) -> str | None:
    """Return the one of `REASONS` for which every finished trial lacks a metric; None if there is none."""
    entries = result.column(metric)
    num_missing = sum(entry.num_missing for entry in entries)
    if not num_missing or any(entry.num_trials for entry in entries):
        return None
    for reason in REASONS:
        if sum(entry.reasons.get(reason, 0) for entry in entries) == num_missing:
            return reason
    return None
