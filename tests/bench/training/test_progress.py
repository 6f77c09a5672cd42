"""What is shown while trials run, in a log file, and what `bench status` is told."""

import types

import pytest

from bench.training.progress import Progress, ProgressBar, ProgressTable, fraction_done
from tests.fixtures import fake_trainer


def outcome(name, reason=None):
    record = types.SimpleNamespace(
        trial_id=name, status="failed" if reason else "finished", reason=reason, timings={"wall_s": 2.0}
    )
    made = fake_trainer.outcome(fake_trainer.Trial(name), {})
    object.__setattr__(made, "record", record)
    return made


@pytest.fixture
def states():
    return []


@pytest.fixture
def table(states):
    with ProgressTable(num_trials=5, num_done=1, on_change=states.append) as table:
        yield table


def test_states_count_what_is_done_and_list_what_runs(table, states):
    table.on_progress("nerf-12", ("a", "b"), Progress("train", 5, 10, 0.5))
    assert states[-1]["running"] == [{"trial_ids": ["a", "b"], "phase": "train", "step": 5, "num_steps": 10}]
    table.on_outcome(outcome("a"))
    table.on_outcome(outcome("c", "out of memory"))
    assert (states[-1]["num_trials"], states[-1]["num_done"], states[-1]["num_failed"]) == (5, 2, 1)
    assert states[-1]["running"] == []  # a pack leaves with its first outcome


def test_time_left_is_at_the_pace_so_far(table, monkeypatch):
    assert table.estimate_left_s() is None
    table.on_outcome(outcome("a"))
    monkeypatch.setattr("bench.training.progress.time.monotonic", lambda: table.start + 10.0)
    assert table.estimate_left_s() == pytest.approx(30.0)  # three to go; the one found finished took no time
    table.on_progress("nerf-12", ("b", "c"), Progress("train", 5, 10, 0.5))
    assert table.estimate_left_s() == pytest.approx(10.0 / 1.9 * 2.1)  # of two trials, 0.45 is done


def test_a_log_file_hears_now_and_then_of_a_pack_and_of_every_trial(table, capsys):
    for step in range(3):
        table.on_progress("nerf-12", ("a", "b"), Progress("train", step, 10, 0.5))
    table.on_outcome(outcome("a"))
    table.on_outcome(outcome("b", "[bold] is no markup"))
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["  nerf, 2 trials: train 0/10", "[2/5] a 2.0 s", "[3/5] b failed: [bold] is no markup"]


def test_the_table_draws_a_row_a_pack(table):
    table.on_progress("nerf-12", ("nerf__kettle", "b"), Progress("train", 5, 10, float("nan")))
    table.on_outcome(outcome("c", "why"))
    head, rows = table.draw().renderables
    assert head.plain.startswith("1/5 trials, 1 failed, about ")
    assert rows.row_count == 1


def test_a_log_file_hears_of_every_tenth_of_one_pack(capsys):
    with ProgressBar() as bar:
        for step in range(0, 101):
            bar.on_progress(Progress("train", step, 100, 0.5))
        bar.on_progress(Progress("render", 100, 100, float("nan")))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 12
    assert (lines[1], lines[-1]) == ("train 10/100 loss 0.5000", "render 100/100")


def test_rendering_is_nearly_the_end():
    assert 0 < fraction_done(Progress("train", 99, 100, 0.1)) < fraction_done(Progress("render", 100, 100, 0.1)) < 1
