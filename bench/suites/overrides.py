"""Changes a suite as the options `--set` and `--only` say.

`--set HEAD.FIELD=VALUE`: the head is a variant (`nerf`), a method's type (`dream_fields`), `task` or `budget`. The text
of the value is read as the field's type says. The result is a new variant or budget whose name holds the change, so
that its trials are never taken for others.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from flax import linen

from bench import import_paths
from bench.errors import UsageError, nearest
from bench.suites import identity
from bench.suites.option_syntax import parse_condition, parse_setting, split_known_names
from bench.suites.suite import Arm, Placement, Suite, Table, base_name
from bench.suites.variant_names import folder_safe, snake, without_paths
from tasks.budgets import Budget
from tasks.captions import unlisted

T = typing.TypeVar("T")

ABSENT = object()
"""Stands for a field that a method does not have; None is a value of many."""

LARGEST_INT = 2**31 - 1
"""Largest whole number of a field: sizes of arrays and counts of steps are 32 bits wide."""


def apply(suite: Suite, budget: Budget, settings: Sequence[str]) -> tuple[Suite, Budget]:
    """Carry out `--set` on a suite and a budget; return the changed ones.

    Raises:
        UsageError: A head, field or value does not fit; the message names the nearest.
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
    """Change a field of a table's tasks; arms that set the field themselves keep their value.

    Raises:
        UsageError: The field does not fit, or tasks that differed become one: their trials would share a place.
    """
    if field in ("scene", "caption"):
        raise UsageError(
            f"--set {setting}: expected a setting, got which {field} it is, and all rows would be of one; choose with "
            f"--only {field}={text}, or name folders of your own photographs with --scenes FOLDER"
        )
    tasks = tuple(with_field(task, field, text, setting) for task in table.tasks)
    return dataclasses.replace(table, tasks=tuple(dict.fromkeys(tasks)))


def _with_method_field(tables: tuple[Table, ...], head: str, field: str, text: str, setting: str) -> tuple[Table, ...]:
    """Change a field in every arm of a variant or of a method's type.

    Arms of one method may have different networks: where some have the field of a network, those without it stay.
    """
    every_arm = [arm for table in tables for arm in table.arms.values()]
    heads = {name for arm in every_arm for name in heads_of(arm)}
    is_somewhere = any(head in heads_of(arm) and field_value(arm.method, field) is not ABSENT for arm in every_arm)
    if head not in heads:
        known = sorted(heads | {"task", "budget"})
        raise UsageError(f"--set {setting}: expected one of {', '.join(known)}, got {head!r}; {nearest(head, known)}")
    changed_tables = []
    for table in tables:
        arms = {}
        for name, arm in table.arms.items():
            is_without = is_somewhere and field_value(arm.method, field) is ABSENT
            if head in heads_of(arm) and not is_without:
                method = with_field(arm.method, field, text, setting)
                changes = arm.changes
                if arm.variant == head and name != table.baseline:
                    changes = (*changes, f"method.{field}")
                variant = identity.with_code(f"{arm.variant}+{field}={text}", method)
                variant = without_paths(folder_safe(variant), method.encoders)
                arm = dataclasses.replace(arm, method=method, variant=variant, changes=changes)
            arms[name] = arm
        baseline_changed = not identity.same(arms[table.baseline].method, table.arms[table.baseline].method)
        if baseline_changed:  # the user asked for it, so the others may now differ from it in this field
            for name, arm in arms.items():
                arms[name] = dataclasses.replace(arm, changes=(*arm.changes, f"method.{field}"))
        changed_tables.append(dataclasses.replace(table, arms=arms))
    return tuple(changed_tables)


def heads_of(arm: Arm) -> tuple[str, str]:
    """Return two heads by which `--set` may name an arm: its variant before changes, and its method's type."""
    return arm.variant.split("+")[0], snake(type(arm.method).__name__)


def field_value(value: Any, path: str) -> Any:
    """Return a field by its dotted path; `ABSENT` where there is none."""
    for name in path.split("."):
        if not dataclasses.is_dataclass(value) or name not in {field.name for field in dataclasses.fields(value)}:
            return ABSENT
        value = getattr(value, name)
    return value


def with_field(value: T, path: str, text: str, setting: str) -> T:
    """Return a copy of a dataclass with one field read from text.

    Args:
        value: The dataclass.
        path: Dotted path of the field.
        text: The field's new value.
        setting: The user's whole setting, for messages.

    Raises:
        UsageError: There is no such field, or the text does not fit its type.
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
    """Read text as a field's type: a number, a word, None, a tuple with commas, or `module:object`."""
    origin = typing.get_origin(kind)
    choices = typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if text == "None" and type(None) in choices:
            return None
        others = [choice for choice in choices if choice is not type(None)]
        if len(others) == 1:  # its own message says what it takes
            return typed(text, others[0], setting)
        for choice in others:
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
            number = kind(float(text)) if kind is float or float(text).is_integer() else int(text)
        except (ValueError, OverflowError):
            number = None
        if kind is float and number is not None:
            return number
        if number is not None and abs(number) <= LARGEST_INT:
            return number
    elif kind is str:
        return text
    elif ":" in text and (kind in (Any, Callable) or origin is Callable):
        return import_paths.import_plugin(text)
    elif isinstance(kind, type) and issubclass(kind, linen.Module) and ":" in text:
        return make_network(text)
    name = getattr(kind, "__name__", str(kind))
    raise UsageError(f"--set {setting}: expected {name}, got {text!r}")


def make_network(reference: str) -> linen.Module:
    """Make the network that a user names by `module:object`: a linen module, or a class of one with defaults.

    Raises:
        UsageError: There is none, it cannot be made, or it is no network.
    """
    found = import_paths.make_object(reference)
    if not isinstance(found, linen.Module):
        raise UsageError(f"{reference}: expected a flax.linen.Module, got {type(found).__name__}; see models/fields")
    return found


def only(placements: Sequence[Placement], conditions: Sequence[str]) -> list[Placement]:
    """Select the placements that meet every condition, such as `scene=kettle,rook` for one of the two.

    Nothing is asked of the data of trials that are left out.

    Raises:
        UsageError: A key or value is unknown, and the nearest is named; or no trial meets all conditions.
    """
    kept = list(placements)
    for condition in conditions:
        key, text = parse_condition(condition)
        if key == "caption":
            unlisted.check_listed(placement.trial.task for placement in placements)
        known = {_value(key, placement) for placement in placements}
        wanted: set[str] = set()
        for word in split_known_names(text, known):
            meant = {value for value in known if is_derived(value, word)} if key == "variant" else known & {word}
            if not meant:
                refuse_value(condition, key, word, known)
            wanted |= meant
        kept = [placement for placement in kept if _value(key, placement) in wanted]
    if conditions and not kept:
        raise UsageError(
            f"--only {' --only '.join(conditions)}: expected conditions that some trial meets together, got none; "
            "for one or the other write --only KEY=A,B"
        )
    return kept


def is_derived(variant: str, word: str) -> bool:
    """Tell whether a word names a variant, or one that it was derived from by a setting or for a scene's world.

    Example:
        >>> is_derived("nerf+num_rays=64+world=unbounded", "nerf")
        True
        >>> is_derived("nerf+num_rays=64+world=unbounded", "nerf+world=unbounded"), is_derived("nerf_2021", "nerf")
        (True, False)
    """
    base, *marks = variant.split("+")
    wanted_base, *wanted_marks = word.split("+")
    return base == wanted_base and set(wanted_marks) <= set(marks)


def refuse_value(condition: str, key: str, word: str, known: Iterable[str]) -> NoReturn:
    """Refuse a value of `--only` that no trial has.

    Raises:
        UsageError: Always; the nearest value is named.
    """
    article = "an" if key == "arm" else "a"
    own = "; folders of your own are named with --scenes" if key == "scene" else ""
    raise UsageError(
        f"--only {condition}: expected {article} {key} of the suite, got {word!r}; {nearest(word, set(known))}{own}"
    )


def with_tables_of(suite: Suite, budget: Budget, conditions: Sequence[str]) -> Suite:
    """Remove the tables that conditions such as `table=regularizers` leave out.

    Tables that nobody chose are then never expanded, which for a table of scenes needs the renderer. Unknown names are
    ignored here; `only` refuses them.
    """
    kept = suite.tables_at(budget)
    for condition in conditions:
        key, _, text = condition.partition("=")
        names = {table.name for table in kept}
        wanted = split_known_names(text, names)
        if key == "table" and names.issuperset(wanted):
            kept = tuple(table for table in kept if table.name in wanted)
    return dataclasses.replace(suite, tables={**suite.tables, base_name(budget): kept})


def _value(key: str, placement: Placement) -> str:
    """Return a placement's value for a key of `--only`."""
    trial = placement.trial
    return {
        "scene": trial.task.cluster,
        "caption": trial.task.cluster,
        "arm": placement.arm,
        "variant": trial.variant,
        "table": placement.table,
        "seed": str(trial.seed),
    }[key]
