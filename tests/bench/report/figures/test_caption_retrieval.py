"""Precision round the object and among fewer captions is that of loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bench.report.figures.caption_retrieval import draw_by_azimuth, draw_by_distractors

JUDGE = "embedded-judge-rn"


@pytest.fixture(params=[draw_by_azimuth, draw_by_distractors])
def draw(request):
    return request.param


def draw_of(draw, made, frame=None):
    return draw(made.frame if frame is None else frame, made.cells, made.result, made.context)


def test_precision_round_the_object_by_loops(captioned):
    """The baseline is found at every even view, so at 0, 90, 180 and 270 degrees and nowhere else."""
    rows = draw_of(draw_by_azimuth, captioned).rows
    mine = {row["azimuth_deg"]: row for row in rows if row["arm"] == "full"}
    assert [mine[45.0 * i]["mean"] for i in range(8)] == [1, 0] * 4
    assert {row["chance"] for row in rows} == {1 / 8}
    assert {(row["arm"], row["num_clusters"]) for row in rows} == {("full", 6), ("bare", 6), ("other guide", 2)}
    assert all(0 <= row["low"] <= row["high"] <= 1 for row in rows)


def test_precision_among_fewer_captions_is_that_of_all_choices(captioned):
    rows = draw_of(draw_by_distractors, captioned).rows
    assert [row["num_distractors"] for row in rows if row["arm"] == "full"] == [1, 3, 7]
    of_arm = captioned.frame[captioned.frame["trial_id"].str.startswith("v1__")]
    ranks = of_arm.loc[of_arm["metric"] == f"rank@{JUDGE}", "value"]
    before = [set(range(int(rank) - 1)) for rank in ranks]  # wrong captions that come before the right one
    choices = [set(choice) for choice in itertools.combinations(range(7), 3)]
    expected = np.mean([not choice & some for some in before for choice in choices])
    row = next(row for row in rows if (row["arm"], row["num_distractors"]) == ("bare", 3))
    assert row["mean"] == pytest.approx(expected) and row["chance"] == 0.25
    whole = next(row for row in rows if (row["arm"], row["num_distractors"]) == ("bare", 7))
    assert whole["mean"] == pytest.approx(captioned.result.entry("bare", f"rprec1@{JUDGE}").mean)


def test_the_order_of_scores_does_not_count(draw, captioned):
    mixed = captioned.frame.sample(frac=1, random_state=0)
    assert draw_of(draw, captioned, mixed) == draw_of(draw, captioned)


def test_nothing_is_drawn_of_nothing(draw, captioned):
    assert draw_of(draw, captioned, captioned.frame.iloc[:0]) is None


def test_a_frame_without_azimuths_has_no_figure_of_them(captioned):
    assert draw_of(draw_by_azimuth, captioned, captioned.frame.drop(columns="azimuth_deg")) is None
