"""Reads a table's numbers from a store's frame: each once and finite, beside the place of its trial in the table.

Frames here have these columns:
    frame    as `bench.storage.score_frame` makes it: a row a trial, protocol, metric and view
    places   arm, trial_id, cluster, seed: a row a trial of the table
    numbers  `places` with metric, view and value
Nothing is lost on the way: `count_trials` says what became of the trials that have no number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.errors import UsageError
from bench.metrics.registry import metric_named
from bench.metrics.task_kinds import crash_score
from bench.suites.suite import TrialSlot


def places_of(slots: Sequence[TrialSlot]) -> pd.DataFrame:
    """List the trials of one table, a row each.

    Example:
        >>> places_of([TrialSlot("t", "full", "full-0", "scene", 0)]).to_dict("records")
        [{'arm': 'full', 'trial_id': 'full-0', 'cluster': 'scene', 'seed': 0}]
    """
    return pd.DataFrame([slot[1:] for slot in slots], columns=list(TrialSlot._fields[1:]))


def read_numbers(frame: pd.DataFrame, places: pd.DataFrame, protocol: str, metric: str | None = None) -> pd.DataFrame:
    """Read the numbers of the trials that finished, of one metric or of all."""
    is_wanted = (frame["protocol"] == protocol) & (frame["status"] == "finished")
    if metric is not None:
        is_wanted &= frame["metric"] == metric
    return places.merge(frame.loc[is_wanted, ["trial_id", "metric", "view", "value"]], on="trial_id")


def add_crashes(
    numbers: pd.DataFrame, frame: pd.DataFrame, places: pd.DataFrame, protocol: str, metric: str
) -> tuple[pd.DataFrame, list[str]]:
    """Add the numbers that a protocol gives to failed trials, and a note that says so; drop missing numbers.

    Example:
        >>> numbers = pd.DataFrame([("full", "a", "s", 0, 16, 1.0)], columns=[*TrialSlot._fields[1:], "view", "value"])
        >>> frame = pd.DataFrame({"trial_id": ["a", "b"], "status": ["finished", "failed"]})
        >>> places = places_of([TrialSlot("t", "full", "a", "s", 0), TrialSlot("t", "full", "b", "t", 0)])
        >>> found, notes = add_crashes(numbers, frame, places, "dreamfields-2022", "rprec1@openai-vit-b-32")
        >>> found["value"].tolist(), notes
        ([1.0, 0.0], ['R-Precision, by openai-vit-b-32: 1 failed trial counts as a miss, as in dreamfields-2022'])
    """
    numbers = numbers[numbers["value"].notna()]
    score = crash_score(protocol, metric)
    crashed = places[places["trial_id"].isin(frame.loc[frame["status"] == "failed", "trial_id"])]
    if score is None or crashed.empty:
        return numbers, []
    views, value = score
    rows = [crashed.assign(metric=metric, view=view, value=value) for view in views]
    told = "1 failed trial counts as a miss"
    if len(crashed) > 1:
        told = f"{len(crashed)} failed trials count as misses"
    note = f"{metric_named(metric).title}: {told}, as in {protocol}"
    return pd.concat([numbers, *rows], ignore_index=True), [note]


def cluster_means(numbers: pd.DataFrame, arm: str) -> pd.Series:
    """Average an arm's numbers in each cluster: views within trials, then seeds, each with equal weight.

    Example:
        >>> rows = [("a", "s", 0, 1.0), ("a", "s", 0, 3.0), ("a", "s", 1, 6.0), ("b", "s", 0, 9.0)]
        >>> numbers = pd.DataFrame(rows, columns=["arm", "cluster", "seed", "value"])
        >>> cluster_means(numbers, "a").to_dict()  # (2 + 6) / 2
        {'s': 4.0}
    """
    by_trial = numbers[numbers["arm"] == arm].groupby(["cluster", "seed"], sort=True)["value"].mean()
    return mean_of_seeds(by_trial)


def mean_of_seeds(by_trial: pd.Series) -> pd.Series:
    """Average over the seeds of a cluster, each with equal weight."""
    return by_trial.groupby("cluster", sort=True).mean()


# ---- trials without a number -----------------------------------------------------------------------------------------


def count_trials(
    frame: pd.DataFrame, places: pd.DataFrame, numbers: pd.DataFrame, *, arm: str, metric: str, protocol: str
) -> dict[str, Any]:
    """Count what became of an arm's trials.

    Returns:
        The fields of `bench.analysis.table_result.ArmResult` that begin with `num_`, and steps, seconds and reasons.
    """
    trial_ids = places.loc[places["arm"] == arm, "trial_id"]
    of_arm = frame[frame["trial_id"].isin(set(trial_ids))]
    trials = of_arm.groupby("trial_id")[["status", "num_steps", "wall_s"]].first()
    finished = set(trials.index[trials["status"] == "finished"])
    failed = set(trials.index[trials["status"] == "failed"])
    rows = numbers[(numbers["arm"] == arm) & (numbers["metric"] == metric)]
    scored = set(rows.loc[rows["value"].notna(), "trial_id"])
    wall_s = trials.loc[trials["status"] == "finished", "wall_s"].dropna().mean()
    steps = trials["num_steps"].dropna()
    return {
        "num_planned": len(trial_ids),
        "num_trials": len(scored),
        "num_failed": len(failed),
        "num_absent": len(set(trial_ids) - set(trials.index)),
        "num_missing": len(finished - scored),
        "num_views_missing": int(rows.loc[rows["trial_id"].isin(scored), "value"].isna().sum()),
        "num_steps": known_or_none(steps.max(), int),
        "fewest_steps": known_or_none(steps.min(), int),
        "wall_s": known_or_none(wall_s, float),
        "reasons": count_reasons(of_arm, failed, finished - scored, metric=metric, protocol=protocol),
    }


def known_or_none(value: Any, convert: Callable[[Any], Any]) -> Any:
    """Convert what pandas computed of a column; None where the column held no number.

    Example:
        >>> known_or_none(pd.Series([2.0, None]).max(), int), known_or_none(pd.Series([None], dtype=float).max(), int)
        (2, None)
    """
    return None if pd.isna(value) else convert(value)


def count_reasons(
    of_arm: pd.DataFrame, failed: set[str], missing: set[str], *, metric: str, protocol: str
) -> dict[str, int]:
    """Count the trials without a number by the reason that their record gives."""
    of_failed = of_arm[of_arm["trial_id"].isin(failed)]
    is_metric = (of_arm["protocol"] == protocol) & (of_arm["metric"] == metric)
    of_metric = of_arm[is_metric & of_arm["value"].isna() & ~of_arm["trial_id"].isin(failed)]
    given = pd.concat([of_failed, of_metric])[["trial_id", "reason"]].fillna("no reason given").drop_duplicates()
    counts = given["reason"].value_counts(sort=False).to_dict()
    found = {str(reason): int(num) for reason, num in sorted(counts.items())}
    num_unscored = len(missing - set(of_metric["trial_id"]))
    if num_unscored:
        found[f"no score of {metric} under {protocol}: run rescore"] = num_unscored
    return found


# ---- checks ----------------------------------------------------------------------------------------------------------


def check_unique(frame: pd.DataFrame, slots: Sequence[TrialSlot]) -> None:
    """Refuse a number, a trial or a place in the table that is there twice: an average would hide the mistake.

    Raises:
        UsageError: With the trial or the place.
    """
    places = places_of(slots)[["arm", "cluster", "seed"]]
    doubled_places = places[places.duplicated()]
    if len(doubled_places):
        arm, cluster, seed = doubled_places.iloc[0]
        raise UsageError(
            f"compare, table {slots[0].table}: expected one trial for an arm, cluster and seed, got several for "
            f"{arm!r}, {cluster!r}, seed {seed}; give the tasks clusters of their own, or make arms of them"
        )
    doubled_rows = frame[frame.duplicated(["trial_id", "protocol", "metric", "view"])]
    statuses = frame.groupby("trial_id")["status"].nunique()
    doubled = [*doubled_rows["trial_id"], *statuses.index[statuses > 1]]
    if doubled:
        raise UsageError(
            f"compare: expected one number for a trial, protocol, metric and view, got two for {doubled[0]}; "
            "it lies in two of the folders that were read: name one"
        )


def check_finite(numbers: pd.DataFrame) -> None:
    """Refuse an infinite number. NaN is how pandas marks a missing one.

    Raises:
        UsageError: With the number and its trial.
    """
    infinite = numbers[np.isinf(numbers["value"].to_numpy(np.float64))]
    if len(infinite):
        row = infinite.iloc[0]
        raise UsageError(
            f"compare: expected finite numbers, got {row['value']} for {row['metric']} of {row['trial_id']}; "
            "a number that cannot be had is None with a reason: run rescore"
        )
