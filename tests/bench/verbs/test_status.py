import argparse
import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

from bench import record, store
from bench._layout import ROOT
from bench.verbs import status


def parsed(*words):
    parser = argparse.ArgumentParser()
    status.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def outcome(n, state="finished"):
    made = record.Record(
        schema_version=record.SCHEMA_VERSION, trial_id=f"nerf__a__8v__s0__{n}", status=state, variant="nerf",
        task="a__8v", cluster="a", seed=0, budget="smoke", identity={}, environment={}, curves={}, timings={},
        num_steps=1, num_parameters=1, pack_size=1, first_bad_step=None,
        reason=None if state == "finished" else "why", traceback=None,
    )  # fmt: skip
    return record.Outcome(record=made, parameters={"a": np.zeros(1, np.float32)}, views={}, scores={})


@pytest.fixture
def trials(tmp_path):
    made = store.open(tmp_path)
    for n, state in enumerate(["finished", "finished", "failed"]):
        made.write(outcome(n, state))
    return made


def test_results_lie_in_the_repository_by_default():
    assert parsed().results == ROOT / "results" / "runs"


def test_nothing_stored_and_nothing_running(tmp_path, capsys):
    assert status.main(parsed("--results", tmp_path / "none")) == 0
    assert capsys.readouterr().out == f"stored in {tmp_path / 'none'}: 0 finished, 0 failed\nnothing is running\n"


def test_what_runs_now(trials, capsys):
    running = [
        {"trial_ids": ["x", "y", "z"], "phase": "train", "step": 5, "num_steps": 20, "loss": 0.125},
        {"trial_ids": ["w"], "phase": "compile", "step": 0, "num_steps": 20, "loss": None},
    ]
    trials.write_status({"num_trials": 9, "num_done": 2, "num_failed": 1, "left_s": 600.0, "running": running})
    assert status.main(parsed("--results", trials.root)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"stored in {trials.root}: 2 finished, 1 failed"
    assert lines[1] == (
        f"running in process {os.getpid()}, last heard of 0 s ago: 2 of 9 trials done, 1 failed, about 10 min to go"
    )
    assert lines[2] == "  train    5/20, loss 0.1250: x and 2 more"
    assert lines[3] == "  compile  0/20: w"


def test_a_driver_that_died_is_said_to_be_dead(trials, capsys):
    trials.write_status({"running": []})
    gone = subprocess.Popen(["true"])
    gone.wait()
    path = pathlib.Path(trials.root, "status.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": gone.pid}))
    status.main(parsed("--results", trials.root))
    out = capsys.readouterr().out
    assert f"nothing is running: the run in process {gone.pid} ended without saying so 0 s ago\n" in out
    assert "the same command again continues it" in out


def test_what_did_not_parse_is_said(trials, capsys):
    (trials.root / "nerf__broken").mkdir()
    status.main(parsed("--results", trials.root))
    assert "set aside, it did not parse: nerf__broken.unreadable-1: " in capsys.readouterr().out


def test_json(trials, capsys):
    trials.write_status({"running": []})
    assert status.main(parsed("--results", trials.root, "--json")) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["stored"] == {"num_finished": 2, "num_failed": 1}
    assert said["set_aside"] == []
    assert said["running"]["alive"] is True
