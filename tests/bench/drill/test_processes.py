"""Processes of a drill are found by a variable that they inherit, and no others are touched."""

import os
import signal
import subprocess
import sys

import pytest

from bench.drill.processes import end_all, find_processes, send, wait_until
from bench.drill.small_disk import SmallDisk

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")

WRITER = (
    "import sys\nfor line in sys.stdin:\n    open('written', 'w', buffering=1).write(line)\n    print('ok', flush=True)"
)


def start(mark, *words):
    name, _, value = mark.partition("=")
    return subprocess.Popen(words or ("sleep", "60"), env={**os.environ, name: value})


def test_only_processes_of_the_mark_are_ended(tmp_path):
    mine, other = f"DRILL_TEST={tmp_path}/a", f"DRILL_TEST={tmp_path}/b"
    one, two = start(mine), start(other)
    try:
        assert wait_until(lambda: len(find_processes(mine)) == 1, 10.0)
        [found] = find_processes(mine)
        assert (found.pid, found.name, found.is_worker) == (one.pid, "sleep", False)
        assert [left.pid for left in end_all(mine, 0.2)] == [one.pid]
        assert one.wait(10) == -signal.SIGKILL and two.poll() is None
        assert end_all(mine, 0.2) == [] and not send(one.pid, signal.SIGKILL)
    finally:
        two.kill()
        two.wait()


def test_a_limit_makes_each_write_fail(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.drill.small_disk._mount", lambda folder: False)
    disk = SmallDisk(tmp_path / "disk")
    assert disk.kind == "limit"
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", WRITER], cwd=disk.folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as child:
        child.stdin.write("one\n")
        child.stdin.flush()
        assert child.stdout.readline() == "ok\n"
        disk.fill(child.pid)
        _, said = child.communicate("two\n", timeout=30)
    assert "File too large" in said and child.returncode == 1
    disk.free()
    disk.close()
