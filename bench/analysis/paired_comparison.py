"""Makes a paired table of stored numbers: an arm's number, its difference from the baseline, and the verdict.

The unit is the cluster (a scene or a caption). A trial's number is the mean over its views, a cluster's the mean over
its seeds, an arm's the mean over its clusters. Differences are taken where both arms have the cluster, the seed and the
view. Nothing falls under the table: a trial that failed, was never run or has no number is counted in its arm's row.
Where a protocol gives failed trials a number, as `dreamfields-2022` counts them as misses, means and differences hold
it, the trials are still counted as failed, and a note says so.

`bench.analysis.trial_scores` reads the numbers, `bench.analysis.statistics` tests them, and
`bench.analysis.table_result` holds the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from bench.analysis import statistics, trial_scores
from bench.analysis.table_result import FEWEST_CLUSTERS, ArmResult, TableResult, Verdict
from bench.errors import UsageError, nearest
from bench.metrics.registry import metric_named
from bench.suites.suite import TrialSlot

NO_INTERVAL = (None, None, None)
"""Mean and ends where nothing is known."""


def compare(
    frame: pd.DataFrame,
    slots: Sequence[TrialSlot],
    *,
    table: str,
    baseline: str,
    protocol: str,
    metrics: Sequence[str],
    beside: Mapping[str, str] | None = None,
    allow_no_baseline: bool = False,
) -> TableResult:
    """Compare the arms of a table with its baseline, metric by metric.

    The result has numbers and verdicts alone; `TableResult.with_text` adds what is printed around them.

    Args:
        frame: The store's `frame()`; rows of other trials and protocols do no harm.
        slots: Of all tables; those of this one are taken, and give the order of arms and clusters.
        table: Its name.
        baseline: An arm's name.
        protocol: Whose numbers.
        metrics: Names of metrics, the most telling first.
        beside: Other tables, with their baselines, that are read together with this one: p is corrected for their arms
            too.
        allow_no_baseline: Whether the baseline may be left out of the slots; then there are means and no differences.

    Raises:
        UsageError: An unknown table, baseline or metric; a number or a place in the table that is there twice.

    Example:
        >>> slots = [TrialSlot("t", arm, f"{arm}-{i}", f"scene{i}", 0) for arm in ("full", "bare") for i in range(8)]
        >>> values = {"full": [20, 24, 22, 19, 25, 21, 23, 20], "bare": [18, 23, 21, 18, 22, 20, 20, 19]}
        >>> rows = [(f"{arm}-{i}", 0, float(x)) for arm in values for i, x in enumerate(values[arm])]
        >>> frame = pd.DataFrame(rows, columns=["trial_id", "view", "value"])
        >>> frame = frame.assign(status="finished", protocol="std-v1", metric="psnr", reason=None)
        >>> frame = frame.assign(budget="quick", num_steps=400, wall_s=9.0)
        >>> result = compare(frame, slots, table="t", baseline="full", protocol="std-v1", metrics=["psnr"])
        >>> entry = result.entry("bare", "psnr")
        >>> entry.mean, entry.difference, entry.p_holm, entry.verdict
        (20.125, -1.625, 0.0078125, 'worse')
    """
    own_slots = slots_of(slots, table, None if allow_no_baseline else baseline)
    own = read_scores(frame, own_slots, baseline, protocol)
    columns: dict[str, MetricColumn] = {}
    tests_beside: dict[str, int] = {}
    for metric in metrics:
        others = differences_beside(frame, slots, beside or {}, protocol, metric)
        if others:
            tests_beside[metric] = len(others)
        columns[metric] = compare_metric(own, metric, others)
    entries = tuple(entry for column in columns.values() for entry in column.entries)
    notes = tuple(note for column in columns.values() for note in column.notes)
    return TableResult(
        table=table,
        question="",
        baseline=baseline,
        protocol=protocol,
        budgets=tuple(own.frame["budget"].unique()),
        metrics=tuple(metrics),
        arms=own.arms,
        clusters=own.clusters,
        cluster_noun="scene",
        num_seeds=len({slot.seed for slot in own_slots}),
        entries=entries,
        by_cluster={metric: column.by_cluster for metric, column in columns.items()},
        arm_notes={},
        notes=notes,
        tests_beside=tests_beside,
    )


class TableScores(NamedTuple):
    """The stored numbers of one table.

    Attributes:
        frame: Rows of its trials, as in `compare`.
        places: Arm, cluster and seed of its trials: `trial_scores.places_of`.
        scored: Numbers of its trials under the protocol, by metric: `trial_scores.by_metric`.
        trials: What is stored of its trials, by arm: `trial_scores.trials_by_arm`.
        arms: Rows, in the order of the suite.
        clusters: Scenes or captions, in the order of the suite.
        baseline: An arm's name.
        protocol: Whose numbers.
    """

    frame: pd.DataFrame
    places: pd.DataFrame
    scored: dict[str, pd.DataFrame]
    trials: dict[str, trial_scores.ArmTrials]
    arms: tuple[str, ...]
    clusters: tuple[str, ...]
    baseline: str
    protocol: str

    def scored_by(self, metric: str) -> pd.DataFrame:
        """Return the numbers of a metric; none where nothing was scored by it."""
        if metric in self.scored:
            return self.scored[metric]
        return pd.DataFrame(columns=[*self.places.columns, "metric", "view", "value"])


def read_scores(frame: pd.DataFrame, slots: Sequence[TrialSlot], baseline: str, protocol: str) -> TableScores:
    """Read the stored numbers of one table.

    Raises:
        UsageError: A number or a place is there twice, or a number is infinite.
    """
    places = trial_scores.places_of(slots)
    own_frame = trial_scores.rows_of(frame, places)
    trial_scores.check_unique(own_frame, slots)
    scored = trial_scores.select_numbers(own_frame, places, protocol)
    trial_scores.check_finite(scored)
    return TableScores(
        frame=own_frame,
        places=places,
        scored=trial_scores.by_metric(scored),
        trials=trial_scores.trials_by_arm(own_frame, places, protocol),
        arms=tuple(dict.fromkeys(places["arm"])),
        clusters=tuple(dict.fromkeys(places["cluster"])),
        baseline=baseline,
        protocol=protocol,
    )


class MetricColumn(NamedTuple):
    """One metric of a table; fields as in `bench.analysis.table_result.TableResult`."""

    entries: list[ArmResult]
    by_cluster: dict[str, dict[str, float | None]]
    notes: list[str]


def compare_metric(own: TableScores, metric: str, others: Sequence[Float[np.ndarray, " _"]]) -> MetricColumn:
    """Compare the arms of a table with its baseline by one metric.

    Args:
        own: The table's numbers.
        metric: A metric's name.
        others: Differences of other tables that p is corrected for too.
    """
    direction = metric_named(metric).higher_is_better
    scored = own.scored_by(metric)
    numbers, notes = trial_scores.add_crashes(scored, own.frame, own.places, own.protocol, metric)
    by_arm = differences_by_arm(numbers, own.baseline)
    differences = {arm: cluster_differences(by_arm, arm) for arm in own.arms if arm != own.baseline}
    tests = dict.fromkeys(own.arms, TestedDifference("no baseline"))
    if own.baseline in own.arms:
        tests = {own.baseline: TestedDifference("baseline")} | sign_flip_tests(differences, direction, others)
    means_by_arm = trial_scores.cluster_means(numbers)
    column = MetricColumn([], {}, notes)
    scored_by_arm = dict(iter(scored[["arm", "trial_id", "value"]].groupby("arm", observed=True)))
    for arm in own.arms:
        means = means_by_arm.get(arm, pd.Series(dtype=np.float64))
        counts = trial_scores.count_trials(
            own.trials[arm], scored_by_arm.get(arm, scored[:0]), metric=metric, protocol=own.protocol
        )
        column.entries.append(make_entry(arm, metric, means, counts, tests[arm]))
        known = means.to_dict()
        column.by_cluster[arm] = {name: known.get(name) for name in own.clusters}
    return column


def slots_of(slots: Sequence[TrialSlot], table: str, baseline: str | None) -> list[TrialSlot]:
    """Choose the slots of a table.

    Args:
        slots: Of all tables.
        table: Its name.
        baseline: An arm that must be among them; None for none.

    Raises:
        UsageError: There is no such table, or no such arm in it.

    Example:
        >>> slots_of([TrialSlot("t", "full", "full-0", "scene", 0)], "t", "ful")
        Traceback (most recent call last):
            ...
        bench.errors.UsageError: compare, table t: expected a baseline among its arms, got 'ful'; the nearest is 'full'
    """
    chosen = [slot for slot in slots if slot.table == table]
    if not chosen:
        names = dict.fromkeys(slot.table for slot in slots)
        raise UsageError(f"compare: expected a table of the suite, got {table!r}; {nearest(table, names)}")
    arms = dict.fromkeys(slot.arm for slot in chosen)
    if baseline is not None and baseline not in arms:
        raise UsageError(
            f"compare, table {table}: expected a baseline among its arms, got {baseline!r}; {nearest(baseline, arms)}"
        )
    return chosen


def make_entry(arm: str, metric: str, means: pd.Series, counts: Mapping[str, Any], test: TestedDifference) -> ArmResult:
    """Join an arm's mean with its interval, its counts and its test.

    Args:
        arm: Row.
        metric: Column.
        means: By cluster.
        counts: As `trial_scores.count_trials` gives them.
        test: Of its difference from the baseline.
    """
    interval: tuple[float | None, ...] = NO_INTERVAL
    if len(means):
        interval = statistics.t_interval(means.to_numpy(np.float64), limits=metric_named(metric).limits)
    mean, low, high = interval
    difference, difference_low, difference_high = test.interval or NO_INTERVAL
    return ArmResult(
        arm=arm,
        metric=metric,
        mean=mean,
        low=low,
        high=high,
        num_clusters=len(means),
        difference=difference,
        difference_low=difference_low,
        difference_high=difference_high,
        num_pairs=test.num_pairs,
        p=test.p,
        p_holm=test.p_holm,
        p_floor=test.p_floor,
        verdict=test.verdict,
        clusters_to_resolve=test.clusters_to_resolve,
        resolvable=test.resolvable,
        **counts,
    )


# ---- differences -----------------------------------------------------------------------------------------------------


def differences_by_arm(numbers: pd.DataFrame, baseline: str) -> dict[str, pd.Series]:
    """Subtract the baseline from the other arms, by cluster and seed, over the views that an arm and the baseline have.

    Args:
        numbers: Arm, cluster, seed, view and value.
        baseline: An arm's name.

    Returns:
        By arm, the differences by cluster and seed; an arm without any is left out.

    Example:
        >>> rows = [("a", "s", 0, 7, 3.0), ("a", "s", 1, 7, 9.0), ("b", "s", 0, 7, 1.0), ("b", "t", 0, 7, 5.0)]
        >>> numbers = pd.DataFrame(rows, columns=["arm", "cluster", "seed", "view", "value"])
        >>> differences_by_arm(numbers, "b")["a"].to_dict()
        {('s', 0): 2.0}
    """
    keys = ["cluster", "seed", "view"]
    is_baseline = numbers["arm"] == baseline
    of_arms = numbers[["arm", *keys, "value"]][~is_baseline]
    of_baseline = numbers[[*keys, "value"]][is_baseline]
    both = pd.merge(of_arms, of_baseline, on=keys, suffixes=("_arm", "_baseline"))
    both["difference"] = both["value_arm"] - both["value_baseline"]
    by_trial = both.groupby(["arm", "cluster", "seed"], sort=True, observed=True)["difference"].mean()
    return trial_scores.split_by_arm(by_trial)


def cluster_differences(by_arm: Mapping[str, pd.Series], arm: str) -> Float[np.ndarray, " _"]:
    """Average an arm's differences over seeds, one number a cluster; empty where the arm has none.

    Args:
        by_arm: As `differences_by_arm` returns them.
        arm: An arm's name.
    """
    if arm not in by_arm:
        return np.zeros(0)
    return trial_scores.mean_of_seeds(by_arm[arm]).to_numpy(np.float64)


def differences_of_table(
    frame: pd.DataFrame, slots: Sequence[TrialSlot], *, table: str, baseline: str, protocol: str, metric: str
) -> dict[str, pd.Series]:
    """Subtract the baseline from every other arm of a table, by cluster and seed.

    Args:
        frame: As in `compare`.
        slots: As in `compare`.
        table: Whose arms.
        baseline: An arm's name.
        protocol: Whose numbers.
        metric: A metric's name.

    Example:
        >>> slots = [TrialSlot("t", arm, f"{arm}-{i}", "scene", i) for arm in ("full", "bare") for i in range(2)]
        >>> rows = [("full-0", 3.0), ("full-1", 5.0), ("bare-0", 1.0), ("bare-1", 4.0)]
        >>> frame = pd.DataFrame(rows, columns=["trial_id", "value"])
        >>> frame = frame.assign(view=0, status="finished", protocol="std-v1", metric="psnr")
        >>> found = differences_of_table(frame, slots, table="t", baseline="full", protocol="std-v1", metric="psnr")
        >>> {arm: by_trial.to_list() for arm, by_trial in found.items()}
        {'bare': [-2.0, -1.0]}
    """
    places = trial_scores.places_of([slot for slot in slots if slot.table == table])
    own_frame = trial_scores.rows_of(frame, places)
    scored = trial_scores.select_numbers(own_frame, places, protocol, metric)
    numbers, _ = trial_scores.add_crashes(scored, own_frame, places, protocol, metric)
    found = differences_by_arm(numbers, baseline)
    nothing = pd.Series(dtype=np.float64, index=pd.MultiIndex.from_arrays([[], []], names=["cluster", "seed"]))
    return {arm: found.get(arm, nothing) for arm in dict.fromkeys(places["arm"]) if arm != baseline}


def differences_beside(
    frame: pd.DataFrame, slots: Sequence[TrialSlot], beside: Mapping[str, str], protocol: str, metric: str
) -> list[Float[np.ndarray, " _"]]:
    """Collect the differences of all arms of other tables that have enough clusters for a test.

    Args:
        frame: As in `compare`.
        slots: As in `compare`.
        beside: Baselines by table.
        protocol: Whose numbers.
        metric: A metric's name.
    """
    found = []
    for table, baseline in beside.items():
        by_arm = differences_of_table(frame, slots, table=table, baseline=baseline, protocol=protocol, metric=metric)
        for by_trial in by_arm.values():
            differences = trial_scores.mean_of_seeds(by_trial).to_numpy(np.float64)
            if len(differences) >= FEWEST_CLUSTERS:
                found.append(differences)
    return found


# ---- tests -----------------------------------------------------------------------------------------------------------


class TestedDifference(NamedTuple):
    """A tested difference; fields as in `bench.analysis.table_result.ArmResult`."""

    verdict: Verdict
    interval: statistics.Interval | None = None
    num_pairs: int = 0
    p: float | None = None
    p_holm: float | None = None
    p_floor: float | None = None
    clusters_to_resolve: int | None = None
    resolvable: float | None = None


def sign_flip_tests(
    by_arm: Mapping[str, Float[np.ndarray, " _"]],
    higher_is_better: bool | None = True,
    beside: Sequence[Float[np.ndarray, " _"]] = (),
) -> dict[str, TestedDifference]:
    """Test the arms of one table and metric together.

    Args:
        by_arm: Differences from the baseline, one a cluster.
        higher_is_better: The metric's direction; None if it has none.
        beside: Differences of other comparisons that are read together with these, of at least `FEWEST_CLUSTERS`
            each: p is corrected for them too.

    Example:
        >>> by_arm = {"a": np.array([1.0, 2, 3, 1, 2, 3, 1, 2]), "b": np.array([1.0, -1.0]), "c": np.zeros(0)}
        >>> found = sign_flip_tests(by_arm)
        >>> found["a"].verdict, found["a"].p_holm, found["b"].verdict, found["c"].verdict
        ('better', 0.0078125, 'too few', 'no data')
        >>> sign_flip_tests({"a": np.arange(1.0, 9.0)}, beside=[np.ones(8)])["a"].p_holm
        0.015625
    """
    enough = {arm: differences for arm, differences in by_arm.items() if len(differences) >= FEWEST_CLUSTERS}
    tested = [*enough.values(), *beside]
    p_values = np.array([statistics.sign_flip_p(differences) for differences in tested])
    p_floors = statistics.holm(np.array([statistics.smallest_p(len(differences)) for differences in tested]))
    p_holms = statistics.holm(p_values)
    numbers = {arm: i for i, arm in enumerate(enough)}
    found = {}
    for arm, differences in by_arm.items():
        if len(differences) == 0:
            found[arm] = TestedDifference("no data")
            continue
        interval = statistics.t_interval(differences)
        if arm not in enough:
            found[arm] = TestedDifference("too few", interval, len(differences))
            continue
        i = numbers[arm]
        found[arm] = TestedDifference(
            verdict=decide_verdict(interval, float(p_holms[i]), higher_is_better),
            interval=interval,
            num_pairs=len(differences),
            p=float(p_values[i]),
            p_holm=float(p_holms[i]),
            p_floor=float(p_floors[i]),
            clusters_to_resolve=statistics.clusters_to_resolve(differences, num_tests=len(tested)),
            resolvable=statistics.resolvable_difference(differences, num_tests=len(tested)),
        )
    return found


def decide_verdict(interval: statistics.Interval, p_holm: float, higher_is_better: bool | None = True) -> Verdict:
    """Decide a verdict: "better" or "worse" only where test and interval agree.

    Args:
        interval: Of the difference.
        p_holm: Corrected p.
        higher_is_better: The metric's direction; with None a resolved difference is "higher" or "lower".

    Example:
        >>> decide_verdict(statistics.Interval(0.02, 0.01, 0.03), 0.01, higher_is_better=False)
        'worse'
        >>> decide_verdict(statistics.Interval(0.02, 0.01, 0.03), 0.01, higher_is_better=None)
        'higher'
        >>> decide_verdict(statistics.Interval(0.02, -0.01, 0.05), 0.01)
        'not resolved'
    """
    if interval.low is None or interval.high is None or p_holm >= statistics.ALPHA:
        return "not resolved"
    if interval.low <= 0 <= interval.high:
        return "not resolved"
    is_higher = interval.low > 0
    if higher_is_better is None:
        return "higher" if is_higher else "lower"
    return "better" if is_higher == higher_is_better else "worse"
