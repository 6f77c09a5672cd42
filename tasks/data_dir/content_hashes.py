"""Hashes files by their bytes, and keeps the hashes in the cache folder, so that a second start is fast.

A kept hash is used while path, size, times of change and inode stay the same. A file that changed less than two
seconds ago is always hashed: it could change again without a change of its modification time.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import pathlib
import tempfile
import threading
import time
from collections.abc import Iterable
from typing import Any

from tasks.data_dir import location

TOO_NEW_NS = 2_000_000_000
"""Files that changed more recently are always hashed."""

MOST_ENTRIES = 200_000
"""Number of kept hashes above which those of deleted files are dropped."""

_LOCK = threading.Lock()


def sha256_of(path: pathlib.Path) -> str:
    """Hash one file by its bytes."""
    return sha256_of_all([path])[0]


def sha256_of_all(paths: Iterable[pathlib.Path]) -> list[str]:
    """Hash files by their bytes, in the order given.

    Raises:
        OSError: A file cannot be read.
    """
    with _LOCK:
        known = _remembered(str(location.folder()))
        is_new = False
        found = []
        for path in paths:
            name, state = _state(path)
            entry = known.get(name)
            if entry is None or entry[:-1] != state or _is_too_new(state):
                with path.open("rb") as file:
                    entry = [*state, hashlib.file_digest(file, "sha256").hexdigest()]
                is_new = is_new or entry != known.get(name)
                known[name] = entry
            found.append(entry[-1])
        if is_new:
            _remember(known)
    return found


def _state(path: pathlib.Path) -> tuple[str, list[int]]:
    """Return a file's absolute path, and its size, modification time, inode and time of any change.

    The last one moves even where a program puts the modification time back.
    """
    path = path.resolve()
    told = path.stat()
    return str(path), [told.st_size, told.st_mtime_ns, told.st_ino, told.st_ctime_ns]


def _is_too_new(state: list[int]) -> bool:
    return time.time_ns() - state[1] < TOO_NEW_NS


def place() -> pathlib.Path:
    """Return the path of the file with the kept hashes."""
    return location.folder() / "fingerprints" / "files.json"


@functools.lru_cache(maxsize=4)
def _remembered(_folder: str) -> dict[str, list[Any]]:
    """Read the kept hashes, once a process; start without any if the file is damaged."""
    try:
        found = json.loads(place().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {name: entry for name, entry in entries if _is_entry(entry)}


def _is_entry(entry: Any) -> bool:
    is_list = isinstance(entry, list) and len(entry) == 5
    return is_list and all(type(x) is int for x in entry[:-1]) and isinstance(entry[-1], str) and len(entry[-1]) == 64


def _remember(known: dict[str, list[Any]]) -> None:
    """Write the hashes, all or none; if the folder cannot be written, the next start is slower, nothing else."""
    path = place()
    if len(known) > MOST_ENTRIES:
        for name in [name for name in known if not os.path.exists(name)]:
            del known[name]
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            json.dump(known, file)
        try:
            os.replace(file.name, path)
        except OSError:
            os.unlink(file.name)
            raise
