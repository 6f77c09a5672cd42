"""Sheets show the pixels of one camera, row by row, and say where there are none."""

from __future__ import annotations

import io

import jax
import numpy as np
import pytest
from PIL import Image

from bench.errors import UsageError
from bench.report.images import image_grid
from tasks.cameras import intrinsics_from_fov, look_at
from tasks.task import Photos, SceneData

PX = 16


def photos(azimuths_deg, colors):
    num = len(azimuths_deg)
    poses = look_at(np.array(azimuths_deg, float), np.full(num, 20.0), np.full(num, 4.0))
    intrinsics = jax.tree.map(lambda x: np.full(num, x, np.float32), intrinsics_from_fov(40.0, PX, PX))
    ids, alphas = tuple(range(100, 100 + num)), np.ones(colors.shape[:3], np.float32)
    return Photos(ids=ids, colors=colors, alphas=alphas, poses=poses, intrinsics=intrinsics)


@pytest.fixture
def data():
    """Training cameras at 0 degrees, test cameras at 50, 5, 120: by angle, the middle one is the first."""
    colors = np.random.default_rng(0).uniform(0, 1, (3, PX, PX, 3)).astype(np.float32)
    train = photos([0.0], np.zeros((1, PX, PX, 3), np.float32))
    test = photos([50.0, 5.0, 120.0], colors)
    return SceneData(train=train, test=test, near=2.0, far=6.0, pixel_center=0.5, all_train_poses=train.poses)


def views(colors, ids=(102, 100, 101)):
    """Stored views: float16, in an order of their own."""
    return {"color": np.asarray(colors, np.float16), "ids": np.array(ids, np.int32)}


def test_the_middle_view_is_shown_never_the_best(data):
    assert image_grid.find_middle_view(data) == 100


def test_a_row_is_of_one_camera_whatever_the_order_of_views(data):
    row = image_grid.compare_views(
        data, {"arm": views(data.test.colors[[2, 0, 1]]), "failed": None}, labels={"failed": "died"}
    )
    assert list(row) == ["truth", "arm", "failed"] and row["truth"].label == "view 100"
    np.testing.assert_array_equal(row["truth"].color, data.test.colors[0])
    np.testing.assert_allclose(row["arm"].color, data.test.colors[0], atol=1e-3)
    assert row["failed"] == image_grid.LabelledImage(None, "died")


def test_unknown_views_and_other_sizes_are_refused(data):
    with pytest.raises(UsageError, match="got 7; there are 100, 101, 102"):
        image_grid.compare_views(data, {}, view_id=7)
    with pytest.raises(UsageError, match="16 x 16 px .* got 8 x 8"):
        image_grid.compare_views(data, {"arm": views(np.zeros((3, 8, 8, 3)))})


def test_a_sheet_repeats_pixels_and_invents_none(data):
    row = image_grid.compare_views(data, {"arm": views(data.test.colors[[2, 0, 1]]), "failed": None})
    pixels = np.asarray(image_grid.draw_sheet({"chair": row}))
    truth = np.rint(data.test.colors[0] * 255).astype(np.uint8)
    big = truth.repeat(10, axis=0).repeat(10, axis=1)  # 160 px a tile, 16 px a view
    found = [x for x in range(pixels.shape[1] - 159) if (pixels[:, x] == big[:1, 0]).all(-1).any()]
    rows = range(pixels.shape[0] - 159)
    places = [(y, x) for x in found for y in rows if (pixels[y : y + 160, x : x + 160] == big).all()]
    assert len(places) == 1, "the truth, pixel by pixel; the arm went through float16"
    y, x = places[0]
    step = 160 + image_grid.GAP_PX
    assert np.abs(pixels[y : y + 160, x + step : x + step + 160].astype(int) - big).max() <= 1
    assert tuple(pixels[y + 3, x + 2 * step + 3]) == image_grid.NOTHING


def test_same_views_same_bytes(data):
    rows = {"chair": image_grid.compare_views(data, {"arm é": views(data.test.colors)})}
    content = image_grid.encode_png(image_grid.draw_sheet(rows))
    assert content == image_grid.encode_png(image_grid.draw_sheet(rows))
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG" and not image.info


def test_labels_are_drawn_and_cut_where_they_do_not_fit():
    assert image_grid.wrap_text("one two", 500) == ["one two"]
    lines = image_grid.wrap_text("Simplified NeRF without any view directions", 90)
    assert len(lines) > 1 and all(image_grid.label_font().getlength(line) <= 90 for line in lines)
    assert image_grid.cut_text("m" * 100, 60).endswith("…")
    color = np.ones((16, 16, 3), np.float32)
    plain, named = (
        np.asarray(image_grid.draw_sheet({"s": {"a": image_grid.LabelledImage(color, label)}}))
        for label in ("", "23.15 dB")
    )
    assert (plain != named).any() and plain.shape == named.shape


def test_large_views_are_averaged_down_and_middling_ones_stay():
    checks = np.indices((400, 400)).sum(0) % 2
    color = np.repeat(checks[..., None], 3, axis=-1).astype(np.float32)
    small = image_grid.resize_view(color)
    assert small.shape == (200, 200, 3) and set(np.unique(small)) == {128}
    assert image_grid.resize_view(color[:200, :200]).shape == (200, 200, 3)
    assert image_grid.resize_view(color[:48, :48]).shape == (144, 144, 3)
    assert image_grid.resize_view(color[:96, :96]).shape == (192, 192, 3)


def test_what_is_not_finite_is_magenta():
    color = np.full((2, 2, 3), 0.5, np.float32)
    color[0, 1, 2] = np.nan
    found = image_grid.quantize_colors(color)
    assert found[0, 1].tolist() == [255, 0, 255] and found[0, 0].tolist() == [128, 128, 128]


def test_error_maps_share_a_scale():
    truth = np.zeros((1, 4, 3), np.float32)
    color = np.array([0.0, image_grid.ERROR_LIMIT / 2, image_grid.ERROR_LIMIT, 1.0], np.float32)[None, :, None].repeat(
        3, -1
    )
    found = image_grid.draw_error_map(color, truth)
    assert found.sum(-1)[0].tolist() == sorted(found.sum(-1)[0].tolist())
    assert found[0, 0].max() < 0.02, "no error is black"
    np.testing.assert_array_equal(found[0, 2], found[0, 3])
    broken = image_grid.draw_error_map(np.full((1, 1, 3), np.nan, np.float32), truth[:, :1])
    np.testing.assert_array_equal(broken[0, 0], found[0, 3])


def test_a_sheet_without_any_view_is_refused():
    with pytest.raises(UsageError, match="at least one view, got none"):
        image_grid.draw_sheet({"chair": {"arm": image_grid.LabelledImage(None, "died")}})


def test_long_names_and_labels_take_several_lines_as_many_as_are_needed():
    color, name = np.ones((16, 16, 3), np.float32), "a purple striped tree next to a red checkered car"
    rows = {name: {"a": image_grid.LabelledImage(color, name, "worse")}}
    one, three, five = (image_grid.draw_sheet(rows, num_label_lines=num) for num in (1, 3, 5))
    assert one.width < 2 * image_grid.GAP_PX + image_grid.NAME_PX + 160 + 2 * image_grid.GAP_PX
    assert three.height == one.height + 2 * image_grid.LINE_PX and five.height == three.height + image_grid.LINE_PX * (
        len(image_grid.wrap_text(name, 160)) - 3
    )
    assert (np.asarray(three) == image_grid.TONES["worse"]).all(-1).any()
    assert (
        image_grid.draw_sheet({"s": {"a": image_grid.LabelledImage(color, "short")}}, num_label_lines=3).height
        == one.height
    )


def test_a_gallery_is_read_line_by_line():
    tiles = [image_grid.LabelledImage(np.full((16, 16, 3), i / 10, np.float32), str(i)) for i in range(5)]
    pixels = np.asarray(image_grid.draw_gallery(tiles, 3))
    step_x, step_y, gap = 160 + image_grid.GAP_PX, 160 + image_grid.LINE_PX + image_grid.GAP_PX, image_grid.GAP_PX
    assert pixels.shape == (gap + 2 * step_y, gap + 3 * step_x, 3)
    found = [pixels[gap + i // 3 * step_y, gap + i % 3 * step_x, 0] for i in range(5)]
    assert found == [round(25.5 * i) for i in range(5)]
    assert tuple(pixels[gap + step_y, gap + 2 * step_x]) == image_grid.PAPER
    with pytest.raises(UsageError, match="at least one view"):
        image_grid.draw_gallery([image_grid.LabelledImage(None)], 3)
