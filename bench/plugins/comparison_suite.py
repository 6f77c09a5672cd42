"""Makes the suite that compares a user's method with baselines.

It has one table for each baseline: the method and the baseline, on the tasks of another suite's table. Differences are
the method's numbers minus the baseline's. The tables answer one question, so p is corrected over the baselines.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from bench.errors import UsageError, nearest
from bench.metrics.task_kinds import kind_of, kind_of_method
from bench.storage.record import Record
from bench.suites import identity, option_syntax, overrides, registry
from bench.suites.identity import describe
from bench.suites.suite import Arm, Placement, Suite, Table, TrialSlot, base_name, fill_slots
from bench.suites.trial import Trial
from bench.suites.variant_names import folder_safe
from tasks.budgets import Budget, sized
from tasks.task import Task


class LabelledArm(NamedTuple):
    """An arm under its label.

    Attributes:
        label: Its name in tables.
        arm: What is trained.
        module: The module that a user named it in; empty for ours.
    """

    label: str
    arm: Arm
    module: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """A method and the baselines that it is compared with.

    Attributes:
        label: Label of the method.
        suite: A suite with one table for each baseline.
        suite_name: Name of the suite that tasks and metrics come from.
        stored: Name of stored trials that stand for the method, such as imported renders; None where it is trained.
    """

    label: str
    suite: Suite
    suite_name: str
    stored: str | None = None


# --- what is compared -------------------------------------------------------------------------------------------------


def make_comparison(
    suite: Suite, budget: Budget, name: str, against: Sequence[str], records: Sequence[Record] = ()
) -> Comparison:
    """Compare a method with baselines.

    Args:
        suite: The suite that tasks, metrics and baselines come from.
        budget: The budget whose tables are used.
        name: Name of the method: a variant, an arm, an entry point, `module:object`, or that of stored trials.
        against: Names of baselines, several in one text with commas; none for the table's own baseline.
        records: Records of stored trials.

    Raises:
        UsageError: Nothing has the name, the method is compared with itself, or it is of another kind than the tasks.
    """
    tables = suite.tables_at(budget)
    words = split_names(against, [label for table in tables for label in table.arms])
    table = choose_table(tables, words)
    recipe = kind_of(table.tasks[0]).recipes[base_name(budget) == "paper"]
    rows = [find_baseline(word, table, tables, recipe) for word in words or [table.baseline]]
    method, stored = find_method(name, table, tables, recipe, records)
    method, *rows = distinguish_labels([method, *rows])
    same = [row.label for row in rows if stored is None and is_same(row.arm, method.arm)]
    if same:
        others = [label for label, arm in table.arms.items() if not is_same(arm, method.arm)]
        raise UsageError(
            f"compare {name}: expected another method to set it against, got {same[0]}, which is the same; "
            f"choose --against from {', '.join(map(repr, others))}"
        )
    if method.label in {row.label for row in rows}:
        method = method._replace(label=f"{method.label}, yours")
    distinct = {row.label: row for row in rows}
    baselines = " and ".join(distinct)
    of_comparison = Suite(
        name=f"{method.label} on {suite.name}",
        question=f"Is {method.label} better than {baselines}?",
        tables={base_name(budget): tuple(make_comparison_table(method, row, table) for row in distinct.values())},
        num_seeds={base_name(budget): suite.num_seeds[base_name(budget)]},
        read_together=True,
        folders=suite.folders,
    )
    return Comparison(label=method.label, suite=of_comparison, suite_name=suite.name, stored=stored)


def distinguish_labels(rows: Sequence[LabelledArm]) -> list[LabelledArm]:
    """Name methods that share a label by their modules too: `MyField (nets_a)`."""
    modules = {id(row): ", ".join(identity.user_modules(row.arm.method)) or row.module for row in rows}
    found = []
    for row in rows:
        module = modules[id(row)]
        alike = [other for other in rows if other.label == row.label]
        if module and any(modules[id(other)] != module for other in alike):
            row = row._replace(label=f"{row.label} ({module})")
        found.append(row)
    return found


def is_same(arm: Arm, other: Arm) -> bool:
    """Tell whether two arms train the same trials: methods of one identity, with the same changes of the task."""
    return describe(arm.method) == describe(other.method) and task_changes(arm) == task_changes(other)


def task_changes(arm: Arm) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return how an arm changes its tasks: all of them, and single ones otherwise."""
    return dict(arm.task), dict(arm.task_exceptions)


def make_comparison_table(method: LabelledArm, row: LabelledArm, table: Table) -> Table:
    """Make the table of one baseline, where the method has as many tasks and seeds as the baseline."""
    arm = dataclasses.replace(
        method.arm, changes=("method", "task"), num_tasks=row.arm.num_tasks, num_seeds=row.arm.num_seeds
    )
    return Table(
        name=f"against {row.label}",
        question=f"Is {method.label} better than {row.label}?",
        tasks=table.tasks,
        baseline=row.label,
        arms={method.label: arm, row.label: dataclasses.replace(row.arm, changes=())},
        metrics=table.metrics,
        protocol=table.protocol,
    )


def split_names(texts: Sequence[str], labels: Iterable[str]) -> list[str]:
    """Split texts into names at commas, but keep labels that hold commas themselves whole.

    Example:
        >>> split_names(["dietnerf,NeRF, 100 views , nerf", "nerf"], ["NeRF, 100 views"])
        ['dietnerf', 'NeRF, 100 views', 'nerf']
    """
    known = set(labels)
    found = [name for text in texts for name in option_syntax.split_known_names(text, known)]
    return list(dict.fromkeys(name for name in found if name))


def choose_table(tables: Sequence[Table], words: Sequence[str]) -> Table:
    """Choose the table with arms of all names; else the one with an arm of the first name; else the first table."""
    for wanted in (words, words[:1]):
        for table in tables:
            if wanted and all(find_arm(word, table) for word in wanted):
                return table
    return tables[0]


def find_arm(word: str, table: Table) -> LabelledArm | None:
    """Find the arm of a label or of a variant; of several with that variant, one on the table's own tasks."""
    if word in table.arms:
        return LabelledArm(word, table.arms[word])
    found = [LabelledArm(label, arm) for label, arm in table.arms.items() if arm.variant == word]
    return next(iter(sorted(found, key=lambda row: any(task_changes(row.arm)))), None)


def find_arm_in_tables(word: str, table: Table, tables: Sequence[Table]) -> LabelledArm | None:
    """Find the arm of a name in a table, or else in another one with the same tasks."""
    alike = [table, *(other for other in tables if other.tasks == table.tasks)]
    return next((row for other in alike if (row := find_arm(word, other))), None)


def find_baseline(word: str, table: Table, tables: Sequence[Table], recipe: str) -> LabelledArm:
    """Find the baseline of a name: an arm of the suite, or a variant as it is registered."""
    row = find_arm_in_tables(word, table, tables)
    if row is None and registry.is_known(word):
        row = make_arm(word, recipe)
    if row is None:
        arms = [name for label, arm in table.arms.items() for name in (label, arm.variant)]
        raise UsageError(
            f"--against: expected an arm of {table.name!r} or a variant, got {word!r}; "
            f"{nearest(word, {*arms, *registry.VARIANTS})}"
        )
    check_kind(row, table)
    return row


def find_method(
    name: str, table: Table, tables: Sequence[Table], recipe: str, records: Sequence[Record]
) -> tuple[LabelledArm, str | None]:
    """Find the method that is compared, and the name of its stored trials where it is not trained."""
    row = find_arm_in_tables(name, table, tables)
    if row is None and registry.is_known(name):
        row = make_arm(name, recipe)
    if row is not None:
        check_kind(row, table)
        return row, None
    stored = {record.variant for record in records}
    if name not in stored:
        known = {*registry.VARIANTS, *registry.entry_points(), *stored}
        raise UsageError(
            f"compare: expected a variant, module:object, or the name of renders that were imported, got {name!r}; "
            f"{registry.suggest_reference(name) or nearest(name, known)}"
        )
    base = table.arms[table.baseline].method  # stands in for a method; no trial is made of it
    return LabelledArm(name, Arm(method=base, variant=name, note="as it is stored under this name")), name


def make_arm(name: str, recipe: str) -> LabelledArm:
    """Make an arm of a registered method or a user's, whose variant's name holds the digest of the user's code."""
    method = registry.variant(name, recipe)
    label = name.rpartition(":")[2]
    code = identity.code_digest(method)
    note = name if name != label else ""
    if code:
        note = f"{name}, code {code}"
    variant = folder_safe(identity.with_code(label, method))
    return LabelledArm(label, Arm(method=method, variant=variant, note=note), name.rpartition(":")[0])


def check_kind(row: LabelledArm, table: Table) -> None:
    """Refuse a method that starts from photographs where there are captions, and the other way round."""
    kind = kind_of(table.tasks[0])
    wanted = kind_of_method(row.arm.method)
    if wanted is not None and wanted != kind:
        raise UsageError(
            f"{row.label}: expected a method that starts from {kind.start}, as the tasks of {table.name!r} do, got "
            f"one that starts from {wanted.start}; choose another --suite or --against"
        )


# --- what is stored under a name: imported renders --------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class StoredTrial(Trial):
    """A trial that is known by its record, such as imported renders; its method is that of the baseline beside it.

    Attributes:
        record: The stored record.
    """

    record: Record

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredTrial) and self.record.trial_id == other.record.trial_id

    def __hash__(self) -> int:
        return hash(self.record.trial_id)

    def identity(self) -> dict[str, Any]:
        """Return the identity that is stored."""
        return self.record.identity

    @functools.cached_property
    def id(self) -> str:
        """Return the id that is stored."""
        return self.record.trial_id


def expand(
    chosen: Comparison,
    budget: Budget,
    seeds: Iterable[int] | None,
    conditions: Sequence[str],
    records: Sequence[Record],
) -> tuple[list[Trial], list[TrialSlot]]:
    """List the trials of a comparison that meet all conditions, stored ones among them, and their places in tables.

    Raises:
        UsageError: No trial meets the conditions, or stored trials are of other tasks or of another budget.
    """
    placements = chosen.suite.placements(budget, seeds)
    if chosen.stored is not None:
        others = [placement for placement in placements if placement.arm != chosen.label]
        placements = [*stored_placements(chosen, budget, others, records), *others]
    return fill_slots(overrides.only(placements, conditions))


def stored_placements(
    chosen: Comparison, budget: Budget, placements: Sequence[Placement], records: Sequence[Record]
) -> list[Placement]:
    """Find the trials that are stored under the method's name, on tasks where the baseline has a trial too.

    Raises:
        UsageError: There are none.
    """
    of_method = [record for record in records if record.variant == chosen.stored]
    found: list[Placement] = []
    for table in chosen.suite.tables_at(budget):
        tasks = {task.cluster: sized(task, budget) for task in table.tasks}
        method = table.arms[table.baseline].method
        for placement in [placement for placement in placements if placement.table == table.name]:
            task = tasks[placement.trial.task.cluster]
            wanted = (task.cluster, placement.trial.seed, budget.name, describe(task))
            for record in of_method:
                told = (record.cluster, record.seed, record.budget, record.identity.get("task"))
                if told == wanted and is_of_data(record, task):
                    trial = StoredTrial(
                        task=task, method=method, budget=budget, seed=record.seed, variant=record.variant, record=record
                    )
                    found.append(Placement(table.name, chosen.label, trial))
    if not found:
        budgets = ", ".join(sorted({record.budget for record in of_method}))
        raise UsageError(
            f"compare {chosen.stored}: expected stored trials on tasks of {chosen.suite_name} at {budget.name}, got "
            f"{len(of_method)} of others (budget {budgets}); choose --suite, --budget, --seeds and --scenes as they "
            "were made with"
        )
    return found


def is_of_data(record: Record, task: Task) -> bool:
    """Tell whether a record is of a task's data: two scenes of one name may hold other photographs."""
    return record.identity.get("fingerprint") == task.fingerprint()
