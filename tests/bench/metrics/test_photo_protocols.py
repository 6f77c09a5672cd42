"""Protocols of photographs against plain loops: numbers, missing numbers with their reasons, deviations."""

from __future__ import annotations

import dataclasses
import functools
import json

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from bench.errors import UsageError
from bench.metrics import image, photo_scorers
from bench.metrics.kept_photographs import KeptPhotographs
from bench.metrics.photo_protocols import PHOTO_PROTOCOLS, PhotoProtocol, protocol_deviation
from tasks.cameras import Intrinsics, hemisphere
from tasks.task import DataShapes, Photos, SceneData


def photos(num_views: int, px: int, background: float = 1.0, shift: float = 0.0) -> Photos:
    """A textured disc that differs between views."""
    rows, columns = np.mgrid[:px, :px] / px - 0.5
    colors, alphas = [], []
    for view in range(num_views):
        alpha = (rows**2 + columns**2 < 0.1 + 0.01 * (view % 5)).astype(np.float32)
        texture = 0.5 + 0.4 * np.sin(12 * rows[..., None] + 9 * columns[..., None] + view + np.arange(3))
        colors.append(np.where(alpha[..., None] > 0, texture, background))
        alphas.append(alpha)
    intrinsics = Intrinsics(*(np.full(num_views, x, np.float32) for x in (px, px, px / 2, px / 2)))
    poses = hemisphere(num_views, shift=shift)
    return Photos(tuple(range(num_views)), np.float32(colors), np.float32(alphas), poses, intrinsics)


def scene(num_views: int = 3, px: int = 16, background: float = 1.0) -> SceneData:
    train = photos(2, px, background)
    return SceneData(train, photos(num_views, px, background, 0.5), 2.0, 6.0, 0.5, train.poses)


def rendered(data: SceneData, amount: float = 0.1) -> dict[str, np.ndarray]:
    """The truth with noise, not clipped, as it is stored; the more noise, the more stands before the cameras."""
    noise = np.random.default_rng(0).standard_normal(data.test.colors.shape)
    return {
        "color": np.float16(data.test.colors + amount * noise),
        "opacity": np.float16(data.test.alphas),
        "distance": np.float16(4 * np.ones_like(data.test.alphas)),
        "ids": np.array(data.test.ids, np.int32),
        "near_opacity": np.full((2, 4, 4), amount / 10, np.float16),
    }


def only(name: str, *names: str, **changes) -> PhotoProtocol:
    """A protocol with fewer metrics: what a test is not about costs nothing."""
    return dataclasses.replace(PHOTO_PROTOCOLS[name], metrics=names, **changes)


def with_colors(data: SceneData, colors: np.ndarray) -> SceneData:
    return data._replace(test=data.test._replace(colors=np.float32(colors)))


# --- what the numbers are ---------------------------------------------------------------------------------------


def test_dietnerf_2021_is_what_its_code_computes():
    """Plain floats against floats; `compare_psnr` and `compare_ssim` of scikit-image before 0.18."""
    data = scene()
    views = rendered(data)
    scores = only("dietnerf-2021", "psnr", "ssim_sk7").score(data, views)
    for i, (truth, color) in enumerate(zip(data.test.colors, views["color"], strict=True)):
        truth, color = np.float64(truth), np.float64(color)
        psnr = peak_signal_noise_ratio(truth, color, data_range=1)
        ssim = structural_similarity(truth, color, win_size=7, channel_axis=-1, data_range=1)
        assert scores.per_view["psnr"][i] == pytest.approx(psnr, abs=1e-4)
        assert scores.per_view["ssim_sk7"][i] == pytest.approx(ssim, abs=1e-5)


def test_std_v1_clips_and_dietnerf_2021_does_not():
    data = with_colors(scene(), np.ones((3, 16, 16, 3)))
    views = rendered(data, 0) | {"color": np.full((3, 16, 16, 3), 1.125, np.float16)}
    assert only("std-v1", "psnr").score(data, views).per_view["psnr"] == pytest.approx([100] * 3, abs=1e-4)
    raw = only("dietnerf-2021", "psnr").score(data, views).per_view["psnr"]
    assert raw == pytest.approx([-20 * np.log10(0.125)] * 3, abs=1e-4)


def test_nerf_2020_measures_what_to8b_saves():
    data = scene()
    views = rendered(data)
    got = only("nerf-2020", "psnr").score(data, views).per_view["psnr"]
    for value, truth, color in zip(got, data.test.colors, views["color"], strict=True):
        saved = [(255 * np.clip(np.float32(x), 0, 1)).astype(np.uint8) for x in (truth, color)]
        assert value == pytest.approx(peak_signal_noise_ratio(*saved, data_range=255), abs=1e-3)


def test_each_view_is_measured_and_then_averaged():
    """Errors of 0.1 and 0.01 in two views are 20 and 40 dB, 30 on average; pooled errors would be 23."""
    data = scene(num_views=2)
    off = np.array([0.1, 0.01]).reshape(2, 1, 1, 1)
    data = with_colors(data, np.zeros((2, 16, 16, 3)))
    views = rendered(data, 0) | {"color": np.float16(off + np.zeros((2, 16, 16, 3)))}
    assert only("std-v1", "psnr").score(data, views).per_view["psnr"] == pytest.approx([20, 40], abs=0.01)


def test_psnr_fg_sees_the_object_only():
    data = scene()
    off = np.where(data.test.alphas[..., None] > 0.5, 0.1, 0.4)
    data = with_colors(data, np.full(data.test.colors.shape, 0.25))
    views = rendered(data, 0) | {"color": np.float16(0.25 + off + np.zeros_like(data.test.colors))}
    scores = only("std-v1", "psnr_fg").score(data, views)
    assert scores.per_view["psnr_fg"] == pytest.approx([20] * 3, abs=0.02)
    assert not scores.reasons


# Computed by this code at version 1.0 of each protocol, on CPU, the same with JAX 0.10 and 0.11; means over the three
# views of `scene(px=32)`.
GOLDEN = {  # fmt: skip
    "std-v1": {
        "psnr": 21.8996,
        "psnr_fg": 20.3481,
        "ssim": 0.873309,
        "lpips_vgg": 0.234442,
        "lpips_alex": 0.00514091,
        "psnr_u8": 21.9002,
        "mse": 0.00645932,
        "floaters": 100 * float(np.float16(0.01)),  # percent: what `rendered` puts there
    },
    "nerf-2020": {"psnr": 21.8315, "ssim": 0.872927, "lpips_vgg": 0.235688},
    "dietnerf-2021": {"psnr": 19.9896, "ssim_sk7": 0.797837, "lpips_vgg_01": 0.307176, "lpips_vgg": 0.305886},
}


@pytest.mark.parametrize("name", PHOTO_PROTOCOLS)
def test_numbers_of_a_version_do_not_move(name):
    """If this fails on purpose, raise the X of the protocol's version."""
    data = scene(px=32)
    scores = PHOTO_PROTOCOLS[name].score(data, rendered(data))
    assert PHOTO_PROTOCOLS[name].version.startswith("1.")
    means = {metric: float(np.mean(values)) for metric, values in scores.per_view.items()}
    assert means == pytest.approx(GOLDEN[name], rel=1e-4)
    assert not scores.reasons


def score_in_float32(protocol: PhotoProtocol, data: SceneData, color: np.ndarray) -> dict[str, list[float | None]]:
    """The slow twin: views are converted to float32 and brought to the levels by NumPy; nothing is kept."""
    color, truth = color.astype(np.float32), data.test.colors
    if data.test.masks is not None:
        color = photo_scorers.hide_outside(color, truth, data.test.masks)
        truth = photo_scorers.hide_outside(truth, truth, data.test.masks)
    if protocol.levels == "clip":
        color = np.clip(color, 0, 1)
    elif protocol.levels == "truncate":
        to_8bit = functools.partial(image.to_8bit, rounding="truncate")
        color, truth = (image.per_image(to_8bit, x) for x in (color, truth))
    views = photo_scorers.ViewsAndTruth(color, truth, data.test.alphas, masks=data.test.masks)
    return {name: found.values for name, found in photo_scorers.score_photos(protocol.metrics, views).items()}


@pytest.mark.parametrize("has_masks", [False, True])
@pytest.mark.parametrize("levels", ["clip", "raw", "truncate"])
def test_views_in_float16_have_bit_for_bit_the_numbers_of_float32(levels, has_masks):
    data = scene(num_views=6, px=32)
    if has_masks:
        masks = np.ones((6, 32, 32), np.float32)
        masks[:, :, :12] = 0
        data = data._replace(test=data.test._replace(masks=masks))
    metrics = ("psnr", "psnr_fg", "psnr_u8", "mse", "ssim", "ssim_sk7", "lpips_alex")
    protocol = only("std-v1", *metrics, levels=levels)
    for amount in (0.1, 0.3):  # of two trials; the second finds the photographs kept
        views = rendered(data, amount)
        views["color"][:, 0, :4, 0] = (-0.0, 6e-8, 2.5, -3.0)  # 6e-8: the smallest that float16 holds
        assert views["color"].min() < 0 and views["color"].max() > 1
        assert protocol.score(data, views).per_view == score_in_float32(protocol, data, views["color"])


def test_protocols_share_photographs_unless_levels_change_them(monkeypatch):
    kept = KeptPhotographs()
    monkeypatch.setattr(photo_scorers, "KEPT_PHOTOGRAPHS", kept)
    data = scene()
    sizes = []
    for name in ("std-v1", "dietnerf-2021", "nerf-2020"):
        only(name, "psnr").score(data, rendered(data))
        sizes.append(len(kept.kept))
    assert sizes == [1, 1, 2]


@pytest.mark.parametrize("name", PHOTO_PROTOCOLS)
def test_a_view_alone_has_the_digits_it_has_among_others(name):
    data = scene(num_views=6, px=32)
    views = rendered(data)
    together = PHOTO_PROTOCOLS[name].score(data, views)
    near = views.pop("near_opacity")  # of the training cameras
    alone = PHOTO_PROTOCOLS[name].score(
        data, {key: value[4:5] for key, value in views.items()} | {"near_opacity": near}
    )
    assert alone.view_ids == (4,)
    for metric, values in together.per_view.items():
        assert alone.per_view[metric] == pytest.approx(values[4:5], rel=1e-6, abs=1e-7)
    assert alone.context["angle_to_nearest_deg"] == together.context["angle_to_nearest_deg"][4:5]


def test_stored_views_may_come_in_any_order():
    data = scene(num_views=4)
    views = rendered(data)
    del views["near_opacity"]
    shuffled = {key: value[[2, 0, 3, 1]] for key, value in views.items()}
    protocol = only("std-v1", "psnr", "psnr_fg")
    assert protocol.score(data, shuffled) == protocol.score(data, views)


def test_context_is_the_angle_to_the_nearest_training_camera():
    data = scene()
    scores = only("std-v1", "psnr").score(data, rendered(data))
    for angle, pose in zip(scores.context["angle_to_nearest_deg"], data.test.poses, strict=True):
        nearest = min(
            np.degrees(np.arccos(np.dot(pose[:3, 3], other[:3, 3]) / np.linalg.norm(pose[:3, 3])
                                 / np.linalg.norm(other[:3, 3])))
            for other in data.train.poses
        )  # fmt: skip
        assert angle == pytest.approx(nearest, abs=1e-3)


# --- what is missing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_render_that_is_not_finite_has_no_numbers(bad):
    data = scene()
    views, whole = rendered(data), rendered(data)
    views["color"][1, 3, 4, 0] = bad
    names = ("psnr", "psnr_fg", "ssim", "lpips_vgg")
    scores = only("std-v1", *names).score(data, views)
    expected = only("std-v1", *names).score(data, whole)
    for name in names:
        assert scores.per_view[name] == [expected.per_view[name][0], None, expected.per_view[name][2]]
        assert scores.reasons[name] == "render is not finite"
    json.dumps(scores.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("px", "name", "min_px"),
    [(6, "ssim_sk7", 7), (10, "ssim", 11), (15, "lpips_vgg", 16), (15, "lpips_vgg_01", 16), (30, "lpips_alex", 31)],
)
def test_views_too_small_for_a_metric_are_missing_with_a_reason(px, name, min_px):
    data = scene(px=px)
    scores = only("std-v1", name, "mse").score(data, rendered(data))
    assert scores.per_view[name] == [None] * 3
    assert scores.reasons == {name: f"{name} needs views of at least {min_px} px, these are {px} x {px}"}
    assert None not in scores.per_view["mse"]


def test_both_reasons_are_told():
    data = scene(px=10)
    views = rendered(data)
    views["color"][0, 0, 0, 0] = np.nan
    reasons = only("std-v1", "ssim").score(data, views).reasons
    assert reasons["ssim"] == "ssim needs views of at least 11 px, these are 10 x 10; render is not finite"


def test_a_view_without_foreground_has_no_foreground_psnr():
    data = scene()
    data.test.alphas[1] = 0.5
    scores = only("std-v1", "psnr_fg", "psnr").score(data, rendered(data))
    assert [value is None for value in scores.per_view["psnr_fg"]] == [False, True, False]
    assert scores.reasons == {"psnr_fg": "no foreground in 1 of 3 views"}


def test_photos_without_alpha_have_no_foreground_psnr():
    data = scene()
    data.test.alphas[:] = 1
    scores = only("std-v1", "psnr_fg").score(data, rendered(data))
    assert scores.per_view["psnr_fg"] == [None] * 3
    assert "there is no background" in scores.reasons["psnr_fg"]


# --- empty and solid fields -------------------------------------------------------------------------------------


def test_field_state_of_scores():
    data = scene()
    views = rendered(data)
    protocol = only("std-v1", "mse")

    def state(opacity: float | None, where: SceneData = data) -> str:
        filled = {**views, "opacity": np.full((3, 16, 16), np.nan if opacity is None else opacity, np.float16)}
        return protocol.score(where, filled).field_state

    assert protocol.score(data, views).field_state == "ok"
    assert [state(x) for x in (0, 0.009, 0.02, 0.98, 0.995, 1)] == ["empty", "empty", "ok", "ok", "solid", "solid"]
    assert state(None) == "unknown"
    filling = data._replace(test=data.test._replace(alphas=np.ones_like(data.test.alphas)))
    assert state(1, filling) == "ok"  # a room is solid by right
    assert protocol.score(data, {key: views[key] for key in ("color", "ids")}).field_state == "unknown"


# --- what a protocol is defined on ------------------------------------------------------------------------------


def test_dietnerf_2021_takes_every_8th_of_200_views():
    data = scene(num_views=200, px=8)
    scores = only("dietnerf-2021", "psnr").score(data, rendered(data))
    assert scores.view_ids == tuple(range(0, 200, 8))  # testskip = 8 in the released configs
    assert scores.departs == "dietnerf-2021 is defined at 400 px; this is 8 px"


def test_other_views_of_the_same_number_are_marked():
    data = scene(num_views=25, px=8)
    departs = only("dietnerf-2021", "psnr", image_px=8).score(data, rendered(data)).departs
    assert departs == "dietnerf-2021 is defined on the views 0, 8, ... 192; these are others"
    renamed = data._replace(test=data.test._replace(ids=tuple(range(0, 200, 8))))
    assert only("dietnerf-2021", "psnr", image_px=8).score(renamed, rendered(renamed)).departs is None


def test_part_of_the_views_is_marked():
    data = scene(num_views=4)
    views = {key: value[:3] for key, value in rendered(data).items()}
    assert only("std-v1", "psnr").score(data, views).departs == "std-v1 is defined on all 4 test views; these are 3"


@pytest.mark.parametrize(("background", "departs"), [
    (1.0, None), (0.0, "std-v1 is defined on a background of 1; this is on 0"),
    (0.5, "std-v1 is defined on a background of 1; this is on 0.5"),
])  # fmt: skip
def test_another_background_is_marked(background, departs):
    data = scene(background=background)
    assert only("std-v1", "psnr").score(data, rendered(data)).departs == departs


@pytest.mark.parametrize(("name", "layout", "expected"), [
    ("std-v1", DataShapes(8, 25, 48, 48), None),
    ("nerf-2020", DataShapes(100, 200, 800, 800), None),
    ("dietnerf-2021", DataShapes(8, 25, 400, 400), None),
    ("dietnerf-2021", DataShapes(8, 200, 400, 400), None),
    ("nerf-2020", DataShapes(8, 25, 800, 800), "nerf-2020 is defined on 200 views; this is 25 views"),
    ("dietnerf-2021", DataShapes(8, 25, 300, 400), "dietnerf-2021 is defined at 400 px; this is 400 x 300 px"),
    ("dietnerf-2021", DataShapes(8, 16, 48, 48),
     "dietnerf-2021 is defined at 400 px and on 25 views; this is 48 px and 16 views"),
])  # fmt: skip
def test_fits_says_what_departs(name, layout, expected):
    assert protocol_deviation(PHOTO_PROTOCOLS[name], layout) == expected


@pytest.mark.parametrize(("change", "message"), [
    ({"ids": np.array([0, 1, 7])}, "3 test views, got view 7"),
    ({"ids": np.array([0, 1, 1])}, "3 test views, got one of them twice"),
    ({"ids": np.array([], np.int32)}, "3 test views, got none"),
    ({"color": np.zeros((3, 8, 8, 3), np.float16)}, "views of 16 x 16 x 3, got 8 x 8 x 3"),
])  # fmt: skip
def test_views_of_another_task_are_refused(change, message):
    data = scene()
    with pytest.raises(UsageError, match=message):
        PHOTO_PROTOCOLS["std-v1"].score(data, rendered(data) | change)


# --- names, versions, files -------------------------------------------------------------------------------------


def test_another_major_version_is_marked():
    protocol = dataclasses.replace(PHOTO_PROTOCOLS["std-v1"], version="2.1")
    assert protocol.version_mark("2.0") is None
    assert "std-v1 1.9, which is now 2.1" in protocol.version_mark("1.9")


@pytest.mark.parametrize(("change", "message"), [
    ({"version": "1"}, "protocol std-v1: expected a version X.Y, got '1'"),
    ({"metrics": ("psnrr",)}, "protocol std-v1: expected known metrics, got 'psnrr'; the nearest is 'psnr'"),
    ({"view_ids": (1, 2), "num_views": 3}, "protocol std-v1: expected 3 view_ids, got 2"),
])  # fmt: skip
def test_protocols_are_checked_when_they_are_made(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PHOTO_PROTOCOLS["std-v1"], **change)
