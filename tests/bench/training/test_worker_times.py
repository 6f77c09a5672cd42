"""The parts of a worker's time: they add up to the run's, and name what it waited for."""

import pytest

from bench.training.run_handlers import PackEvent
from bench.training.worker_times import PARTS, slowest, split_times


def events_of(worker, *packs):
    """Events of a worker's packs, each a trial's id and three times."""
    for trial_id, *times in packs:
        for kind, seconds in zip(("begun", "trained", "ended"), times, strict=True):
            yield PackEvent(kind, worker, (trial_id,), float(seconds))


def laps(**seconds):
    return {f"{name}_s": value for name, value in seconds.items()} | {"wall_s": sum(seconds.values())}


def test_a_worker_that_waits_for_nothing_else_waits_for_the_queue():
    events = [*events_of(0, ("a", 10, 20, 26)), *events_of(1, ("b", 12, 22, 23), ("c", 22, 40, 41))]
    timings = {
        "a": laps(prepare=1.0, compile=4.0, train=4.0, render=0.5, score=6.0),
        "b": laps(compile=2.0, train=8.0, score=1.0),
        "c": laps(train=18.0, score=1.0),
    }
    first, second = split_times(events, timings, 0.0, 43.0)
    assert first.seconds == pytest.approx(
        {"start": 10, "data": 1, "compile": 4, "train": 4, "render": 0.5, "score": 6, "queue": 15, "other": 2.5}
    )
    assert second.seconds["train"] == pytest.approx(26)
    assert second.seconds["score"] == pytest.approx(1)  # the first pack's score ran beside the second's training
    assert second.seconds["queue"] == pytest.approx(0)
    assert slowest([first, second]) is second and second.ended_s == 41
    for worker in (first, second):
        assert tuple(worker.seconds) == PARTS
        assert sum(worker.seconds.values()) == pytest.approx(43)


def test_scores_that_are_made_before_a_worker_is_free():
    [found] = split_times(
        list(events_of(0, ("a", 1, 9, 9))), {"a": laps(train=3.0, score=4.0) | {"shared_s": 0.0}}, 0.0, 9.0
    )
    assert (found.seconds["train"], found.seconds["score"], found.seconds["other"]) == pytest.approx((3, 4, 1))


def test_what_two_trials_share_counts_once():
    events = [PackEvent(kind, 0, ("a", "b"), t) for kind, t in (("begun", 0.0), ("trained", 6.0), ("ended", 6.0))]
    timings = {"a": {"train_s": 4.0, "wall_s": 4.0}, "b": {"train_s": 6.0, "wall_s": 6.0, "shared_s": 4.0}}
    assert split_times(events, timings, 0.0, 6.0)[0].seconds["train"] == pytest.approx(6)


def test_a_worker_that_dies_was_busy_until_the_end():
    events = [PackEvent("begun", 0, ("a",), 1.0), *events_of(1, ("a", 3, 8, 9))]
    died, took_over = split_times(events, {"a": laps(train=5.0)}, 0.0, 10.0)
    assert sum(died.seconds.values()) == sum(took_over.seconds.values()) == pytest.approx(10)
