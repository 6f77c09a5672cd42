"""Says in which fields two values differ, in words that fit into a table: names of types, never digests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from bench.suites.identity import describe


class Leaf(NamedTuple):
    """A field of a described value.

    Attributes:
        exact: As text; equal for two fields only if they hold the same.
        readable: As a table shows it: a plain value, or the name of a type or function.
        long: The same where two that differ would read alike: with module, code or version.
    """

    exact: str
    readable: Any
    long: Any


def leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Leaf]:
    """List the fields of a described value by dotted names; a function or an array is one field."""
    found: dict[str, Leaf] = {}
    for name, value in tree.items():
        if name.startswith("@") and name != "@field:type":
            continue  # of its type, which stands above it
        place = prefix + name.removeprefix("@field:")
        if name == "type" and not prefix:
            found[place] = _type(tree)
        elif name == "type":
            continue
        elif isinstance(value, dict) and _is_one(value):
            found[place] = Leaf(_text(value), _short(value), _long(value))
        elif isinstance(value, dict):
            found[place] = _type(value)
            found |= leaves(value, f"{place}.")
        else:
            found[place] = Leaf(_text(value), _plain(value), _plain(value, is_long=True))
    return found


def flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields of a described value as a table shows them.

    Example:
        >>> flat({"type": "NeRF/1", "field": {"type": "MLP/1", "width": 64}})
        {'type': 'NeRF', 'field': 'MLP', 'field.width': 64}
    """
    return {name: leaf.readable for name, leaf in leaves(tree).items()}


def differing(tree: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Compare two described values: dotted name -> (one's, the other's) as tables show them; None where there is none.

    Example:
        >>> differing({"type": "a:Net"}, {"type": "b:Net"})
        {'type': ('Net (a)', 'Net (b)')}
    """
    left = leaves(tree)
    right = leaves(other)
    nothing = Leaf("", None, None)
    found = {}
    for name in dict.fromkeys([*right, *left]):
        one = left.get(name, nothing)
        two = right.get(name, nothing)
        if one.exact != two.exact:
            is_alike = one.readable == two.readable
            found[name] = (one.long, two.long) if is_alike else (one.readable, two.readable)
    return found


def differences(value: Any, other: Any, *, of_both: bool = False) -> dict[str, tuple[Any, Any]]:
    """Compare two dataclasses: dotted name -> (value's, other's); None where one lacks the field.

    Args:
        value: One of them.
        other: The one that it is set against.
        of_both: Leave out what one of them lacks: another type, which is a difference too, says so.
    """
    left = describe(value)
    right = describe(other)
    found = differing(left, right)
    if of_both:
        shared = leaves(left).keys() & leaves(right).keys()
        found = {name: pair for name, pair in found.items() if name in shared}
    return found


def _is_one(value: Mapping[str, Any]) -> bool:
    """Tell whether a described value is a single field: a function, an array, a set."""
    return "type" not in value and any(name.startswith("@") for name in value)


def _type(tree: Mapping[str, Any]) -> Leaf:
    """Make a field of the type of a described value, with its code; of None for a mapping, which has no type."""
    own = {name: value for name, value in tree.items() if name == "type" or name.startswith("@")}
    if "type" not in tree:
        return Leaf("", None, None)
    return Leaf(_text(own), _name(tree["type"]), _long(tree))


def _name(tag: str) -> str:
    """Take the last part of a tag: `NeRF` of `NeRF/1`, `Net` of `my_pkg.field:Net`."""
    return tag.rpartition("/")[0] if "/" in tag else tag.rpartition(":")[2].rpartition(".<locals>.")[2]


def _short(value: Mapping[str, Any]) -> str:
    """Show a function by its name, anything else by what kind it is."""
    if "@callable" in value:
        name = _name(str(value["@callable"]))
        inner = value.get("function")
        return f"{name} of {_short(inner)}" if isinstance(inner, dict) else name
    if "@class" in value:
        return _name(value["@class"])
    if "@set" in value:
        return "{" + ", ".join(str(_plain(each)) for each in value["@set"]) + "}"
    if "@array" in value:
        return f"array {value['@array']}"
    return ", ".join(str(each) for name, each in value.items() if name not in ("@code", "@module"))


def _long(value: Mapping[str, Any]) -> str:
    """Show it by its name and module."""
    tag = str(value.get("type", value.get("@callable", value.get("@class", ""))))
    module = tag.rpartition(":")[0]
    short = _name(tag) if "type" in value else _short(value)
    if module:
        return f"{short} ({module})"
    return tag or short


def _plain(value: Any, is_long: bool = False) -> Any:
    """Show a plain value as it is; within lists, described values by their names."""
    if isinstance(value, list):
        return [_plain(each, is_long) for each in value]
    if isinstance(value, dict):
        return _long(value) if is_long else _name(value["type"]) if "type" in value else _short(value)
    return value


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
