"""Says when what is stored in a folder of trials last changed, so that whoever watches a run need not read it again."""

from __future__ import annotations

import contextlib
import os

from bench.storage import archive, number_tables
from bench.storage.trial_folder import is_trial_name

FILE_ENDS = (archive.END, number_tables.END)
"""Of files that hold many trials each."""


def modification_times(path: str | os.PathLike[str]) -> dict[str, tuple[int, ...]]:
    """Return when each trial's folder and each archive last changed, without reading any of them.

    Two results that are equal tell of the same trials and scores. It is cheap, to be asked again and again while
    others write.

    Returns:
        By name, the times of the folder and of its scores in nanoseconds; empty where there is no store.
    """
    found: dict[str, tuple[int, ...]] = {}
    with contextlib.suppress(FileNotFoundError), os.scandir(path) as entries:
        for entry in entries:
            if is_trial_name(entry.name) or entry.name.endswith(FILE_ENDS):
                found[entry.name] = _change_times(entry.path)
    return found


def _change_times(folder: str) -> tuple[int, ...]:
    """Return the times of a folder and its scores; of neither if `retry` has just moved it."""
    times = []
    for part in (folder, os.path.join(folder, "scores")):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            times.append(os.stat(part).st_mtime_ns)
    return tuple(times)
