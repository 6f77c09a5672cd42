import argparse
import json
import os
import pathlib
import subprocess

import numpy as np
import pytest

from bench import __main__ as command_line
from bench.cli import common_options, status
from bench.errors import UsageError
from bench.import_paths import ROOT
from bench.storage import record
from bench.storage.store import Store


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
    made = Store.open(tmp_path)
    for n, state in enumerate(["finished", "finished", "failed"]):
        made.write(outcome(n, state))
    return made


def test_results_lie_in_the_repository_by_default():
    assert parsed().results == ROOT / "results" / "runs"


def test_nothing_stored_and_nothing_running(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(common_options, "USUAL", tmp_path / "none")
    assert status.main(parsed("--results", tmp_path / "none")) == 0
    assert capsys.readouterr().out == f"stored in {tmp_path / 'none'}: 0 finished, 0 failed\nnothing is running\n"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(
        UsageError, match="--results: expected a folder of trials, got .*nne, which is not there; leave"
    ):
        status.main(parsed("--results", tmp_path / "nne"))


def test_what_is_done_about_failures(trials, capsys):
    trials.write_status({"num_trials": 9, "num_done": 2, "policy": "stops after 1 failure"})
    assert status.main(parsed("--results", trials.root)) == 0
    assert "2 of 9 trials done; stops after 1 failure" in capsys.readouterr().out


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


class TestWatch:
    @pytest.fixture
    def story(self, trials, monkeypatch):
        """Replace each sleep between looks by the next of a list of functions."""
        turns, slept = [], []

        def sleep(seconds):
            slept.append(seconds)
            turns.pop(0)()

        monkeypatch.setattr(status.time, "sleep", sleep)
        return argparse.Namespace(turns=turns, slept=slept)

    def runs(self, trials, step, num_done=3):
        running = [{"trial_ids": ["x"], "phase": "train", "step": step, "num_steps": 20, "loss": None}]
        trials.write_status({"num_trials": 5, "num_done": num_done, "left_s": 60.0 - step, "running": running})

    def test_a_log_hears_of_what_has_happened_until_nothing_runs(self, trials, story, capsys):
        self.runs(trials, 5)
        story.turns += [
            lambda: self.runs(trials, 5),  # only time has passed
            lambda: self.runs(trials, 10),
            lambda: trials.write(outcome(7)),
            trials.clear_status,
        ]
        assert status.main(parsed("--results", trials.root, "--watch", "--every", "0.5")) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line for line in lines if "train" in line] == ["  train    5/20: x", *["  train    10/20: x"] * 2]
        assert [line.partition(": ")[2] for line in lines if line.startswith("stored in")] == [
            "2 finished, 1 failed", "2 finished, 1 failed", "3 finished, 1 failed", "3 finished, 1 failed",
        ]  # fmt: skip
        assert lines[-1] == "nothing is running" and story.slept == [0.5] * 4

    def test_a_trial_that_was_stored_last_is_counted(self, trials, story, capsys):
        """A driver stores a trial, and then says that nothing runs."""
        self.runs(trials, 20)
        story.turns.append(lambda: (trials.write(outcome(7)), trials.clear_status()))
        status.main(parsed("--results", trials.root, "--watch"))
        assert capsys.readouterr().out.splitlines()[-2:] == [
            f"stored in {trials.root}: 3 finished, 1 failed",
            "nothing is running",
        ]

    def test_it_ends_where_the_driver_has_died(self, trials, story, capsys):
        self.runs(trials, 5)
        gone = subprocess.Popen(["true"])
        gone.wait()
        path = pathlib.Path(trials.root, "status.json")
        story.turns.append(lambda: path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": gone.pid})))
        assert status.main(parsed("--results", trials.root, "--watch")) == 0
        assert "ended without saying so" in capsys.readouterr().out

    def test_ctrl_c_leaves_it_quietly(self, trials, story, capsys):
        self.runs(trials, 5)

        def stop():
            raise KeyboardInterrupt

        story.turns.append(stop)
        assert command_line.main(["status", "--results", str(trials.root), "--watch"]) == 0
        printed = capsys.readouterr()
        assert printed.err == "" and "train" in printed.out

    def test_a_terminal_is_drawn_in_place(self, trials, story, capsys, monkeypatch):
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "200")
        self.runs(trials, 5)
        story.turns += [lambda: self.runs(trials, 10), trials.clear_status]
        assert status.main(parsed("--results", trials.root, "--watch")) == 0
        out = capsys.readouterr().out
        assert "train    5/20" in out and "train    10/20" in out and "\x1b[1A" in out, "it goes up and writes over"
        assert "nothing is running" in out[-60:]

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--watch", "--json"), "--watch: expected no --json beside it, got both; leave one of them out"),
            (("--every", "3"), "--every: expected --watch beside it, got 3 alone; add --watch"),
            (("--watch", "--every", "0"), "--every: expected seconds from 0.05 on, got 0; leave it out"),
            (("--watch", "--every", "nan"), "--every: expected seconds from 0.05 on, got nan"),
        ],
    )
    def test_options_that_do_not_go_together(self, trials, words, said, capsys):
        assert command_line.main(["status", "--results", str(trials.root), *words]) == 2
        assert said in capsys.readouterr().err
