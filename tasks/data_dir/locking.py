"""Locks a folder, so that only one process at a time fills it.

The lock is filelock's, on a file `.lock`. The operating system frees it when the process ends, even if it is killed;
the file itself stays.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator

from bench.errors import UsageError

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""Error numbers of file systems without locks."""


@contextlib.contextmanager
def folder_lock(folder: pathlib.Path, doing: str) -> Iterator[bool]:
    """Lock a folder for this process; print a line and wait while another process holds it.

    The lock only avoids doing the same work twice. It does not protect readers from half-written data: for that, whole
    folders are written under another name and renamed.

    Args:
        folder: Folder, created if it is missing.
        doing: Work that the lock is held for; printed while waiting.

    Yields:
        True if the lock is held; False on a file system without locks.

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
    """Lock a file for this process and this thread.

    Args:
        path: Path of the file, created if it is missing; it stays there with its content.
        on_busy: Function that is called before waiting, if another process or thread holds the lock; if it raises,
            there is no waiting.

    Raises:
        OSError: The file cannot be written, or its file system has no locks.
    """
    import filelock

    # No soft lock: that is a lock by the existence of a file, which a killed process leaves behind.
    lock = filelock.FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        on_busy()
        lock.acquire()
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS) or fcntl is None:
            raise
        with _lock_by_reading(path, on_busy, error):
            yield
        return
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _lock_by_reading(path: pathlib.Path, on_busy: Callable[[], object], refusal: OSError) -> Iterator[None]:
    """Lock a file of another user's, which may only be read: the lock is the same.

    Raises:
        OSError: It is not there, or may not be read; the refusal to write it.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        raise refusal from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_busy()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def check_writable(folder: pathlib.Path) -> None:
    """Refuse a folder that files cannot be made in, before what they hold is made.

    Raises:
        UsageError: It cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="incomplete."):
            pass
    except OSError as error:
        raise unwritable(folder, error) from error


def unwritable(
    folder: pathlib.Path, error: Exception, advice: str = "choose another with BENCH_DATA_DIR"
) -> UsageError:
    """Make the error about a folder that cannot be written."""
    why = getattr(error, "strerror", None) or str(error).split("; ")[0]
    return UsageError(f"{folder}: expected a folder that can be written, got {why!r}; free it, or {advice}")
