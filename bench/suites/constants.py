"""Tells what the names of a user's module stand for, where its source alone does not say it.

A module may take a number from a file, a function from an environment variable, or define a function in one of two
ways: two trainings then have the same source and compute other things. Such values are written down as they stand at
the import. What a function reads when it is called (an environment variable, a file) cannot be seen.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders whose modules are neighbours without knowing each other."""

MAX_DEPTH = 8
"""Of containers in containers."""

MAX_LENGTH = 10_000
"""Of a container; a longer one is data."""

MUTATORS = frozenset({"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove",
                      "setdefault", "update"})  # fmt: skip
"""Methods by which a function gathers into a module's container, such as a cache."""


def is_installed(path: pathlib.Path) -> bool:
    """Tell whether a file belongs to an installed package."""
    return bool(INSTALLED & set(path.parts))


def names_in(tree: ast.Module) -> frozenset[str]:
    """Collect the names whose values count: that a module assigns, or defines in one of two ways, and a function reads.

    Names that some function changes are left out: they are no constants.
    """
    read: set[str] = set()
    changed: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            changed.update(node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            names = [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]
            read.update(inner.id for inner in names if isinstance(inner.ctx, ast.Load))
            changed.update(_gathered(node))
    return frozenset((set(_assigned(tree)) & read) - changed)


def _assigned(tree: ast.Module) -> Iterator[str]:
    """Yield names that are assigned anywhere, and functions, classes and imports that stand under a condition."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.If | ast.Try | ast.For | ast.While | ast.With | ast.Match):
            for inner in ast.walk(node):
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    yield inner.name
                elif isinstance(inner, ast.Import | ast.ImportFrom):
                    yield from (alias.asname or alias.name.split(".")[0] for alias in inner.names)


def _gathered(function: ast.AST) -> Iterator[str]:
    """Yield names that a function puts something into."""
    for node in ast.walk(function):
        held: ast.AST | None = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            held = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            held = node.func.value
        if isinstance(held, ast.Name):
            yield held.id


def tell_constant(value: Any, depth: int = 0) -> Any:
    """Write a value down as plain text and tuples; None for what cannot be told.

    Example:
        >>> tell_constant({"gain": -1.0, "act": len}), tell_constant(object()) is None
        (('mapping', (("'gain'", -1.0), ("'act'", ('named', 'builtins:len')))), True)
    """
    if depth > MAX_DEPTH:
        return None
    if isinstance(value, str):
        return None if _is_place(value) else repr(value)
    if isinstance(value, bool | int | float | complex | bytes):
        return value
    if isinstance(value, Mapping):
        return _mapping(value, depth)
    if isinstance(value, tuple | list | set | frozenset):
        return _sequence(value, depth)
    if isinstance(value, np.ndarray | np.generic) or _is_jax_array(value):
        return _array(value)
    if isinstance(value, ModuleType):
        return "module", value.__name__, _digest(getattr(value, "__file__", None))
    if isinstance(value, functools.partial):
        parts = (value.func, value.args, value.keywords)
        return "partial", *(tell_constant(part, depth + 1) for part in parts)
    return _named(value)


def is_plain(value: Any) -> bool:
    """Tell whether a value is a number or a word, or a tuple of such; a path is not, it differs between machines."""
    if isinstance(value, tuple):
        return all(is_plain(each) for each in value)
    if isinstance(value, str):
        return not _is_place(value)
    return isinstance(value, bool | int | float | complex)


def _is_place(text: str) -> bool:
    """Tell whether a text is a place on this machine, which is another one elsewhere."""
    return os.path.isabs(text) or text.startswith("~") or "\\" in text


def _mapping(value: Mapping[Any, Any], depth: int) -> Any:
    if len(value) > MAX_LENGTH:
        return None
    pairs = [(tell_constant(name, depth + 1), tell_constant(held, depth + 1)) for name, held in value.items()]
    return "mapping", tuple(pairs)


def _sequence(value: Any, depth: int) -> Any:
    if len(value) > MAX_LENGTH:
        return None
    items = [tell_constant(each, depth + 1) for each in value]
    is_ordered = isinstance(value, tuple | list)
    return type(value).__name__, tuple(items if is_ordered else sorted(items, key=repr))


def _is_jax_array(value: Any) -> bool:
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer)


def _array(value: Any) -> Any:
    """Write an array down by type, shape and bytes; None for one of objects or of random keys."""
    try:
        array = np.asarray(value)
    except TypeError:  # random keys
        return None
    if array.dtype.hasobject:
        return None
    content = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
    return "array", str(array.dtype), array.shape, content


def _named(value: Any) -> Any:
    """Write a function or class down by its name, the line of a function, and the bytes of the file it stands in."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    found = ("named", f"{module}:{name}")
    if isinstance(value, FunctionType):
        file = value.__code__.co_filename
        if os.path.isfile(file) and not is_installed(pathlib.Path(file)):
            return *found, value.__code__.co_firstlineno, _digest(file)
    return found


def _digest(file: str | None) -> str | None:
    """Digest a file of Python; None where there is none, or where it is installed: its package has a version."""
    if file is None or not file.endswith(".py") or is_installed(pathlib.Path(file)):
        return None
    try:
        return hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest()[:16]
    except OSError:
        return None
