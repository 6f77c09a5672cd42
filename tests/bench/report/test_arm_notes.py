"""Notes on arms: what they change, and whether they have fewer trials than others."""

from __future__ import annotations

from bench.report import arm_notes
from bench.suites.suite import TrialSlot
from tests.fixtures.toy_studies import SMOKE, toy_suite


def test_fewer_captions_and_seeds():
    cells = [TrialSlot("t", "a", f"a{c}{s}", c, s) for c in "xyz" for s in (0, 1)]
    notes = arm_notes.arms_with_fewer_trials([*cells, TrialSlot("t", "b", "b", "x", 0)], "caption")
    assert list(notes) == ["b"] and "1 of 3 captions and 1 of 2 seeds" in notes["b"]
    assert arm_notes.arms_with_fewer_trials(cells, "caption") == {}


def test_differences_from_the_baseline_are_named():
    table = toy_suite().tables_at(SMOKE)[0]
    cells = [TrialSlot("toys", arm, arm, "ant", 0) for arm in table.arms]
    notes = arm_notes.write_arm_notes(table, cells, "scene")
    assert notes["Base"] == ""
    assert "learning_rate 0.2 instead of " in notes["Fast"] and "label fast instead of base" in notes["Fast"]
    assert "task.num_views 5 instead of " in notes["Base, 5 views"]
