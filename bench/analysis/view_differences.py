"""Sets arms against their baseline on each scene by itself, view by view, where scenes are too few for a verdict.

The unit is a held-out view of one scene, averaged over seeds. The interval over views says how far the mean of other
views from around the same scene may lie. It says nothing about other scenes, so it gives no verdict across scenes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.analysis import statistics, trial_scores
from bench.analysis.table_result import FEWEST_CLUSTERS, SceneDifference, TableResult
from bench.metrics.registry import metric_named
from bench.suites.suite import TrialSlot


def add_scene_differences(result: TableResult, frame: pd.DataFrame, slots: Sequence[TrialSlot]) -> TableResult:
    """Return a table with the differences of each scene; one with enough scenes for a verdict as it is.

    Args:
        result: The table.
        frame: The store's `frame()`.
        slots: Places of trials in tables.
    """
    if len(result.clusters) >= FEWEST_CLUSTERS:
        return result
    places = trial_scores.places_of([slot for slot in slots if slot.table == result.table])
    scored = trial_scores.select_numbers(trial_scores.rows_of(frame, places), places, result.protocol)
    found: list[SceneDifference] = []
    for metric in result.metrics:
        numbers = scored[(scored["metric"] == metric) & scored["value"].notna()]
        by_view = differences_by_view(numbers, result.baseline)
        for arm in result.arms:
            for cluster in result.clusters:
                if (arm, cluster) in by_view:
                    found.append(describe_scene(metric, arm, cluster, by_view[arm, cluster]))
    return dataclasses.replace(result, scene_differences=tuple(found))


def differences_by_view(numbers: pd.DataFrame, baseline: str) -> dict[tuple[str, str], pd.Series]:
    """Subtract the baseline from the other arms, view by view; seeds are averaged.

    Args:
        numbers: Arm, cluster, seed, view and value.
        baseline: An arm's name.

    Returns:
        By arm and cluster, the differences by view; only where both have a number.

    Example:
        >>> rows = [("a", "s", 0, 7, 3.0), ("a", "s", 0, 8, 9.0), ("b", "s", 0, 7, 1.0), ("b", "s", 0, 8, 5.0)]
        >>> numbers = pd.DataFrame(rows, columns=["arm", "cluster", "seed", "view", "value"])
        >>> differences_by_view(numbers, "b")["a", "s"].to_dict()
        {7: 2.0, 8: 4.0}
    """
    keys = ["cluster", "seed", "view"]
    is_baseline = numbers["arm"] == baseline
    both = pd.merge(
        numbers[["arm", *keys, "value"]][~is_baseline],
        numbers[[*keys, "value"]][is_baseline],
        on=keys,
        suffixes=("", "_baseline"),
    )
    both["difference"] = both["value"] - both["value_baseline"]
    means = both.groupby(["arm", "cluster", "view"], sort=True, observed=True)["difference"].mean()
    found = {}
    for (arm, cluster), mine in means.groupby(["arm", "cluster"], sort=True, observed=True):
        found[str(arm), str(cluster)] = mine.droplevel(["arm", "cluster"])
    return found


def describe_scene(metric: str, arm: str, cluster: str, by_view: pd.Series) -> SceneDifference:
    """Sum up the differences of one arm on one scene.

    Example:
        >>> found = describe_scene("psnr", "a", "s", pd.Series({7: 2.0, 8: 4.0, 9: -3.0}))
        >>> found.mean, found.num_better, found.views
        (1.0, 2, (7, 8, 9))
    """
    values = by_view.to_numpy(np.float64)
    interval = statistics.t_interval(values)
    higher_is_better = metric_named(metric).higher_is_better
    num_better = None
    if higher_is_better is not None:
        num_better = int(np.sum(values > 0 if higher_is_better else values < 0))
    return SceneDifference(
        metric=metric,
        arm=arm,
        cluster=cluster,
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        num_better=num_better,
        views=tuple(int(view) for view in by_view.index),
        by_view=tuple(float(value) for value in values),
    )
