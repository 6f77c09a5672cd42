"""Defines a suite: tables of arms, each arm a method and a task.

A suite is a value. Its tables expand to trials (task x method x budget x seed); arms of several tables that are equal
values are one trial. Every arm is compared, field by field, with the baseline of its table: a difference that the
arm did not declare is an error, so that arms never drift apart by accident.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from bench.errors import UsageError, nearest
from bench.metrics.task_kinds import kind_of
from bench.suites.differences import differences
from bench.suites.identity import digest
from bench.suites.trial import Trial
from models.method import Method
from tasks.budgets import Budget
from tasks.captions import unlisted
from tasks.task import FolderScene, Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """A row of an ablation table.

    Attributes:
        method: The method that is trained.
        variant: The method's short name.
        task: Fields of the table's tasks that this arm changes, such as `{"num_views": 100}`.
        changes: Dotted fields in which it may differ from the baseline: `method.field.encoding`, `task.num_views`. A
            name covers the fields below it.
        note: A sentence for the table's foot.
        exceptions: Clusters on which another variant is trained, because papers tune scene by scene: cluster ->
            (variant, method). Tables say so.
        task_exceptions: Clusters on which it changes the task otherwise, as scenes have more or fewer photographs:
            cluster -> the fields in place of `task`.
        num_tasks: Number of the table's tasks, counted from the first, that it is trained on; None for all.
        num_seeds: Number of the suite's seeds, counted from the first, that it takes; None for all.
    """

    method: Method
    variant: str
    task: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    changes: tuple[str, ...] = ()
    note: str = ""
    exceptions: Mapping[str, tuple[str, Method]] = dataclasses.field(default_factory=dict)
    task_exceptions: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    num_tasks: int | None = None
    num_seeds: int | None = None

    def on(self, cluster: str) -> tuple[str, Method]:
        """Return the variant and the method that it trains on a cluster."""
        return self.exceptions.get(cluster, (self.variant, self.method))

    def changed_task(self, task: Task) -> Task:
        """Return one of the table's tasks as this arm changes it."""
        fields = dict(self.task_exceptions.get(task.cluster, self.task))
        return dataclasses.replace(task, **fields) if fields else task  # type: ignore[type-var]


class Placement(NamedTuple):
    """A trial at its place in a table, before anybody asks for its data: a trial's id holds the data's fingerprint."""

    table: str
    arm: str
    trial: Trial


class TrialSlot(NamedTuple):
    """One trial's place in a table; a trial may have several."""

    table: str
    arm: str
    trial_id: str
    cluster: str
    seed: int


class Published(NamedTuple):
    """A number as a paper prints it, shown in a table of its own and used in no difference.

    Attributes:
        row: Its row in the paper: one of our table's arms, or a method that cannot be run here.
        column: Its metric in the paper.
        value: The number, as printed.
        source: The paper and its table.
        apart: The reason why no number of ours may be compared with it; empty if one may.
    """

    row: str
    column: str
    value: str
    source: str
    apart: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """An ablation table: arms over tasks, one of them the baseline.

    Attributes:
        name: Title, and key on the command line.
        question: The question that it answers.
        tasks: The tasks that every arm is trained on.
        baseline: Name of the arm that the others are compared with.
        arms: Rows, in the order in which they are printed.
        metrics: Columns, the most telling first.
        protocol: Name of the protocol that scores its trials.
        published: Numbers that papers print on the same question.
    """

    name: str
    question: str
    tasks: tuple[Task, ...]
    baseline: str
    arms: Mapping[str, Arm]
    metrics: tuple[str, ...]
    protocol: str
    published: tuple[Published, ...] = ()

    def __post_init__(self) -> None:
        if self.baseline not in self.arms:
            raise UsageError(
                f"table {self.name}: expected a baseline among its arms, got {self.baseline!r}; "
                f"{nearest(self.baseline, self.arms)}"
            )
        protocol = kind_of(self.tasks[0]).protocol(self.protocol)
        for metric in self.metrics:
            if not protocol.has_metric(metric):
                near = nearest(metric, protocol.metric_names())
                raise UsageError(f"table {self.name}: expected metrics of {self.protocol}, got {metric!r}; {near}")
        for name in self.arms:
            undeclared = self.undeclared(name)
            if undeclared:
                listed = ", ".join(f"{field}: {a!r} instead of {b!r}" for field, (a, b) in undeclared.items())
                raise UsageError(
                    f"table {self.name}, arm {name}: expected to differ from {self.baseline!r} in "
                    f"{list(self.arms[name].changes)}, got also {listed}; declare it in `changes`, or undo it"
                )

    def arm_differences(self, name: str, *, of_both: bool = False) -> dict[str, tuple[Any, Any]]:
        """Compare an arm with the baseline: dotted field -> (arm's value, baseline's), on the first task that differs.

        Args:
            name: The arm's name.
            of_both: Whether to compare only fields that both have, as in `differences`.
        """
        arm = self.arms[name]
        baseline = self.arms[self.baseline]
        of_methods: dict[tuple[int, int], dict[str, tuple[Any, Any]]] = {}  # most tasks are trained by the same two
        found: dict[str, tuple[Any, Any]] = {}
        for task in self.tasks:
            methods = (arm.on(task.cluster)[1], baseline.on(task.cluster)[1])
            key = (id(methods[0]), id(methods[1]))
            if key not in of_methods:
                of_methods[key] = differences(*methods, of_both=of_both)
            here = {f"method.{name}": value for name, value in of_methods[key].items()}
            if (arm.task, arm.task_exceptions) != (baseline.task, baseline.task_exceptions):
                tasks = (side.changed_task(task) for side in (arm, baseline))
                of_tasks = differences(*tasks, of_both=of_both)
                here |= {f"task.{name}": value for name, value in of_tasks.items()}
            found = here | found
        return found

    def readable_differences(self, name: str) -> tuple[dict[str, tuple[Any, Any]], dict[str, Any]]:
        """Compare an arm with the baseline for people to read.

        Returns:
            Fields of both with the arm's value and the baseline's, and fields of the arm alone that are not None.
        """
        shared = self.arm_differences(name, of_both=True)
        own = {}
        for field, (value, _) in self.arm_differences(name).items():
            if field not in shared and value is not None:
                own[field] = value
        return shared, own

    def undeclared(self, name: str) -> dict[str, tuple[Any, Any]]:
        """Return the differences from the baseline that the arm does not declare."""
        changes = self.arms[name].changes
        found = {}
        for field, pair in self.arm_differences(name).items():
            if not any(field == change or field.startswith(f"{change}.") for change in changes):
                found[field] = pair
        return found

    def trials(self, budget: Budget, seeds: Iterable[int]) -> list[tuple[str, Trial]]:
        """List its trials with their arms' names: seeds outermost, so that balanced blocks finish first."""
        found = []
        first: dict[tuple[str, int], Trial] = {}  # filling and describing thousands of trials takes a minute
        for turn, seed in enumerate(seeds):
            for name, arm in self.arms.items():
                if arm.num_seeds is not None and turn >= arm.num_seeds:
                    continue
                for place, task in enumerate(self.tasks[: arm.num_tasks]):
                    if (name, place) not in first:
                        variant, method = arm.on(task.cluster)
                        changed = arm.changed_task(task)
                        first[name, place] = Trial(
                            task=changed, method=method, budget=budget, seed=seed, variant=variant
                        )
                    found.append((name, first[name, place].with_seed(seed)))
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suite:
    """A study: tables, and how many seeds each budget takes.

    Attributes:
        name: Its name on the command line.
        question: The question that it answers, in a sentence.
        tables: Its tables by budget: at `paper` a suite may hold other arms than in the embedded world. A function
            makes them only when they are needed: it takes a while, and may need files that not everybody has.
        num_seeds: Number of seeds by budget.
        read_together: Whether its tables answer one question, so that p is corrected over all of them.
        tables_of_folders: Makes its tables at a budget, of which it gets the name, on scenes in a user's folders; None
            for a suite that does not start from photographs.
        folders: Names of the user's scenes that its tables are on; empty for the suite's own.
        left_out: What a budget leaves to larger ones, in a sentence, by budget.
    """

    name: str
    question: str
    tables: Mapping[str, tuple[Table, ...] | Callable[[], tuple[Table, ...]]]
    num_seeds: Mapping[str, int]
    read_together: bool = False
    tables_of_folders: Callable[[str, tuple[FolderScene, ...]], tuple[Table, ...]] | None = None
    folders: tuple[str, ...] = ()
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def left_out_at(self, budget: Budget) -> str:
        """Say what a budget leaves to larger ones; empty where it leaves nothing."""
        return self.left_out.get(base_name(budget), "")

    def tables_at(self, budget: Budget) -> tuple[Table, ...]:
        """Return the tables of a budget; one changed with `--set` keeps the first part of its name."""
        name = base_name(budget)
        if name not in self.tables:
            raise UsageError(
                f"--budget: expected one that suite {self.name} has, {', '.join(self.tables)}, got {name!r}"
            )
        if name not in self._made:
            tables = self.tables[name]
            made = tables() if callable(tables) else tables
            if any(unlisted.has_stand_ins(table.tasks) for table in made):
                return made  # made anew next time: the captions may be there by then
            self._made[name] = made
        return self._made[name]

    @functools.cached_property
    def _made(self) -> dict[str, tuple[Table, ...]]:
        """Keep the tables that were made before, by budget."""
        return {}

    def seeds_at(self, budget: Budget) -> tuple[int, ...]:
        """Return the seeds of a budget."""
        return tuple(range(self.num_seeds[base_name(budget)]))

    def protocols_at(self, budget: Budget) -> tuple[str, ...]:
        """Name the protocols that score its trials."""
        return tuple(dict.fromkeys(table.protocol for table in self.tables_at(budget)))

    def placements(self, budget: Budget, seeds: Iterable[int] | None = None) -> list[Placement]:
        """List its trials at their places, table by table; no data is asked for."""
        seeds = self.seeds_at(budget) if seeds is None else tuple(seeds)
        tables = self.tables_at(budget)
        return [Placement(table.name, arm, trial) for table in tables for arm, trial in table.trials(budget, seeds)]

    def expand(self, budget: Budget, seeds: Iterable[int] | None = None) -> tuple[list[Trial], list[TrialSlot]]:
        """List all trials, each once, and their places in the tables."""
        return fill_slots(self.placements(budget, seeds))


def fill_slots(placements: Iterable[Placement]) -> tuple[list[Trial], list[TrialSlot]]:
    """List the trials of placements, each once, and their slots; this asks for their data.

    Raises:
        UsageError: Data of a trial is not here.
    """
    trials: dict[str, Trial] = {}
    cells = []
    for table, arm, trial in placements:
        trials.setdefault(trial.id, trial)
        cells.append(TrialSlot(table, arm, trial.id, trial.task.cluster, trial.seed))
    order = sorted(trials.values(), key=lambda trial: trial.seed)  # stable: balanced blocks finish first
    return order, cells


def check_twins(trials: Iterable[Trial]) -> None:
    """Check that no trial has two names: it would be trained twice, and one number would fill two rows.

    Only a suite's own test calls it. In a run `--set` may make two arms alike on purpose.

    Args:
        trials: Trials of one suite and budget, or of several whose results lie in one folder.

    Raises:
        UsageError: Some trial has two names.
    """
    ids: dict[str, str] = {}
    for trial in trials:
        found = ids.setdefault(digest(trial.identity()), trial.id)
        if found != trial.id:
            raise UsageError(
                f"suite: expected one name for what is one trial, got {found} and {trial.id}; give both arms the "
                f"variant name {found.split('__')[0]!r}"
            )


def base_name(budget: Budget) -> str:
    """Return the name of the budget that a changed one came from: `quick` for `quick+num_steps=100`."""
    return budget.name.split("+")[0]
