"""Numbers of a table's trials: read beside their places, and counted where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.analysis import trial_scores
from bench.errors import UsageError
from bench.suites.suite import TrialSlot

SLOTS = [TrialSlot("t", arm, f"{arm}-{i}", f"scene {i}", 0) for arm in ("base", "arm") for i in range(3)]
PLACES = trial_scores.places_of(SLOTS)


def framed(*rows):
    """A frame of (trial, status, protocol, metric, view, value, reason)."""
    columns = ["trial_id", "status", "protocol", "metric", "view", "value", "reason"]
    frame = pd.DataFrame(rows, columns=columns).astype({"value": "float64"})
    return frame.assign(num_steps=4, wall_s=2.0)


FRAME = framed(
    ("base-0", "finished", "std-v1", "psnr", 0, 20.0, None),
    ("base-0", "finished", "std-v1", "psnr", 1, 22.0, None),
    ("base-0", "finished", "nerf-2020", "psnr", 0, 9.0, None),
    ("arm-0", "finished", "std-v1", "psnr", 0, 21.0, None),
    ("arm-0", "finished", "std-v1", "psnr", 1, np.nan, "not finite"),
    ("arm-1", "failed", None, None, None, np.nan, "diverged"),
    ("arm-2", "finished", "std-v1", "ssim", 0, 0.5, None),
    ("other", "finished", "std-v1", "psnr", 0, 99.0, None),
)


def test_numbers_are_those_of_the_protocol_and_of_finished_trials():
    numbers = trial_scores.select_numbers(FRAME, PLACES, "std-v1", "psnr")
    assert sorted(numbers["value"].dropna()) == [20.0, 21.0, 22.0] and len(numbers) == 4
    assert set(numbers["cluster"]) == {"scene 0"}
    assert set(trial_scores.select_numbers(FRAME, PLACES, "std-v1")["metric"]) == {"psnr", "ssim"}


def count_by_arm(frame):
    numbers = trial_scores.select_numbers(frame, PLACES, "std-v1", "psnr")
    return {
        arm: trial_scores.count_trials(trials, numbers[numbers["arm"] == arm], metric="psnr", protocol="std-v1")
        for arm, trials in trial_scores.trials_by_arm(frame, PLACES, "std-v1").items()
    }


def test_every_planned_trial_is_counted_once():
    counts = count_by_arm(FRAME[FRAME["trial_id"] != "other"])
    found = counts["arm"]
    parts = [found[name] for name in ("num_trials", "num_failed", "num_absent", "num_missing")]
    assert parts == [1, 1, 0, 1] and found["num_planned"] == 3 and found["num_views_missing"] == 1
    assert found["reasons"] == {
        "diverged": 1, "not finite": 1, "no score of psnr under std-v1: run rescore": 1,
    }  # fmt: skip
    assert (found["num_steps"], found["fewest_steps"], found["wall_s"]) == (4, 4, 2.0)
    base = counts["base"]
    assert (base["num_trials"], base["num_absent"], base["reasons"]) == (1, 2, {})


def test_of_trials_that_were_not_run_nothing_is_known():
    found = count_by_arm(FRAME[:0])["arm"]
    assert (found["num_absent"], found["num_steps"], found["wall_s"]) == (3, None, None)


def test_a_number_that_is_there_twice_or_infinite_is_refused():
    twice = pd.concat([FRAME, FRAME[:1]])
    with pytest.raises(UsageError, match="got two for base-0"):
        trial_scores.check_unique(twice, SLOTS)
    with pytest.raises(UsageError, match="got several for 'base', 'scene 0'"):
        trial_scores.check_unique(FRAME, [*SLOTS, SLOTS[0]._replace(trial_id="another")])
    trial_scores.check_unique(FRAME, SLOTS)
    with pytest.raises(UsageError, match="got inf for psnr of base-0"):
        trial_scores.check_finite(FRAME.assign(value=np.inf))
    trial_scores.check_finite(FRAME)
