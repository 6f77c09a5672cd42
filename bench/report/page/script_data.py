"""Makes the data of a page's script: every place of every table with its trial, as one compact JSON value.

The script sorts, filters and opens trials; it computes nothing but the difference of two numbers that it shows. Names
and texts that occur often stand once, and others refer to their place. The same contents give the same text.

    suite    its name
    tables   name, noun, baseline, protocol, arms, clusters, metrics, verdicts (arm, metric), and, place by place,
             places (arm, cluster, seed, trial), scores (metric), whys (why a score is missing), differs (fields);
             views: by trial with pictures, the first metric in the view of each frame
    trials   columns: id, status (0 finished, 1 failed, 2 not run), reason, seconds, steps, curves
    reels    by trial and kind: path, labels, width, height
    viewers  by trial: the page of its mesh
    world    trials that a blind quiz may ask about, the number of the thing that each shows, and its words; null where
             no caption is of the closed world
    reasons, fields, steps (and targets of curves), labels: what the others refer to
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.table_result import TableResult
from bench.metrics.registry import metric_named
from bench.report.images.interactive_media import InteractiveMedia
from bench.report.images.turntables import FrameStrip
from bench.report.page import quiz_words
from bench.report.report_contents import ReportContents
from bench.report.tables.cells import DASH
from bench.report.tables.grids import NUM_PRIMARY
from bench.report.tables.words import column_heading, printable
from bench.storage.record import Record
from bench.suites.differences import differing, leaves
from bench.suites.suite import TrialSlot

TERMS = ("loss", "negative_cosine", "transmittance")
"""Curves that a page draws, each with its target if it has one."""

MOST_POINTS = 24
"""Points of a curve in a page; a record has all."""

MANY_TRIALS = 1000
"""Number of trials from which on curves have half as many points, so that a page of thousands opens at once."""

STATUS = {"finished": 0, "failed": 1}
NOT_RUN = 2

Number = float | int | None


class InternedList:
    """A list in which equal values stand once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[str, int] = {}

    def place(self, value: Any) -> int:
        """Return the place of a value; add it if it is new.

        Example:
            >>> interned = InternedList()
            >>> interned.place("a"), interned.place(["b"]), interned.place("a"), interned.values
            (0, 1, 0, ['a', ['b']])
        """
        key = json.dumps(value)
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value)
        return self._places[key]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScriptContext:
    """Lists that all parts of the data refer to.

    Attributes:
        by_id: Records by trial.
        trial_places: Place of each trial in the columns of `trials`.
        reasons: Why trials failed, and why scores are missing.
        fields: Fields in which trials differ from their baseline.
        steps: Steps of curves, and their targets.
        labels: Labels of the frames of reels.
    """

    by_id: Mapping[str, Record]
    trial_places: Mapping[str, int]
    reasons: InternedList = dataclasses.field(default_factory=InternedList)
    fields: InternedList = dataclasses.field(default_factory=InternedList)
    steps: InternedList = dataclasses.field(default_factory=InternedList)
    labels: InternedList = dataclasses.field(default_factory=InternedList)


def make_script_data(
    contents: ReportContents, records: Sequence[Record], media: InteractiveMedia | None = None
) -> dict[str, Any]:
    """Make the data, as the head of this file describes it.

    Args:
        contents: What the report holds.
        records: Its records, sorted by trial.
        media: What can be turned; None for nothing.
    """
    media = media or InteractiveMedia()
    tables = {result.table for result in contents.results}
    trial_ids = sorted({cell.trial_id for cell in contents.cells if cell.table in tables})
    context = ScriptContext(
        by_id={record.trial_id: record for record in records},
        trial_places={trial_id: place for place, trial_id in enumerate(trial_ids)},
    )
    return {
        "suite": printable(contents.title),
        "tables": [make_table(result, contents, context, media) for result in contents.results],
        "trials": make_trials(trial_ids, context),
        "reels": make_reels(media, context),
        "viewers": list_viewer_pages(media, context),
        "world": quiz_words.list_asked_trials(records, context.trial_places),
        "reasons": context.reasons.values,
        "fields": context.fields.values,
        "steps": context.steps.values,
        "labels": context.labels.values,
    }


# --- tables -----------------------------------------------------------------------------------------------------------


def make_table(
    result: TableResult, contents: ReportContents, context: ScriptContext, media: InteractiveMedia
) -> dict[str, Any]:
    """Make the data of one table."""
    cells = [cell for cell in contents.cells if cell.table == result.table]
    trial_ids = [cell.trial_id for cell in cells]
    means, reasons = summarize_scores(result, contents.frame, trial_ids)
    arms = list(result.arms)
    scores = []
    whys = []
    for trial_id in trial_ids:
        scores.append(list_scores(result, trial_id, means))
        whys.append(list_reasons(result, trial_id, means, reasons, context))
    metrics = [make_metric(metric) for metric in result.metrics]
    verdicts = [list_verdicts(result, arm) for arm in arms]
    clusters = [printable(cluster) for cluster in result.clusters]
    reels = {trial_id: media.reels[trial_id] for trial_id in trial_ids if trial_id in media.reels}
    return {
        "name": printable(result.table),
        "noun": result.cluster_noun,
        "protocol": result.protocol,
        "baseline": arms.index(result.baseline) if result.has_baseline else -1,
        "num_primary": min(NUM_PRIMARY, len(result.metrics)),
        "arms": [printable(arm) for arm in arms],
        "clusters": clusters,
        "metrics": metrics,
        "verdicts": verdicts,
        "places": make_places(result, cells, context),
        "scores": scores,
        "whys": whys,
        "differs": list_differences(result, cells, context),
        "views": list_view_scores(result, contents.frame, reels, context),
    }


def list_view_scores(
    result: TableResult,
    frame: pd.DataFrame,
    reels: Mapping[str, Sequence[FrameStrip]],
    context: ScriptContext,
) -> dict[str, list[Number]]:
    """List a table's first metric in the view of each frame, by the place of a trial; None where it has no number.

    Args:
        result: The table.
        frame: Scores of the trials.
        reels: Pictures of the table's trials.
        context: Places of trials.
    """
    is_chosen = (frame["protocol"] == result.protocol) & (frame["metric"] == result.metrics[0])
    chosen = frame[is_chosen & frame["trial_id"].isin(set(reels))]
    values = dict(zip(zip(chosen["trial_id"], chosen["view"], strict=True), chosen["value"], strict=True))
    found = {}
    for trial_id, strips in reels.items():
        views = next((strip.views for strip in strips if strip.views), ())
        numbers = [round_digits(values.get((trial_id, view))) for view in views]
        if any(number is not None for number in numbers):
            found[str(context.trial_places[trial_id])] = numbers
    return found


def make_metric(metric: str) -> dict[str, Any]:
    """Describe a metric: its title, heading, unit and digits."""
    known = metric_named(metric)
    return {
        "title": known.title,
        "heading": column_heading(metric),
        "unit": known.unit,
        "digits": known.digits,
    }


def list_verdicts(result: TableResult, arm: str) -> list[str]:
    """List an arm's verdicts, metric by metric."""
    return [result.entry(arm, metric).verdict for metric in result.metrics]


def make_places(result: TableResult, cells: Sequence[TrialSlot], context: ScriptContext) -> list[list[int]]:
    """List arm, cluster, seed and trial of each place, as numbers."""
    arms = {arm: i for i, arm in enumerate(result.arms)}
    clusters = {cluster: i for i, cluster in enumerate(result.clusters)}
    places = []
    for cell in cells:
        trial = context.trial_places[cell.trial_id]
        places.append([arms[cell.arm], clusters[cell.cluster], cell.seed, trial])
    return places


Means = Mapping[tuple[str, str], float]
"""By trial and metric, the mean over views."""

Reasons = Mapping[tuple[str, str], str]
"""By trial and metric, why views have no number."""


def summarize_scores(result: TableResult, frame: pd.DataFrame, trial_ids: Sequence[str]) -> tuple[Means, Reasons]:
    """Average the scores of each trial over its views, and find out why some are missing."""
    is_chosen = (frame["protocol"] == result.protocol) & frame["metric"].isin(result.metrics)
    is_chosen &= (frame["status"] == "finished") & frame["trial_id"].isin(set(trial_ids))
    chosen = frame[is_chosen]
    by_metric = ["trial_id", "metric"]
    means = chosen.groupby(by_metric, sort=False)["value"].mean().dropna().to_dict()
    without = chosen[chosen["value"].isna() & chosen["reason"].notna()]
    reasons = without.groupby(by_metric, sort=True)["reason"].min().to_dict()
    return means, reasons


def list_scores(result: TableResult, trial_id: str, means: Means) -> list[Number]:
    """List a trial's scores, metric by metric; None where there is none."""
    return [round_digits(means.get((trial_id, metric))) for metric in result.metrics]


def list_reasons(
    result: TableResult, trial_id: str, means: Means, reasons: Reasons, context: ScriptContext
) -> dict[str, int] | None:
    """Refer to the reasons of a trial's missing scores, by the number of the metric; None where none is missing."""
    found = {}
    for i, metric in enumerate(result.metrics):
        key = (trial_id, metric)
        if key in reasons and key not in means:
            found[str(i)] = context.reasons.place(printable(reasons[key]))
    return found or None


# --- fields that differ -----------------------------------------------------------------------------------------------


def list_differences(result: TableResult, cells: Sequence[TrialSlot], context: ScriptContext) -> list[int | None]:
    """Refer, place by place, to the fields in which a trial differs from the baseline on its cluster."""
    baselines = find_baselines(cells, result.baseline, context.by_id)
    found: list[int | None] = []
    known: dict[tuple[str, str], int | None] = {}  # seeds of one trial differ from the baseline in the same fields
    for cell in cells:
        own = context.by_id.get(cell.trial_id)
        baseline = baselines.get(cell.cluster)
        key = (identity_text(own), identity_text(baseline))
        if key not in known:
            fields = fields_that_differ(own, baseline)
            known[key] = None if fields is None else context.fields.place(fields)
        found.append(known[key])
    return found


def identity_text(record: Record | None) -> str:
    """Write the fields of a trial's task and method as text; empty where there is no trial."""
    return "" if record is None else json.dumps(task_and_method(record))


def find_baselines(cells: Sequence[TrialSlot], baseline: str, by_id: Mapping[str, Record]) -> dict[str, Record]:
    """Find, by cluster, the baseline's record of the first seed that has one."""
    found: dict[str, Record] = {}
    for cell in sorted(cells, key=lambda cell: cell.seed):
        if cell.arm == baseline and cell.trial_id in by_id:
            found.setdefault(cell.cluster, by_id[cell.trial_id])
    return found


def fields_that_differ(record: Record | None, other: Record | None) -> list[list[str]] | None:
    """List the fields of task and method in which a trial differs from the baseline: name, its value, the baseline's.

    A field that only the baseline has is left out: the types differ, and are listed.

    Args:
        record: Record of the trial; None where it was not run.
        other: Record of the baseline on the same cluster.
    """
    if record is None or other is None:
        return None
    own = task_and_method(record)
    theirs = task_and_method(other)
    names = leaves(own)
    names_of_theirs = leaves(theirs)
    found = []
    for name, (value, other_value) in differing(own, theirs).items():
        if name in names:
            baseline_value = format_field(other_value) if name in names_of_theirs else DASH
            found.append([printable(name.removeprefix("method.")), format_field(value), baseline_value])
    return found


def task_and_method(record: Record) -> dict[str, Any]:
    """Return the fields of a trial's task and method."""
    return {part: tree for part, tree in record.identity.items() if part in ("task", "method")}


def format_field(value: Any) -> str:
    """Write the value of a field."""
    return "none" if value is None else printable(str(value))


# --- trials, reels and meshes -----------------------------------------------------------------------------------------


def make_trials(trial_ids: Sequence[str], context: ScriptContext) -> dict[str, list[Any]]:
    """Make the data of all trials, column by column."""
    most_points = MOST_POINTS if len(trial_ids) < MANY_TRIALS else MOST_POINTS // 2
    columns: dict[str, list[Any]] = {
        "id": list(trial_ids),
        "status": [],
        "reason": [],
        "seconds": [],
        "steps": [],
        "curves": [],
    }
    for trial_id in trial_ids:
        record = context.by_id.get(trial_id)
        for name, value in make_trial(record, context, most_points).items():
            columns[name].append(value)
    return columns


def make_trial(record: Record | None, context: ScriptContext, most_points: int) -> dict[str, Any]:
    """Make the data of one trial, by column; all but its status is None where it was not run."""
    if record is None:
        return {"status": NOT_RUN, "reason": None, "seconds": None, "steps": None, "curves": None}
    return {
        "status": STATUS[record.status],
        "reason": context.reasons.place(printable(record.reason)) if record.reason else None,
        "seconds": round_digits(record.timings.get("wall_s")),
        "steps": record.num_steps,
        "curves": thin_curves(record, context.steps, most_points),
    }


def thin_curves(record: Record, steps: InternedList, most: int = MOST_POINTS) -> dict[str, Any] | None:
    """Thin the curves that are drawn to a few points; None where there are none.

    Args:
        record: Record of the trial.
        steps: Where steps and targets stand, which are the same for many trials.
        most: Number of points.
    """
    names = [name for term in TERMS for name in (term, f"{term}_target") if name in record.curves]
    num = len(record.curves.get("step", ()))
    if not names or not num:
        return None
    places = np.unique(np.linspace(0, num - 1, min(num, most)).round().astype(int))
    found: dict[str, Any] = {"step": steps.place([round_digits(record.curves["step"][i], 9) for i in places])}
    for name in names:
        points = [round_digits(record.curves[name][i], 3) for i in places]
        found[name] = steps.place(points) if name.endswith("_target") else points
    return found


def make_reels(media: InteractiveMedia, context: ScriptContext) -> dict[str, dict[str, dict[str, Any]]]:
    """Make the data of frame strips, by trial and kind."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for trial_id, reels in media.reels.items():
        if trial_id not in context.trial_places:
            continue
        by_kind = found.setdefault(str(context.trial_places[trial_id]), {})
        for reel in reels:
            by_kind[reel.kind] = {
                "path": reel.path,
                "labels": context.labels.place(list(reel.labels)),
                "width": reel.width,
                "height": reel.height,
            }
    return found


def list_viewer_pages(media: InteractiveMedia, context: ScriptContext) -> dict[str, str]:
    """List the pages of meshes, by trial."""
    found = {}
    for viewer in media.viewers:
        if viewer.trial_id in context.trial_places:
            found[str(context.trial_places[viewer.trial_id])] = next(iter(viewer.contents))
    return found


# --- numbers and text -------------------------------------------------------------------------------------------------


def round_digits(value: float | None, digits: int = 6) -> Number:
    """Round a number to so many digits that count; None where it is not finite.

    Example:
        >>> round_digits(0.123456789), round_digits(3.0), round_digits(float("nan")), round_digits(None)
        (0.123457, 3, None, None)
    """
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short == int(short) and abs(short) < 1e15 else short


def dump_json(value: Any) -> str:
    r"""Write JSON that may stand between the tags of a script, whatever a person wrote.

    Example:
        >>> print(dump_json({"a": "</script><!--"}))
        {"a":"\u003c/script>\u003c!--"}
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
