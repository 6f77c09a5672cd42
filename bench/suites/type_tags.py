"""Names types: ours by registered name and version, others by module and name, a user's by its code besides."""

from __future__ import annotations

import sys
from typing import Any

from bench.errors import UsageError
from bench.suites import callables, code_version, constants
from bench.suites.callables import ValueDescriber
from bench.suites.registered_types import registered

GENERATED = frozenset({
    "__init__", "__new__", "__repr__", "__eq__", "__hash__", "__lt__", "__le__", "__gt__", "__ge__", "__setattr__",
    "__delattr__", "__replace__", "__getnewargs__", "__match_args__", "_replace", "_make", "_asdict",
})  # fmt: skip
"""Functions that dataclasses and named tuples write themselves, from what the source says."""

NOT_OF_THE_BODY = GENERATED | frozenset({
    "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__dataclass_fields__",
    "__dataclass_params__", "__slots__", "__firstlineno__", "__static_attributes__", "__annotate__",
    "__orig_bases__", "__annotate_func__", "__annotations_cache__", "__parameters__", "__abstractmethods__",
    "_abc_impl", "_field_defaults", "__classcell__",
    "parent", "name", "scope", "_state", "_parent_ref", "_compact_name_scope_methods",
})  # fmt: skip
"""What lies on a class and is no part of what it computes, flax's own among it."""


def tag(kind: type, where: str) -> str:
    """Name a type: `NeRF/1` for one of ours, `module:Class` for another.

    Raises:
        UsageError: One of ours that is not registered.
    """
    ours = registered(kind)
    return str(ours) if ours is not None else f"{kind.__module__}:{kind.__qualname__}"


def code(kind: type, where: str, describer: ValueDescriber) -> dict[str, Any]:
    """Tell the code of a type: nothing for ours and a library's, digest, bases and body for what a user wrote.

    A class that cannot be found under its name, because a function made it, is told by its body too: the function
    may have made others of that name.

    Raises:
        UsageError: A user's class whose source cannot be read.
    """
    whose = code_version.code_owner(kind.__module__)
    is_named = callables.is_found(kind, kind.__module__, kind.__qualname__)
    if whose == "ours" or (whose == "library" and is_named):
        return {}
    found: dict[str, Any] = {}
    if whose == "user":
        found |= {"@module": kind.__module__, "@code": code_of_class(kind, where), "@lines": _lines(kind, where)}
        if constants := _constants(kind):
            found["@constants"] = constants
    bases = [_base(base, where) for base in kind.__mro__[1:] if _counts(base)]
    if bases:
        found["@bases"] = bases
    if not is_named:
        found["@body"] = {
            name: describer.tell(_unbound(held), f"{where}.{name}")
            for name, held in sorted(vars(kind).items())
            if name not in NOT_OF_THE_BODY
        }
    return found


def code_of_class(kind: type, where: str) -> str:
    """Digest the source of a user's class.

    Raises:
        UsageError: It cannot be read.
    """
    found = code_version.code_of(kind.__module__)
    if found is None:
        raise UsageError(
            f"{where}: expected a class whose source can be read, got {kind.__qualname__} of {kind.__module__!r}, "
            "which has no file of Python; write it to a .py file and import it"
        )
    return found


def _counts(base: type) -> bool:
    """Tell whether a base is a part of what a class computes that no library's name covers."""
    return code_version.code_owner(base.__module__) != "library"


def _base(base: type, where: str) -> str:
    """Tag a base, with the digest of a user's code."""
    is_users = code_version.code_owner(base.__module__) == "user"
    return f"{tag(base, where)}#{code_of_class(base, where)}" if is_users else tag(base, where)


def _unbound(held: Any) -> Any:
    """Unwrap what a class holds to the function inside, where it is one."""
    if isinstance(held, staticmethod | classmethod):
        return held.__func__
    if isinstance(held, property):
        return (held.fget, held.fset, held.fdel)
    return held


def _lines(kind: type, where: str) -> list[int]:
    """List the first lines of a class's functions: two classes of one name in one file differ in them.

    Raises:
        UsageError: A function of it was made of text by `exec`, which no file holds.
    """
    found = []
    for name, held in vars(kind).items():
        function = callables.innermost(_unbound(held))
        if name in NOT_OF_THE_BODY or function is None or function.__module__ != kind.__module__:
            continue
        if function.__code__.co_filename.startswith("<"):
            raise UsageError(
                f"{where}: expected a class whose source can be read, got {kind.__qualname__}, whose `{name}` comes "
                f"from {function.__code__.co_filename}; write it to a .py file and import it"
            )
        found.append(function.__code__.co_firstlineno)
    return sorted(found)


def _constants(kind: type) -> dict[str, str]:
    """Collect numbers and words of a user's class body as they stand now: the environment may have set one."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if code_version.code_owner(base.__module__) == "user" and base.__module__ in sys.modules:
            plain = {name: held for name, held in vars(base).items() if constants.is_plain(held)}
            found |= {name: repr(held) for name, held in plain.items() if name not in NOT_OF_THE_BODY}
    return found
