"""How two processes keep out of each other's way in a folder that both fill."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import pathlib
import sys
from collections.abc import Iterator

from bench.errors import UsageError

UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


@contextlib.contextmanager
def folder_lock(folder: pathlib.Path, doing: str) -> Iterator[bool]:
    """Holds a folder for this process; waits, and says so, while another one holds it.

    The lock belongs to the process, not to a file's existence: the kernel frees it when the process dies, however.
    It saves work twice done; that no half-written data is ever read does not rest on it but on renaming whole folders.

    Args:
        folder: Made if it is not there.
        doing: What the folder is held for, for the line that is printed while waiting.

    Yields:
        Whether the folder is really held: some network file systems know no locks.

    Raises:
        UsageError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise unwritable(folder, error) from error
    with file:
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"waiting for another process that fills {folder}: {doing}", file=sys.stderr)
                fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise unwritable(folder, error) from error
            yield False
            return
        yield True


def unwritable(folder: pathlib.Path, error: Exception) -> UsageError:
    """What is said of a folder that data cannot be kept in."""
    why = getattr(error, "strerror", None) or str(error).split("; ")[0]
    return UsageError(
        f"{folder}: expected a folder that can be written, got {why!r}; free it, or choose another with BENCH_DATA_DIR"
    )
