"""What the page's script is given: every place of every table with its trial, as one compact JSON value.

The script sorts, filters and opens trials; it computes nothing but the difference of two numbers that it shows. Names
and texts that occur often stand once, and others refer to their place. Same inputs, same text.

    suite    its name
    tables   name, noun, baseline, protocol, arms, clusters, metrics, verdicts (arm, metric), and, place by place,
             places (arm, cluster, seed, trial), scores (metric), whys (why a score is missing), differs (fields)
    trials   columns: id, status (0 finished, 1 failed, 2 not run), reason, seconds, steps, curves
    reels    by trial and kind: path, labels, width, height
    viewers  by trial: the page of its mesh
    reasons, fields, steps (and targets of curves), labels: what the others refer to
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench.analysis.table_result import TableResult
from bench.metrics.registry import metric_named
from bench.report.images.interactive_media import InteractiveMedia
from bench.report.tables import grids
from bench.report.tables.cells import DASH
from bench.report.tables.words import column_heading, printable
from bench.storage.record import Record
from bench.suites.differences import differing, leaves
from bench.suites.suite import TrialSlot

TERMS = ("loss", "negative_cosine", "transmittance")
"""Curves that a page draws, each with its target if it has one."""

MOST_POINTS = 24
"""Of a curve in a page; a record has all."""

MANY_TRIALS = 1000
"""From which on curves have half as many points, so that a page of thousands opens at once."""

STATUS = {"finished": 0, "failed": 1}
NOT_RUN = 2


class InternedList:
    """A list in which equal values stand once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[str, int] = {}

    def place(self, value: Any) -> int:
        """Where the value stands.

        Example:
            >>> once = InternedList()
            >>> once.place("a"), once.place(["b"]), once.place("a"), once.values
            (0, 1, 0, ['a', ['b']])
        """
        key = json.dumps(value)
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]


class InternedLists(NamedTuple):
    """What trials and tables refer to."""

    reasons: InternedList
    fields: InternedList
    steps: InternedList
    labels: InternedList


def data(
    suite_name: str,
    results: Sequence[TableResult],
    *,
    frame: pd.DataFrame,
    cells: Sequence[TrialSlot],
    records: Sequence[Record],
    exhibits: InteractiveMedia | None = None,
) -> dict[str, Any]:
    """What the script is given, see above.

    Args:
        suite_name: Its name.
        results: Its tables.
        frame: As `bench.storage.store.Store.frame` gives it.
        cells: Places of trials in tables.
        records: Of the trials.
        exhibits: What can be looked at.
    """
    exhibits = exhibits or InteractiveMedia()
    shared = InternedLists(InternedList(), InternedList(), InternedList(), InternedList())
    by_id = {record.trial_id: record for record in records}
    known = {result.table for result in results}
    ids = sorted({cell.trial_id for cell in cells if cell.table in known})
    places = {trial_id: i for i, trial_id in enumerate(ids)}
    return {
        "suite": printable(suite_name),
        "tables": [table_data(result, frame, cells, by_id, places, shared) for result in results],
        "trials": trials_data(ids, by_id, shared),
        "reels": {
            str(places[trial_id]): {
                reel.kind: {"path": reel.path, "labels": shared.labels.place(list(reel.labels)),
                            "width": reel.width, "height": reel.height}
                for reel in reels
            }
            for trial_id, reels in exhibits.reels.items() if trial_id in places
        },
        "viewers": {str(places[v.trial_id]): next(iter(v.contents)) for v in exhibits.viewers if v.trial_id in places},
        **{name: once.values for name, once in shared._asdict().items()},
    }  # fmt: skip


def table_data(
    result: TableResult,
    frame: pd.DataFrame,
    cells: Sequence[TrialSlot],
    by_id: Mapping[str, Record],
    places: Mapping[str, int],
    shared: InternedLists,
) -> dict[str, Any]:
    """One table."""
    mine = [cell for cell in cells if cell.table == result.table]
    scores, whys = numbers(result, frame, [cell.trial_id for cell in mine], shared.reasons)
    arms, clusters = list(result.arms), list(result.clusters)
    of_baseline = baselines(mine, result.baseline, by_id)
    return {
        "name": printable(result.table),
        "noun": result.cluster_noun,
        "protocol": result.protocol,
        "baseline": arms.index(result.baseline),
        "num_primary": min(grids.NUM_PRIMARY, len(result.metrics)),
        "arms": [printable(arm) for arm in arms],
        "clusters": [printable(cluster) for cluster in clusters],
        "metrics": [
            {"title": known.title, "heading": column_heading(m), "unit": known.unit, "digits": known.digits}
            for m, known in ((m, metric_named(m)) for m in result.metrics)
        ],
        "verdicts": [[result.entry(arm, metric).verdict for metric in result.metrics] for arm in arms],
        "places": [
            [arms.index(cell.arm), clusters.index(cell.cluster), cell.seed, places[cell.trial_id]] for cell in mine
        ],
        "scores": scores,
        "whys": whys,
        "differs": [
            None if found is None else shared.fields.place(found)
            for found in (fields_that_differ(by_id.get(c.trial_id), of_baseline.get(c.cluster)) for c in mine)
        ],
    }  # fmt: skip


def numbers(
    result: TableResult, frame: pd.DataFrame, ids: Sequence[str], reasons: InternedList
) -> tuple[list[list[float | int | None]], list[dict[str, int] | None]]:
    """Of each trial its mean over views under each metric, and why there is none."""
    chosen = frame[
        (frame["protocol"] == result.protocol) & frame["metric"].isin(result.metrics) & (frame["status"] == "finished")
        & frame["trial_id"].isin(set(ids))
    ]  # fmt: skip
    means = chosen.groupby(["trial_id", "metric"], sort=False)["value"].mean().dropna().to_dict()
    without = chosen[chosen["value"].isna() & chosen["reason"].notna()]
    said = without.groupby(["trial_id", "metric"], sort=True)["reason"].min().to_dict()
    scores = [[rounded(means.get((trial_id, metric))) for metric in result.metrics] for trial_id in ids]
    whys = [
        {
            str(i): reasons.place(printable(said[trial_id, metric]))
            for i, metric in enumerate(result.metrics)
            if (trial_id, metric) in said and (trial_id, metric) not in means
        }
        or None
        for trial_id in ids
    ]
    return scores, whys


def trials_data(ids: Sequence[str], by_id: Mapping[str, Record], shared: InternedLists) -> dict[str, list[Any]]:
    """All trials, column by column."""
    found = [by_id.get(trial_id) for trial_id in ids]
    most = MOST_POINTS if len(ids) < MANY_TRIALS else MOST_POINTS // 2
    return {
        "id": list(ids),
        "status": [STATUS[r.status] if r else NOT_RUN for r in found],
        "reason": [shared.reasons.place(printable(r.reason)) if r and r.reason else None for r in found],
        "seconds": [rounded(r.timings.get("wall_s")) if r else None for r in found],
        "steps": [r.num_steps if r else None for r in found],
        "curves": [curves(r, shared.steps, most) if r else None for r in found],
    }


def curves(record: Record, steps: InternedList, most: int = MOST_POINTS) -> dict[str, Any] | None:
    """The curves that are drawn, of a few points; None where there are none."""
    kept = [name for term in TERMS for name in (term, f"{term}_target") if name in record.curves]
    num = len(record.curves.get("step", ()))
    if not kept or not num:
        return None
    places = np.unique(np.linspace(0, num - 1, min(num, most)).round().astype(int))
    found: dict[str, Any] = {"step": steps.place([rounded(record.curves["step"][i], 9) for i in places])}
    for name in kept:
        drawn = [rounded(record.curves[name][i], 3) for i in places]
        # steps and targets are the same for many trials
        found[name] = steps.place(drawn) if name.endswith("_target") else drawn
    return found


def baselines(mine: Sequence[TrialSlot], baseline: str, by_id: Mapping[str, Record]) -> dict[str, Record]:
    """By cluster, the baseline's record of the first seed that has one."""
    found: dict[str, Record] = {}
    for cell in sorted(mine, key=lambda cell: cell.seed):
        if cell.arm == baseline and cell.trial_id in by_id:
            found.setdefault(cell.cluster, by_id[cell.trial_id])
    return found


def fields_that_differ(record: Record | None, other: Record | None) -> list[list[str]] | None:
    """Fields of task and method in which a trial is not as the baseline's: name, its value, the baseline's.

    What only the baseline has is left out: their types differ, and stand there.

    Args:
        record: The trial's; None where it was not run.
        other: The baseline's on the same cluster.
    """
    if record is None or other is None:
        return None
    left, right = (
        {part: tree for part, tree in its.identity.items() if part in ("task", "method")} for its in (record, other)
    )
    of_left, of_right = leaves(left), leaves(right)
    return [
        [
            printable(name.removeprefix("method.")),
            told(mine),
            told(theirs) if name in of_right else DASH,
        ]
        for name, (mine, theirs) in differing(left, right).items()
        if name in of_left
    ]


def told(value: Any) -> str:
    """A field's value, as a person reads it."""
    return "none" if value is None else printable(str(value))


def rounded(value: float | None, digits: int = 6) -> float | int | None:
    """A number with so many digits that count; None where it is not finite.

    Example:
        >>> rounded(0.123456789), rounded(3.0), rounded(float("nan")), rounded(None)
        (0.123457, 3, None, None)
    """
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short == int(short) and abs(short) < 1e15 else short


def dumps(value: Any) -> str:
    r"""JSON that may stand between the tags of a script, whatever a person wrote.

    Example:
        >>> print(dumps({"a": "</script><!--"}))
        {"a":"\u003c/script>\u003c!--"}
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
