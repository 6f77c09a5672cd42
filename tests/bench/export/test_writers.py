"""Writers work in processes that end with the command, or in threads; a process that was killed changes no result."""

import functools
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from bench.export import writers
from bench.import_paths import ROOT

KILLED_COMMAND = """
import os, signal
from bench.export import writers
writers.NUM_WRITERS = 1
writers.has_processes = lambda: True
writers.warm_up_process = os.getpid
if __name__ == "__main__":
    with writers.open_writers() as opened:
        print(opened.call(os.getpid), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def processes(monkeypatch):
    """Opens one process as beside an accelerator."""
    monkeypatch.setattr(writers, "NUM_WRITERS", 1)
    monkeypatch.setattr(writers, "has_processes", lambda: True)
    monkeypatch.setattr(writers, "warm_up_process", os.getpid)
    with writers.open_writers() as opened:
        yield opened


def test_a_process_uses_no_device_and_leaves_ctrl_c_to_the_command(processes):
    assert processes.call(os.getpid) != os.getpid()
    assert processes.call(os.getenv, "JAX_PLATFORMS") == "cpu"
    assert processes.call(signal.getsignal, signal.SIGINT) == signal.SIG_IGN
    assert signal.SIGINT in processes.call(signal.pthread_sigmask, signal.SIG_BLOCK, ())  # from its first moment on
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_what_a_killed_process_was_to_do_is_done_here(processes):
    child = processes.call(os.getpid)
    sleeping = processes.begin(time.sleep, 0.1)
    os.kill(child, signal.SIGKILL)
    assert sleeping() is None
    assert processes.call(os.getpid) == os.getpid()


def test_an_error_of_the_work_is_raised(processes):
    with pytest.raises(FileNotFoundError):
        processes.call(os.stat, "/no/such/file")


def test_a_command_that_fails_does_not_wait_for_its_processes(monkeypatch):
    monkeypatch.setattr(writers, "NUM_WRITERS", 1)
    monkeypatch.setattr(writers, "has_processes", lambda: True)
    monkeypatch.setattr(writers, "warm_up_process", functools.partial(time.sleep, 30))
    others = multiprocessing.active_children()
    with pytest.raises(ZeroDivisionError), writers.open_writers():
        (child,) = (process for process in multiprocessing.active_children() if process not in others)
        raise ZeroDivisionError
    child.join(timeout=10)
    assert not child.is_alive()


def test_without_an_accelerator_threads_write(monkeypatch):
    monkeypatch.setattr(writers.accelerators, "num_accelerators", lambda: 0)
    with writers.open_writers() as opened:
        assert opened.call(threading.current_thread).name.startswith("write")
        assert opened.call(os.getpid) == os.getpid()
    assert writers.HERE.call(threading.current_thread) is threading.current_thread()


def test_few_cores_have_no_processes(monkeypatch):
    monkeypatch.setattr(writers.accelerators, "num_accelerators", lambda: 1)
    for cores, expected in ((2, False), (writers.FEWEST_CORES, True)):
        monkeypatch.setattr(writers.host_cores, "num_cores", lambda cores=cores: cores)
        assert writers.has_processes() is expected


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and that nobody waits for does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not pathlib.Path("/proc").is_dir(), reason="looks at Linux's list of processes")
def test_a_process_ends_with_a_command_that_is_killed(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED_COMMAND)
    ran = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    child = int(ran.stdout)
    deadline = time.monotonic() + 20
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(child)
