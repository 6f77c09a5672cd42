"""Figures show the numbers they are given, with the same bytes each time."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest
from scipy import stats

from bench.report.figures import standard


def test_forest_shows_what_the_table_says(usual):
    drawn = standard.forest(usual.result, "psnr")
    assert drawn.name == "parts-forest-psnr"
    assert [row["arm"] for row in drawn.rows] == ["better", "same"], "the baseline differs from itself in nothing"
    for row in drawn.rows:
        entry = usual.result.entry(row["arm"], "psnr")
        assert (row["difference"], row["verdict"]) == (entry.difference, entry.verdict)
        assert (row["low"], row["high"]) == (entry.difference_low, entry.difference_high)
    assert standard.COLORS["better"] in drawn.svg and standard.COLORS["quiet"] in drawn.svg
    assert standard.COLORS["worse"] not in drawn.svg


def test_forest_of_what_has_no_direction_has_no_colour(captioned):
    drawn = standard.forest(captioned.result, "opacity")
    assert [row["verdict"] for row in drawn.rows] == ["higher", "too few"]
    assert standard.COLORS["better"] not in drawn.svg and standard.COLORS["worse"] not in drawn.svg


def test_the_same_numbers_give_the_same_bytes_whatever_the_users_settings(usual):
    first = standard.forest(usual.result, "psnr").svg
    with matplotlib.rc_context({"lines.linewidth": 9, "font.family": "serif", "savefig.dpi": 11, "axes.grid": True}):
        assert standard.forest(usual.result, "psnr").svg == first
    curve = standard.curves(usual.records, usual.cells, usual.result)
    assert standard.curves(usual.records[::-1], usual.cells, usual.result) == curve
    assert "<dc:date>" not in first and "Matplotlib" not in first


def test_drawing_leaves_the_users_settings_alone(usual):
    before = dict(matplotlib.rcParams)
    standard.forest(usual.result, "ssim")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", ["usual", "hostile"])
def test_drawings_are_xml_on_their_own_and_in_a_page(name, request):
    made = request.getfixturevalue(name)
    drawn = standard.forest(made.result, "psnr"), standard.by_angle(made.frame, made.cells, made.result, "psnr")
    for figure in drawn:
        ElementTree.fromstring(standard.standalone(figure.svg).encode())
        inside = standard.in_page(figure.svg, "a label")
        assert ElementTree.fromstring(inside).get("aria-label") == "a label"
        assert standard.INK not in inside and "currentColor" in inside
        assert "<script" not in inside and "\x1b" not in inside
    ids = [{e.get("id") for e in ElementTree.fromstring(f.svg).iter() if e.get("id")} for f in drawn]
    assert ids[0].isdisjoint(ids[1]), "several stand in one page"
    words = " ".join(e.text for e in ElementTree.fromstring(drawn[0].svg).iter() if e.tag.endswith("}text"))
    for arm in made.result.arms[1:]:  # words are words: they can be found, read aloud and edited
        assert standard.plain(standard.shortened(arm)).replace(r"\$", "$") in words
    assert "font-family" not in drawn[0].svg.partition(">")[2]
    parts = ElementTree.fromstring(drawn[0].svg).iter()
    used = {value[1:] for e in parts for name, value in e.attrib.items() if name.endswith("href")}
    assert used and used <= ids[0]


def test_names_that_look_like_parts_of_a_drawing_stay_as_they_are(make_study):
    name = 'lr id="a" x="0.1234" url(#b) href="#c"'
    drawn = standard.forest(make_study(arms=("base", "better", name)).result, "psnr")
    words = [e.text for e in ElementTree.fromstring(drawn.svg).iter() if e.tag.endswith("}text")]
    assert standard.shortened(name) in words or name in words


def test_error_by_angle_is_the_mean_over_scenes_of_each_bin(usual):
    """Views lie at 4, 14, 24 and 34 degrees: one a bin. By loops, as a twin."""
    drawn = standard.by_angle(usual.frame, usual.cells, usual.result, "psnr")
    assert len(drawn.rows) == 3 * 4
    row = next(r for r in drawn.rows if r["arm"] == "same" and r["angle_deg"] == 25.0)
    chosen = usual.frame[(usual.frame["metric"] == "psnr") & (usual.frame["angle_to_nearest_deg"] == 24.0)]
    means = []
    for scene in usual.result.clusters:
        values = [v for i, v in zip(chosen["trial_id"], chosen["value"], strict=True) if i.startswith(f"v2__{scene}__")]
        means.append(sum(values) / len(values))
    expected = stats.ttest_1samp(means, 0).confidence_interval()
    assert row["mean"] == pytest.approx(np.mean(means)) and row["num_clusters"] == 8
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))


def test_no_figure_where_nothing_is_known(usual):
    bare = usual.frame.assign(angle_to_nearest_deg=np.nan)
    assert standard.by_angle(bare, usual.cells, usual.result, "psnr") is None
    assert standard.curves([], usual.cells, usual.result) is None
    assert standard.curves(usual.records, usual.cells, usual.result, term="no such term") is None


def test_curves_leave_out_what_is_not_finite(usual):
    broken = [dataclasses.replace(r, curves={"step": [1.0, 2.0], "loss": [0.5, float("nan")]}) for r in usual.records]
    drawn = standard.curves(broken, usual.cells, usual.result)
    assert {(row["step"], row["median"], row["num_trials"]) for row in drawn.rows} == {(1, 0.5, 16)}


def test_curves_are_medians_with_the_middle_half(usual):
    drawn = standard.curves(usual.records, usual.cells, usual.result)
    values = sorted(r.curves["loss"][2] for r in usual.records if r.variant == "v1")
    row = next(r for r in drawn.rows if r["arm"] == "better" and r["step"] == 240)
    assert row["median"] == pytest.approx((values[7] + values[8]) / 2) and len(values) == 16
    assert values[3] <= row["low"] <= values[4] and values[11] <= row["high"] <= values[12]


def test_a_target_is_drawn_once_where_arms_share_it(captioned):
    targets = {"full": [0.3, 0.8], "other guide": [0.3, 0.8], "bare": None}
    records = [
        dataclasses.replace(r, curves=r.curves | {"transmittance_target": targets[arm]} if targets[arm] else r.curves)
        for r in captioned.records
        for arm in [next(c.arm for c in captioned.cells if c.trial_id == r.trial_id)]
    ]
    drawn = standard.curves(records, captioned.cells, captioned.result, "transmittance")
    assert {(row["arm"], row["step"]): row["target"] for row in drawn.rows} == {
        (arm, step): None if targets[arm] is None else targets[arm][i]
        for arm in targets
        for i, step in enumerate((20.0, 40.0))
    }
    dashed = [line for line in drawn.svg.splitlines() if "stroke-dasharray" in line]
    assert len(dashed) == 2, "the line and its place in the legend"
    without = standard.curves(captioned.records, captioned.cells, captioned.result, "transmittance")
    assert "target" not in without.rows[0] and "stroke-dasharray" not in without.svg
    assert standard.curves(captioned.records, captioned.cells, captioned.result, "negative_cosine").title == (
        "Training: negative cosine by step, median and middle half of the trials"
    )


def test_the_baseline_is_ink_and_arms_are_told_apart(usual):
    colors = standard.palette(usual.result)
    assert colors["base"] == standard.INK and len(set(colors.values())) == 3
    many = dataclasses.replace(usual.result, arms=(*(f"arm {i}" for i in range(12)), "base"))
    assert len(set(standard.palette(many).values())) == 13
