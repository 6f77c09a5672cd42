"""Differences of single scenes: paired by seed and view, averaged over seeds, with an interval over views."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.analysis import paired_comparison, view_differences
from bench.suites.suite import TrialSlot


def table_of(values, num_scenes=2):
    """A table of two arms; values by arm and seed are of views 0, 1, ..., and scenes differ by 10."""
    slots = []
    rows = []
    for (arm, seed), numbers in values.items():
        for scene in range(num_scenes):
            trial_id = f"{arm}-{scene}-{seed}"
            slots.append(TrialSlot("t", arm, trial_id, f"scene{scene}", seed))
            rows += [(trial_id, view, None if x is None else x + 10.0 * scene) for view, x in enumerate(numbers)]
    frame = pd.DataFrame(rows, columns=["trial_id", "view", "value"]).astype({"value": float})
    frame = frame.assign(status="finished", protocol="std-v1", metric="psnr", reason=None)
    frame = frame.assign(budget="quick", num_steps=400, wall_s=9.0)
    result = paired_comparison.compare(
        frame, slots, table="t", baseline="bare", protocol="std-v1", metrics=["psnr", "lpips_vgg"]
    )
    return view_differences.add_scene_differences(result, frame, slots)


def test_views_are_paired_and_seeds_averaged():
    result = table_of({("bare", 0): [1, 2, 3], ("bare", 1): [3, 4, 5], ("full", 0): [2, 4, 2], ("full", 1): [6, 4, 8]})
    found = {each.cluster: each for each in result.scene_differences}
    assert set(found) == {"scene0", "scene1"}
    one = found["scene1"]
    assert (one.metric, one.arm, one.views) == ("psnr", "full", (0, 1, 2))
    assert one.by_view == pytest.approx([(1 + 3) / 2, (2 + 0) / 2, (-1 + 3) / 2])
    assert one.mean == pytest.approx(4 / 3) and one.num_better == 3
    half = 4.302653 * np.std([2, 1, 1], ddof=1) / np.sqrt(3)  # Student's t of two degrees of freedom at 97.5%
    assert (one.low, one.high) == pytest.approx((4 / 3 - half, 4 / 3 + half), rel=1e-5)


def test_a_view_without_a_number_is_left_out():
    result = table_of({("bare", 0): [1, None, 3], ("full", 0): [2, 4, None]}, num_scenes=1)
    (one,) = result.scene_differences
    assert (one.views, one.by_view, one.low, one.num_better) == ((0,), (1.0,), None, 1)


def test_enough_scenes_have_a_verdict_instead():
    assert table_of({("bare", 0): [1, 2], ("full", 0): [2, 3]}, num_scenes=5).scene_differences == ()
