"""Finds a folder for Ray's sockets: their paths may have 107 bytes, and Ray adds about 65 to the folder's."""

from __future__ import annotations

import os
import tempfile

from bench.errors import UsageError

MAX_FOLDER_BYTES = 40
"""Of the folder that Ray makes its own in."""

SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


def choose_socket_folder() -> str | None:
    """Return a folder for Ray where the usual one has too long a path or cannot be used; None where it is good.

    Python too takes another folder for temporary files where `TMPDIR` names none that can be written.

    Raises:
        UsageError: No folder with a short path can be written.
    """
    usual = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or tempfile.gettempdir()
    if len(os.fsencode(usual)) <= MAX_FOLDER_BYTES and os.path.isabs(usual) and _can_be_written(usual):
        return None
    for folder in SHORT_FOLDERS:
        if os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return os.path.join(folder, f"ray-{os.getuid()}")  # of each user, whose rights Ray sets
    raise UsageError(
        f"TMPDIR: expected a folder of at most {MAX_FOLDER_BYTES} bytes that can be written, for Ray's sockets, got "
        f"{usual!r}; set RAY_TMPDIR to one, or use --executor inline"
    )


def _can_be_written(folder: str) -> bool:
    """Tell whether files can be written in a folder; it is made if it is not there, as Ray would."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
