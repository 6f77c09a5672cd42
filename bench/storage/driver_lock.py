"""Keeps a second driver out of a store, says who the first one is, and takes over from one that died.

Two things keep it out. The operating system's lock on `.lock` ends with its process, and is all that counts between
processes of one host. `.driver.json` says who holds it, and is touched every `BEAT_S`: it counts between hosts, whose
locks may not reach each other, and on file systems without locks.

Whether a driver of another host lives is told by its beats alone, which this process waits for on its own clock: clocks
of hosts differ, and jump.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import pathlib
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from bench.errors import DamagedFile, UsageError, escape_controls
from bench.storage import files, json_values
from tasks.data_dir.guarded_files import open_plain_file
from tasks.data_dir.locking import UNSUPPORTED, file_lock, unwritable

BEAT_S = 10.0
"""Seconds from one sign of life to the next."""

SILENT_S = 90.0
"""Silence after which a driver of another host is taken to be dead."""

MARK = ".driver.json"

MAX_MARK_BYTES = 4096


@dataclasses.dataclass(frozen=True, kw_only=True)
class DriverMark:
    """Who drives a store; what a file that does not parse leaves open is empty.

    Attributes:
        pid: Its process.
        host: Mark of its host, see `bench.storage.files.host_mark`.
        name: Name of its host, for people.
        boot: Tells one start of its host from the next; empty where that is not known.
        started: When it began, in seconds, on its own clock.
        token: Tells it from every other.
    """

    pid: int = 0
    host: str = ""
    name: str = ""
    boot: str = ""
    started: float = 0.0
    token: str = ""

    def describe(self) -> str:
        """Name it for people."""
        if not self.pid:
            return "one that does not say who it is"
        began = ""
        with contextlib.suppress(ValueError, OSError, OverflowError):
            began = f", started {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.started))}"
        return f"one in process {self.pid} on host {escape_controls(self.name[:100])}{began}"

    def is_on_this_host(self) -> bool:
        """Tell whether its process is one of those that this host has now, if it lives."""
        return self.host == files.host_mark() and self.boot == files.boot_id()


class SeenMark(NamedTuple):
    """A mark as it lies on the disk, and when it was last touched, by the clock of the disk."""

    mark: DriverMark
    touched_ns: int


@contextlib.contextmanager
def driver_lock(root: pathlib.Path) -> Iterator[None]:
    """Keep other drivers out for as long as it is held, and no longer than this process lives.

    Raises:
        UsageError: Another driver holds it, and is named; or the folder cannot be written.
    """
    with contextlib.ExitStack() as held:
        try:
            root.mkdir(parents=True, exist_ok=True)
            is_locked = _lock_file(held, root)
            before = read_mark(root)
            if before is not None:
                _take_over(root, before, is_locked)
            mark = _put_mark(root, before)
        except OSError as error:
            raise unwritable(root, error, "name another folder with --results") from error
        held.callback(_remove_mark, root, mark)
        held.enter_context(_beating(root, mark))
        yield


def read_mark(root: pathlib.Path) -> SeenMark | None:
    """Return who drives a store, or did when it died; None if nobody says so.

    The file is opened each time: file systems of networks keep what they know of it for a while otherwise.
    """
    try:
        with open_plain_file(root / MARK) as file:
            touched_ns = os.fstat(file.fileno()).st_mtime_ns
            content = file.read(MAX_MARK_BYTES)
    except FileNotFoundError:
        return None
    return SeenMark(_parse_mark(content), touched_ns)


def driving_host(root: pathlib.Path) -> str:
    """Return the mark of the host whose driver writes in a store; empty if none says so."""
    with contextlib.suppress(OSError, DamagedFile):
        seen = read_mark(root)
        return "" if seen is None else seen.mark.host
    return ""


def refusal(root: pathlib.Path, mark: DriverMark | None) -> UsageError:
    """Make the error about a store that another driver writes."""
    who = "one" if mark is None else mark.describe()
    return UsageError(
        f"{root}: expected no other run to write here, got {who}; wait for it (python -m bench status), or name "
        "another folder with --results"
    )


def _parse_mark(content: bytes) -> DriverMark:
    """Read a mark; one that does not parse says nothing."""
    try:
        return json_values.convert(json_values.from_bytes(content, MARK), DriverMark, MARK)
    except ValueError:
        return DriverMark()


def _lock_file(held: contextlib.ExitStack, root: pathlib.Path) -> bool:
    """Take the operating system's lock; tell whether there is one."""

    def refuse() -> None:
        seen = read_mark(root)
        raise refusal(root, None if seen is None else seen.mark)

    try:
        held.enter_context(file_lock(root / ".lock", refuse))
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return False
    return True


def _take_over(root: pathlib.Path, seen: SeenMark, is_locked: bool) -> None:
    """Refuse to go on beside a driver that lives; name one that died.

    Raises:
        UsageError: It lives.
    """
    mark = seen.mark
    # A container that was started anew has another name, and the same kernel, which keeps the locks.
    is_same_kernel = mark.is_on_this_host() or (mark.boot == files.boot_id() != "")
    if is_locked and (is_same_kernel or not mark.pid):  # without a process it is half a file, of a crash
        is_alive = False
    elif mark.is_on_this_host():
        is_alive = files.is_alive(mark.pid)
    else:
        is_alive = _beats_again(root, seen)
    if is_alive:
        raise refusal(root, mark)
    print(f"{root}: taking over from {mark.describe()}: it ended without saying so", file=sys.stderr)


def _beats_again(root: pathlib.Path, seen: SeenMark) -> bool:
    """Wait for a sign of life of a driver on another host; tell whether there was one, or another driver came."""
    silent_s = (_disk_time_ns(root) - seen.touched_ns) / 1e9
    known_s = min(max(silent_s, 0.0), SILENT_S - 3 * BEAT_S)  # a clock that jumped does not shorten it further
    wait_s = SILENT_S - known_s
    print(
        f"{root}: found {seen.mark.describe()}; waiting {wait_s:.0f} s for a sign of life before taking over",
        file=sys.stderr,
        flush=True,
    )
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        time.sleep(min(1.0, BEAT_S))
        now = read_mark(root)
        if now is None:
            return False
        if now != seen:
            return True
    return False


def _disk_time_ns(root: pathlib.Path) -> int:
    """Return the time by the clock that stamps files of a store, which may be another host's."""
    path = files.temporary_path(root)
    try:
        path.touch()
        return path.stat().st_mtime_ns
    finally:
        path.unlink(missing_ok=True)


def _put_mark(root: pathlib.Path, before: SeenMark | None) -> DriverMark:
    """Write this process's mark, in place of one that was judged to be dead, and of no other.

    Raises:
        UsageError: Another driver was quicker.
    """
    mark = DriverMark(
        pid=os.getpid(),
        host=files.host_mark(),
        name=platform.node(),
        boot=files.boot_id(),
        started=time.time(),
        token=os.urandom(8).hex(),
    )
    path = root / MARK
    if before is not None:
        _remove_dead_mark(root, before)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        seen = read_mark(root)
        raise refusal(root, None if seen is None else seen.mark) from None
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(mark)))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return mark


def _remove_dead_mark(root: pathlib.Path, dead: SeenMark) -> None:
    """Remove the mark of a driver that died: of two that take over, one finds it.

    Raises:
        UsageError: Another driver has put its own there meanwhile.
    """
    aside = files.temporary_path(root)
    try:
        os.rename(root / MARK, aside)
    except FileNotFoundError:
        return
    found = _parse_mark(aside.read_bytes()[:MAX_MARK_BYTES])
    if found != dead.mark:
        os.rename(aside, root / MARK)
        raise refusal(root, found)
    aside.unlink()


def _remove_mark(root: pathlib.Path, mark: DriverMark) -> None:
    with contextlib.suppress(OSError, DamagedFile):
        seen = read_mark(root)
        if seen is not None and seen.mark == mark:
            (root / MARK).unlink()


@contextlib.contextmanager
def _beating(root: pathlib.Path, mark: DriverMark) -> Iterator[None]:
    """Give signs of life meanwhile."""
    is_over = threading.Event()
    thread = threading.Thread(target=_beat, args=(root, mark, is_over), name="driver-lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _beat(
    root: pathlib.Path, mark: DriverMark, is_over: threading.Event, stop: Callable[[], None] | None = None
) -> None:
    """Touch the mark until it is over, or another driver took over, as this one was silent for too long."""
    while not is_over.wait(BEAT_S):
        try:
            seen = read_mark(root)
            if seen is not None and seen.mark.token != mark.token:
                who = seen.mark.describe()
                print(f"{root}: {who} has taken over, as this run was silent; stopping", file=sys.stderr, flush=True)
                (stop or _stop_this_process)()
                return
            os.utime(root / MARK)
        except OSError as error:  # a disk that is out of reach for a while
            if error.errno == errno.ENOENT:
                return


def _stop_this_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
