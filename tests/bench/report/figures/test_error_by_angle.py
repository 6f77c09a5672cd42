"""Errors by angle are means over scenes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.report.figures.error_by_angle import draw_error_by_angle


def test_each_bin_is_the_mean_over_scenes(usual):
    """Views lie at 4, 14, 24 and 34 degrees: one a bin. By loops, as a twin."""
    figure = draw_error_by_angle(usual.frame, usual.cells, usual.result, "psnr")
    assert len(figure.rows) == 3 * 4
    row = next(r for r in figure.rows if r["arm"] == "same" and r["angle_deg"] == 25.0)
    chosen = usual.frame[(usual.frame["metric"] == "psnr") & (usual.frame["angle_to_nearest_deg"] == 24.0)]
    means = []
    for scene in usual.result.clusters:
        values = [v for i, v in zip(chosen["trial_id"], chosen["value"], strict=True) if i.startswith(f"v2__{scene}__")]
        means.append(sum(values) / len(values))
    expected = stats.ttest_1samp(means, 0).confidence_interval()
    assert row["mean"] == pytest.approx(np.mean(means)) and row["num_clusters"] == 8
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))


def test_no_figure_where_no_angles_are_known(usual):
    bare = usual.frame.assign(angle_to_nearest_deg=np.nan)
    assert draw_error_by_angle(bare, usual.cells, usual.result, "psnr") is None
