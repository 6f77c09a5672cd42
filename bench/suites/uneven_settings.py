"""Tells where `--set` changed some arms of a table, and not others that have the same field: an unequal comparison."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from bench.suites.option_syntax import parse_setting
from bench.suites.overrides import ABSENT, field_value, heads_of
from bench.suites.suite import Arm, Table


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
        named = {name: arm for name, arm in chosen.items() if head in heads_of(arm)}
        changed = [name for name, arm in named.items() if field_value(arm.method, field) is not ABSENT]
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
