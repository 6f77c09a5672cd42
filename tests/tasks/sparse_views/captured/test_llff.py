"""LLFF's `poses_bounds.npy`: its axes, its sizes of photographs, its bounds, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import UsageError
from tests.fixtures.captured_scenes import captured, row, write_llff


def test_poses_bounds_and_the_split_of_the_nerf_paper(tmp_path):
    poses = row(17)
    task = captured(write_llff(tmp_path / "fern", poses, (10.0, 40.0)), image_px=12)
    capture = task.capture()
    np.testing.assert_allclose([frame.pose for frame in capture.frames], poses, atol=1e-6)
    data = task.load()
    assert data.test.ids == (0, 8, 16)  # NeRF's load_llff.py: llffhold = 8
    placement = task.placement()
    assert placement.world == "forward-facing" and capture.kind == "LLFF"
    # near is 0.9 of the nearest depth, which becomes 1; far is 1.1 of the farthest.
    assert placement.near == pytest.approx(1) and placement.scale == pytest.approx(1 / 9)
    assert data.far == pytest.approx(44 / 9)
    # Cameras look along -z with y up, about the origin.
    np.testing.assert_allclose(data.all_train_poses[:, :3, 2].mean(axis=0), [0, 0, 1], atol=0.02)
    np.testing.assert_allclose(data.all_train_poses[:, :3, 1].mean(axis=0), [0, 1, 0], atol=0.02)


@pytest.mark.parametrize(
    ("image_px", "folder", "width"), [(6, "images_4", 6), (13, "images_2", 13), (99, "images", 48)]
)
def test_the_folder_of_the_size_that_is_wanted(tmp_path, image_px, folder, width):
    task = captured(write_llff(tmp_path / "fern", row(9), (10.0, 40.0)), image_px=image_px)
    capture = task.capture()
    assert capture.frames[0].image.parent.name == folder and capture.doubts == ()
    photos = task.load().train
    assert photos.colors.shape[2] == width
    np.testing.assert_allclose(photos.intrinsics.focal_x, 56 * width / 48, rtol=1e-6)
    np.testing.assert_allclose(photos.intrinsics.center_x, width / 2, rtol=1e-6)


def test_a_folder_of_sizes_without_the_full_one(tmp_path):
    place = write_llff(tmp_path / "fern", row(9), (10.0, 40.0))
    for path in (place / "images").iterdir():
        path.unlink()
    assert captured(place, image_px=99).load().train.colors.shape[2] == 24


def test_what_is_refused(tmp_path):
    place = write_llff(tmp_path / "fern", row(9), (10.0, 40.0))
    file = place / "poses_bounds.npy"
    rows = np.load(file)
    for wrong, message in (
        (rows[:8], "expected a row for each photo, got 8 rows and 9 photos in images_4; put back the photos"),
        (rows[:, :16], r"expected rows of 17 numbers, got an array of \(9, 16\); run LLFF again"),
        (np.where(rows == 40.0, 1.0, rows), "expected finite numbers, 0 < nearest depth < farthest, got others"),
        (
            np.where(np.arange(17) == 4, 33 * 48, rows),
            "expected a photo of the shape 48 x 1584, got 12 x 8 in image000.png",
        ),
    ):
        np.save(file, wrong)
        with pytest.raises(UsageError, match=message):
            captured(place).layout()
    file.write_bytes(b"nothing of NumPy's")
    with pytest.raises(UsageError, match="poses_bounds.npy: expected an array of NumPy, got .*; run LLFF again"):
        captured(place).layout()


def test_no_photos(tmp_path):
    place = write_llff(tmp_path / "fern", row(9), (10.0, 40.0))
    for folder in ("images", "images_2", "images_4"):
        for path in (place / folder).iterdir():
            path.rename(path.with_suffix(".tif"))
    with pytest.raises(UsageError, match="got image000.tif, and tif is a format that is not read; convert the photos"):
        captured(place).layout()
    for folder in ("images", "images_2", "images_4"):
        for path in (place / folder).iterdir():
            path.unlink()
    with pytest.raises(
        UsageError, match="expected a folder 'images' .or images_2, images_4, images_8. with photos in it"
    ):
        captured(place).layout()
