"""From paired tables to what is said of a method: its gain over each baseline, what it cost, and what was found.

Numbers and verdicts are those of `bench.analysis.paired_comparison`; here they are read as the method's minus the baseline's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis import paired_comparison, statistics
from bench.analysis.paired_comparison import ArmResult, TableResult
from bench.metrics.registry import metric_named
from bench.suites.suite import TrialSlot

NUM_PRIMARY = 3
"""Metrics of a table, the most telling first, that decide about worse and better."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """The method's numbers minus a baseline's, under one metric.

    Attributes:
        baseline: Its label.
        metric: Key of `bench.metrics.registry.METRICS`.
        mine: The method's entry, with the difference and what is known of it.
        other: The baseline's entry.
        by_cluster: The difference in every scene or caption that both have.
        seeds_to_resolve: About how many seeds would resolve it on the same clusters; None where more seeds would not,
            or where seeds are too few to tell.
    """

    baseline: str
    metric: str
    mine: ArmResult
    other: ArmResult
    by_cluster: dict[str, float]
    seeds_to_resolve: int | None

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        names = (
            "difference", "difference_low", "difference_high", "p", "p_holm", "p_floor", "verdict", "num_pairs",
            "clusters_to_resolve", "resolvable",
        )  # fmt: skip
        return {
            "baseline": self.baseline, "metric": self.metric, "mean": self.mine.mean, "baseline_mean": self.other.mean,
            **{name: getattr(self.mine, name) for name in names},
            "seeds_to_resolve": self.seeds_to_resolve, "by_cluster": self.by_cluster,
            "num_trials": self.mine.num_trials, "num_lost": self.mine.num_lost,
            "baseline_num_trials": self.other.num_trials, "baseline_num_lost": self.other.num_lost,
        }  # fmt: skip


def differences(
    results: Sequence[TableResult], frame: pd.DataFrame, cells: Sequence[TrialSlot], mine: str
) -> list[PairedDifference]:
    """All of them: baseline by baseline, the most telling metric first."""
    found = []
    for result in results:
        for metric in result.metrics:
            by_trial = paired_comparison.differences_of(
                frame, cells, table=result.table, baseline=result.baseline, protocol=result.protocol, metric=metric
            )[mine]
            means = paired_comparison.mean_of_seeds(by_trial).to_dict()
            entry = result.entry(mine, metric)
            found.append(
                PairedDifference(
                    baseline=result.baseline,
                    metric=metric,
                    mine=entry,
                    other=result.entry(result.baseline, metric),
                    by_cluster={name: float(means[name]) for name in result.clusters if name in means},
                    seeds_to_resolve=more_seeds(by_trial, result.num_tests(metric)) if is_unresolved(entry) else None,
                )
            )
    return found


def is_unresolved(entry: ArmResult) -> bool:
    """Whether a difference was tested and not resolved."""
    return entry.verdict == "not resolved"


def more_seeds(by_trial: pd.Series, num_tests: int) -> int | None:
    """How many seeds would resolve a difference, if more than there are and if their scatter is known."""
    by_seed = by_trial.unstack("seed").to_numpy(np.float64)
    if min(by_seed.shape) < 2 or np.isnan(by_seed).any():
        return None
    num = statistics.seeds_to_resolve(by_seed, num_tests=num_tests)
    return num if num is not None and num > by_seed.shape[1] else None


def primary(found: Sequence[PairedDifference]) -> list[str]:
    """Metrics that decide, the most telling first."""
    return list(dict.fromkeys(each.metric for each in found))[:NUM_PRIMARY]


def is_worse(found: Sequence[PairedDifference]) -> bool:
    """Whether a primary metric is resolved as worse than a baseline's."""
    return any(each.mine.verdict == "worse" for each in found if each.metric in primary(found))


def is_better(found: Sequence[PairedDifference]) -> bool:
    """Whether the first metric is resolved as better than every baseline's."""
    first = primary(found)[0]
    return all(each.mine.verdict == "better" for each in found if each.metric == first)


WORDS = {
    "better": "better than", "worse": "worse than", "higher": "higher than", "lower": "lower than",
    "not resolved": "not resolved against",
    "too few": "too few {noun}s for a verdict against", "no data": "no data against",
}  # fmt: skip


def secondary_findings(found: Sequence[PairedDifference], noun: str) -> list[str]:
    """What was found by the metrics that do not decide, a line each, resolved or not."""
    lines = []
    for metric in dict.fromkeys(each.metric for each in found if each.metric not in primary(found)):
        said = verdicts(found, metric, noun, tuple(WORDS))
        lines += [f"in the report also: {metric_named(metric).title}, {'; '.join(said)}"] if said else []
    return lines


def verdicts(found: Sequence[PairedDifference], metric: str, noun: str, told: Sequence[str]) -> list[str]:
    """Of one metric, those of the verdicts that are told, each with the baselines that it was found against."""
    said = []
    for verdict, word in WORDS.items():
        names = [each.baseline for each in found if (each.metric, each.mine.verdict) == (metric, verdict)]
        if names and verdict in told:
            said.append(f"{word.format(noun=noun)} {', '.join(names)}")
    return said


def conclusion(found: Sequence[PairedDifference], mine: str, noun: str) -> str:
    """What was found, on a line: all verdicts of the first metric; of other primary ones those that are resolved."""
    parts = []
    for place, metric in enumerate(primary(found)):
        said = verdicts(found, metric, noun, paired_comparison.RESOLVED if place else tuple(WORDS))
        if said:
            parts.append(f"{metric_named(metric).title} {'; '.join(said)}")
    return f"{mine}: {'. '.join(parts)}"
