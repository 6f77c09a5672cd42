"""Costs and variances that figures show are those of the trials; what cannot be said is not drawn."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.analysis import variance_components
from bench.report.figures import cost_and_variance, standard


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


class TestCost:
    def test_a_point_an_arm_of_finished_trials(self, usual):
        drawn = cost_and_variance.against_cost(usual.result, "psnr", usual.cells, timed(usual))
        assert (drawn.name, [row["arm"] for row in drawn.rows]) == ("parts-cost-psnr", ["base", "better", "same"])
        assert drawn.title == "PSNR against seconds of training a trial, on 1 x card; higher is better"
        seconds = {row["arm"]: row["train_s"] for row in drawn.rows}
        # of the last arm one trial of a second seed failed: 8 of 8 s, 7 of 16 s
        assert seconds == pytest.approx({"base": 3.0, "better": 6.0, "same": (8 * 8 + 7 * 16) / 15})
        for row in drawn.rows:
            entry = usual.result.entry(row["arm"], "psnr")
            assert (row["mean"], row["low"], row["high"]) == (entry.mean, entry.low, entry.high)
        ElementTree.fromstring(standard.standalone(drawn.svg).encode())

    def test_lower_is_better_is_said(self, usual):
        assert cost_and_variance.against_cost(usual.result, "lpips_vgg", usual.cells, timed(usual)).title.endswith(
            "; lower is better"
        )

    def test_that_no_way_is_better_is_said(self, captioned):
        records = [dataclasses.replace(r, timings={"train_s": 2.0}) for r in captioned.records]
        drawn = cost_and_variance.against_cost(captioned.result, "opacity", captioned.cells, records)
        assert drawn.title.endswith("; to be read beside that of true renders")

    def test_seconds_of_unlike_devices_are_not_set_beside_each_other(self, usual):
        mixed = [*timed(usual)[:20], *timed(usual, "cpu")[20:]]
        assert cost_and_variance.against_cost(usual.result, "psnr", usual.cells, mixed) is None
        twice = [*timed(usual)[:20], *timed(usual, num_devices=2)[20:]]
        assert cost_and_variance.against_cost(usual.result, "psnr", usual.cells, twice) is None

    def test_one_arm_or_no_seconds_is_no_figure(self, usual):
        of_one = [r for r in timed(usual) if r.variant == "v0"]
        assert cost_and_variance.against_cost(usual.result, "psnr", usual.cells, of_one) is None
        assert cost_and_variance.against_cost(usual.result, "psnr", usual.cells, usual.records) is None, (
            "no train_s in them"
        )
        assert cost_and_variance.against_cost(usual.result, "psnr", usual.cells, []) is None

    def test_hostile_names_stay_names(self, hostile):
        drawn = cost_and_variance.against_cost(hostile.result, "psnr", hostile.cells, timed(hostile))
        ElementTree.fromstring(standard.standalone(drawn.svg).encode())
        assert "<script" not in drawn.svg and "\x1b" not in drawn.svg

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.01, 0.08))
    def test_labels_do_not_overlap_and_keep_their_order(self, heights, gap):
        places = cost_and_variance.spread(np.sort(heights), gap)
        assert np.all(np.diff(places) >= gap - 1e-9)
        assert places[0] >= -1e-9 and places[-1] <= 1 + 1e-9
        if len(heights) == 1:
            assert places[0] == heights[0]

    @given(st.floats(1e-3, 1e4), st.floats(1.6, 1e4))
    @example(2093.0, 1.625)
    def test_an_axis_has_some_round_numbers_within_it(self, low, factor):
        found = cost_and_variance.round_numbers(low, low * factor)
        assert 3 <= len(found) <= 8 and low <= found[0] and found[-1] <= low * factor * (1 + 1e-9)
        assert found == sorted(set(found)) and all(len(f"{x:g}") <= 6 for x in found)


class TestVariance:
    def test_parts_are_those_of_the_arrays(self, usual):
        drawn = cost_and_variance.parts(usual.frame, usual.cells, usual.result, "psnr")
        row = next(row for row in drawn.rows if row["arm"] == "better")
        values = usual.frame[(usual.frame["metric"] == "psnr")].set_index(["trial_id", "view"])["value"]
        arrays = [
            np.array([[values[f"v1__{scene}__8v__s{seed}__00000000", view] for view in range(4)] for seed in (0, 1)])
            for scene in usual.result.clusters
        ]
        assert {part: row[part] for part in cost_and_variance.PARTS} == pytest.approx(
            variance_components.variance_components(arrays)._asdict()
        )
        assert sum(row[f"{part}_share"] for part in cost_and_variance.PARTS) == pytest.approx(1.0)
        assert (row["num_clusters"], row["num_seeds"], row["num_views"]) == (8, 2, 4)
        assert row["cluster_share"] > 0.5 > 0.01 > row["seed_share"], "scenes were made 2 dB apart, seeds alike"
        assert drawn.title == "Where the variance of PSNR lies"
        ElementTree.fromstring(standard.standalone(drawn.svg).encode())

    def test_a_cluster_that_lost_a_seed_is_left_out(self, usual):
        drawn = cost_and_variance.parts(usual.frame, usual.cells, usual.result, "psnr")
        assert [row["num_clusters"] for row in drawn.rows] == [8, 8, 7]

    def test_one_seed_has_no_share_and_says_so(self, usual):
        frame = usual.frame[usual.frame["trial_id"].str.contains("__s0__")]
        drawn = cost_and_variance.parts(frame, usual.cells, usual.result, "psnr")
        assert drawn.title.endswith("; of one seed: scenes hold what seeds add")
        for row in drawn.rows:
            assert row["seed"] is row["rest_share"] is None
            assert row["cluster_share"] + row["view_share"] == pytest.approx(1.0)

    def test_arms_of_one_seed_do_not_stand_beside_others(self, usual):
        ids = usual.frame["trial_id"]
        frame = usual.frame[ids.str.contains("__s0__") | ~ids.str.startswith("v1__")]
        drawn = cost_and_variance.parts(frame, usual.cells, usual.result, "psnr")
        assert drawn.title.endswith("; arms of several seeds, all in the CSV")
        assert {row["arm"]: row["num_seeds"] for row in drawn.rows} == {"base": 2, "better": 1, "same": 2}

    def test_too_few_clusters_or_views_or_no_spread_is_no_figure(self, usual, make_study):
        few = make_study(num_scenes=4)
        assert cost_and_variance.parts(few.frame, few.cells, few.result, "psnr") is None
        one_view = usual.frame[usual.frame["view"] == 0]
        assert cost_and_variance.parts(one_view, usual.cells, usual.result, "psnr") is None
        same = usual.frame.assign(value=1.0)
        assert cost_and_variance.parts(same, usual.cells, usual.result, "psnr") is None
        assert cost_and_variance.parts(usual.frame.iloc[:0], usual.cells, usual.result, "psnr") is None

    def test_views_that_a_seed_lacks_are_left_out(self):
        rows = [("s", seed, view, float(seed + view)) for seed in (0, 1) for view in range(3)]
        known = pd.DataFrame(rows[:-1], columns=["place", "turn", "view", "value"])
        [array] = cost_and_variance.complete(known)
        assert array.tolist() == [[0.0, 1.0], [1.0, 2.0]]


def test_all_figures_of_a_table_have_names_of_their_own_and_the_same_bytes(usual):
    found = cost_and_variance.of_table(usual.result, usual.frame, usual.cells, timed(usual))
    assert [figure.name for figure in found] == ["parts-cost-psnr", "parts-variance-psnr"]
    shuffled = usual.frame.sample(frac=1, random_state=0)
    assert cost_and_variance.of_table(usual.result, shuffled, usual.cells, timed(usual)[::-1]) == found
