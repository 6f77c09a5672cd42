"""Confusions are the views in which a wrong caption stood first or nearest."""

from __future__ import annotations

from bench.analysis.confusions import count_confusions
from bench.suites.suite import TrialSlot
from tasks.captions.caption_sets import CaptionSet

JUDGE = "embedded-judge-rn"
CAPTIONS = CaptionSet("mine", ("a", "b", "c"), "")
CELLS = [TrialSlot("t", arm, f"{arm}-{name}", name, 0) for arm in ("full", "bare") for name in "ab"]


def scores(wrong, first, state="ok"):
    return {"field_state": state, "context": {f"wrong@{JUDGE}": wrong, f"predicted@{JUDGE}": first}}


def test_views_are_counted_by_wrong_caption():
    by_trial = {
        "full-a": scores([1, 2, 1, None], [0, 2, 1, None]),  # the last view is not finite
        "bare-b": scores([2, 2], [2, 1]),
    }
    rows = count_confusions(CELLS, by_trial, JUDGE, CAPTIONS)
    assert [tuple(row.values()) for row in rows] == [
        ("full", "a", "b", 1, 2, 3),
        ("full", "a", "c", 1, 1, 3),
        ("bare", "b", "c", 1, 2, 2),
    ]


def test_seeds_of_a_caption_are_added():
    cells = [TrialSlot("t", "full", "one", "a", 0), TrialSlot("t", "full", "two", "a", 1)]
    [row] = count_confusions(cells, {"one": scores([1], [1]), "two": scores([1], [0])}, JUDGE, CAPTIONS)
    assert (row["num_first"], row["num_nearest"], row["num_views"]) == (1, 2, 2)


def test_empty_fields_and_other_judges_confuse_nobody():
    by_trial = {"full-a": scores([1], [1], state="empty"), "bare-a": {"field_state": "ok", "context": {}}}
    assert count_confusions(CELLS, by_trial, JUDGE, CAPTIONS) == []
    assert count_confusions(CELLS, {"full-a": scores([1], [1])}, "another", CAPTIONS) == []
