"""Tells whether a process runs only code that names can tell, and whether that is the code of the files as they are.

Python may run other code than the files hold: what a user's script put in the place of ours, what stood in a file or
a folder before it was exchanged, and bytecode that stands for an older source of the same size and time.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import pathlib
import stat
import sys
import sysconfig
import time
from typing import NamedTuple

from bench import import_paths

DOUBT_NS = 2_000_000_000
"""Doubt about which of two times is earlier: some file systems count whole seconds, and others have their own clock."""

NO_SOURCES = (".safetensors", ".md", ".html", ".j2", ".css", ".js")
"""Endings of files beside the sources that no program is made of: arrays are arguments, and come with a hash."""

INSTALLED = ("site-packages", "dist-packages")
"""Folders that packages are installed in, as a part of a path."""

BYTECODE_HEADER = 16
"""Bytes of a file of bytecode before the code: Python's version, and the time and the size of the source."""

OF_A_SITE = ("sitecustomize", "usercustomize")
"""Modules that Python imports by itself, of no package: code of whoever wrote them."""


class Untold(Exception):
    """Says that a part of a program cannot be told for certain."""


class CodeFile(NamedTuple):
    """A file that code is read from.

    Attributes:
        path: Of the source, or of bytecode that may be older than its source.
        is_bytecode: Which of both.
        size: In bytes.
        changed_ns: When its content was written, as the file says.
        touched_ns: When the file was written, moved or linked, as the system says.
    """

    path: str
    is_bytecode: bool
    size: int
    changed_ns: int
    touched_ns: int


def find_foreign_code() -> str | None:
    """Name an imported module that is neither ours, nor Python's, nor installed; None if there is none.

    Such a module is a user's. It may have put anything in the place of what is ours.
    """
    if import_paths.plugin_modules() or import_paths.installed_plugins():
        return "plug-ins"
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is None and name == "__main__":  # a notebook, or `python -c`
            return name
        if not isinstance(file, str) or _is_known(file, name in OF_A_SITE, import_paths.ROOT):
            continue
        if not os.path.realpath(file).startswith(_known_folders(import_paths.ROOT)):
            return name
    return None


@functools.cache
def _is_known(file: str, is_of_site: bool, root: pathlib.Path) -> bool:
    """Tell from its path whether a file is ours, Python's or an installed package's."""
    if file.startswith(_known_folders(root)):
        return True
    return not is_of_site and any(f"/{part}/" in file for part in INSTALLED)


@functools.cache
def _known_folders(root: pathlib.Path) -> tuple[str, ...]:
    """List the folders of our modules and of Python's own."""
    folders = [str(root / name) for name in import_paths.OURS]
    folders += [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
    return tuple(f"{path}{os.sep}" for each in folders for path in dict.fromkeys((each, os.path.realpath(each))))


def list_code(root: pathlib.Path) -> tuple[CodeFile, ...]:
    """List all files of ours that programs may be made of.

    Raises:
        Untold: One of them was written, or exchanged, after this process began; or a folder is a link.
    """
    found = []
    newest_ns = _moved_ns(str(root))
    for name in import_paths.OURS:
        if os.path.islink(root / name):
            raise Untold(f"{name} is a link")
        for folder, inner, names in os.walk(root / name):
            inner[:] = sorted(each for each in inner if each != "__pycache__")
            if any(os.path.islink(os.path.join(folder, each)) for each in inner):
                raise Untold(f"links in {folder}")
            newest_ns = max(newest_ns, _moved_ns(folder))
            for file in sorted(names):
                if not file.endswith(NO_SOURCES):
                    found += _code_files(os.path.join(folder, file))
    newest_ns = max(newest_ns, *(max(file.changed_ns, file.touched_ns) for file in found if not file.is_bytecode))
    check_age(newest_ns)
    return tuple(found)


def check_age(newest_ns: int) -> None:
    """Refuse files that nobody knows whether this process has read before or after they were written.

    Raises:
        Untold: The newest was written after this process began.
    """
    if newest_ns > process_began() * 1e9 - DOUBT_NS:
        raise Untold("files were written after this process began")


def _code_files(path: str) -> list[CodeFile]:
    """Return a source, and its bytecode if that may be older: Python compares only whole seconds and sizes."""
    state = os.lstat(path)
    touched_ns = state.st_ctime_ns
    if stat.S_ISLNK(state.st_mode):
        state = os.stat(path)
        touched_ns = max(touched_ns, state.st_ctime_ns)
    files = [CodeFile(path, False, state.st_size, state.st_mtime_ns, touched_ns)]
    if path.endswith(".py"):
        bytecode = _bytecode_path(path, sys.pycache_prefix)
        try:
            compiled = os.stat(bytecode)
        except OSError:
            return files
        if compiled.st_mtime_ns < touched_ns + DOUBT_NS:
            files.append(CodeFile(bytecode, True, compiled.st_size, compiled.st_mtime_ns, compiled.st_ctime_ns))
    return files


@functools.cache
def _bytecode_path(path: str, prefix: str | None) -> str:
    """Return where Python keeps the bytecode of a source; it depends on a setting, which is `prefix`."""
    return importlib.util.cache_from_source(path)


def _moved_ns(folder: str) -> int:
    """Return when a folder was put where it is; 0 if a file in it was made or removed since."""
    state = os.lstat(folder)
    return 0 if state.st_ctime_ns == state.st_mtime_ns else state.st_ctime_ns


@functools.lru_cache(maxsize=2)
def digest_code(files: tuple[CodeFile, ...], root: pathlib.Path) -> str:
    """Digest the contents of files; sizes and times are those for which the digest is remembered."""
    digest = hashlib.sha256()
    for file in files:
        content = pathlib.Path(file.path).read_bytes()[BYTECODE_HEADER * file.is_bytecode :]
        digest.update(f"{os.path.relpath(file.path, root)} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def digest_package(folder: str) -> str:
    """Digest sizes and times of the files of an installed package: people edit these too.

    Raises:
        Untold: One was written after this process began.
    """
    digest = hashlib.sha256()
    newest_ns = 0
    for place, inner, names in os.walk(folder, followlinks=True):
        inner[:] = sorted(each for each in inner if each not in ("__pycache__", "tests"))
        for name in sorted(names):
            state = os.stat(os.path.join(place, name))
            newest_ns = max(newest_ns, state.st_mtime_ns, state.st_ctime_ns)
            within = os.path.relpath(place, folder)
            digest.update(f"{within}/{name} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}\n".encode())
    check_age(newest_ns)
    return digest.hexdigest()


def process_began() -> float:
    """Return when this process began, or the one that it was forked from, in seconds as files' times are.

    If the clock was set meanwhile, it is the earlier of both answers.

    Raises:
        Untold: The system does not say it as Linux does.
    """
    began = _estimate_beginning()
    if began is None or _FIRST_ESTIMATE is None:
        raise Untold("the beginning of this process")
    return min(began, _FIRST_ESTIMATE)


def _estimate_beginning() -> float | None:
    """Compute when this process began from what the system says; None if it does not."""
    try:
        fields = pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        since_boot = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        began = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return began if -1 <= time.time() - began < 1e7 else None


_FIRST_ESTIMATE = _estimate_beginning()
"""Taken here, as a process that is forked later began later than its modules were imported."""
