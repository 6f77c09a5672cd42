"""Scores of photographs with masks: only what is inside counts, and the scores say so."""

import dataclasses

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from bench.metrics import photo_scorers
from bench.metrics.photo_protocols import PHOTO_PROTOCOLS
from bench.metrics.photo_scorers import ViewsAndTruth
from bench.metrics.scores import Scores
from bench.metrics.stored_views import field_state
from tasks.cameras import hemisphere, intrinsics_from_fov
from tasks.task import Photos, SceneData

PX = 40
NOISE = np.random.RandomState(0)


def made_photos(masks):
    num = len(masks)
    inner = intrinsics_from_fov(40.0, PX, PX)
    colors = NOISE.rand(num, PX, PX, 3).astype(np.float32)
    alphas = np.ones((num, PX, PX), np.float32)
    alphas[:, : PX // 2] = 0
    return Photos(
        ids=tuple(range(num)),
        colors=colors,
        alphas=alphas,
        poses=hemisphere(num),
        intrinsics=inner._replace(**{f: np.full(num, x, np.float32) for f, x in list(inner._asdict().items())[:4]}),
        masks=masks,
    )


@pytest.fixture(scope="module")
def masks():
    """A disc, all but a corner, and a thin line that holds no window."""
    rows, columns = np.mgrid[:PX, :PX]
    disc = (rows - 20) ** 2 + (columns - 18) ** 2 < 15**2
    corner = (rows > 12) | (columns > 12)
    line = columns == 7
    return np.stack([disc, corner, line]).astype(np.float32)


@pytest.fixture(scope="module")
def scene(masks):
    return SceneData(made_photos(masks), made_photos(masks), 2.0, 6.0, 0.5, hemisphere(3))


def stored(scene, outside=None):
    """Views with noise; `outside` is what stands where the masks leave pixels out."""
    color = scene.test.colors + 0.1 * np.random.RandomState(1).randn(*scene.test.colors.shape)
    opacity = np.random.RandomState(2).rand(*scene.test.alphas.shape)
    near = np.random.RandomState(3).rand(3, 24, 24)
    if outside is not None:
        color = np.where(scene.test.masks[..., None] > 0, color, outside)
        opacity = np.where(scene.test.masks > 0, opacity, outside)
    return {
        "color": np.float16(color),
        "opacity": np.float16(opacity),
        "ids": np.array(scene.test.ids, np.int32),
        "near_opacity": np.float16(near),
    }


def only(name, *metrics):
    return dataclasses.replace(PHOTO_PROTOCOLS[name], metrics=metrics)


METRICS = ("psnr", "psnr_fg", "psnr_u8", "mse", "ssim", "ssim_sk7", "lpips_alex", "floaters")


def test_what_is_outside_changes_nothing(scene):
    protocol = only("std-v1", *METRICS)
    found = protocol.score(scene, stored(scene))
    for outside in (0.0, 1.0, np.nan):
        test = scene.test._replace(
            colors=np.where(scene.test.masks[..., None] > 0, scene.test.colors, np.float32(np.nan_to_num(outside)))
        )
        other = protocol.score(scene._replace(test=test), stored(scene, outside))
        assert other == found
    everywhere = scene._replace(test=scene.test._replace(masks=None))
    assert protocol.score(everywhere, stored(scene, 0.0)).per_view != found.per_view


def test_errors_are_divided_by_the_area_of_the_mask(scene):
    scores = only("dietnerf-2021", "psnr", "mse").score(scene, stored(scene))
    color = stored(scene)["color"].astype(np.float64)
    for i in range(3):
        inside = scene.test.masks[i] > 0
        slow = np.mean((color[i][inside] - scene.test.colors[i][inside]) ** 2)
        assert scores.per_view["mse"][i] == pytest.approx(slow, rel=1e-4)
        assert scores.per_view["psnr"][i] == pytest.approx(-10 * np.log10(slow), abs=1e-3)


def test_ssim_is_the_mean_over_windows_inside(scene):
    scores = only("dietnerf-2021", "ssim_sk7").score(scene, stored(scene))
    color = stored(scene)["color"].astype(np.float64)
    for i in range(2):
        _, full = structural_similarity(
            color[i], scene.test.colors[i].astype(float), win_size=7, channel_axis=-1, data_range=1, full=True
        )
        inside = [
            full[row, column].mean()
            for row in range(3, PX - 3)
            for column in range(3, PX - 3)
            if scene.test.masks[i][row - 3 : row + 4, column - 3 : column + 4].all()
        ]
        assert scores.per_view["ssim_sk7"][i] == pytest.approx(np.mean(inside), abs=1e-4)


def test_a_view_without_a_whole_window_has_no_ssim(scene):
    scores = only("std-v1", "ssim", "psnr").score(scene, stored(scene))
    assert scores.per_view["ssim"][2] is None and scores.per_view["psnr"][2] is not None
    assert "no 11 px window" in scores.reasons["ssim"] and "1 of 3" in scores.reasons["ssim"]


def test_a_small_mask_does_not_make_small_distances():
    """The same noise in a quarter of the picture is about as far as all over; a mean over all were a quarter of it."""
    truth = np.full((2, 64, 64, 3), 0.5, np.float32)
    noisy = np.clip(truth + 0.2 * np.random.RandomState(0).randn(64, 64, 3), 0, 1).astype(np.float32)
    masks = np.ones((2, 64, 64), np.float32)
    masks[1, :, 32:] = 0
    masks[1, 32:] = 0
    alphas = np.ones((2, 64, 64), np.float32)
    color = photo_scorers.hide_outside(noisy, truth, masks)
    values, _ = photo_scorers.score_photos(["lpips_alex"], ViewsAndTruth(color, truth, alphas, masks=masks))[
        "lpips_alex"
    ]
    assert values[1] == pytest.approx(values[0], rel=0.15)


def test_a_mask_of_ones_changes_no_number(scene):
    whole = np.ones_like(scene.test.masks)
    views = stored(scene)
    with_masks = scene._replace(
        test=scene.test._replace(masks=whole), train=scene.train._replace(masks=np.ones_like(scene.train.masks))
    )
    without = scene._replace(test=scene.test._replace(masks=None), train=scene.train._replace(masks=None))
    protocol = only("std-v1", *METRICS)
    one, other = (protocol.score(data, views).per_view for data in (with_masks, without))
    for name in METRICS:
        assert one[name] == pytest.approx(other[name], rel=1e-4, abs=1e-6)


def test_floaters_are_counted_inside_the_photographs_masks(scene):
    views = stored(scene)
    scores = only("std-v1", "floaters").score(scene, views)
    near = views["near_opacity"].astype(float)
    counted = [
        near[view, row, column]
        for view in range(3)
        for row in range(24)
        for column in range(24)
        if scene.train.masks[view][int((row + 0.5) * PX / 24), int((column + 0.5) * PX / 24)]
    ]
    assert scores.per_view["floaters"][0] == pytest.approx(100 * np.mean(counted), rel=1e-5)


def test_scores_say_that_they_are_masked(scene, masks):
    scores = only("std-v1", "mse").score(scene, stored(scene))
    assert "masks count" in scores.about["masks"] and "whole" not in (scores.departs or "")
    assert scores.context["mask_share"] == pytest.approx(masks.mean(axis=(1, 2)), abs=1e-6)
    assert Scores.from_json(scores.to_json()).about == scores.about
    published = only("dietnerf-2021", "mse").score(scene, stored(scene))
    assert "whole photographs" in published.departs
    unmasked = scene._replace(test=scene.test._replace(masks=None))
    plain = only("std-v1", "mse").score(unmasked, stored(scene))
    assert plain.about == {} and "mask_share" not in plain.context


def test_a_field_is_empty_or_solid_by_what_is_inside(masks):
    inside = np.where(masks > 0, 0.0, 1.0).astype(np.float32)
    assert field_state(inside) == "ok"
    assert field_state(inside, masks=masks) == "empty"
    assert field_state(1 - inside, np.zeros_like(masks), masks) == "solid"
