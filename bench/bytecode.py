"""Keeps compiled Python modules where Python is told to write none, and packages were installed without theirs.

Many containers set PYTHONDONTWRITEBYTECODE, and some installers compile nothing. Each process would then compile
about a thousand modules, which takes seconds (`models/README.md`). They are kept in a folder of the user's own instead,
never beside the sources.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import sys

from bench.errors import UsageError
from tasks.data_dir import location

VARIABLE = "BENCH_KEEP_BYTECODE"
"""Environment variable: 0 keeps none."""

LARGE_PACKAGE = "jax"
"""A package that every verb that trains imports: as it was installed, so were the others."""


def keep_bytecode() -> None:
    """Let this process and those that it starts keep what they compile, where that is needed; else do nothing."""
    is_told_to_write_none = bool(os.environ.get("PYTHONDONTWRITEBYTECODE")) and sys.dont_write_bytecode
    if not is_told_to_write_none or sys.pycache_prefix or os.environ.get(VARIABLE) == "0":
        return
    if has_bytecode(LARGE_PACKAGE):
        return
    folder = make_own_folder()
    if folder is None:
        return
    sys.pycache_prefix = str(folder)
    sys.dont_write_bytecode = False
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)
    del os.environ["PYTHONDONTWRITEBYTECODE"]


def has_bytecode(package: str) -> bool:
    """Tell whether a package was installed with compiled modules; true where it is not installed."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return True
    return os.path.exists(importlib.util.cache_from_source(found.origin))


def make_own_folder() -> pathlib.Path | None:
    """Make the folder, which nobody else may write into, as Python runs what it holds; None if there can be none."""
    try:
        folder = location.folder() / "bytecode"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = folder.stat()
    except (OSError, UsageError):
        return None
    is_own = not hasattr(os, "getuid") or (told.st_uid == os.getuid() and not told.st_mode & 0o022)
    return folder.resolve() if is_own else None
