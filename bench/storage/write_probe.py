"""Tries whether results can be stored, before anything is trained: a disk, its free space, names of this length."""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Iterable

from bench.storage import files

PROBE_BYTES = 2**20
"""About what a small trial leaves."""

LONGEST_INSIDE = "scores/dreamfields-2022.json.unreadable-1"
"""The longest name in a trial's folder, about."""


def probe_folder(root: pathlib.Path, trial_ids: Iterable[str] = ()) -> None:
    """Write a file as a trial with the longest of these ids would, and remove it.

    Args:
        root: The folder, made if it is missing.
        trial_ids: Ids of trials that are to be stored there.

    Raises:
        OSError: It cannot be written, is full, or a name or path is too long.
    """
    root.mkdir(parents=True, exist_ok=True)
    longest = max(trial_ids, key=lambda trial_id: len(os.fsencode(trial_id)), default="trial")
    temporary = files.temporary_path(root)
    try:
        temporary.mkdir()
        inner = temporary / longest
        inner.mkdir()
        path = inner / LONGEST_INSIDE
        path.parent.mkdir()
        with path.open("wb") as file:
            file.write(os.urandom(PROBE_BYTES))  # a disk that compresses would swallow zeros
            file.flush()
            os.fsync(file.fileno())
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
