"""Writes where the numbers of a report come from: how much was run, on what, with which versions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bench.analysis.table_result import TableResult
from bench.counted_nouns import format_count
from bench.metrics.task_kinds import kind_named
from bench.report.tables.cells import DASH
from bench.storage.record import Record
from bench.storage.timings import own_seconds

UNKNOWN = "unknown"
"""Stands for what a record does not say; it is listed last."""

ENVIRONMENT_ROWS = {"device": "device", "num_devices": "devices a host", "platform": "platform", "python": "python"}
"""Fields of a record's environment, and how their rows are called."""


def summary_line(results: Sequence[TableResult], records: Sequence[Record]) -> str:
    """Say on one line how much was run."""
    num_failed = sum(record.status == "failed" for record in records)
    trials = format_count(len(records), "trial")
    parts = [
        format_count(len(results), "table"),
        f"{trials}, {num_failed} failed" if num_failed else trials,
        describe_time(records),
    ]
    return " · ".join(part for part in parts if part)


def describe_time(records: Sequence[Record]) -> str:
    """Say what the trials took together, without the mean: each one's seconds hold those of what it continues."""
    every = [own_seconds(record.timings) for record in records]
    seconds = [each for each in every if not math.isnan(each)]  # NaN where it is not known
    if not seconds:
        return ""
    total = sum(seconds)
    whole = f"{total / 3600:.1f} hours" if total >= 3600 else f"{total / 60:.1f} minutes"
    return f"{whole} of training and scoring, all workers added up"


def provenance_rows(results: Sequence[TableResult], records: Sequence[Record]) -> list[tuple[str, str]]:
    """List definitions, budgets, commits, devices and versions, each under a name.

    Args:
        results: Tables of the report.
        records: Records of its trials.
    """
    rows = [*protocol_rows(results)]
    budgets = dict.fromkeys(budget for result in results for budget in result.budgets)
    rows.append(("budget", ", ".join(budgets) or DASH))
    environments = [record.environment for record in records]
    if environments:
        rows.append(("commit", count_values([describe_commit(environment) for environment in environments])))
    for field, name in ENVIRONMENT_ROWS.items():
        values = [str(environment[field]) for environment in environments if environment.get(field) is not None]
        if values:
            rows.append((name, count_values(values)))
    packages = describe_packages(environments)
    if packages:
        rows.append(("packages", packages))
    return rows


def protocol_rows(results: Sequence[TableResult]) -> list[tuple[str, str]]:
    """List the protocols of tables, each once, with what they are."""
    rows = []
    for name, noun in dict.fromkeys((result.protocol, result.cluster_noun) for result in results):
        kind = kind_named(noun)
        known = kind.protocols.get(name)
        text = f"{name} {known.version}: {known.about}" if known else name
        rows.append(("protocol" if kind.has_photographs else f"protocol of {kind.start}", text))
    return rows


def describe_commit(environment: Mapping[str, Any]) -> str:
    """Name the commit that a trial ran at."""
    if not environment.get("git_commit"):
        return UNKNOWN
    commit = str(environment["git_commit"])[:12]
    return f"{commit} with local changes" if environment.get("git_dirty") else commit


def describe_packages(environments: Sequence[Mapping[str, Any]]) -> str:
    """List packages with their versions; empty where no record has any."""
    versions: dict[str, list[str]] = {}
    for environment in environments:
        for package, version in environment.get("packages", {}).items():
            versions.setdefault(package, []).append(version)
    return ", ".join(f"{package} {count_values(versions[package])}" for package in sorted(versions))


def count_values(values: Sequence[str]) -> str:
    """List each value once; where they differ, with the number of trials that have it."""
    counts = Counter(values)
    num_unknown = counts.pop(UNKNOWN, 0)
    if len(counts) == 1 and not num_unknown:
        return values[0]
    parts = [f"{value} ({format_count(num, 'trial')})" for value, num in sorted(counts.items())]
    if num_unknown:
        parts.append(f"{UNKNOWN}: {format_count(num_unknown, 'trial')}")
    return " | ".join(parts)
