"""One driver at a time: on one host, between hosts, without locks, and after a crash."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import subprocess
import threading
import time

import pytest

from bench.errors import UsageError
from bench.storage import driver_lock, files
from bench.storage.driver_lock import MARK, DriverMark, read_mark
from bench.storage.store import Store
from tests.fixtures.stored_trials import python


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Beats follow each other quickly."""
    monkeypatch.setattr(driver_lock, "BEAT_S", 0.02)
    monkeypatch.setattr(driver_lock, "SILENT_S", 0.2)


@pytest.fixture
def without_locks(monkeypatch):
    """A file system without locks."""

    def fails(path, on_busy):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(driver_lock, "file_lock", fails)


OTHER = {"host": "ffffffff", "boot": "another"}
"""Of a mark that another host left."""


def dead_pid():
    gone = subprocess.Popen(["true"])
    gone.wait()
    return gone.pid


def left(root, **changes):
    """The mark that another driver left."""
    mark = DriverMark(
        pid=os.getpid(), host=files.host_mark(), name="gpu07", boot=files.boot_id(), started=0.0, token="ab"
    )
    root.mkdir(exist_ok=True)
    (root / MARK).write_text(json.dumps(dataclasses.asdict(mark) | changes))


def test_a_second_driver_is_told_of_the_first(tmp_path):
    trials = Store.open(tmp_path)
    with trials.lock():
        with (
            pytest.raises(UsageError, match=f"no other run.* in process {os.getpid()} on host .*, started 20.*; wait"),
            Store.open(tmp_path).lock(),
        ):
            pass
        assert Store.open(tmp_path).ids() == []  # reading is free
    with Store.open(tmp_path).lock():
        pass


HOLDS = """
import sys, time
from bench.storage.store import Store
with Store.open(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_dead_driver_is_taken_over(tmp_path, capsys):
    driver = python(HOLDS, str(tmp_path), stdout=subprocess.PIPE)
    try:
        assert driver.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match=f"in process {driver.pid} on host"), Store.open(tmp_path).lock():
            pass
    finally:
        driver.kill()
        driver.wait()
        driver.stdout.close()
    with Store.open(tmp_path).lock():
        assert read_mark(tmp_path).mark.pid == os.getpid()
    assert f"taking over from one in process {driver.pid} on host" in capsys.readouterr().err
    assert read_mark(tmp_path) is None


def test_a_store_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="expected a folder of results, got .Not a directory"):
        Store.open(tmp_path / "file").lock().__enter__()


def test_errors_of_a_run_are_not_taken_for_a_locks(tmp_path):
    with pytest.raises(OSError, match="disk full"), Store.open(tmp_path).lock():
        raise OSError("disk full")


@pytest.mark.parametrize(
    ("has_locks", "changes", "beats", "is_refused"),
    [
        (True, {}, False, False),  # it would hold the lock if it lived: its process is another one by now
        (False, {}, False, True),
        (False, {"pid": "dead"}, False, False),
        (True, {"host": "ffffffff"}, False, False),  # a container that was started anew: one kernel, one set of locks
        (True, OTHER, False, False),
        (True, OTHER, True, True),  # locks of another host may not reach here
        (False, OTHER, False, False),
        (False, OTHER, True, True),
        (True, {"boot": "before"}, False, False),  # this host was started anew, or another one has its name
        (True, {"boot": "before"}, True, True),
    ],
)
def test_whether_another_driver_lives(has_locks, changes, beats, is_refused, tmp_path, request, capsys):
    if not has_locks:
        request.getfixturevalue("without_locks")
    left(tmp_path, **changes | ({"pid": dead_pid()} if changes.get("pid") else {}))
    is_over = threading.Event()
    beating = threading.Thread(target=driver_lock._beat, args=(tmp_path, DriverMark(token="ab"), is_over))
    if beats:
        beating.start()
    try:
        if is_refused:
            with pytest.raises(UsageError, match="got one in process .* on host gpu07, started 19"):
                driver_lock.driver_lock(tmp_path).__enter__()
            assert read_mark(tmp_path).mark.token == "ab"
        else:
            with driver_lock.driver_lock(tmp_path):
                assert read_mark(tmp_path).mark.pid == os.getpid()
            assert "taking over from one in process" in capsys.readouterr().err
    finally:
        is_over.set()
        if beats:
            beating.join()
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.parametrize("jump_s", [-1e9, 1e9])
def test_a_clock_that_jumps_kills_no_driver_of_another_host(jump_s, tmp_path):
    left(tmp_path, **OTHER)
    at = time.time() - jump_s
    os.utime(tmp_path / MARK, (at, at))
    is_over = threading.Event()
    beating = threading.Thread(target=driver_lock._beat, args=(tmp_path, DriverMark(token="ab"), is_over))
    beating.start()
    try:
        with pytest.raises(UsageError, match="no other run"):
            driver_lock.driver_lock(tmp_path).__enter__()
    finally:
        is_over.set()
        beating.join()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1, "new": 2}', "\x00" * 99])
def test_a_mark_that_a_crash_cut_is_taken_over(content, tmp_path, capsys):
    (tmp_path / MARK).write_text(content)
    with driver_lock.driver_lock(tmp_path):
        pass
    assert "taking over from one that does not say who it is" in capsys.readouterr().err


def test_names_of_hosts_do_not_reach_the_terminal_as_they_are(tmp_path):
    left(tmp_path, name="\x1b[31mred" + "x" * 999)
    assert "\x1b" not in read_mark(tmp_path).mark.describe() and len(read_mark(tmp_path).mark.describe()) < 200


def test_signs_of_life(tmp_path):
    with driver_lock.driver_lock(tmp_path):
        os.utime(tmp_path / MARK, (0, 0))
        end = time.monotonic() + 30
        while read_mark(tmp_path).touched_ns == 0:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_who_was_silent_for_too_long_stops(tmp_path, capsys):
    left(tmp_path, token="another")
    stopped = []
    driver_lock._beat(tmp_path, DriverMark(token="mine"), threading.Event(), lambda: stopped.append(True))
    assert stopped == [True] and read_mark(tmp_path).mark.token == "another"
    assert "on host gpu07, started 1970-01-01 " in capsys.readouterr().err or os.environ.get("TZ")


def test_of_two_that_take_over_one_wins(tmp_path, without_locks):
    left(tmp_path, pid=dead_pid())
    dead = read_mark(tmp_path)
    mine = driver_lock._put_mark(tmp_path, dead)
    with pytest.raises(UsageError, match=f"in process {os.getpid()} on host"):
        driver_lock._put_mark(tmp_path, dead)  # judged it to be dead at the same time
    assert read_mark(tmp_path).mark == mine


def test_files_of_a_driver_that_runs_are_left_whatever_the_clock_says(tmp_path):
    path = tmp_path / ".tmp-ffffffff-1-abcd"
    for host, is_left in (("ffffffff", True), ("eeeeeeee", False)):
        left(tmp_path, host=host)
        path.touch()
        os.utime(path, (0, 0))
        Store.open(tmp_path)
        assert path.exists() == is_left
