"""Forests show the differences of the table, and colour only what is resolved."""

from __future__ import annotations

import dataclasses

from bench.analysis.table_result import SceneDifference
from bench.report.figures.forest import axis_label, draw_forest
from bench.report.figures.style import COLORS


def test_a_forest_shows_the_differences_of_the_table(usual):
    figure = draw_forest(usual.result, "psnr")
    assert figure.name == "parts-forest-psnr"
    assert [row["arm"] for row in figure.rows] == ["better", "same"], "the baseline differs from itself in nothing"
    for row in figure.rows:
        entry = usual.result.entry(row["arm"], "psnr")
        assert (row["difference"], row["verdict"]) == (entry.difference, entry.verdict)
        assert (row["low"], row["high"]) == (entry.difference_low, entry.difference_high)
    assert COLORS["better"] in figure.svg and COLORS["quiet"] in figure.svg
    assert COLORS["worse"] not in figure.svg


def test_few_scenes_have_their_intervals_over_views(usual):
    scenes = [
        SceneDifference("psnr", arm, cluster, mean, low, high, 2, (0, 1), (1.0, 2.0))
        for arm in ("better", "same")
        for cluster, mean, low, high in (("fox", 1.5, 1.25, 1.75), ("fern", 0.5, None, None))
    ]
    one = draw_forest(dataclasses.replace(usual.result, scene_differences=tuple(scenes[::2])), "psnr")
    both = draw_forest(dataclasses.replace(usual.result, scene_differences=tuple(scenes)), "psnr")
    plain = draw_forest(usual.result, "psnr")
    assert [row["cluster"] for row in both.rows] == ["", "fox", "fern"] * 2
    assert (both.rows[1]["low"], both.rows[1]["high"], both.rows[1]["num_pairs"]) == (1.25, 1.75, 2)
    assert both.title == f"{plain.title}; thin lines, from above: fox, fern" and one.title == plain.title
    marks = [figure.svg.count("<use") for figure in (plain, one, both)]
    assert marks[1] > marks[0] and marks[2] > marks[1]
    assert draw_forest(dataclasses.replace(usual.result, scene_differences=tuple(scenes)), "ssim").rows[0]["arm"]


def test_what_has_no_direction_has_no_colour(captioned):
    figure = draw_forest(captioned.result, "opacity")
    assert [row["verdict"] for row in figure.rows] == ["higher", "too few"]
    assert COLORS["better"] not in figure.svg and COLORS["worse"] not in figure.svg


def test_the_axis_says_which_side_is_better():
    assert axis_label("psnr") == ["difference in PSNR [dB], right is better"]
    assert axis_label("lpips_vgg")[-1].endswith("left is better")
    assert axis_label("rprec1@embedded-judge-rn")[-1] == "right is better", "a long name has lines of its own"
