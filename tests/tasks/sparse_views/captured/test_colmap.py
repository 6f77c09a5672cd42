"""COLMAP models, text and binary: poses, cameras, points, the photographs that belong to them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import UsageError
from tasks.sparse_views.captured import colmap_files
from tests.fixtures.captured_scenes import PARAMETERS, captured, ring, write_colmap

TILT = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float)
"""Turns z up into y up: COLMAP's world has any axis up."""


def points_of(count=50, spread=0.1):
    return np.random.RandomState(3).uniform(-spread, spread, (count, 3))


def turned(poses):
    found = poses.copy()
    found[:, :3] = TILT @ found[:, :3]
    return found


def write(place, *, binary=True, points=None, **settings):
    points = points_of() if points is None else points
    poses = settings.pop("poses", turned(ring(10)))
    return write_colmap(place, poses=poses, points=points, binary=binary, **settings)


@pytest.mark.parametrize("binary", [False, True])
def test_a_model_is_read(tmp_path, binary):
    task = captured(write(tmp_path / "vase", binary=binary))
    capture = task.capture()
    assert capture.kind == ("COLMAP model, binary" if binary else "COLMAP model, text")
    np.testing.assert_allclose([frame.pose for frame in capture.frames], turned(ring(10)), atol=1e-6)
    np.testing.assert_allclose(capture.points.positions, points_of())
    assert [len(seen) for seen in capture.points.seen_by] == [50] * 10 and task.doubts() == ()
    data = task.load()
    assert data.test.ids == (0, 8)
    # Cameras 0.5 from the middle of points within 0.1: depths from 0.33 to 0.67, with margins of a fifth.
    placement = task.placement()
    near, far = placement.near / placement.scale, placement.far / placement.scale
    assert 0.8 * 0.33 < near < 0.8 * 0.45 and 1.2 * 0.55 < far < 1.2 * 0.67
    assert placement.reasons["near and far"] == "50 points of COLMAP"
    # y of the file was up, and z is here.
    np.testing.assert_allclose(data.all_train_poses[:, 2, 3] / placement.scale, 0.5 * np.sin(np.radians(20)), atol=0.01)


def test_text_and_binary_say_the_same(tmp_path):
    fingerprints = {captured(write(tmp_path / str(binary) / "vase", binary=binary)).fingerprint() for binary in (0, 1)}
    assert len(fingerprints) == 1


@pytest.mark.parametrize("where", ["sparse/0", "sparse", "colmap/sparse/0", "."])
def test_where_a_model_lies(tmp_path, where):
    assert len(captured(write(tmp_path / "vase", where=where)).capture().frames) == 10


SUPPORTED = [name for name in PARAMETERS if name not in ("FOV", "THIN_PRISM_FISHEYE")]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("model", SUPPORTED)
def test_camera_models(tmp_path, model, binary):
    task = captured(write(tmp_path / "vase", model=model, binary=binary))
    camera = task.load().train.intrinsics
    np.testing.assert_allclose(
        [camera.focal_x[0], camera.focal_y[0], camera.center_x[0], camera.center_y[0]], [7, 7, 3, 2]
    )
    if model.endswith("PINHOLE"):
        assert camera.distortion is None
        return
    first = {"FULL_OPENCV": 0.01}.get(model, 0.01)
    assert camera.distortion.radial[0, 0] == pytest.approx(first)
    assert camera.distortion.is_fisheye[0] == model.endswith("FISHEYE")
    if model == "OPENCV":
        np.testing.assert_allclose(camera.distortion.radial[0, :2], [0.01, -0.002], rtol=1e-6)
        np.testing.assert_allclose(camera.distortion.tangential[0], [0.001, 0.002], rtol=1e-6)


@pytest.mark.parametrize("model", ["FOV", "THIN_PRISM_FISHEYE"])
def test_camera_models_whose_rays_are_not_known(tmp_path, model):
    with pytest.raises(UsageError, match=f"got {model}; undistort the photos first .colmap image_undistorter."):
        captured(write(tmp_path / "vase", model=model)).layout()


def test_a_camera_model_of_a_later_release(tmp_path):
    place = write(tmp_path / "vase")
    file = place / "sparse" / "0" / "cameras.bin"
    content = bytearray(file.read_bytes())
    content[12] = 77
    file.write_bytes(content)
    with pytest.raises(
        UsageError, match="expected a camera model among SIMPLE_PINHOLE, .*, got 'number 77'; undistort"
    ):
        captured(place).layout()


def test_the_model_of_another_folder(tmp_path):
    place = write(tmp_path / "vase")
    for path in list((place / "images").iterdir()):
        path.rename(path.with_name(f"other_{path.name}"))
    with pytest.raises(
        UsageError, match="got none of its 10: it names 'IMG_0000.jpg', and the folder holds 'other_IMG_"
    ):
        captured(place).layout()


def test_photos_without_a_camera_and_cameras_without_a_photo(tmp_path):
    place = write(tmp_path / "vase")
    (place / "images" / "IMG_0003.jpg").rename(place / "images" / "IMG_9999.jpg")
    (place / "images" / "IMG_0004.jpg").rename(place / "images" / "IMG_0004.JPG")
    task = captured(place)
    assert [frame.id for frame in task.capture().frames] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert "1 of 10 photos of the model are not in images and are left out; the first is IMG_0003.jpg" in task.doubts()
    (place / "images" / "IMG_9998.jpg").write_bytes((place / "images" / "IMG_0001.jpg").read_bytes())
    assert any("1 photos in images have no camera in the model" in doubt for doubt in captured(place).doubts())


def test_masks_of_colmap(tmp_path):
    place = write(tmp_path / "vase")
    (place / "masks").mkdir()
    for path in (place / "images").iterdir():
        (place / "masks" / f"{path.name}.png").write_bytes(_mask())
    np.testing.assert_allclose(captured(place).load().train.masks[:, 0], [[0, 0, 0, 1, 1, 1]] * 4)


def _mask():
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.repeat([[0] * 6 + [255] * 6], 8, axis=0).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def test_lists_beside_the_model(tmp_path):
    place = write(tmp_path / "vase")
    (place / "sparse" / "0" / "test.txt").write_text("IMG_0002.jpg\nIMG_0005.jpg\n")
    task = captured(place)
    assert task.load().test.ids == (2, 5)
    (place / "sparse" / "0" / "train.txt").write_text("IMG_0002.jpg\n")
    with pytest.raises(UsageError, match="test.txt: expected photos that train.txt does not name, got 'IMG_0002.jpg'"):
        captured(place).layout()


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("part", colmap_files.PARTS)
def test_damaged_files(tmp_path, part, binary):
    place = write(tmp_path / "vase", binary=binary)
    file = place / "sparse" / "0" / f"{part}{'.bin' if binary else '.txt'}"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) - 9] if binary else b"1 2 x\n3\n")
    with pytest.raises(UsageError, match=f"{file.name}: expected a file of a COLMAP model, got a damaged file"):
        captured(place).layout()


@pytest.mark.parametrize("number", ["-1", str(2**63), "9" * 400])
def test_numbers_of_points_that_fit_into_no_array(tmp_path, number):
    file = tmp_path / "points3D.txt"
    file.write_text(f"1 0 0 0 9 9 9 0.1\n{number} 0 0 1 9 9 9 0.1\n")
    with pytest.raises(UsageError, match=f"points3D.txt: expected points with numbers from 0 to .*{number[:20]}"):
        colmap_files.read_point_file(file)


def test_cameras_that_look_away_from_their_points(tmp_path):
    poses = ring(10) * np.array([1, -1, -1, 1])  # OpenCV's axes, written as if they were OpenGL's
    with pytest.raises(UsageError, match="got 500 of 500 points behind them; cameras look along their -z axis"):
        captured(write(tmp_path / "vase", poses=poses)).placement()


def test_half_a_model(tmp_path):
    place = write(tmp_path / "vase")
    (place / "sparse" / "0" / "images.bin").unlink()
    with pytest.raises(
        UsageError, match="sparse/0: expected a whole COLMAP model, got cameras.bin without images.bin or"
    ):
        captured(place).layout()


def test_a_model_without_photos(tmp_path):
    place = write(tmp_path / "vase", binary=False)
    (place / "sparse" / "0" / "images.txt").write_text("# nothing\n")
    with pytest.raises(UsageError, match="images.txt: expected photos, got none; COLMAP placed no camera"):
        captured(place).layout()
