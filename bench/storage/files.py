"""Decides how a store's folders and files come to be: under a temporary name that tells who writes, then renamed.

The temporary name holds the writer's host and process, so that whoever opens the store later can tell whether the
writer still lives, and removes what a killed one left behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import platform
import shutil
import time

from bench.errors import UsageError

ABANDONED_S = 24 * 3600
"""Age at which a temporary folder of another host is removed: whether its writer lives cannot be asked from here."""


_OWN_NAMES: set[str] = set()
"""Temporary names that this process has given: another thread of it may be writing there."""


def temporary_path(root: pathlib.Path) -> pathlib.Path:
    """Return a new temporary name in a store: `.tmp-<host>-<pid>-<random>`."""
    name = f".tmp-{host_mark()}-{os.getpid()}-{os.urandom(4).hex()}"
    _OWN_NAMES.add(name)
    return root / name


def publish_folder(temporary: pathlib.Path, final: pathlib.Path) -> None:
    """Give a whole folder its name, by one rename that outlives a power failure.

    Raises:
        UsageError: There is a folder of that name, which is not empty.
    """
    try:
        os.rename(temporary, final)
    except OSError as error:
        if final.exists():
            raise UsageError(
                f"{final}: expected no such trial yet, got one; records are never overwritten: "
                "python -m bench retry moves a failure out of the way"
            ) from error
        raise
    directory = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def numbered_path(path: pathlib.Path, word: str) -> pathlib.Path:
    """Return the first free name among `<path>.<word>-1`, `<path>.<word>-2` and so on."""
    n = 1
    while (target := path.with_name(f"{path.name}.{word}-{n}")).exists():
        n += 1
    return target


def remove_abandoned(root: pathlib.Path, driving_host: str = "") -> None:
    """Remove what killed writers left in a store, never what this process or another that lives is writing.

    Args:
        root: The store.
        driving_host: Mark of the host whose driver writes there, whose files are left: a clock may be years ahead.
    """
    for path in root.glob(".tmp-*"):
        try:
            host, pid = path.name.split("-")[1:3]
            age_s = time.time() - path.stat().st_mtime
            is_abandoned = path.name not in _OWN_NAMES and _is_abandoned(host, int(pid), age_s, driving_host)
        except (ValueError, FileNotFoundError):  # not a name of ours, or its writer has just renamed it
            continue
        if not is_abandoned:
            continue
        # Somebody else may remove it at the same time, or the store may only be read: what is left does no harm.
        with contextlib.suppress(OSError):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _is_abandoned(host: str, pid: int, age_s: float, driving_host: str) -> bool:
    if host != host_mark():
        return age_s > ABANDONED_S and host != driving_host
    return pid == os.getpid() or not is_alive(pid)


def is_alive(pid: int) -> bool:
    """Tell whether a process of this host lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def host_mark() -> str:
    """Return eight digits that tell this host from others without naming it."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def boot_id() -> str:
    """Return what tells this start of the host from the next; empty where the system does not say."""
    try:
        return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""
