"""Stored views: those of another task are refused, and an empty or solid field is told from an object."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import UsageError
from bench.metrics import stored_views


@pytest.mark.parametrize(("stored", "got"), [([], "none"), ([0, 7], "view 7"), ([1, 1], "one of them twice")])
def test_views_of_another_task_are_refused(stored, got):
    with pytest.raises(UsageError, match=f"expected views of the task's 3 test views, got {got}; render"):
        stored_views.check_ids(stored, known=[0, 1, 2])


def test_some_of_the_tasks_views_in_any_order_are_fine():
    stored_views.check_ids([2, 0], known=[0, 1, 2])


@pytest.mark.parametrize(("level", "state"), [
    (0.0, "empty"), (0.009, "empty"), (0.02, "ok"), (0.98, "ok"), (0.995, "solid"), (1.0, "solid"), (np.nan, "unknown"),
])  # fmt: skip
def test_state_of_a_field_of_one_opacity(level, state):
    opacity = np.full((3, 4, 4), level, np.float32)
    disc = np.zeros_like(opacity)
    disc[:, 1:3, 1:3] = 1
    assert stored_views.field_state(opacity) == stored_views.field_state(opacity, disc) == state


def test_a_scene_that_fills_every_view_may_be_solid_and_one_that_shows_nothing_empty():
    full = np.ones((3, 4, 4), np.float32)
    assert stored_views.field_state(full, true_alphas=full) == "ok"
    assert stored_views.field_state(0 * full, true_alphas=0 * full) == "ok"
    assert stored_views.field_state(0 * full, true_alphas=full) == "empty"
    assert stored_views.field_state(full, true_alphas=0 * full) == "solid"


def test_one_clear_pixel_is_not_solid():
    opacity = np.ones((3, 16, 16), np.float32)
    opacity[2, 0, 0] = 0.9
    assert stored_views.field_state(opacity) == "ok"


def test_without_opacity_nothing_is_known():
    assert stored_views.field_state(None) == "unknown"
