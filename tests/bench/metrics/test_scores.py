"""Scores: they survive a file, and never hold a number that is none."""

from __future__ import annotations

import json

import pytest

from bench.errors import UsageError
from bench.metrics.scores import Scores

WHOLE = {"protocol": "std-v1", "version": "1.0", "view_ids": (0, 1), "per_view": {}, "reasons": {}, "context": {}}


def scores(**changes):
    numbers = {"psnr": [20.5, None], "ssim": [0.5, 0.75]}
    context = {"angle_to_nearest_deg": [4.0, 9.5], "predicted@judge": [3, None]}
    some = {"per_view": numbers, "reasons": {"psnr": "render is not finite"}, "context": context}
    return Scores(**(WHOLE | some | changes))


def test_scores_survive_a_file():
    whole = scores(departs="48 px", field_state="empty", about={"size": 7, "judges": {"judge": None}})
    assert Scores.from_json(json.loads(json.dumps(whole.to_json(), allow_nan=False))) == whole


def test_scores_stored_before_there_was_about_are_read():
    values = scores().to_json()
    assert values.pop("about") == {}
    assert Scores.from_json(values) == scores()


def test_scores_of_another_form_are_refused():
    values = scores().to_json()
    without = {key: value for key, value in values.items() if key != "reasons"}
    with pytest.raises(UsageError, match="missing.*`reasons`; make them again"):
        Scores.from_json(without)
    with pytest.raises(UsageError, match="unknown colour; make them again"):
        Scores.from_json(values | {"colour": 1})


@pytest.mark.parametrize(("change", "message"), [
    ({"per_view": {"psnr": [1.0]}}, "2 numbers of psnr, got 1"),
    ({"per_view": {"psnr": [1.0, float("nan")]}}, "finite numbers of psnr"),
    ({"per_view": {"psnr": [1.0, None]}}, "a reason for the missing numbers of psnr"),
])  # fmt: skip
def test_scores_never_hold_a_number_that_is_none(change, message):
    with pytest.raises(ValueError, match=message):
        Scores(**(WHOLE | change))
