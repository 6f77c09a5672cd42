"""How `--set`, `--only` and `--seeds` change a suite: typed by the fields they name.

`--set HEAD.FIELD=VALUE`: the head is a variant (`nerf`), a method's type (`dream_fields`), `task` or `budget`. The
result is a new variant or budget whose name says what was changed, so that its trials are never mistaken.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flax import linen

from bench import import_paths
from bench.errors import UsageError, nearest
from bench.suites import identity
from bench.suites.option_syntax import parse_condition, parse_setting
from bench.suites.suite import Arm, Suite, Table, TrialSlot, base_name, snake
from bench.suites.trial import Trial
from tasks.budgets import Budget

T = typing.TypeVar("T")


def apply(suite: Suite, budget: Budget, settings: Sequence[str]) -> tuple[Suite, Budget]:
    """A suite and a budget with `--set` carried out.

    Raises:
        UsageError: A head, field or value that does not fit; names the nearest.
    """
    if not settings:
        return suite, budget
    tables = suite.tables_at(budget)
    for setting in settings:
        head, field, text = parse_setting(setting)
        if head == "budget":
            changed = with_field(budget, field, text, setting)
            budget = dataclasses.replace(changed, name=f"{budget.name}+{field}={text}")
        elif head == "task":
            tables = tuple(_with_task_field(table, field, text, setting) for table in tables)
        else:
            tables = _with_method_field(tables, head, field, text, setting)
    return dataclasses.replace(suite, tables={**suite.tables, base_name(budget): tables}), budget


def _with_task_field(table: Table, field: str, text: str, setting: str) -> Table:
    """A table whose tasks have a field changed; arms that set the field themselves keep theirs."""
    return dataclasses.replace(table, tasks=tuple(with_field(task, field, text, setting) for task in table.tasks))


def _with_method_field(tables: tuple[Table, ...], head: str, field: str, text: str, setting: str) -> tuple[Table, ...]:
    """Tables in which every arm of a variant or of a method's type has a field changed."""
    heads = {name for table in tables for arm in table.arms.values() for name in heads_of(arm)}
    if head not in heads:
        known = sorted(heads | {"task", "budget"})
        raise UsageError(f"--set {setting}: expected one of {', '.join(known)}, got {head!r}; {nearest(head, known)}")
    changed_tables = []
    for table in tables:
        arms = {}
        for name, arm in table.arms.items():
            if head in heads_of(arm):
                method = with_field(arm.method, field, text, setting)
                changes = (
                    (*arm.changes, f"method.{field}") if arm.variant == head and name != table.baseline else arm.changes
                )
                variant = identity.with_code(f"{arm.variant}+{field}={text}", method)
                arm = dataclasses.replace(arm, method=method, variant=folder_safe(variant), changes=changes)
            arms[name] = arm
        baseline_changed = not identity.same(arms[table.baseline].method, table.arms[table.baseline].method)
        if baseline_changed:  # the others now differ from it in this field, and were told to
            arms = {k: dataclasses.replace(a, changes=(*a.changes, f"method.{field}")) for k, a in arms.items()}
        changed_tables.append(dataclasses.replace(table, arms=arms))
    return tuple(changed_tables)


def heads_of(arm: Arm) -> tuple[str, str]:
    """What `--set` may call an arm: its variant, without earlier changes, and its method's type."""
    return arm.variant.split("+")[0], snake(type(arm.method).__name__)


def folder_safe(text: str) -> str:
    """Text that may stand in a folder's name."""
    return re.sub(r"[^A-Za-z0-9_.+=-]", "-", text)


def with_field(value: T, path: str, text: str, setting: str) -> T:
    """A dataclass with one field, given by its dotted path, read from text.

    Raises:
        UsageError: No such field, or the text does not fit its type.
    """
    name, dot, rest = path.partition(".")
    fields = {f.name: f for f in dataclasses.fields(value) if f.name not in ("parent", "name")}  # type: ignore[arg-type]
    if name not in fields:
        raise UsageError(
            f"--set {setting}: expected a field of {type(value).__name__}, got {name!r}; {nearest(name, fields)}"
        )
    if dot:
        inner = getattr(value, name)
        if not dataclasses.is_dataclass(inner):
            raise UsageError(f"--set {setting}: {name} has no fields of its own; set {name} itself")
        new: Any = with_field(inner, rest, text, setting)
    else:
        new = typed(text, typing.get_type_hints(type(value)).get(name, str), setting)
    try:
        return dataclasses.replace(value, **{name: new})  # type: ignore[type-var]
    except (ValueError, TypeError) as error:
        raise UsageError(f"--set {setting}: {error}") from error


def typed(text: str, kind: Any, setting: str) -> Any:
    """Text read as a field's type: numbers, words, None, one of a few words, tuples with commas, `module:object`."""
    origin, choices = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if text == "None" and type(None) in choices:
            return None
        for choice in (c for c in choices if c is not type(None)):
            try:
                return typed(text, choice, setting)
            except UsageError:
                continue
    elif origin is typing.Literal:
        if text in choices:
            return text
        raise UsageError(
            f"--set {setting}: expected one of {', '.join(choices)}, got {text!r}; {nearest(text, choices)}"
        )
    elif origin is tuple:
        return tuple(typed(part, choices[0], setting) for part in text.split(",") if part)
    elif kind is bool and text in ("True", "true", "False", "false"):
        return text.lower() == "true"
    elif kind in (int, float):
        try:
            return kind(float(text)) if kind is float or float(text).is_integer() else int(text)
        except ValueError:
            pass
    elif kind is str:
        return text
    elif ":" in text and (kind in (Any, Callable) or origin is Callable):
        return import_paths.import_plugin(text)
    elif isinstance(kind, type) and issubclass(kind, linen.Module) and ":" in text:
        found = import_paths.import_plugin(text)
        return found() if isinstance(found, type) else found
    name = getattr(kind, "__name__", str(kind))
    raise UsageError(f"--set {setting}: expected {name}, got {text!r}")


def only(
    trials: Sequence[Trial], cells: Sequence[TrialSlot], conditions: Sequence[str]
) -> tuple[list[Trial], list[TrialSlot]]:
    """Trials and cells that meet every condition such as `scene=kettle,rook` (one of the two).

    Raises:
        UsageError: An unknown key or value, whose nearest is named; or nothing that meets all conditions.
    """
    by_id = {trial.id: trial for trial in trials}
    kept = list(cells)
    for condition in conditions:
        key, wanted = parse_condition(condition)
        values = {cell: _value(key, cell, by_id) for cell in cells}
        for word in wanted:
            if word not in values.values():
                raise UsageError(
                    f"--only {condition}: expected {'an' if key == 'arm' else 'a'} {key} of the suite, got {word!r}; "
                    f"{nearest(word, set(values.values()))}"
                )
        kept = [cell for cell in kept if values[cell] in wanted]
    if conditions and not kept:
        raise UsageError(
            f"--only {' --only '.join(conditions)}: expected conditions that some trial meets together, got none; "
            "for one or the other write --only KEY=A,B"
        )
    ids = {cell.trial_id for cell in kept}
    return [trial for trial in trials if trial.id in ids], kept


def with_tables_of(suite: Suite, budget: Budget, conditions: Sequence[str]) -> Suite:
    """The suite without the tables that conditions such as `table=regularizers` leave out.

    Nothing is asked of those then: a table of scenes needs to know what renders them. Unknown names are for `only`.
    """
    kept = suite.tables_at(budget)
    for condition in conditions:
        key, _, text = condition.partition("=")
        wanted = {word.strip() for word in text.split(",")}
        if key == "table" and wanted <= {table.name for table in kept}:
            kept = tuple(table for table in kept if table.name in wanted)
    return dataclasses.replace(suite, tables={**suite.tables, base_name(budget): kept})


def _value(key: str, cell: TrialSlot, by_id: Mapping[str, Trial]) -> str:
    """What a cell has for a key of `--only`."""
    trial = by_id[cell.trial_id]
    return {
        "scene": cell.cluster,
        "caption": cell.cluster,
        "arm": cell.arm,
        "variant": trial.variant,
        "table": cell.table,
        "seed": str(cell.seed),
    }[key]
