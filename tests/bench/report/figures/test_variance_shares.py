"""Variances that a figure shows are those of the trials; what cannot be known is not drawn."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from bench.analysis import variance_components
from bench.report.figures.svg import standalone_svg
from bench.report.figures.variance_shares import PARTS, complete_arrays, draw_variance_shares


def test_parts_are_those_of_the_arrays(usual):
    figure = draw_variance_shares(usual.frame, usual.cells, usual.result, "psnr")
    row = next(row for row in figure.rows if row["arm"] == "better")
    values = usual.frame[(usual.frame["metric"] == "psnr")].set_index(["trial_id", "view"])["value"]
    arrays = [
        np.array([[values[f"v1__{scene}__8v__s{seed}__00000000", view] for view in range(4)] for seed in (0, 1)])
        for scene in usual.result.clusters
    ]
    assert {part: row[part] for part in PARTS} == pytest.approx(
        variance_components.variance_components(arrays)._asdict()
    )
    assert sum(row[f"{part}_share"] for part in PARTS) == pytest.approx(1.0)
    assert (row["num_clusters"], row["num_seeds"], row["num_views"]) == (8, 2, 4)
    assert row["cluster_share"] > 0.5 > 0.01 > row["seed_share"], "scenes were made 2 dB apart, seeds alike"
    assert figure.title == "Where the variance of PSNR lies"
    ElementTree.fromstring(standalone_svg(figure.svg).encode())


def test_a_cluster_that_lost_a_seed_is_left_out(usual):
    figure = draw_variance_shares(usual.frame, usual.cells, usual.result, "psnr")
    assert [row["num_clusters"] for row in figure.rows] == [8, 8, 7]


def test_one_seed_has_no_share_and_says_so(usual):
    frame = usual.frame[usual.frame["trial_id"].str.contains("__s0__")]
    figure = draw_variance_shares(frame, usual.cells, usual.result, "psnr")
    assert figure.title.endswith("; of one seed: scenes hold what seeds add")
    for row in figure.rows:
        assert row["seed"] is row["rest_share"] is None
        assert row["cluster_share"] + row["view_share"] == pytest.approx(1.0)


def test_arms_of_one_seed_do_not_stand_beside_others(usual):
    ids = usual.frame["trial_id"]
    frame = usual.frame[ids.str.contains("__s0__") | ~ids.str.startswith("v1__")]
    figure = draw_variance_shares(frame, usual.cells, usual.result, "psnr")
    assert figure.title.endswith("; arms of several seeds, all in the CSV")
    assert {row["arm"]: row["num_seeds"] for row in figure.rows} == {"base": 2, "better": 1, "same": 2}


def test_too_few_clusters_or_views_or_no_spread_is_no_figure(usual, make_study):
    few = make_study(num_scenes=4)
    assert draw_variance_shares(few.frame, few.cells, few.result, "psnr") is None
    one_view = usual.frame[usual.frame["view"] == 0]
    assert draw_variance_shares(one_view, usual.cells, usual.result, "psnr") is None
    same = usual.frame.assign(value=1.0)
    assert draw_variance_shares(same, usual.cells, usual.result, "psnr") is None
    assert draw_variance_shares(usual.frame.iloc[:0], usual.cells, usual.result, "psnr") is None


def test_views_that_a_seed_lacks_are_left_out():
    rows = [("s", seed, view, float(seed + view)) for seed in (0, 1) for view in range(3)]
    known = pd.DataFrame(rows[:-1], columns=["place", "turn", "view", "value"])
    [array] = complete_arrays(known)
    assert array.tolist() == [[0.0, 1.0], [1.0, 2.0]]
