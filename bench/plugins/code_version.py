"""Decides when a method of a user's own is another one than before: when a file that it is written in has changed.

A trial's identity holds names and fields, not code: it would call a network the same after its layers were rewritten.
Our own code has versions and a commit. Of a user's there are only the files: theirs are followed from import to import,
and their digest becomes a part of the variant's name, so that what was trained before an edit is not taken for what
comes after it.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib.util
import pathlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from bench.import_paths import OURS

INSTALLED = ("site-packages", "dist-packages")
"""Folders whose modules are neighbours without knowing each other."""


def digest_of(value: Any) -> str | None:
    """Eight hexadecimal digits of the files that a value's types are written in; None where all of them are ours.

    Args:
        value: A method, with a field that may be somebody else's.
    """
    files: dict[str, pathlib.Path] = {}
    for name in dict.fromkeys(modules_of(value)):
        if name.split(".")[0] not in OURS:
            files |= files_of(name)
    if not files:
        return None
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(name.encode() + b"\0" + hashlib.sha256(files[name].read_bytes()).digest())
    return whole.hexdigest()[:8]


def modules_of(value: Any) -> Iterator[str]:
    """Names of the modules of a value's type, and of what its fields hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield type(value).__module__
        for field in dataclasses.fields(value):
            if field.name not in ("parent", "name"):  # of flax
                yield from modules_of(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for each in value:
            yield from modules_of(each)
    elif callable(value):
        yield getattr(value, "__module__", None) or "builtins"


def files_of(name: str) -> dict[str, pathlib.Path]:
    """The file of a user's module by its name, and those of its neighbours that it imports; nothing of a library's."""
    top = sys.modules.get(name.split(".")[0])
    home = _home(top) if top else None
    if home is None:
        return {}
    found: dict[str, pathlib.Path] = {}
    waiting = [name]
    while waiting:
        each = waiting.pop()
        parents = [each.rsplit(".", 1)[0]] if "." in each else []
        module = sys.modules.get(each)
        path = _file(module) if module else None
        if each in found or path is None or not _is_near(each, path, name, home):
            continue
        found[each] = path
        waiting += [*parents, *_imported(each, path, hasattr(module, "__path__"))]
    return found


def _home(top: ModuleType) -> pathlib.Path | None:
    """The folder that a top module or package lies in; None for what comes with Python or has no file."""
    if top.__name__ in sys.stdlib_module_names:
        return None
    path = _file(top)
    folders = list(getattr(top, "__path__", []))
    if folders:
        return pathlib.Path(folders[0]).resolve().parent
    return path.parent if path else None


def _is_near(each: str, path: pathlib.Path, name: str, home: pathlib.Path) -> bool:
    """Whether a module belongs to the user who wrote the other one."""
    if each.split(".")[0] in OURS:
        return False
    if each.split(".")[0] == name.split(".")[0]:
        return True
    return path.is_relative_to(home) and not set(INSTALLED) & set(path.parts)


def _imported(name: str, path: pathlib.Path, is_package: bool) -> Iterator[str]:
    """Every module that a file may import, wherever in it."""
    package = name if is_package else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(relative, package) if node.level else relative
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _file(module: ModuleType) -> pathlib.Path | None:
    """A module's file, if it is one of Python."""
    name = getattr(module, "__file__", None)
    return pathlib.Path(name).resolve() if name and name.endswith(".py") else None
