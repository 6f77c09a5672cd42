"""One suite on 1, 2, ... devices: each in a process of its own, with the devices it may see and an empty cache."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import pytest

from bench import __main__ as command_line
from bench.cli import scaling as scaling_command
from bench.errors import UsageError
from bench.report.tables import scaling_tables
from bench.training import accelerators, scaling
from bench.training.worker_times import PARTS, WorkerTimes


def measured(num_devices=1, wall_s=100.0, executor="inline", num_failed=0):
    seconds = dict.fromkeys(PARTS, 0.0) | {"start": 10.0, "compile": 50.0, "train": wall_s - 60.0}
    return scaling.Measurement(
        executor=executor,
        num_devices=num_devices,
        device="a GPU",
        num_trials=3,
        num_failed=num_failed,
        wall_s=wall_s,
        workers=(WorkerTimes(worker=0, ended_s=wall_s, seconds=seconds),),
    )


def test_efficiency_with_and_without_what_a_long_study_does_once():
    assert scaling.efficiency(measured(), measured(4, 70.0)) == pytest.approx(100 / (4 * 70))
    assert scaling.warm_efficiency(measured(), measured(4, 70.0)) == pytest.approx(1)


@pytest.fixture
def child(monkeypatch, tmp_path):
    """The process that measures: it writes what it was asked for."""
    asked = []

    def run(command, env, **options):
        data = pathlib.Path(env["BENCH_DATA_DIR"])
        asked.append((command, env, os.sched_getaffinity(0), sorted(entry.name for entry in data.iterdir())))
        into = pathlib.Path(command[command.index("--into") + 1])
        into.write_text(json.dumps(dataclasses.asdict(measured())))
        return subprocess.CompletedProcess(command, 0)

    for name in ("programs", "scenes"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(scaling.subprocess, "run", run)
    return asked


def test_a_process_sees_the_first_devices_and_no_compiled_programs(child, monkeypatch):
    monkeypatch.setattr(accelerators, "num_accelerators", lambda: 4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, 6,7,2")
    assert scaling.train_apart(["--suite", "ablations"], "ray", 2) == measured()
    [(command, env, cores, data)] = child
    assert command[2:7] == ["bench", "scaling", "--suite", "ablations", "--executors"]
    assert (env["CUDA_VISIBLE_DEVICES"], cores, data) == ("5,6", os.sched_getaffinity(0), ["scenes"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert scaling.visible_devices() == ["0", "1", "2", "3"]


def test_without_accelerators_a_process_has_some_of_the_cores(child, monkeypatch):
    monkeypatch.setattr(accelerators, "num_accelerators", lambda: 0)
    before = os.sched_getaffinity(0)
    scaling.train_apart([], "inline", 1)
    assert child[0][2] == {min(before)} and os.sched_getaffinity(0) == before


def test_more_devices_than_there_are(monkeypatch):
    monkeypatch.setattr(accelerators, "num_accelerators", lambda: 2)
    with pytest.raises(UsageError, match="--devices: expected up to 2, which this host has, got 4"):
        scaling.train_apart([], "inline", 4)


def test_a_process_that_fails_ends_the_command(child, monkeypatch):
    monkeypatch.setattr(scaling.subprocess, "run", lambda command, **o: subprocess.CompletedProcess(command, 2))
    with pytest.raises(UsageError, match="expected ray on 1 to end well, got 2"):
        scaling.train_apart([], "ray", 1)


COMMAND = ["scaling", "--suite", "ablations", "--budget", "smoke", "--seeds", "0", "--only", "table=regularizers"]


def test_the_command_measures_one_device_once_and_keeps_earlier_measurements(tmp_path, monkeypatch, capsys):
    asked = []

    def train_apart(words, executor, num_devices):
        asked.append((executor, num_devices))
        assert words == COMMAND[1:]
        return measured(num_devices, 100.0 / num_devices + 60, executor)

    monkeypatch.setattr(scaling, "train_apart", train_apart)
    path = tmp_path / "scaling.json"
    words = [*COMMAND, "--devices", "2,1", "--executors", "inline,ray", "--out", str(path)]
    assert command_line.main(words) == 0
    assert asked == [("inline", 1), ("inline", 2), ("ray", 2)]
    assert [found.num_devices for found in scaling_command.read_measurements(path)] == [1, 2, 2]
    printed = capsys.readouterr().out
    assert "2 ray" in printed and "73%" in printed and "100%" in printed
    monkeypatch.setattr(scaling, "train_apart", lambda *arguments: measured(4, 85.0, num_failed=1))
    assert command_line.main([*COMMAND, "--devices", "4", "--out", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == json.loads(path.read_text())
    assert len(json.loads(path.read_text())) == 4


def test_a_file_of_something_else_is_refused(tmp_path, capsys):
    path = tmp_path / "other.json"
    path.write_text('[{"a": 1}]')
    assert command_line.main([*COMMAND, "--out", str(path)]) == 2
    assert "expected measurements of `bench scaling`" in capsys.readouterr().err


def test_an_unknown_executor_is_refused(capsys):
    assert command_line.main([*COMMAND, "--executors", "inline,dask"]) == 2
    assert "--executors: expected inline, ray or inline,ray, got 'inline,dask'" in capsys.readouterr().err


def test_nothing_measured_prints_nothing(capsys):
    scaling_tables.print_measurements([])
    assert capsys.readouterr().out == ""


def test_a_process_starts_on_the_cores_that_are_asked_for():
    before = os.sched_getaffinity(0)
    look = [sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]
    with scaling.stay_on_cores([min(before)]):
        assert subprocess.check_output(look, text=True) == f"[{min(before)}]\n"
    assert os.sched_getaffinity(0) == before


@pytest.mark.slow
def test_a_small_suite_is_measured(tmp_path):
    path = tmp_path / "scaling.json"
    words = [*COMMAND, "--only", "variant=dream_fields_no_transmittance_loss", "--devices", "1", "--out", str(path)]
    words += ["--set", "budget.caption_steps=3", "--set", "budget.render_px=12"]
    assert command_line.main(words) == 0
    [found] = scaling_command.read_measurements(path)
    assert found.num_failed == 0 and found.num_devices == 1 and len(found.workers) == 1
    assert sum(found.slowest.seconds.values()) == pytest.approx(found.wall_s, rel=0.02)
    assert min(found.slowest.seconds[part] for part in ("start", "data", "compile", "train", "score")) > 0
