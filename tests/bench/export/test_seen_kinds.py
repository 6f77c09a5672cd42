"""What an object is taken for is asked where answers can be right, and told in a line."""

from __future__ import annotations

import json

import pytest

from bench.export import seen_kinds, text_to_3d
from tasks.captions import judge_agreement


@pytest.mark.parametrize(
    ("caption", "budget", "protocols"),
    [
        ("a blue dotted guitar", "quick", ("std-v1", "recognition-v1")),
        ("a blue dotted guitar", "smoke", ("std-v1",)),  # its views have 16 px
        ("a snail", "quick", ("std-v1",)),
    ],
)
def test_recognition_is_asked_where_it_can_be_right(tmp_path, caption, budget, protocols):
    [trial] = text_to_3d.trials_of(caption, tmp_path, budget=budget)
    assert seen_kinds.protocols_for(trial, "std-v1") == protocols


@pytest.mark.parametrize(
    "scores",
    [None, {"field_state": "empty", "context": {"chosen_kind@a": [0]}}, {"field_state": "ok", "context": {}}],
)
def test_nothing_is_seen_where_nobody_was_asked(scores):
    assert seen_kinds.count_seen_kinds(scores, "a") == {}


def test_people_are_quoted_on_the_kinds_of_the_caption(tmp_path, monkeypatch):
    monkeypatch.setattr(judge_agreement, "FOLDER", tmp_path)
    assert seen_kinds.describe_people("a red mug on a cube") == []
    told = {"judges": {}, "taken_for": {"mug": {"mug": 2, "?": 1}, "hat": {"hat": 1}}}
    (tmp_path / "agreement.json").write_text(json.dumps(told))
    assert seen_kinds.describe_people("a red mug on a blue cube") == [
        "observers took 3 views of a mug for: mug (2), cannot tell (1)"
    ]
    assert seen_kinds.describe_people("a snail") == []
