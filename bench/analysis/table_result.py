"""Holds what a paired table says: a number, a difference and a verdict for every arm and metric.

These are plain values: `results.json` beside a report holds them, and tables, figures and pages are drawn from them.
`bench.analysis.paired_comparison` makes them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from bench.storage import json_values
from bench.suites.suite import Published

Verdict = Literal[
    "baseline", "better", "worse", "higher", "lower", "not resolved", "too few", "no data", "no baseline"
]  # fmt: skip
"""A resolved difference is "higher" or "lower" where the metric has no better direction."""

RESOLVED: tuple[Verdict, ...] = ("better", "worse", "higher", "lower")

FEWEST_CLUSTERS = 5
"""With fewer pairs there is no verdict: their spread is not known, and no sign-flip test could pass."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArmResult:
    """One arm under one metric. A number that is not known is None.

    Attributes:
        arm: Row.
        metric: A name that `bench.metrics.registry.metric_named` knows.
        mean: Over clusters.
        low: Lower end of the mean's 95% interval, cut at the metric's limits.
        high: Upper end, likewise.
        num_planned: Trials that the suite asks for: `num_trials + num_failed + num_absent + num_missing`.
        num_trials: Trials that gave a number.
        num_clusters: Clusters of these trials.
        num_failed: Trials that crashed or diverged.
        num_absent: Trials without a record: not run yet.
        num_missing: Trials that finished but have no number of this metric.
        num_views_missing: Views without a number, in the trials that gave one.
        difference: Arm minus baseline, mean over clusters that both have; not turned so that higher is better.
        difference_low: Lower end of its 95% interval, which is not cut.
        difference_high: Upper end, likewise.
        num_pairs: Clusters that the difference is taken over.
        p: Of the sign-flip test.
        p_holm: Corrected for the arms of this table, metric by metric.
        p_floor: The smallest that `p_holm` could have been in this design.
        verdict: One of `RESOLVED` only where `p_holm` is below 0.05 and the interval leaves out zero.
        clusters_to_resolve: About how many clusters would resolve this difference; None beyond 10,000, or if unknown.
        resolvable: About the smallest difference that this design resolves; None if it resolves nothing.
        num_steps: Gradient steps of the longest trial that has a record.
        fewest_steps: Of the shortest; if it is not `num_steps`, the comparison is unequal.
        wall_s: Mean seconds of the trials that finished.
        reasons: Why trials or numbers are missing, with the number of trials.
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
    """A number to compare arms with, such as that of true renders, or chance.

    Attributes:
        name: Row.
        metric: As in `ArmResult`.
        mean: The number.
        low: Lower end of its interval over clusters; None where it has none.
        high: Upper end.
    """

    name: str
    metric: str
    mean: float
    low: float | None = None
    high: float | None = None


class SceneDifference(NamedTuple):
    """An arm minus the baseline on one scene by itself.

    Attributes:
        metric: As in `ArmResult`.
        arm: Row.
        cluster: The scene.
        mean: Over its held-out views.
        low: Lower end of the mean's 95% interval over views; None with a single one.
        high: Upper end, likewise.
        num_better: Views where the arm is better; None where the metric has no better direction.
        views: Ids of the views that both have.
        by_view: The difference in each of them.
    """

    metric: str
    arm: str
    cluster: str
    mean: float
    low: float | None
    high: float | None
    num_better: int | None
    views: tuple[int, ...]
    by_view: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableResult:
    """A table with all that is needed to print it.

    Attributes:
        table: Its name.
        question: The question that it answers.
        baseline: The arm that the others are compared with; where it was not chosen, it is no row.
        protocol: Name of the protocol that the numbers were made by.
        budgets: Names of the budgets of its trials.
        metrics: Columns, the most telling first.
        arms: Rows.
        clusters: In the order of the suite.
        cluster_noun: The noun of the tasks' kind: "scene", "caption".
        num_seeds: Seeds planned in a cluster.
        entries: One an arm and metric.
        by_cluster: Metric, arm, cluster: the number, None where there is none. Papers print these by scene.
        arm_notes: By arm, a sentence.
        notes: Sentences on the table.
        published: Numbers that papers print of the same question.
        tests_beside: By metric, how many comparisons of other tables p is corrected for besides those of this one.
        references: Rows below the arms: true renders, chance.
        scene_differences: Differences of each scene by itself, where scenes are too few for a verdict.
        view_names: By scene and id of a held-out view (as text, as JSON has keys), the file of its photograph, where it
            is one of a user's.
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
    references: tuple[ReferenceRow, ...] = ()
    scene_differences: tuple[SceneDifference, ...] = ()
    view_names: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)

    @property
    def has_baseline(self) -> bool:
        """Tell whether the baseline is a row, so that there are differences."""
        return self.baseline in self.arms

    def entry(self, arm: str, metric: str) -> ArmResult:
        """Find the entry of a row and a column."""
        return next(entry for entry in self.entries if entry.arm == arm and entry.metric == metric)

    def column(self, metric: str) -> tuple[ArmResult, ...]:
        """List the entries of a metric, in the order of the arms."""
        return tuple(entry for entry in self.entries if entry.metric == metric)

    def num_tests(self, metric: str) -> int:
        """Count the comparisons of a metric that p is corrected for."""
        return sum(entry.p is not None for entry in self.column(metric)) + self.tests_beside.get(metric, 0)

    def with_text(
        self,
        *,
        question: str = "",
        cluster_noun: str = "scene",
        arm_notes: Mapping[str, str] | None = None,
        notes: Sequence[str] = (),
    ) -> TableResult:
        """Add what is printed around the numbers; its own notes come after the given ones.

        Args:
            question: The question that the table answers.
            cluster_noun: What a cluster is called.
            arm_notes: By arm, a sentence; an empty one is left out.
            notes: Sentences on the table.
        """
        kept = {arm: note for arm, note in (arm_notes or {}).items() if note}
        return dataclasses.replace(
            self, question=question, cluster_noun=cluster_noun, arm_notes=kept, notes=(*notes, *self.notes)
        )

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TableResult:
        """Read the values of `to_json` after they went through a file.

        Raises:
            ValueError: A field is missing, unknown or of another type.
        """
        return json_values.convert(values, cls, "results")
