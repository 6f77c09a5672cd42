"""One driver at a time, and what it says of itself."""

import json
import math
import os
import subprocess
import time

import pytest

from bench.errors import UsageError
from bench.storage import run_status
from bench.storage.store import Store
from tests.fixtures.stored_trials import listing, python


def test_a_second_driver_is_told_of_the_first(tmp_path):
    trials = Store.open(tmp_path)
    with trials.lock():
        with (
            pytest.raises(UsageError, match=f"no other run.* in process {os.getpid()}; wait"),
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


def test_the_lock_of_a_dead_driver_is_taken_over(tmp_path):
    driver = python(HOLDS, str(tmp_path), stdout=subprocess.PIPE)
    try:
        assert driver.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match=f"in process {driver.pid};"), Store.open(tmp_path).lock():
            pass
    finally:
        driver.kill()
        driver.wait()
        driver.stdout.close()
    with Store.open(tmp_path).lock():
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


def test_a_store_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can be written, got '.*--results"):
        Store.open(tmp_path / "file").lock().__enter__()


def test_errors_of_a_run_are_not_taken_for_a_locks(tmp_path):
    with pytest.raises(OSError, match="disk full"), Store.open(tmp_path).lock():
        raise OSError("disk full")


# What is running


def test_status_is_written_in_one_step_with_a_heartbeat(tmp_path):
    trials = Store.open(tmp_path)
    trials.write_status({"num_trials": 3, "running": [{"loss": math.nan, "trial_ids": ("a", "b")}]})
    status = trials.read_status()
    assert status["alive"] and status["pid"] == os.getpid() and 0 <= status["silent_s"] < 60
    assert status["num_trials"] == 3
    assert status["running"] == [{"loss": None, "trial_ids": ["a", "b"]}]
    assert listing(tmp_path) == ["status.json"]
    trials.clear_status()
    trials.clear_status()
    assert trials.read_status() is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"pid": "1", "host": "", "heartbeat": 0}'])
def test_a_status_that_does_not_parse_counts_as_none(tmp_path, content):
    (tmp_path / "status.json").write_text(content)
    assert Store.open(tmp_path).read_status() is None


def test_a_dead_driver_is_told_from_a_silent_one(tmp_path):
    trials = Store.open(tmp_path)
    path = tmp_path / "status.json"
    trials.write_status({})
    status = json.loads(path.read_text())
    gone = subprocess.Popen(["true"])
    gone.wait()
    path.write_text(json.dumps(status | {"pid": gone.pid}))
    assert not trials.read_status()["alive"]
    path.write_text(json.dumps(status | {"heartbeat": time.time() - 2 * run_status.DEAD_S}))
    assert trials.read_status()["alive"]  # its process is there: it compiles
    path.write_text(json.dumps(status | {"host": "ffffffff", "heartbeat": time.time() - 2 * run_status.DEAD_S}))
    assert not trials.read_status()["alive"]
    path.write_text(json.dumps(status | {"host": "ffffffff", "pid": gone.pid}))
    assert trials.read_status()["alive"]
