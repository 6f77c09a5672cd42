"""Where the time of a run went."""

import pytest

from bench.training.run_handlers import PackEvent
from bench.training.run_times import RunTimes

LAPS = {"prepare_s": 1.0, "compile_s": 2.0, "train_s": 10.0, "render_s": 2.0, "score_s": 5.0}
EVENTS = [PackEvent("begun", worker, (f"t{worker}",), 0.0) for worker in (0, 1, 1)]


def timings(**changes):
    return LAPS | {"wall_s": 20.0, "shared_s": 0.0} | changes


def test_devices_have_the_whole_wall_time():
    times = RunTimes.of(25.0, EVENTS, [timings(), timings()], scores_beside=False)
    assert times.num_workers == 2
    expected = {"trained": 0.4, "rendered": 0.08, "compiled": 0.08, "prepared": 0.04, "scored": 0.2, "else": 0.2}
    assert times.shares() == pytest.approx(expected)
    assert times.describe().startswith("time of 2 workers, 50 s in all: trained 40%, rendered 8%")


def test_scores_beside_training_take_nothing_of_it():
    times = RunTimes.of(20.0, EVENTS[:1], [timings()], scores_beside=True)
    assert "scored" not in times.shares() and times.shares()["else"] == pytest.approx(0.25)
    assert times.describe().endswith("; scored beside in 5 s")


def test_what_another_trial_counts_is_not_counted_again():
    alone = RunTimes.of(20.0, EVENTS[:1], [timings()], scores_beside=False)
    shared = RunTimes.of(20.0, EVENTS[:1], [timings(), timings(shared_s=20.0), {}], scores_beside=False)
    assert shared.seconds == pytest.approx(alone.seconds)
