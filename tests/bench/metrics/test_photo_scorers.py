"""Scorers of photographs: each prefers better views, and each says why a view has no number."""

from __future__ import annotations

import numpy as np
import pytest

from bench.metrics.photo_scorers import METRIC_NAMES, ViewsAndTruth, score_photos
from bench.metrics.registry import metric_named


def made(noise, px=32, num_views=2):
    """A textured disc on white with noise over it; the more noise, the more stands before the cameras."""
    rows, columns = np.mgrid[:px, :px] / px - 0.5
    disc = (rows**2 + columns**2 < 0.1).astype(np.float32)
    texture = 0.5 + 0.4 * np.sin(12 * rows[..., None] + 9 * columns[..., None] + np.arange(3))
    truth = np.float32(np.stack([np.where(disc[..., None] > 0, texture, 1.0)] * num_views))
    color = truth + np.float32(noise * np.random.default_rng(0).standard_normal(truth.shape))
    near = np.full((2, 4, 4), noise / 10, np.float16)
    return ViewsAndTruth(np.clip(color, 0, 1), truth, np.stack([disc] * num_views), near)


@pytest.mark.parametrize("name", METRIC_NAMES)
def test_every_metric_prefers_the_better_views(name):
    good, _ = score_photos([name], made(0.02))[name]
    bad, _ = score_photos([name], made(0.2))[name]
    assert len(good) == len(bad) == 2
    for better, worse in zip(good, bad, strict=True):
        assert better > worse if metric_named(name).higher_is_better else better < worse


@pytest.mark.parametrize(("name", "min_px"), [("ssim_sk7", 7), ("ssim", 11), ("lpips_vgg", 16), ("lpips_alex", 31)])
def test_small_views_have_no_number_and_a_reason(name, min_px):
    values, reason = score_photos([name], made(0.1, px=min_px - 1))[name]
    assert values == [None, None] and f"at least {min_px} px" in reason


def test_a_view_without_foreground_has_none():
    views = made(0.1)
    views.alphas[0] = 0
    values, reason = score_photos(["psnr_fg"], views)["psnr_fg"]
    assert values[0] is None and values[1] is not None and reason == "no foreground in 1 of 2 views"


def test_without_opacity_near_the_cameras_there_are_no_floaters():
    values, reason = score_photos(["floaters"], made(0.1)._replace(near_opacity=None))["floaters"]
    assert values == [None, None] and "nothing was stored" in reason
