"""Writes tables and the numbers of figures as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence

from bench.analysis.table_result import TableResult
from bench.metrics.registry import metric_named
from bench.report.tables.words import printable


def entries_csv(result: TableResult) -> str:
    """Write all that is known of every arm and metric: a row each, empty where there is nothing."""
    head = {"table": result.table, "protocol": result.protocol, "budget": " ".join(result.budgets)}
    rows = []
    for entry in result.entries:
        known = metric_named(entry.metric)
        fields = dataclasses.asdict(entry)
        fields["reasons"] = "; ".join(f"{reason} ({num})" for reason, num in entry.reasons.items())
        rows.append(head | {"unit": known.unit, "higher_is_better": known.higher_is_better} | fields)
    return rows_csv(rows)


def clusters_csv(result: TableResult) -> str:
    """Write every arm's number in every cluster: one row for each arm, metric and cluster."""
    rows: list[dict[str, object]] = []
    for metric, by_arm in result.by_cluster.items():
        for arm, by_cluster in by_arm.items():
            for cluster, value in by_cluster.items():
                place = {"table": result.table, "metric": metric, "arm": arm, "cluster": cluster}
                rows.append({**place, "value": value})
    return rows_csv(rows)


def views_csv(result: TableResult) -> str:
    """Write every arm's difference to the baseline in every view of a scene, where scenes are few."""
    rows: list[dict[str, object]] = []
    for each in result.scene_differences:
        place = {"table": result.table, "metric": each.metric, "arm": each.arm, "cluster": each.cluster}
        for view, difference in zip(each.views, each.by_view, strict=True):
            file = (
                {"file": result.view_names[each.cluster].get(str(view), "")}
                if each.cluster in result.view_names
                else {}
            )
            rows.append({**place, "view": view, **file, "difference": difference})
    return rows_csv(rows)


def rows_csv(rows: Sequence[dict[str, object]]) -> str:
    """Write rows, whose keys are the header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0] if rows else [])
    for row in rows:
        writer.writerow([format_value(value) for value in row.values()])
    return out.getvalue()


def format_value(value: object) -> object:
    """Write a number with six digits, which agree between machines, and a text on one line."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return printable(value) if isinstance(value, str) else value
