"""Keeps two processes out of each other's way in a folder that both fill.

The lock is filelock's on a file `.lock`. It belongs to the process, not to the file's existence: the system frees it
when the process dies, however.
"""

from __future__ import annotations

import contextlib
import errno
import pathlib
import sys
from collections.abc import Callable, Iterator

from bench.errors import UsageError

UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""Errors of file systems that know no locks."""


@contextlib.contextmanager
def folder_lock(folder: pathlib.Path, doing: str) -> Iterator[bool]:
    """Hold a folder for this process; wait while another one holds it, and print that.

    It saves work twice done. That no half-written data is ever read does not rest on it but on renaming whole folders.

    Args:
        folder: Made if it is not there.
        doing: What the folder is held for, for the line that is printed while waiting.

    Yields:
        Whether the folder is really held: some network file systems know no locks.

    Raises:
        UsageError: The folder cannot be written.
    """

    def announce() -> None:
        print(f"waiting for another process that fills {folder}: {doing}", file=sys.stderr)

    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(file_lock(folder / ".lock", announce))
            is_held = True
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise unwritable(folder, error) from error
            is_held = False
        yield is_held


@contextlib.contextmanager
def file_lock(path: pathlib.Path, on_busy: Callable[[], object]) -> Iterator[None]:
    """Hold a lock file for this process, and for the thread that asked for it.

    Args:
        path: The file; made if it is not there, and left there with its content.
        on_busy: Called if another process or thread holds it, before it is waited for; may raise not to wait.

    Raises:
        OSError: The file cannot be written, or its file system knows no locks.
    """
    import filelock

    # Without the fallback: that is a file whose existence is the lock, and which a killed process leaves behind.
    lock = filelock.FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        on_busy()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def unwritable(
    folder: pathlib.Path, error: Exception, advice: str = "choose another with BENCH_DATA_DIR"
) -> UsageError:
    """Return the error about a folder that cannot be written."""
    why = getattr(error, "strerror", None) or str(error).split("; ")[0]
    return UsageError(f"{folder}: expected a folder that can be written, got {why!r}; free it, or {advice}")
