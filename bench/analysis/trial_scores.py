"""Reads a table's numbers from a store's frame: each once and finite, beside the place of its trial in the table.

Frames here have these columns:
    frame    as `bench.storage.score_frame` makes it: one row for each trial, protocol, metric and view
    places   arm, trial_id, cluster, seed: one row for each trial of the table
    numbers  `places` with metric, view and value
Words in `numbers` may be categories, which pandas compares and groups many times faster than text.
Nothing is lost on the way: `count_trials` says what became of the trials that have no number.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench.errors import UsageError
from bench.metrics.registry import metric_named
from bench.metrics.task_kinds import crash_score
from bench.suites.suite import TrialSlot

TABLE_COLUMNS = (
    "trial_id", "status", "budget", "protocol", "metric", "view", "value", "reason", "num_steps", "wall_s",
)  # fmt: skip
"""Those columns of a frame that a table is made of."""


def places_of(slots: Sequence[TrialSlot]) -> pd.DataFrame:
    """List the trials of one table, a row each.

    Example:
        >>> places_of([TrialSlot("t", "full", "full-0", "scene", 0)]).to_dict("records")
        [{'arm': 'full', 'trial_id': 'full-0', 'cluster': 'scene', 'seed': 0}]
    """
    return pd.DataFrame([slot[1:] for slot in slots], columns=list(TrialSlot._fields[1:]))


def rows_of(frame: pd.DataFrame, places: pd.DataFrame) -> pd.DataFrame:
    """Choose the rows of a table's trials, with the columns that a table is made of.

    To copy the other columns for each table would take longer than to compare its arms.
    """
    return frame[[name for name in TABLE_COLUMNS if name in frame]][frame["trial_id"].isin(set(places["trial_id"]))]


def select_numbers(frame: pd.DataFrame, places: pd.DataFrame, protocol: str, metric: str | None = None) -> pd.DataFrame:
    """Read the numbers of the trials that finished, of one metric or of all."""
    is_wanted = (frame["protocol"] == protocol) & (frame["status"] == "finished")
    if metric is not None:
        is_wanted &= frame["metric"] == metric
    return places.merge(frame[["trial_id", "metric", "view", "value"]][is_wanted], on="trial_id")


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


def by_metric(numbers: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Split numbers by metric; their arms, clusters and trials become categories.

    Example:
        >>> numbers = pd.DataFrame({"arm": ["a"] * 2, "cluster": ["s"] * 2, "trial_id": ["x"] * 2})
        >>> numbers["metric"] = ["psnr", "ssim"]
        >>> {metric: len(rows) for metric, rows in by_metric(numbers).items()}
        {'psnr': 1, 'ssim': 1}
    """
    words = numbers.astype({"arm": "category", "cluster": "category", "trial_id": "category"})
    return {str(metric): rows for metric, rows in words.groupby("metric", sort=True)}


def cluster_means(numbers: pd.DataFrame) -> dict[str, pd.Series]:
    """Average the numbers of each arm in each cluster: views within trials, then seeds, each with equal weight.

    Returns:
        By arm, the means by cluster; an arm without a number is left out.

    Example:
        >>> rows = [("a", "s", 0, 1.0), ("a", "s", 0, 3.0), ("a", "s", 1, 6.0), ("b", "s", 0, 9.0)]
        >>> numbers = pd.DataFrame(rows, columns=["arm", "cluster", "seed", "value"])
        >>> cluster_means(numbers)["a"].to_dict()  # (2 + 6) / 2
        {'s': 4.0}
    """
    by_trial = numbers.groupby(["arm", "cluster", "seed"], sort=True, observed=True)["value"].mean()
    means = by_trial.groupby(["arm", "cluster"], sort=True, observed=True).mean()
    return split_by_arm(means)


def split_by_arm(found: pd.Series) -> dict[str, pd.Series]:
    """Split a series whose index begins with the arm."""
    return {str(arm): mine.droplevel("arm") for arm, mine in found.groupby("arm", sort=True, observed=True)}


def mean_of_seeds(by_trial: pd.Series) -> pd.Series:
    """Average over the seeds of a cluster, each with equal weight."""
    return by_trial.groupby("cluster", sort=True, observed=True).mean()


# ---- trials without a number -----------------------------------------------------------------------------------------


class ArmTrials(NamedTuple):
    """The stored trials of an arm, whatever the metric.

    Attributes:
        planned: Ids of the trials that the suite has.
        finished: Ids of those that are stored and ran to their end.
        failed: Ids of those that are stored and failed.
        num_steps: Most steps of a stored trial; None where none is stored.
        fewest_steps: Fewest steps, likewise.
        wall_s: Mean seconds of the finished trials; None where no time is known.
        failed_reasons: Trial id and reason of those that failed.
        unscored_reasons: By metric, trial id and reason of those that did not fail and have a view without a number.
    """

    planned: frozenset[str]
    finished: frozenset[str]
    failed: frozenset[str]
    num_steps: int | None
    fewest_steps: int | None
    wall_s: float | None
    failed_reasons: frozenset[tuple[str, str]]
    unscored_reasons: dict[str, frozenset[tuple[str, str]]]


def trials_by_arm(frame: pd.DataFrame, places: pd.DataFrame, protocol: str) -> dict[str, ArmTrials]:
    """Collect what is stored of each arm's trials, once for all metrics."""
    stored = frame.groupby("trial_id")[["status", "num_steps", "wall_s"]].first()
    is_failed = frame["status"] == "failed"
    is_unscored = frame["value"].isna() & (frame["protocol"] == protocol) & ~is_failed
    failed_rows = unique_rows(frame[is_failed], ["trial_id", "reason"])
    unscored_rows = unique_rows(frame[is_unscored], ["trial_id", "metric", "reason"])
    found = {}
    for arm, mine in places.groupby("arm", sort=False):
        planned = frozenset(mine["trial_id"])
        trials = stored[stored.index.isin(planned)]
        is_finished = trials["status"] == "finished"
        steps = trials["num_steps"].dropna()
        unscored: dict[str, set[tuple[str, str]]] = collections.defaultdict(set)
        for trial_id, metric, reason in unscored_rows:
            if trial_id in planned:
                unscored[metric].add((trial_id, reason))
        found[str(arm)] = ArmTrials(
            planned=planned,
            finished=frozenset(trials.index[is_finished]),
            failed=frozenset(trials.index[trials["status"] == "failed"]),
            num_steps=known_or_none(steps.max(), int),
            fewest_steps=known_or_none(steps.min(), int),
            wall_s=known_or_none(trials.loc[is_finished, "wall_s"].dropna().mean(), float),
            failed_reasons=frozenset((name, reason) for name, reason in failed_rows if name in planned),
            unscored_reasons={metric: frozenset(pairs) for metric, pairs in unscored.items()},
        )
    return found


def unique_rows(rows: pd.DataFrame, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """List each combination of words once; the last column is a reason."""
    unique = rows[list(columns)].drop_duplicates().astype(object)
    unique["reason"] = unique["reason"].fillna("no reason given")
    return list(unique.itertuples(index=False, name=None))


def count_trials(trials: ArmTrials, numbers: pd.DataFrame, *, metric: str, protocol: str) -> dict[str, Any]:
    """Count what became of an arm's trials.

    Args:
        trials: The arm's.
        numbers: The arm's, of the metric, with those that have no value.
        metric: A metric's name.
        protocol: Whose numbers.

    Returns:
        The fields of `bench.analysis.table_result.ArmResult` that begin with `num_`, and steps, seconds and reasons.
    """
    has_value = numbers["value"].notna()
    scored = set(numbers["trial_id"][has_value].unique())
    missing = trials.finished - scored
    return {
        "num_planned": len(trials.planned),
        "num_trials": len(scored),
        "num_failed": len(trials.failed),
        "num_absent": len(trials.planned - trials.finished - trials.failed),
        "num_missing": len(missing),
        "num_views_missing": sum(trial_id in scored for trial_id in numbers["trial_id"][~has_value]),
        "num_steps": trials.num_steps,
        "fewest_steps": trials.fewest_steps,
        "wall_s": trials.wall_s,
        "reasons": count_reasons(trials, missing, metric=metric, protocol=protocol),
    }


def known_or_none(value: Any, convert: Callable[[Any], Any]) -> Any:
    """Convert what pandas computed of a column; None where the column held no number.

    Example:
        >>> known_or_none(pd.Series([2.0, None]).max(), int), known_or_none(pd.Series([None], dtype=float).max(), int)
        (2, None)
    """
    return None if pd.isna(value) else convert(value)


def count_reasons(trials: ArmTrials, missing: frozenset[str], *, metric: str, protocol: str) -> dict[str, int]:
    """Count the trials without a number by the reason that their record gives.

    Args:
        trials: The arm's.
        missing: Ids of the trials that finished and have no number of the metric.
        metric: A metric's name.
        protocol: Whose numbers.
    """
    unscored = trials.unscored_reasons.get(metric, frozenset())
    given = trials.failed_reasons | unscored
    counts = collections.Counter(reason for _, reason in given)
    found = dict(sorted(counts.items()))
    num_unscored = len(missing - {trial_id for trial_id, _ in unscored})
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
