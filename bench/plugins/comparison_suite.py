"""Decides what a method of one's own is set against: on which tasks, with which baselines, in which tables.

A study has a table a baseline: the method that is compared, and the baseline, on the tasks of a suite's table. Its
differences are the method's numbers minus the baseline's. The tables are read together: p is corrected over baselines.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from bench.errors import UsageError, nearest
from bench.metrics.task_kinds import kind_of, kind_of_method
from bench.storage.record import Record
from bench.suites import identity, overrides, registry
from bench.suites.identity import describe
from bench.suites.variant_names import folder_safe
from bench.suites.suite import Arm, Suite, Table, TrialSlot, base_name
from bench.suites.trial import Trial
from tasks.budgets import Budget, sized


class LabelledArm(NamedTuple):
    """An arm under its label."""

    label: str
    arm: Arm


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared with what.

    Attributes:
        mine: Label of the method that is compared.
        suite: A table a baseline.
        stored: Name of stored trials that stand for the method, such as imported renders; None where it is trained.
    """

    mine: str
    suite: Suite
    stored: str | None = None


# --- what is compared -------------------------------------------------------------------------------------------------


def study(
    suite: Suite, budget: Budget, name: str, against: Sequence[str], records: Sequence[Record] = ()
) -> Comparison:
    """Sets a method against baselines.

    Args:
        suite: Where tasks, metrics and baselines come from.
        budget: Whose tables.
        name: Of a variant or an arm, of an entry point, `module:object`, or of stored trials.
        against: Names of baselines, each perhaps several with commas; none for that of the table.
        records: Of stored trials.

    Raises:
        UsageError: A name that nothing has, a method that is set against itself or is of another kind than the tasks.
    """
    tables = suite.tables_at(budget)
    words = split_names(against, [label for table in tables for label in table.arms])
    table = table_of(tables, words)
    recipe = kind_of(table.tasks[0]).recipes[base_name(budget) == "paper"]
    rows = [baseline_row(word, table, tables, recipe) for word in words or [table.baseline]]
    mine, stored = own_row(name, table, tables, recipe, records)
    mine, *rows = told_apart([mine, *rows])
    same = [row.label for row in rows if stored is None and is_same(row.arm, mine.arm)]
    if same:
        others = [label for label, arm in table.arms.items() if not is_same(arm, mine.arm)]
        raise UsageError(
            f"compare {name}: expected another method to set it against, got {same[0]}, which is the same; "
            f"choose --against from {', '.join(map(repr, others))}"
        )
    if mine.label in {row.label for row in rows}:
        mine = mine._replace(label=f"{mine.label}, yours")
    distinct = {row.label: row for row in rows}
    what = " and ".join(distinct)
    made = Suite(
        name=f"{mine.label} on {suite.name}",
        question=f"Is {mine.label} better than {what}?",
        tables={base_name(budget): tuple(against_one(mine, row, table) for row in distinct.values())},
        num_seeds={base_name(budget): suite.num_seeds[base_name(budget)]},
        read_together=True,
    )
    return Comparison(mine=mine.label, suite=made, stored=stored)


def told_apart(rows: Sequence[LabelledArm]) -> list[LabelledArm]:
    """Name methods that share a label by their modules too: `MyField (nets_a)`."""
    modules = {id(row): ", ".join(identity.user_modules(row.arm.method)) for row in rows}
    found = []
    for row in rows:
        named_alike = [other for other in rows if other.label == row.label]
        is_told_apart = any(modules[id(other)] != modules[id(row)] for other in named_alike)
        found.append(
            row._replace(label=f"{row.label} ({modules[id(row)]})") if is_told_apart and modules[id(row)] else row
        )
    return found


def is_same(arm: Arm, other: Arm) -> bool:
    """Whether two arms train the same."""
    return identity.same(arm.method, other.method) and dict(arm.task) == dict(other.task)


def against_one(mine: LabelledArm, row: LabelledArm, table: Table) -> Table:
    """The table of one baseline. The method is given as many tasks and seeds as the baseline has."""
    own = dataclasses.replace(
        mine.arm, changes=("method", "task"), num_tasks=row.arm.num_tasks, num_seeds=row.arm.num_seeds
    )
    return Table(
        name=f"against {row.label}",
        question=f"Is {mine.label} better than {row.label}?",
        tasks=table.tasks,
        baseline=row.label,
        arms={mine.label: own, row.label: dataclasses.replace(row.arm, changes=())},
        metrics=table.metrics,
        protocol=table.protocol,
    )


def split_names(texts: Sequence[str], labels: Iterable[str]) -> list[str]:
    """Names that stand between commas; a label that holds commas itself is found whole.

    Example:
        >>> split_names(["dietnerf,NeRF, 100 views , nerf", "nerf"], ["NeRF, 100 views"])
        ['dietnerf', 'NeRF, 100 views', 'nerf']
    """
    known, found = set(labels), []
    for text in texts:
        parts = text.split(",")
        while parts:
            ends = (n for n in range(len(parts), 1, -1) if ",".join(parts[:n]).strip() in known)
            num = next(ends, 1)
            found.append(",".join(parts[:num]).strip())
            parts = parts[num:]
    return list(dict.fromkeys(name for name in found if name))


def table_of(tables: Sequence[Table], words: Sequence[str]) -> Table:
    """The table that holds all that is named; else the one that holds the first of them; else the first table."""
    for wanted in (words, words[:1]):
        for table in tables:
            if wanted and all(arm_named(word, table) for word in wanted):
                return table
    return tables[0]


def arm_named(word: str, table: Table) -> LabelledArm | None:
    """The arm of that label, or of that variant: then one on the table's own tasks, if there is one."""
    if word in table.arms:
        return LabelledArm(word, table.arms[word])
    found = [LabelledArm(label, arm) for label, arm in table.arms.items() if arm.variant == word]
    return next(iter(sorted(found, key=lambda row: bool(row.arm.task))), None)


def arm_anywhere(word: str, table: Table, tables: Sequence[Table]) -> LabelledArm | None:
    """The arm of that name in the table, or in another one of the same tasks."""
    alike = [table, *(other for other in tables if other.tasks == table.tasks)]
    return next((row for other in alike if (row := arm_named(word, other))), None)


def baseline_row(word: str, table: Table, tables: Sequence[Table], recipe: str) -> LabelledArm:
    """The baseline of a name: an arm of the suite, or a variant as it stands."""
    row = arm_anywhere(word, table, tables)
    if row is None and registry.is_known(word):
        row = row_of(word, recipe)
    if row is None:
        arms = [name for label, arm in table.arms.items() for name in (label, arm.variant)]
        raise UsageError(
            f"--against: expected an arm of {table.name!r} or a variant, got {word!r}; "
            f"{nearest(word, {*arms, *registry.VARIANTS})}"
        )
    check_kind(row, table)
    return row


def own_row(
    name: str, table: Table, tables: Sequence[Table], recipe: str, records: Sequence[Record]
) -> tuple[LabelledArm, str | None]:
    """What is compared, and the name of the stored trials where it is not trained."""
    row = arm_anywhere(name, table, tables)
    if row is None and registry.is_known(name):
        row = row_of(name, recipe)
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


def row_of(name: str, recipe: str) -> LabelledArm:
    """A method of the registry or of a user's, with the state of its code in its variant's name."""
    method = registry.variant(name, recipe)
    label, code = name.rpartition(":")[2], identity.code_digest(method)
    note = f"{name}, code {code}" if code else name if name != label else ""
    return LabelledArm(label, Arm(method=method, variant=folder_safe(identity.with_code(label, method)), note=note))


def check_kind(row: LabelledArm, table: Table) -> None:
    """Refuses a method that starts from photographs where there are captions, and the other way round."""
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
        record: What is stored.
    """

    record: Record

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredTrial) and self.record.trial_id == other.record.trial_id

    def __hash__(self) -> int:
        return hash(self.record.trial_id)

    def identity(self) -> dict[str, Any]:
        """As it is stored."""
        return self.record.identity

    @functools.cached_property
    def id(self) -> str:
        """As it is stored."""
        return self.record.trial_id


def expand(
    chosen: Comparison,
    budget: Budget,
    seeds: Iterable[int] | None,
    conditions: Sequence[str],
    records: Sequence[Record],
) -> tuple[list[Trial], list[TrialSlot]]:
    """The trials of a study that meet all conditions, and their places; what is known by its record is among them.

    Raises:
        UsageError: Conditions that nothing meets; stored trials of other tasks or of another budget.
    """
    trials, cells = chosen.suite.expand(budget, seeds)
    if chosen.stored is not None:
        cells = [cell for cell in cells if cell.arm != chosen.mine]
        ids = {cell.trial_id for cell in cells}
        theirs, places = stored_trials(chosen, budget, cells, records)
        trials, cells = [*theirs, *(trial for trial in trials if trial.id in ids)], [*places, *cells]
    return overrides.only(trials, cells, conditions)


def stored_trials(
    chosen: Comparison, budget: Budget, cells: Sequence[TrialSlot], records: Sequence[Record]
) -> tuple[list[StoredTrial], list[TrialSlot]]:
    """What is stored under the method's name, with places: of tasks of the study, where the baseline has one too."""
    mine = [record for record in records if record.variant == chosen.stored]
    trials, found = {}, []
    for table in chosen.suite.tables_at(budget):
        tasks = {task.cluster: sized(task, budget) for task in table.tasks}
        method = table.arms[table.baseline].method
        for cell in [cell for cell in cells if cell.table == table.name]:
            task = tasks[cell.cluster]
            wanted = (cell.cluster, cell.seed, budget.name, describe(task))
            for record in mine:
                if (record.cluster, record.seed, record.budget, record.identity.get("task")) == wanted:
                    found.append(TrialSlot(table.name, chosen.mine, record.trial_id, record.cluster, record.seed))
                    trials[record.trial_id] = StoredTrial(
                        task=task, method=method, budget=budget, seed=record.seed, variant=record.variant, record=record
                    )
    if not found:
        budgets = ", ".join(sorted({record.budget for record in mine}))
        raise UsageError(
            f"compare {chosen.stored}: expected stored trials on tasks of {chosen.suite.name.rpartition(' on ')[2]} at "
            f"{budget.name}, got {len(mine)} of others (budget {budgets}); choose --suite, --budget and --seeds as "
            "they were made with"
        )
    return list(trials.values()), found
