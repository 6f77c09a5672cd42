"""Tells where `--set` changed some arms of a table, and not others that have the same field: an unequal comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

from bench.suites.option_syntax import parse_setting
from bench.suites.overrides import heads_of
from bench.suites.suite import Arm, Table

ABSENT = object()
"""Stands for a field that a method does not have; None is a value of many."""


def describe_uneven_settings(table: Table, arms: Collection[str], settings: Sequence[str]) -> list[str]:
    """Say in a line a setting which arms it left as they were, though they have the field; none for `task`, `budget`.

    Args:
        table: With the settings carried out.
        arms: Names of its arms that were chosen.
        settings: As `--set` has them.
    """
    lines = []
    chosen = {name: arm for name, arm in table.arms.items() if name in arms}
    for setting in settings:
        head, field, text = parse_setting(setting)
        changed = [name for name, arm in chosen.items() if head in heads_of(arm)]
        if not changed:
            continue
        value = field_value(chosen[changed[0]].method, field)
        others = {name: arm for name, arm in chosen.items() if name not in changed and has_another(arm, field, value)}
        if others:
            heads = dict.fromkeys(heads_of(arm)[1] for arm in others.values())
            more = " ".join(f"--set {other}.{field}={text}" for other in heads)
            lines.append(
                f"--set {setting} changes {' · '.join(changed)}, not {' · '.join(others)}, which have {field} too: "
                f"they are not compared at equal {field}; {more} changes those as well"
            )
    return lines


def has_another(arm: Arm, field: str, value: Any) -> bool:
    """Tell whether an arm's method has a field, with another value."""
    own = field_value(arm.method, field)
    return own is not ABSENT and own != value


def field_value(value: Any, path: str) -> Any:
    """Return a field by its dotted path; `ABSENT` where there is none."""
    for name in path.split("."):
        if not dataclasses.is_dataclass(value) or name not in {field.name for field in dataclasses.fields(value)}:
            return ABSENT
        value = getattr(value, name)
    return value
