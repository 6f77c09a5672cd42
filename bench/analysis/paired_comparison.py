"""From stored numbers to a paired table: what an arm scores, how it differs from the baseline, if that is resolved.

The unit is the cluster (a scene or a caption). A trial's number is the mean over its views, a cluster's the mean over
its seeds, an arm's the mean over its clusters. Differences are taken where both arms have the cluster, the seed and the
view. Nothing falls under the table: a trial that failed, was never run or has no number is counted in its arm's row.
Where a protocol gives a trial that failed a number, as `dreamfields-2022` counts it as a miss, means and differences
hold it, the trial is counted as failed all the same, and a note says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from bench.analysis import statistics
from bench.errors import UsageError, nearest
from bench.metrics.registry import metric_named
from bench.metrics.task_kinds import crash_score
from bench.storage import json_values
from bench.suites.suite import Published, TrialSlot

Verdict = Literal["baseline", "better", "worse", "higher", "lower", "not resolved", "too few", "no data"]
"""Of a metric in which neither way is better a difference that is resolved is "higher" or "lower"."""

RESOLVED: tuple[Verdict, ...] = ("better", "worse", "higher", "lower")

FEWEST_CLUSTERS = 5
"""With fewer pairs no verdict is given: their spread is not known, and no sign-flip test could pass."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArmResult:
    """What a table knows of one arm under one metric. Numbers are None where there is nothing to say.

    Attributes:
        arm: Row.
        metric: Key of `bench.metrics.registry.METRICS`.
        mean: Over clusters.
        low: Of the 95% interval of the mean, which is cut where the metric's means end.
        high: Likewise.
        num_planned: Trials that the suite asks for: `num_trials + num_failed + num_absent + num_missing`.
        num_trials: Trials that gave a number.
        num_clusters: Clusters that they lie in.
        num_failed: Trials that crashed or diverged.
        num_absent: Trials without a record: not run yet.
        num_missing: Trials that finished but have no number of this metric.
        num_views_missing: Views without a number, in the trials that gave one.
        difference: Arm minus baseline, mean over clusters that both have; signed as the metric is, whichever way is up.
        difference_low: Of its 95% interval, which is not cut.
        difference_high: Likewise.
        num_pairs: Clusters that it was taken over.
        p: Of the sign-flip test.
        p_holm: Corrected for the arms of this table, metric by metric.
        p_floor: The smallest that `p_holm` could have been in this design.
        verdict: One of `RESOLVED` only where `p_holm` is below 0.05 and the interval leaves out zero.
        clusters_to_resolve: About how many clusters would resolve this difference; None beyond 10,000, or if unknown.
        resolvable: About the smallest difference that this design resolves; None if it resolves nothing.
        num_steps: Gradient steps of the longest trial that has a record.
        fewest_steps: Of the shortest; another number than `num_steps` makes the comparison unequal.
        wall_s: Mean seconds of the trials that finished.
        reasons: Why trials or numbers are missing, and of how many trials.
    """

    arm: str
    metric: str
    mean: float | None
    low: float | None
    high: float | None
    num_planned: int
    num_trials: int
    num_clusters: int
    num_failed: int
    num_absent: int
    num_missing: int
    num_views_missing: int
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    num_pairs: int
    p: float | None
    p_holm: float | None
    p_floor: float | None
    verdict: Verdict
    clusters_to_resolve: int | None
    resolvable: float | None
    num_steps: int | None
    fewest_steps: int | None
    wall_s: float | None
    reasons: dict[str, int]

    @property
    def num_lost(self) -> int:
        """Planned trials without a number."""
        return self.num_planned - self.num_trials


class ReferenceRow(NamedTuple):
    """A number that an arm's are read beside, such as that of true renders, or chance.

    Attributes:
        name: What it is.
        metric: Of which it is one.
        mean: The number.
        low: Lower end of its interval over clusters; None where it has none.
        high: Upper end.
    """

    name: str
    metric: str
    mean: float
    low: float | None = None
    high: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableResult:
    """A table with all that is needed to print it; plain values, see `to_json`.

    Attributes:
        table: Its name.
        question: What it answers.
        baseline: The arm that the others are compared with.
        protocol: How numbers were made.
        budgets: Names of the budgets of its trials.
        metrics: Columns, the most telling first.
        arms: Rows.
        clusters: In the order of the suite.
        cluster_noun: What a cluster is called: "scene".
        num_seeds: Seeds planned in a cluster.
        entries: An arm and metric each.
        by_cluster: Metric, arm, cluster: the number, None where there is none. What the papers print by scene.
        arm_notes: A sentence on an arm.
        notes: Sentences on the table.
        published: What papers print of the same question.
        tests_beside: By metric, how many comparisons of other tables p is corrected for besides those of this one.
        bounds: What numbers are read beside: rows below the arms.
    """

    table: str
    question: str
    baseline: str
    protocol: str
    budgets: tuple[str, ...]
    metrics: tuple[str, ...]
    arms: tuple[str, ...]
    clusters: tuple[str, ...]
    cluster_noun: str
    num_seeds: int
    entries: tuple[ArmResult, ...]
    by_cluster: dict[str, dict[str, dict[str, float | None]]]
    arm_notes: dict[str, str]
    notes: tuple[str, ...]
    published: tuple[Published, ...] = ()
    tests_beside: dict[str, int] = dataclasses.field(default_factory=dict)
    bounds: tuple[ReferenceRow, ...] = ()

    def entry(self, arm: str, metric: str) -> ArmResult:
        """The entry of a row and a column."""
        return next(e for e in self.entries if e.arm == arm and e.metric == metric)

    def column(self, metric: str) -> tuple[ArmResult, ...]:
        """The entries of a metric, in the order of the arms."""
        return tuple(e for e in self.entries if e.metric == metric)

    def num_tests(self, metric: str) -> int:
        """Comparisons that were tested together."""
        return sum(e.p is not None for e in self.column(metric)) + self.tests_beside.get(metric, 0)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TableResult:
        """Reads what `to_json` gave, after it went through a file.

        Raises:
            ValueError: A field is missing, unknown or of another type.
        """
        return json_values.convert(values, cls, "results")


def compare(
    frame: pd.DataFrame,
    cells: Sequence[TrialSlot],
    *,
    table: str,
    baseline: str,
    protocol: str,
    metrics: Sequence[str],
    question: str = "",
    arm_notes: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
    cluster_noun: str = "scene",
    beside: Mapping[str, str] | None = None,
) -> TableResult:
    """The table that stored numbers make.

    Args:
        frame: As `bench.storage.store.Store.frame` gives it; rows of other trials and protocols do no harm.
        cells: Of all tables; those of this one are taken, and give the order of arms and clusters.
        table: Its name.
        baseline: An arm's name.
        protocol: Whose numbers.
        metrics: Keys of `bench.metrics.registry.METRICS`.
        question: For the caption.
        arm_notes: A sentence on an arm.
        notes: Sentences for the foot, such as that scores come from another version of the protocol.
        cluster_noun: What a cluster is called.
        beside: Other tables, with their baselines, that are read together with this one: p is corrected for their arms
            too.

    Raises:
        UsageError: An unknown table, baseline or metric; a number or a place in the table that is there twice.

    Example:
        >>> cells = [TrialSlot("t", arm, f"{arm}-{i}", f"scene{i}", 0) for arm in ("full", "bare") for i in range(8)]
        >>> values = {"full": [20, 24, 22, 19, 25, 21, 23, 20], "bare": [18, 23, 21, 18, 22, 20, 20, 19]}
        >>> rows = [(f"{arm}-{i}", 0, float(x)) for arm in values for i, x in enumerate(values[arm])]
        >>> frame = pd.DataFrame(rows, columns=["trial_id", "view", "value"])
        >>> frame = frame.assign(status="finished", protocol="std-v1", metric="psnr", reason=None)
        >>> frame = frame.assign(budget="quick", num_steps=400, wall_s=9.0)
        >>> result = compare(frame, cells, table="t", baseline="full", protocol="std-v1", metrics=["psnr"])
        >>> entry = result.entry("bare", "psnr")
        >>> entry.mean, entry.difference, entry.p_holm, entry.verdict
        (20.125, -1.625, 0.0078125, 'worse')
    """
    mine = [cell for cell in cells if cell.table == table]
    check_names(mine, cells, table, baseline, metrics)
    arms, clusters = (tuple(dict.fromkeys(getattr(cell, f) for cell in mine)) for f in ("arm", "cluster"))
    everything, places = frame, places_of(mine)
    frame = frame[frame["trial_id"].isin(set(places["trial_id"]))]
    scored = checked_scores(frame, mine, protocol)
    entries, by_cluster = [], {}
    tests_beside: dict[str, int] = {}
    for metric in metrics:
        numbers, said = with_crashes(scored[scored["metric"] == metric], frame, places, protocol, metric)
        notes = (*notes, *said)
        pairs = {arm: paired(numbers, arm, baseline) for arm in arms if arm != baseline}
        more = pairs_beside(everything, cells, beside or {}, protocol, metric)
        found = {baseline: TestResult("baseline")} | findings(pairs, metric_named(metric).higher_is_better, more)
        tests_beside |= {metric: len(more)} if more else {}
        for arm in arms:
            counted = counts(frame, places, scored, arm=arm, metric=metric, protocol=protocol)
            entries.append(entry(arm, metric, cluster_means(numbers, arm), counted, found[arm]))
        by_cluster[metric] = {arm: cluster_row(numbers, arm, clusters) for arm in arms}
    return TableResult(
        table=table,
        question=question,
        baseline=baseline,
        protocol=protocol,
        budgets=tuple(dict.fromkeys(frame["budget"])),
        metrics=tuple(metrics),
        arms=arms,
        clusters=clusters,
        cluster_noun=cluster_noun,
        num_seeds=len({cell.seed for cell in mine}),
        entries=tuple(entries),
        by_cluster=by_cluster,
        arm_notes={arm: note for arm, note in (arm_notes or {}).items() if note},
        notes=tuple(notes),
        tests_beside=tests_beside,
    )


class TestResult(NamedTuple):
    """A difference, tested; fields as in `Entry`."""

    verdict: Verdict
    interval: statistics.Interval | None = None
    num_pairs: int = 0
    p: float | None = None
    p_holm: float | None = None
    p_floor: float | None = None
    clusters_to_resolve: int | None = None
    resolvable: float | None = None


def findings(
    pairs: Mapping[str, Float[np.ndarray, " _"]],
    higher_is_better: bool | None = True,
    beside: Sequence[Float[np.ndarray, " _"]] = (),
) -> dict[str, TestResult]:
    """Tests the arms of one table and metric together.

    Args:
        pairs: By arm, differences to the baseline by cluster.
        higher_is_better: The metric's direction; None if it has none.
        beside: Differences of other comparisons that are read together with these, of at least `FEWEST_CLUSTERS`
            each: p is corrected for them too.

    Example:
        >>> found = findings({"a": np.array([1.0, 2, 3, 1, 2, 3, 1, 2]), "b": np.array([1.0, -1.0]), "c": np.zeros(0)})
        >>> found["a"].verdict, found["a"].p_holm, found["b"].verdict, found["c"].verdict
        ('better', 0.0078125, 'too few', 'no data')
        >>> findings({"a": np.arange(1.0, 9.0)}, beside=[np.ones(8)])["a"].p_holm
        0.015625
    """
    enough = {arm: d for arm, d in pairs.items() if len(d) >= FEWEST_CLUSTERS}
    tested = [*enough.values(), *beside]
    p_values = np.array([statistics.sign_flip_p(d) for d in tested])
    floors = np.array([statistics.smallest_p(len(d)) for d in tested])
    rows = list(zip(p_values, statistics.holm(p_values), statistics.holm(floors), strict=True))[: len(enough)]
    corrected = {arm: tuple(float(x) for x in row) for arm, row in zip(enough, rows, strict=True)}
    found = {}
    for arm, differences in pairs.items():
        if len(differences) == 0:
            found[arm] = TestResult("no data")
            continue
        interval = statistics.t_interval(differences)
        if arm not in enough:
            found[arm] = TestResult("too few", interval, len(differences))
            continue
        p, p_holm, p_floor = corrected[arm]
        found[arm] = TestResult(
            verdict=verdict(interval, p_holm, higher_is_better),
            interval=interval,
            num_pairs=len(differences),
            p=p,
            p_holm=p_holm,
            p_floor=p_floor,
            clusters_to_resolve=statistics.clusters_to_resolve(differences, num_tests=len(tested)),
            resolvable=statistics.resolvable_difference(differences, num_tests=len(tested)),
        )
    return found


def verdict(interval: statistics.Interval, p_holm: float, higher_is_better: bool | None = True) -> Verdict:
    """Says "better" or "worse" only where test and interval agree; "higher" or "lower" where neither way is better.

    Example:
        >>> verdict(statistics.Interval(0.02, 0.01, 0.03), 0.01, higher_is_better=False)
        'worse'
        >>> verdict(statistics.Interval(0.02, 0.01, 0.03), 0.01, higher_is_better=None)
        'higher'
        >>> verdict(statistics.Interval(0.02, -0.01, 0.05), 0.01)
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


def paired(numbers: pd.DataFrame, arm: str, baseline: str) -> Float[np.ndarray, " _"]:
    """Differences by cluster, over the seeds and views that both arms have.

    Example:
        >>> rows = [("a", "s", 0, 7, 3.0), ("a", "s", 1, 7, 9.0), ("b", "s", 0, 7, 1.0), ("b", "t", 0, 7, 5.0)]
        >>> numbers = pd.DataFrame(rows, columns=["arm", "cluster", "seed", "view", "value"])
        >>> paired(numbers, "a", "b")
        array([2.])
    """
    return mean_of_seeds(paired_trials(numbers, arm, baseline)).to_numpy(np.float64)


def paired_trials(numbers: pd.DataFrame, arm: str, baseline: str) -> pd.Series:
    """Differences by cluster and seed, over the views that both arms have."""
    keys = ["cluster", "seed", "view"]
    both = pd.merge(*(numbers.loc[numbers["arm"] == x, [*keys, "value"]] for x in (arm, baseline)), on=keys)
    both["difference"] = both["value_x"] - both["value_y"]
    return both.groupby(["cluster", "seed"], sort=True)["difference"].mean()


def mean_of_seeds(by_trial: pd.Series) -> pd.Series:
    """What stands for a cluster: the mean over its seeds, each with equal weight."""
    return by_trial.groupby("cluster", sort=True).mean()


def differences_of(
    frame: pd.DataFrame, cells: Sequence[TrialSlot], *, table: str, baseline: str, protocol: str, metric: str
) -> dict[str, pd.Series]:
    """Of every arm of a table but the baseline, its differences to it by cluster and seed.

    Args:
        frame: As in `compare`.
        cells: As in `compare`.
        table: Whose arms.
        baseline: An arm's name.
        protocol: Whose numbers.
        metric: Which.

    Example:
        >>> cells = [TrialSlot("t", arm, f"{arm}-{i}", "scene", i) for arm in ("full", "bare") for i in range(2)]
        >>> rows = [("full-0", 3.0), ("full-1", 5.0), ("bare-0", 1.0), ("bare-1", 4.0)]
        >>> frame = pd.DataFrame(rows, columns=["trial_id", "value"])
        >>> frame = frame.assign(view=0, status="finished", protocol="std-v1", metric="psnr")
        >>> found = differences_of(frame, cells, table="t", baseline="full", protocol="std-v1", metric="psnr")
        >>> {arm: by_trial.to_list() for arm, by_trial in found.items()}
        {'bare': [-2.0, -1.0]}
    """
    mine = [cell for cell in cells if cell.table == table]
    frame = frame[frame["trial_id"].isin({cell.trial_id for cell in mine})]
    places = places_of(mine)
    numbers, _ = with_crashes(scored_in(frame, places, protocol, metric), frame, places, protocol, metric)
    return {arm: paired_trials(numbers, arm, baseline) for arm in dict.fromkeys(places["arm"]) if arm != baseline}


def checked_scores(frame: pd.DataFrame, cells: Sequence[TrialSlot], protocol: str) -> pd.DataFrame:
    """Numbers of one table's trials, each once and finite."""
    check_unique(frame, cells)
    scored = scored_in(frame, places_of(cells), protocol)
    check_finite(scored)
    return scored


def places_of(cells: Sequence[TrialSlot]) -> pd.DataFrame:
    """Places in one table, a row a trial."""
    return pd.DataFrame([cell[1:] for cell in cells], columns=list(TrialSlot._fields[1:]))


def scored_in(frame: pd.DataFrame, places: pd.DataFrame, protocol: str, metric: str | None = None) -> pd.DataFrame:
    """Numbers of the trials that finished, beside their places: of one metric, or of all."""
    under = (frame["protocol"] == protocol) & (frame["status"] == "finished")
    if metric is not None:
        under &= frame["metric"] == metric
    return places.merge(frame.loc[under, ["trial_id", "metric", "view", "value"]], on="trial_id")


def pairs_beside(
    frame: pd.DataFrame, cells: Sequence[TrialSlot], beside: Mapping[str, str], protocol: str, metric: str
) -> list[Float[np.ndarray, " _"]]:
    """Differences of all arms of other tables, of those that are enough for a test."""
    found = [
        mean_of_seeds(by_trial).to_numpy(np.float64)
        for table, baseline in beside.items()
        for by_trial in differences_of(
            frame, cells, table=table, baseline=baseline, protocol=protocol, metric=metric
        ).values()
    ]
    return [differences for differences in found if len(differences) >= FEWEST_CLUSTERS]


def with_crashes(
    numbers: pd.DataFrame, frame: pd.DataFrame, places: pd.DataFrame, protocol: str, metric: str
) -> tuple[pd.DataFrame, list[str]]:
    """Numbers of a metric with those that a protocol gives to trials that failed; a note that says so if there are any.

    Example:
        >>> numbers = pd.DataFrame([("full", "a", "s", 0, 16, 1.0)], columns=[*TrialSlot._fields[1:], "view", "value"])
        >>> frame = pd.DataFrame({"trial_id": ["a", "b"], "status": ["finished", "failed"]})
        >>> places = pd.DataFrame([("full", "a", "s", 0), ("full", "b", "t", 0)], columns=list(TrialSlot._fields[1:]))
        >>> found, said = with_crashes(numbers, frame, places, "dreamfields-2022", "rprec1@openai-vit-b-32")
        >>> found["value"].tolist(), said
        ([1.0, 0.0], ['R-Precision, by openai-vit-b-32: 1 failed trial counts as a miss, as in dreamfields-2022'])
    """
    numbers = numbers[numbers["value"].notna()]
    counted = crash_score(protocol, metric)
    crashed = places[places["trial_id"].isin(frame.loc[frame["status"] == "failed", "trial_id"])]
    if counted is None or crashed.empty:
        return numbers, []
    views, value = counted
    rows = [crashed.assign(metric=metric, view=view, value=value) for view in views]
    told = "1 failed trial counts as a miss" if len(crashed) == 1 else f"{len(crashed)} failed trials count as misses"
    said = f"{metric_named(metric).title}: {told}, as in {protocol}"
    return pd.concat([numbers, *rows], ignore_index=True), [said]


def cluster_means(numbers: pd.DataFrame, arm: str) -> pd.Series:
    """An arm's number in each cluster: views within trials, then seeds, each with equal weight."""
    by_trial = numbers[numbers["arm"] == arm].groupby(["cluster", "seed"], sort=True)["value"].mean()
    return by_trial.groupby("cluster", sort=True).mean()


def cluster_row(numbers: pd.DataFrame, arm: str, clusters: Sequence[str]) -> dict[str, float | None]:
    """The same for a table that prints every cluster: None where there is no number."""
    means = cluster_means(numbers, arm)
    return {cluster: float(means[cluster]) if cluster in means.index else None for cluster in clusters}


def counts(
    frame: pd.DataFrame, places: pd.DataFrame, scored: pd.DataFrame, *, arm: str, metric: str, protocol: str
) -> dict[str, Any]:
    """What became of an arm's trials: the fields of `Entry` that begin with `num_`, and steps, seconds and reasons."""
    trial_ids = places.loc[places["arm"] == arm, "trial_id"]
    mine = frame[frame["trial_id"].isin(set(trial_ids))]
    trials = mine.groupby("trial_id")[["status", "num_steps", "wall_s"]].first()
    finished, failed = (set(trials.index[trials["status"] == s]) for s in ("finished", "failed"))
    rows = scored[(scored["arm"] == arm) & (scored["metric"] == metric)]
    good = set(rows.loc[rows["value"].notna(), "trial_id"])
    wall_s = trials.loc[trials["status"] == "finished", "wall_s"].dropna()
    steps = trials["num_steps"].dropna()
    return {
        "num_planned": len(trial_ids),
        "num_trials": len(good),
        "num_failed": len(failed),
        "num_absent": len(set(trial_ids) - set(trials.index)),
        "num_missing": len(finished - good),
        "num_views_missing": int(rows.loc[rows["trial_id"].isin(good), "value"].isna().sum()),
        "num_steps": int(steps.max()) if len(steps) else None,
        "fewest_steps": int(steps.min()) if len(steps) else None,
        "wall_s": float(wall_s.mean()) if len(wall_s) else None,
        "reasons": reasons(mine, failed, finished - good, metric=metric, protocol=protocol),
    }


def reasons(mine: pd.DataFrame, failed: set[str], missing: set[str], *, metric: str, protocol: str) -> dict[str, int]:
    """Why trials have no number, in the records' words, and how many trials say so."""
    of_failed = mine[mine["trial_id"].isin(failed)]
    of_metric = mine[(mine["protocol"] == protocol) & (mine["metric"] == metric) & mine["value"].isna()]
    of_metric = of_metric[~of_metric["trial_id"].isin(failed)]
    said = pd.concat([of_failed, of_metric])[["trial_id", "reason"]].fillna("no reason given").drop_duplicates()
    found = said["reason"].value_counts(sort=False).to_dict()
    num_unscored = len(missing - set(of_metric["trial_id"]))
    unscored = {f"no score of {metric} under {protocol}: run rescore": num_unscored} if num_unscored else {}
    return {str(k): int(v) for k, v in sorted(found.items())} | unscored


def entry(arm: str, metric: str, means: pd.Series, counted: dict[str, Any], finding: TestResult) -> ArmResult:
    """Puts an entry together."""
    limits = metric_named(metric).limits
    mean = statistics.t_interval(means.to_numpy(np.float64), limits=limits) if len(means) else (None, None, None)
    fields: dict[str, Any] = dict(zip(("mean", "low", "high"), mean, strict=True))
    difference = finding.interval or (None, None, None)
    fields |= zip(("difference", "difference_low", "difference_high"), difference, strict=True)
    fields |= {name: value for name, value in finding._asdict().items() if name != "interval"}
    return ArmResult(arm=arm, metric=metric, num_clusters=len(means), **fields, **counted)


def check_names(
    mine: Sequence[TrialSlot], cells: Sequence[TrialSlot], table: str, baseline: str, metrics: Sequence[str]
) -> None:
    """UsageError where a table, its baseline or a metric is not known."""
    if not mine:
        names = dict.fromkeys(cell.table for cell in cells)
        raise UsageError(f"compare: expected a table of the suite, got {table!r}; {nearest(table, names)}")
    arms = dict.fromkeys(cell.arm for cell in mine)
    if baseline not in arms:
        raise UsageError(
            f"compare, table {table}: expected a baseline among its arms, got {baseline!r}; {nearest(baseline, arms)}"
        )
    for metric in metrics:
        metric_named(metric)


def check_unique(frame: pd.DataFrame, cells: Sequence[TrialSlot]) -> None:
    """UsageError where a number, a trial or a place in the table is there twice: averaging it would hide a mistake."""
    places = pd.DataFrame([(c.arm, c.cluster, c.seed) for c in cells], columns=["arm", "cluster", "seed"])
    if (twice := places[places.duplicated()]).size:
        arm, cluster, seed = twice.iloc[0]
        raise UsageError(
            f"compare, table {cells[0].table}: expected one trial for an arm, cluster and seed, got several for "
            f"{arm!r}, {cluster!r}, seed {seed}; give the tasks clusters of their own, or make arms of them"
        )
    twice = frame[frame.duplicated(["trial_id", "protocol", "metric", "view"])]
    statuses = frame.groupby("trial_id")["status"].nunique()
    if len(twice) or (statuses > 1).any():
        name = twice["trial_id"].iloc[0] if len(twice) else statuses.index[statuses > 1][0]
        raise UsageError(
            f"compare: expected one number for a trial, protocol, metric and view, got two for {name}; "
            "it lies in two of the folders that were read: name one"
        )


def check_finite(scored: pd.DataFrame) -> None:
    """UsageError where a number is infinite; NaN is how pandas says that it is missing."""
    bad = scored[np.isinf(scored["value"].to_numpy(np.float64))]
    if len(bad):
        row = bad.iloc[0]
        raise UsageError(
            f"compare: expected finite numbers, got {row['value']} for {row['metric']} of {row['trial_id']}; "
            "a number that cannot be had is None with a reason: run rescore"
        )
