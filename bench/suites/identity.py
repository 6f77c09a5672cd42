"""Tells what a value is, as JSON: the one answer that trials, packs, programs, tables and checks ask for.

`describe` writes a value down so that two values have one description only if they compute the same:

- a dataclass or linen module: `type` and its fields, but for those whose metadata says `{"identity": False}`;
- a type of this project: its registered name and version (`bench.suites.registered_types`), wherever its file lies;
- a type or function of a well-known library: its module and name;
- a user's type: also a digest of its source (`bench.suites.code_version`), and the tags of the types it is built on;
- functions: see `bench.suites.callables`; arrays, sets, enums and the like by what they hold.

What cannot be told apart is refused with a `UsageError`. Keys that begin with `@` are none of the value's own.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import json
import math
import pathlib
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from bench.errors import UsageError
from bench.suites import callables, code_version, type_tags

MAX_DEPTH = 60
"""Of values in values; a deeper one is most likely a chain that does not end."""

UNLESS_DEFAULT = "unless default"
"""In a field's metadata under "identity": the field counts unless it has its default. For fields that are added to a
type whose trials are stored already, and whose default computes what the type computed before."""

FLAX_OWN = frozenset({"parent", "name", "scope", "_state", "_parent_ref", "_id"})
"""What flax keeps on a module that is not its configuration."""


def describe(value: Any, where: str = "value") -> Any:
    """Describe a value as JSON; equal descriptions mean that the same is computed.

    Args:
        value: A method, a task, or anything that stands in a field of them.
        where: What the value is called in a message; fields follow with dots.

    Raises:
        UsageError: It holds something that cannot be told apart; the message names the field.
    """
    return Describer().tell(value, where)


def digest(tree: Any, num_digits: int = 8) -> str:
    """Hash a JSON value to hexadecimal digits."""
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:num_digits]


def same(value: Any, other: Any) -> bool:
    """Tell whether two values are interchangeable: of one description, and equal.

    Functions and arrays, which `==` does not compare by what they hold, are compared by their descriptions.
    """
    return _equal(value, other) and describe(value) == describe(other)


def code_digest(value: Any) -> str | None:
    """Digest all code of a user's that a value is made of; None where there is none of it."""
    found = sorted(set(_values_of("@code", describe(value, "method"))))
    return digest(found) if found else None


def user_modules(value: Any) -> list[str]:
    """Name the modules of a user's that a value's types and functions come from."""
    return sorted(set(_values_of("@module", describe(value, "method"))))


def with_code(variant: str, value: Any) -> str:
    """Name a variant by the state of a user's code in it: `MyField+code=72f5769e`; as it was where there is none.

    Every way in for a user's code names variants here, so that folders say which edit they hold.
    """
    code = code_digest(value)
    bare = "+".join(part for part in variant.split("+") if not part.startswith("code="))
    return bare if code is None else f"{bare}+code={code}"


class Static:
    """Make a value a part of a key: equal where `same` says so, and hashable whatever it holds."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.digest = digest(describe(value), 16)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and self.digest == other.digest and _equal(self.value, other.value)


class Describer:
    """Walk through one value, and remember what it is inside of, for values that hold themselves."""

    def __init__(self) -> None:
        self.inside: list[Any] = []

    def tell(self, value: Any, where: str) -> Any:
        """Describe a value that stands at a place."""
        if value is None or type(value) in (bool, int, str):
            return value
        if isinstance(value, float) and type(value) in (float, np.float64):
            return _number(float(value), where)
        places = [i for i, outer in enumerate(self.inside) if outer is value]
        if places:
            return {"@again": len(self.inside) - places[-1]}
        if len(self.inside) >= MAX_DEPTH:
            raise UsageError(f"{where}: expected values at most {MAX_DEPTH} deep, got more; make it flatter")
        self.inside.append(value)
        try:
            return self._told(value, where)
        finally:
            self.inside.pop()

    def _told(self, value: Any, where: str) -> Any:
        """Ask one kind after the other; the order counts, as a linen module may be callable too."""
        if isinstance(value, type):
            return {"@class": type_tags.tag(value, where), **type_tags.code(value, where, self)}
        if dataclasses.is_dataclass(value):
            return self._dataclass(value, where)
        if isinstance(value, enum.Enum):
            named = {"@enum": value.name, "value": self.tell(value.value, f"{where}.value")}
            return self._typed(value, where) | named
        found = self._container(value, where)
        if found is None:
            found = _array(value, where) or _constant(value)
        if found is None:
            found = callables.told(value, where, self)
        if found is None:
            raise UsageError(f"{where}: {_refusal(value)}")
        return found

    def _typed(self, value: Any, where: str) -> dict[str, Any]:
        kind = type(value)
        return {"type": type_tags.tag(kind, where), **type_tags.code(kind, where, self)}

    def _dataclass(self, value: Any, where: str) -> dict[str, Any]:
        """Describe type and fields, and what a user's `__post_init__` left beside the fields."""
        fields = dataclasses.fields(value)
        is_linen = _is_linen(value)
        found = self._typed(value, where)
        for field in fields:
            told_by = field.metadata.get("identity", True)
            if not told_by or (is_linen and field.name in FLAX_OWN):
                continue
            held = getattr(value, field.name, None)
            if told_by == UNLESS_DEFAULT and _equal(held, field.default):
                continue
            held = told_by(held) if callable(told_by) else held
            found[_key(field.name)] = self.tell(held, f"{where}.{field.name}")
        if code_version.code_owner(type(value).__module__) == "user":
            hidden = _hidden(value, {field.name for field in fields}, is_linen)
            told = {name: self.tell(held, f"{where}.{name}") for name, held in sorted(hidden.items())}
            found |= {"@hidden": told} if told else {}
        return found

    def _container(self, value: Any, where: str) -> Any:
        """Describe tuples, lists, mappings and sets; return None for anything else."""
        if type(value) in (tuple, list):
            return [self.tell(each, f"{where}[{i}]") for i, each in enumerate(value)]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            held = {_key(name): self.tell(getattr(value, name), f"{where}.{name}") for name in value._fields}
            return self._typed(value, where) | held
        if type(value) in (set, frozenset):
            told = [self.tell(each, f"{where}{{}}") for each in value]
            return {"@set": sorted(told, key=_text)}
        if isinstance(value, Mapping):
            return self._mapping(value, where)
        return None

    def _mapping(self, value: Mapping[Any, Any], where: str) -> dict[str, Any]:
        names = list(value)
        is_plain = all(type(name) is str and name != "type" and not name.startswith("@") for name in names)
        if is_plain and code_version.code_owner(type(value).__module__) == "library":
            found = {name: self.tell(value[name], f"{where}[{name!r}]") for name in names}
            # A hash of JSON sorts keys, but code may go through a mapping in its order.
            return found if names == sorted(names) else found | {"@order": names}
        pairs = [[self.tell(name, f"{where} key"), self.tell(value[name], f"{where}[{name!r}]")] for name in names]
        return self._typed(value, where) | {"@mapping": pairs}


def _is_linen(value: Any) -> bool:
    """Tell whether a value is a module of flax, without importing flax where nobody else has."""
    linen = sys.modules.get("flax.linen")
    return linen is not None and isinstance(value, linen.Module)


def _key(name: str) -> str:
    """Choose a field's key; one that is called `type` must not stand for the value's own."""
    return "@field:type" if name == "type" else name


def _text(tree: Any) -> str:
    return json.dumps(tree, sort_keys=True)


def _number(value: float, where: str) -> float:
    if not math.isfinite(value):
        raise UsageError(f"{where}: expected a finite number, got {value}; leave the field out or write a large number")
    return value


def _hidden(value: Any, names: set[str], is_linen: bool) -> dict[str, Any]:
    """Collect attributes of an instance that are no fields and were not computed from them."""
    kept = {}
    slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
    held_in_slots = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    for name, held in (held_in_slots | getattr(value, "__dict__", {})).items():
        if name in names or (is_linen and name in FLAX_OWN):
            continue
        if not any(isinstance(vars(kind).get(name), functools.cached_property) for kind in type(value).__mro__):
            kept[name] = held
    return kept


def _slots(kind: type) -> tuple[str, ...]:
    """List the names that a class keeps in slots."""
    slots = vars(kind).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


def _array(value: Any, where: str) -> dict[str, Any] | None:
    """Describe arrays and their scalars by type, shape and bytes; return None for anything else."""
    jax = sys.modules.get("jax")
    weak: dict[str, Any] = {}
    if jax is not None and isinstance(value, jax.Array):
        if isinstance(value, jax.core.Tracer):
            raise UsageError(f"{where}: expected a value, got one that JAX is tracing; make it outside of `jit`")
        if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
            told = _array(jax.random.key_data(value), where) or {}
            return told | {"@key": str(jax.random.key_impl(value))}
        weak = {"@weak": True} if getattr(value, "weak_type", False) else {}
        value = np.asarray(value)
    if not isinstance(value, np.ndarray | np.generic):
        return None
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise UsageError(f"{where}: expected an array of numbers, got one of Python objects; give it a type")
    content = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
    return {"@array": f"{array.dtype}{list(array.shape)}", "content": content} | weak


def _constant(value: Any) -> dict[str, Any] | None:
    """Describe values of the language that are no containers; return None for anything else."""
    if isinstance(value, np.dtype):
        return {"@dtype": str(value)}
    if type(value) in (bytes, bytearray):
        return {"@bytes": hashlib.sha256(value).hexdigest()[:16]}
    if type(value) in (complex, range, slice) or value is Ellipsis or value is NotImplemented:
        return {"@constant": repr(value)}
    if isinstance(value, ModuleType):
        name = value.__name__
        is_users = code_version.code_owner(name) == "user"
        return {"@import": name} | ({"@module": name, "@code": code_version.code_of(name)} if is_users else {})
    return None


def _refusal(value: Any) -> str:
    """Say why a value cannot stand in an identity, and what to do."""
    if isinstance(value, pathlib.PurePath):
        return (
            "expected what the file holds, got a path, which is another one on another machine; read it in `prepare`, "
            'or leave the field out with metadata={"identity": False} and give a hash of the file in another'
        )
    kind = type(value)
    return (
        "expected a dataclass, a linen module, a function or plain values, got an object of "
        f"{kind.__module__}:{kind.__qualname__}, whose state cannot be told; make its class a frozen dataclass, or put "
        "it into a function"
    )


def _values_of(key: str, tree: Any) -> Iterator[Any]:
    """Yield all that a description holds under a key, at any depth."""
    if isinstance(tree, dict):
        if key in tree:
            yield tree[key]
        for inner in tree.values():
            yield from _values_of(key, inner)
    elif isinstance(tree, list):
        for inner in tree:
            yield from _values_of(key, inner)


def _equal(value: Any, other: Any) -> bool:
    """Compare by `==` through fields and containers; what it compares by place is left to the description."""
    if value is other:
        return True
    if type(value) is not type(other):
        return False
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.compare]
        names = [name for name in names if not (_is_linen(value) and name in FLAX_OWN)]
        return all(_equal(getattr(value, name, None), getattr(other, name, None)) for name in names)
    if isinstance(value, tuple | list):
        return len(value) == len(other) and all(map(_equal, value, other))
    if isinstance(value, Mapping):
        return list(value) == list(other) and all(_equal(value[name], other[name]) for name in value)
    if callable(value) or hasattr(value, "__array__"):
        return True
    return bool(value == other)
