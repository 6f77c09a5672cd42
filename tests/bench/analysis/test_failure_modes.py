"""Failures of objects: their definitions, and counts by arm."""

import pytest

from bench.analysis import failure_modes, upper_bounds
from bench.suites.suite import TrialSlot

JUDGE = "embedded-judge-rn"


def scores(own=0.9, its=0.9, opacity=0.2, repeats=0.9, state="ok"):
    values = {"rprec1@guide": own, f"rprec1@{JUDGE}": its, "opacity": opacity, "repeats": repeats}
    return {"field_state": state, "per_view": {name: [x, x, None] for name, x in values.items()}}


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, []),
        ({"opacity": 0.51}, ["cloud"]),
        ({"opacity": 0.5}, []),
        ({"own": 0.5, "its": 0.24}, ["adversarial"]),
        ({"own": 0.49, "its": 0.0}, []),  # nobody finds it
        ({"own": 1.0, "its": 0.25}, []),
        ({"repeats": 0.96}, ["repeated faces"]),
        ({"repeats": 0.94}, []),
        ({"opacity": 0.9, "own": 1.0, "its": 0.0, "repeats": 1.0}, ["cloud", "adversarial", "repeated faces"]),
        ({"state": "empty", "opacity": 0.0}, ["empty"]),
        ({"state": "solid", "opacity": 1.0}, ["solid"]),
        ({"own": None, "its": None, "opacity": None, "repeats": None}, []),
    ],
)
def test_kinds(changes, kinds):
    assert failure_modes.find_failures(scores(**changes), JUDGE, 0.9) == kinds


def test_faces_are_not_said_to_repeat_where_nothing_true_is_known():
    assert failure_modes.find_failures(scores(repeats=1.0), JUDGE, None) == []


def test_counts_go_by_arm_and_know_the_true_renders_of_each_caption(monkeypatch):
    monkeypatch.setattr(upper_bounds, "scores_by_caption", lambda sha, metric: {"a ball": 1.0, "a dog": 0.8})
    cells = [TrialSlot("t", arm, f"{arm}-{c}", f"a {c}", 0) for arm in ("full", "bare") for c in ("ball", "dog", "hat")]
    known = {cell.trial_id: scores(repeats=0.99) for cell in cells if cell.trial_id != "bare-hat"}
    found = failure_modes.count_failures(
        [*cells, TrialSlot("t", "late", "late-hat", "a hat", 0)], known, {"bare-hat"}, JUDGE, "ab"
    )
    assert {arm: dict(counts) for arm, counts in found.items()} == {
        "full": {"trials": 3, "repeated faces": 1},
        "bare": {"trials": 3, "repeated faces": 1, "failed": 1},
        "late": {"trials": 0},
    }
    assert failure_modes.describe_failures(found) == [
        "crashed or not finite: bare 1 of 3",
        "far sides more alike than true renders' by over 0.05: full 1 of 3; bare 1 of 3",
    ]


def test_true_objects_are_no_failures():
    """The limits leave out every true render of the closed world, by its own numbers."""
    [entry] = [entry for entry in upper_bounds.stored_bounds().values() if entry["captions"] == "closed-world"]
    opacity, repeats = (upper_bounds.scores_by_caption(entry["sha256"], metric) for metric in ("opacity", "repeats"))
    assert len(opacity) == 64 and max(opacity.values()) < failure_modes.CLOUD
    own = upper_bounds.scores_by_caption(entry["sha256"], f"rprec1@{JUDGE}")
    for name, its in own.items():
        assert failure_modes.find_failures(scores(1.0, its, opacity[name], repeats[name]), JUDGE, repeats[name]) == []
