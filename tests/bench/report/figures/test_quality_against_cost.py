"""Costs that a figure shows are those of the trials; seconds that cannot be compared are not drawn."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.report.figures.quality_against_cost import draw_quality_against_cost, round_numbers, spread_heights
from bench.report.figures.svg import standalone_svg


def timed(made, device="card", num_devices=1):
    """The study's records with 2, 4 and 8 seconds of training by arm; half of each arm's trials take twice as long."""
    seconds = {"v0": 2.0, "v1": 4.0, "v2": 8.0}
    environment = {"device": device, "num_devices": num_devices}
    return [
        dataclasses.replace(
            r, environment=environment, timings={"wall_s": 99.0, "train_s": seconds[r.variant] * (1 + r.seed)}
        )
        for r in made.records
    ]


def draw_psnr(made, records):
    return draw_quality_against_cost(made.result, "psnr", made.cells, records)


def test_a_point_an_arm_of_finished_trials(usual):
    figure = draw_psnr(usual, timed(usual))
    assert (figure.name, [row["arm"] for row in figure.rows]) == ("parts-cost-psnr", ["base", "better", "same"])
    assert figure.title == "PSNR against training s/trial, on 1 x card; higher is better"
    seconds = {row["arm"]: row["train_s"] for row in figure.rows}
    # of the last arm one trial of a second seed failed: 8 of 8 s, 7 of 16 s
    assert seconds == pytest.approx({"base": 3.0, "better": 6.0, "same": (8 * 8 + 7 * 16) / 15})
    for row in figure.rows:
        entry = usual.result.entry(row["arm"], "psnr")
        assert (row["mean"], row["low"], row["high"]) == (entry.mean, entry.low, entry.high)
    ElementTree.fromstring(standalone_svg(figure.svg).encode())


def test_lower_is_better_is_said(usual):
    assert draw_quality_against_cost(usual.result, "lpips_vgg", usual.cells, timed(usual)).title.endswith(
        "; lower is better"
    )


def test_that_no_way_is_better_is_said(captioned):
    records = [dataclasses.replace(r, timings={"train_s": 2.0}) for r in captioned.records]
    figure = draw_quality_against_cost(captioned.result, "opacity", captioned.cells, records)
    assert figure.title.endswith("; to be read beside that of true renders")


def test_seconds_of_unlike_devices_are_not_set_beside_each_other(usual):
    mixed = [*timed(usual)[:20], *timed(usual, "cpu")[20:]]
    assert draw_psnr(usual, mixed) is None
    twice = [*timed(usual)[:20], *timed(usual, num_devices=2)[20:]]
    assert draw_psnr(usual, twice) is None


def test_one_arm_or_no_seconds_is_no_figure(usual):
    of_one = [r for r in timed(usual) if r.variant == "v0"]
    assert draw_psnr(usual, of_one) is None
    assert draw_psnr(usual, usual.records) is None, "no train_s in them"
    assert draw_psnr(usual, []) is None


def test_hostile_names_stay_names(hostile):
    figure = draw_quality_against_cost(hostile.result, "psnr", hostile.cells, timed(hostile))
    ElementTree.fromstring(standalone_svg(figure.svg).encode())
    assert "<script" not in figure.svg and "\x1b" not in figure.svg


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.01, 0.08))
def test_labels_do_not_overlap_and_keep_their_order(heights, gap):
    places = spread_heights(np.sort(heights), gap)
    assert np.all(np.diff(places) >= gap - 1e-9)
    assert places[0] >= -1e-9 and places[-1] <= 1 + 1e-9
    if len(heights) == 1:
        assert places[0] == heights[0]


@given(st.floats(1e-3, 1e4), st.floats(1.6, 1e4))
@example(2093.0, 1.625)
def test_an_axis_has_some_round_numbers_within_it(low, factor):
    found = round_numbers(low, low * factor)
    assert 3 <= len(found) <= 8 and low <= found[0] and found[-1] <= low * factor * (1 + 1e-9)
    assert found == sorted(set(found)) and all(len(f"{x:g}") <= 6 for x in found)
