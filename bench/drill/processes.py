"""Finds the processes of a drilled command by a variable that all of them inherit, and ends them. Linux only."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

WORKER = "ray::LeavingWorker"
"""How Ray names the process of a worker; behind it stands what it was last asked, which tells little: it answers while
it trains."""

POLL_S = 0.1


class FoundProcess(NamedTuple):
    """A process that lives.

    Attributes:
        pid: Its number.
        name: The name of its program.
        command: Its command line, as it now says.
    """

    pid: int
    name: str
    command: str

    @property
    def is_worker(self) -> bool:
        """Tell whether it trains packs for Ray."""
        return self.command.startswith(WORKER)


def find_processes(mark: str) -> list[FoundProcess]:
    """List the processes that were started with a variable, written `NAME=VALUE`, but for this one."""
    return [found for found in _all_processes(mark.encode()) if found.pid != os.getpid()]


def _all_processes(mark: bytes) -> Iterator[FoundProcess]:
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it ended meanwhile, or is somebody else's
            if mark not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            name = (folder / "comm").read_text().strip()
            if words and not is_zombie(int(folder.name)):
                yield FoundProcess(int(folder.name), name, words)


def is_zombie(pid: int) -> bool:
    """Tell whether a process has ended and nobody has asked for its exit code yet."""
    status = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return status.rpartition(")")[2].split()[0] == "Z"


def send(pid: int, number: int) -> bool:
    """Send a signal; tell whether the process was there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def end_all(mark: str, timeout_s: float = 20.0) -> list[FoundProcess]:
    """Wait for all processes of a mark to end by themselves; end those that do not, and return them."""
    if wait_until(lambda: not find_processes(mark), timeout_s):
        return []
    left = find_processes(mark)
    for found in left:
        send(found.pid, signal.SIGKILL)
    wait_until(lambda: not find_processes(mark), timeout_s)
    return left


def wait_until(is_true: Callable[[], bool], timeout_s: float, poll_s: float = POLL_S) -> bool:
    """Wait until something holds; tell whether it does."""
    end = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > end:
            return False
        time.sleep(poll_s)
    return True
