"""What a driver says of itself."""

import json
import math
import os
import subprocess
import time

import pytest

from bench.storage import run_status
from bench.storage.store import Store
from bench.storage.trial_reader import describe_damage
from tests.fixtures.stored_trials import listing

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
    trials = Store.open(tmp_path)
    assert trials.read_status() is None
    [line] = describe_damage(trials)
    assert line.startswith(f"left out: {tmp_path}/status.json: expected ")
    trials.write_status({})
    assert trials.read_status() and describe_damage(trials) == []


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
    path.write_text(json.dumps(status | {"boot": "another"}))
    assert not trials.read_status()["alive"]  # the host was started anew: its number is another process's
    path.write_text(json.dumps(status | {"host": "ffffffff", "heartbeat": time.time() - 2 * run_status.DEAD_S}))
    assert not trials.read_status()["alive"]
    path.write_text(json.dumps(status | {"host": "ffffffff", "pid": gone.pid}))
    assert trials.read_status()["alive"]
    path.write_text(json.dumps(status | {"host": "ffffffff", "heartbeat": time.time() + 1e9}))
    seen = trials.read_status()
    assert not seen["alive"] and seen["silent_s"] == 0.0  # its clock was years ahead
