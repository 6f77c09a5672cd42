"""Sums up paired tables for one method: its difference from each baseline, and the verdicts in a sentence.

Numbers and verdicts are those of `bench.analysis.paired_comparison`, read as the method's minus the baseline's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis import paired_comparison, statistics, trial_scores
from bench.analysis.table_result import RESOLVED, ArmResult, TableResult
from bench.metrics.registry import metric_named
from bench.suites.suite import TrialSlot

NUM_PRIMARY = 3
"""The first metrics of a table decide whether a method is better or worse."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """The method's numbers minus a baseline's, under one metric.

    Attributes:
        baseline: Its label.
        metric: A metric's name.
        method_result: The method's entry, with the tested difference.
        baseline_result: The baseline's entry.
        by_cluster: The difference in every scene or caption that both have.
        seeds_to_resolve: About how many seeds would resolve the difference on the same clusters; None where more seeds
            would not, or where there are too few seeds to estimate it.
    """

    baseline: str
    metric: str
    method_result: ArmResult
    baseline_result: ArmResult
    by_cluster: dict[str, float]
    seeds_to_resolve: int | None

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values."""
        return {
            "baseline": self.baseline,
            "metric": self.metric,
            "mean": self.method_result.mean,
            "baseline_mean": self.baseline_result.mean,
            "difference": self.method_result.difference,
            "difference_low": self.method_result.difference_low,
            "difference_high": self.method_result.difference_high,
            "p": self.method_result.p,
            "p_holm": self.method_result.p_holm,
            "p_floor": self.method_result.p_floor,
            "verdict": self.method_result.verdict,
            "num_pairs": self.method_result.num_pairs,
            "clusters_to_resolve": self.method_result.clusters_to_resolve,
            "resolvable": self.method_result.resolvable,
            "seeds_to_resolve": self.seeds_to_resolve,
            "by_cluster": self.by_cluster,
            "num_trials": self.method_result.num_trials,
            "num_lost": self.method_result.num_lost,
            "baseline_num_trials": self.baseline_result.num_trials,
            "baseline_num_lost": self.baseline_result.num_lost,
        }


def collect_differences(
    results: Sequence[TableResult], frame: pd.DataFrame, slots: Sequence[TrialSlot], label: str
) -> list[PairedDifference]:
    """Collect a method's differences: baseline by baseline, the most telling metric first.

    Args:
        results: Tables, each of the method and one baseline.
        frame: The store's `frame()`.
        slots: Places of trials in the tables.
        label: Label of the method.
    """
    found = []
    for result in results:
        for metric in result.metrics:
            by_trial = paired_comparison.differences_of_table(
                frame, slots, table=result.table, baseline=result.baseline, protocol=result.protocol, metric=metric
            )[label]
            means = trial_scores.mean_of_seeds(by_trial).to_dict()
            entry = result.entry(label, metric)
            num_tests = result.num_tests(metric)
            found.append(
                PairedDifference(
                    baseline=result.baseline,
                    metric=metric,
                    method_result=entry,
                    baseline_result=result.entry(result.baseline, metric),
                    by_cluster={name: float(means[name]) for name in result.clusters if name in means},
                    seeds_to_resolve=resolving_seeds(by_trial, num_tests) if is_unresolved(entry) else None,
                )
            )
    return found


def is_unresolved(entry: ArmResult) -> bool:
    """Whether a difference was tested and not resolved."""
    return entry.verdict == "not resolved"


def resolving_seeds(by_trial: pd.Series, num_tests: int) -> int | None:
    """Estimate how many seeds would resolve a difference; None unless more than there are.

    Args:
        by_trial: Differences by cluster and seed.
        num_tests: Comparisons that p is corrected for.

    Example:
        >>> index = pd.MultiIndex.from_product([range(8), range(2)], names=["cluster", "seed"])
        >>> resolving_seeds(pd.Series([1.5, -0.5, -0.5, 1.5] * 4, index=index), num_tests=1)
        11
    """
    by_seed = by_trial.unstack("seed").to_numpy(np.float64)
    if min(by_seed.shape) < 2 or np.isnan(by_seed).any():
        return None
    num_seeds = statistics.seeds_to_resolve(by_seed, num_tests=num_tests)
    return num_seeds if num_seeds is not None and num_seeds > by_seed.shape[1] else None


def primary_metrics(found: Sequence[PairedDifference]) -> list[str]:
    """List the metrics that decide, the most telling first."""
    return list(dict.fromkeys(each.metric for each in found))[:NUM_PRIMARY]


def is_worse(found: Sequence[PairedDifference]) -> bool:
    """Whether a primary metric is resolved as worse than a baseline's."""
    deciding = primary_metrics(found)
    return any(each.method_result.verdict == "worse" for each in found if each.metric in deciding)


def is_better(found: Sequence[PairedDifference]) -> bool:
    """Whether the first metric is resolved as better than every baseline's."""
    first = primary_metrics(found)[0]
    return all(each.method_result.verdict == "better" for each in found if each.metric == first)


# ---- sentences -------------------------------------------------------------------------------------------------------


WORDS = {
    "better": "better than",
    "worse": "worse than",
    "higher": "higher than",
    "lower": "lower than",
    "not resolved": "not resolved against",
    "too few": "too few {noun}s for a verdict against",
    "no data": "no data against",
}
"""By verdict, what stands before the baselines' names."""


def conclusion(found: Sequence[PairedDifference], label: str, noun: str) -> str:
    """Sum up on one line: all verdicts of the first metric, resolved ones of the other primary metrics.

    Args:
        found: All differences of the method.
        label: Label of the method.
        noun: What a cluster is called.
    """
    parts = []
    for place, metric in enumerate(primary_metrics(found)):
        told = tuple(WORDS) if place == 0 else RESOLVED
        clauses = verdict_clauses(found, metric, noun, told)
        if clauses:
            parts.append(f"{metric_named(metric).title} {'; '.join(clauses)}")
    return f"{label}: {'. '.join(parts)}"


def secondary_findings(found: Sequence[PairedDifference], noun: str) -> list[str]:
    """Sum up the metrics that do not decide, a line each, resolved or not."""
    deciding = primary_metrics(found)
    lines = []
    for metric in dict.fromkeys(each.metric for each in found if each.metric not in deciding):
        clauses = verdict_clauses(found, metric, noun, tuple(WORDS))
        if clauses:
            lines.append(f"in the report also: {metric_named(metric).title}, {'; '.join(clauses)}")
    return lines


def verdict_clauses(found: Sequence[PairedDifference], metric: str, noun: str, told: Sequence[str]) -> list[str]:
    """Say for each verdict of a metric which baselines it was found against; only for the verdicts in `told`."""
    clauses = []
    for verdict, words in WORDS.items():
        names = [each.baseline for each in found if (each.metric, each.method_result.verdict) == (metric, verdict)]
        if names and verdict in told:
            clauses.append(f"{words.format(noun=noun)} {', '.join(names)}")
    return clauses
