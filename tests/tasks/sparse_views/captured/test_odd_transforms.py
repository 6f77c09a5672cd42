"""Transforms files with one odd thing each: what is read, what is said, what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from bench.errors import UsageError
from tests.fixtures.captured_scenes import FOCAL, HEIGHT, WIDTH, captured, noise, write_transforms


def load(place, **fields):
    task = captured(place, **fields)
    return task, task.load(), task.doubts()


def in_each(key, value):
    """Change every frame; a function takes its place and the frame."""

    def change(told):
        for place, frame in enumerate(told["frames"]):
            frame[key] = value(place, frame) if callable(value) else value

    return change


def without(*keys):
    def change(told):
        for key in keys:
            del told[key]

    return change


def with_top(**keys):
    return lambda told: told.update(keys)


# What is read as it is meant


def test_the_plain_file_that_the_others_differ_from(tmp_path):
    task, data, doubts = load(write_transforms(tmp_path / "plain"))
    assert doubts == ()
    assert data.test.ids == (0, 8) and data.train.colors.shape == (4, 4, 6, 3)
    assert data.train.masks is None and data.train.intrinsics.distortion is None
    # The ring of radius 0.5 looks at the origin: with the cameras in the unit ball one unit is doubled.
    assert task.placement().world == "unbounded"
    np.testing.assert_allclose(np.linalg.norm(data.all_train_poses[:, :3, 3], axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(data.train.intrinsics.focal_x, FOCAL / 2)


SAME = {
    "backslashes": in_each("file_path", lambda i, _: f"images\\{i:03}.png"),
    "a dot and a slash": in_each("file_path", lambda i, _: f"./images/{i:03}.png"),
    "no extension": in_each("file_path", lambda i, _: f"images/{i:03}"),
    "an upper-case extension": in_each("file_path", lambda i, _: f"images/{i:03}.PNG"),
    "a folder of another computer": in_each("file_path", lambda i, _: f"/home/ana/garden/images/{i:03}.png"),
    "a folder of a Windows computer": in_each("file_path", lambda i, _: f"C:\\Users\\ana\\images\\{i:03}.png"),
    "matrices of three rows": in_each("transform_matrix", lambda _, frame: frame["transform_matrix"][:3]),
    "a focal length alone": without("fl_y", "cx", "cy", "w", "h"),
    "intrinsics in each frame": lambda told: [
        frame.update({key: told[key] for key in ("fl_x", "fl_y", "cx", "cy")}) for frame in told["frames"]
    ],
    "a field of view alone": lambda told: (
        without("fl_x", "fl_y")(told),
        told.update(camera_angle_x=2 * np.arctan(0.5 * WIDTH / FOCAL)),
    ),
    "two fields of view": lambda told: (
        without("fl_x", "fl_y")(told),
        told.update(
            camera_angle_x=2 * np.arctan(0.5 * WIDTH / FOCAL), camera_angle_y=2 * np.arctan(0.5 * HEIGHT / FOCAL)
        ),
    ),
    "an empty fisheye flag": with_top(is_fisheye=False, k1=0.0, k2=0.0, k3=0, k4=0),
    "nerfstudio's word for a pinhole": with_top(camera_model="PERSPECTIVE"),
    "keys of other programs": with_top(sharpen=1, n_frames=16, orientation_override="none", my_note="roses"),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return load(write_transforms(tmp_path_factory.mktemp("odd") / "plain"))[1]


@pytest.mark.parametrize("name", SAME)
def test_the_same_scene_written_otherwise(tmp_path, plain, name):
    _, data, doubts = load(write_transforms(tmp_path / "plain", change=SAME[name]))
    assert doubts == ()
    for part in ("train", "test"):
        expected = getattr(plain, part)
        found = getattr(data, part)
        assert found.ids == expected.ids
        np.testing.assert_array_equal(found.colors, expected.colors)
        np.testing.assert_allclose(found.poses, expected.poses, atol=1e-6)
        np.testing.assert_allclose(found.intrinsics[:4], expected.intrinsics[:4], rtol=1e-6)
    assert (data.near, data.far) == pytest.approx((plain.near, plain.far))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings_of_editors(tmp_path, plain, encoding):
    file = write_transforms(tmp_path / "plain") / "transforms.json"
    file.write_text(file.read_text(), encoding=encoding)
    np.testing.assert_array_equal(load(file.parent)[1].train.colors, plain.train.colors)


def test_a_scale_in_the_matrices_is_taken_out(tmp_path, plain):
    def scaled(_, frame):
        matrix = np.array(frame["transform_matrix"])
        matrix[:3, :3] *= 1.7
        return matrix.tolist()

    _, data, doubts = load(write_transforms(tmp_path / "plain", change=in_each("transform_matrix", scaled)))
    np.testing.assert_allclose(data.train.poses, plain.train.poses, atol=1e-6)
    assert doubts == ("transform_matrix holds a scale of 1.7, which is taken out of the rotation",)


def test_lens_coefficients_are_read(tmp_path):
    place = write_transforms(tmp_path / "lens", top={"k1": 0.05, "k2": -0.02, "p1": 0.001, "p2": 0.002})
    task, data, doubts = load(place)
    assert doubts == () and task.optional_arrays == ("distortion",)
    distortion = data.test.intrinsics.distortion
    np.testing.assert_allclose(distortion.radial[0], [0.05, -0.02, 0, 0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(distortion.tangential[0], [0.001, 0.002], rtol=1e-6)
    fisheye = write_transforms(tmp_path / "fisheye", top={"camera_model": "OPENCV_FISHEYE", "k1": 0.05})
    assert load(fisheye)[1].train.intrinsics.distortion.is_fisheye.tolist() == [1] * 4


def test_a_lens_of_some_photos_alone(tmp_path):
    data = load(write_transforms(tmp_path / "mixed", each=lambda i: {"k1": 0.05 if i == 0 else 0.0}))[1]
    assert data.train.intrinsics.distortion.radial.shape == (4, 6)
    np.testing.assert_allclose(data.test.intrinsics.distortion.radial[:, 0], [0.05, 0], rtol=1e-6)


# What is read, and said


def doubts_of(tmp_path, **settings):
    return load(write_transforms(tmp_path / "odd", **settings))[2]


DOUBTED = {
    "missing photos": (
        {"change": in_each("file_path", lambda i, frame: frame["file_path"] if i % 4 else f"images/none{i}.png")},
        "4 of 16 frames have no photo and are left out; the first is images/none0.png",
    ),
    "an unknown key that sounds like a mask": ({"top": {"mask_folder": "masks"}}, "the key 'mask_folder' is not known"),
    "an unknown key that sounds like a split": ({"top": {"train_split_ratio": 0.9}}, "the key 'train_split_ratio'"),
    "an unknown key that sounds like a lens": ({"top": {"lens_shading": 1}}, "the key 'lens_shading' is not known"),
    "intrinsics of twice the size": (
        {"top": {"w": 24, "h": 16, "fl_x": 28.0, "fl_y": 28.0, "cx": 12.0, "cy": 8.0}},
        "cameras are meant for photos of 24 x 16, which are 12 x 8: intrinsics are multiplied by 0.5",
    ),
    "a focal length and an angle that disagree": (
        {"top": {"camera_angle_x": 1.2}},
        "fl_x=14 and camera_angle_x",
    ),
    "a principal point far off": ({"top": {"cx": 11.5}}, "the principal point (11.5, 4) is far from the middle"),
    "points that are not there": ({"top": {"ply_file_path": "sparse.ply"}}, "ply_file_path names sparse.ply, which"),
    "one camera that looks away": (
        {
            "change": lambda told: told["frames"][3].update(
                transform_matrix=(np.array(told["frames"][3]["transform_matrix"]) @ np.diag([-1, 1, -1, 1])).tolist()
            )
        },
        "a camera looks away from the scene's centre, which its photo does not show (003.png)",
    ),
}


@pytest.mark.parametrize("name", DOUBTED)
def test_what_is_doubted(tmp_path, name):
    settings, line = DOUBTED[name]
    assert any(line in doubt for doubt in doubts_of(tmp_path, **settings)), doubts_of(tmp_path, **settings)


def test_intrinsics_of_another_size_give_the_same_rays(tmp_path, plain):
    data = load(write_transforms(tmp_path / "odd", **DOUBTED["intrinsics of twice the size"][0]))[1]
    np.testing.assert_allclose(data.train.intrinsics[:4], plain.train.intrinsics[:4])


def test_photos_that_exif_turns(tmp_path):
    place = write_transforms(tmp_path / "turned")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(5)).save(place / "images" / "005.png", exif=exif)
    assert any("to be shown turned" in doubt and "(005.png)" in doubt for doubt in load(place)[2])


# What is refused


def at_the_origin(_, frame):
    return [[*row[:3], 0.0] for row in frame["transform_matrix"][:3]]


REFUSED = {
    "a fisheye flag": (with_top(is_fisheye=True), "got 'is_fisheye'=True; write .camera_model.: .OPENCV_FISHEYE."),
    "a panorama": (with_top(equirectangular=True), "got 'equirectangular'=True; a panorama is no photo of a lens"),
    "another panorama": (in_each("latlong", True), "frame 0: expected a key that is read, got 'latlong'=True"),
    "an f-theta lens": (with_top(ftheta_p0=0, ftheta_p1=0.1), "got 'ftheta_p1'=0.1; undistort the photos first"),
    "an unnamed lens": (with_top(lens="wide"), "got 'lens'='wide'; undistort the photos first"),
    "a camera model that is not known": (
        with_top(camera_model="EQUIRECT"),
        "a camera_model among .*'EQUIRECT'",
    ),
    "a coefficient that the model lacks": (with_top(camera_model="RADIAL", p1=0.1), "expected coefficients of RADIAL"),
    "a rolling shutter": (with_top(rolling_shutter=[0, 0, 1, 0]), "photos of a moving shutter have no single pose"),
    "a lens that folds": (with_top(k1=-5.0), "expected a lens that gives every pixel one ray"),
    "a principal point outside": (
        with_top(cx=900.0),
        "inside of the photo of 12 x 8, got cx=900, cy=4",
    ),
    "intrinsics of another shape": (
        with_top(w=24, h=24),
        "photo of the shape 24 x 24, got 12 x 8 in 000.png",
    ),
    "width and height swapped": (with_top(w=8, h=12), "the photo lies on its side; turn its pixels"),
    "an angle in degrees": (
        lambda told: (without("fl_x", "fl_y")(told), told.update(camera_angle_x=40.0)),
        "expected camera_angle_x in radians, above 0 and below 3.14, got 40",
    ),
    "no focal length": (without("fl_x", "fl_y"), "expected a key 'camera_angle_x' or 'fl_x', got neither"),
    "a focal length in words": (with_top(fl_x="wide"), "expected a number for 'fl_x', got 'wide'"),
    "no photo at all": (
        in_each("file_path", "images/none.png"),
        "expected photos, got none of the 16 that its",
    ),
    "photos of another format": (
        lambda told: told["frames"][0].update(file_path="images/000.heic"),
        "heic is a format that is not read; convert the photos to PNG",
    ),
    "a mask that is not there": (
        in_each("mask_path", "masks/x.png"),
        "a mask .*masks/x.png, got no such file",
    ),
    "a mirrored pose": (
        in_each("transform_matrix", lambda _, frame: (np.array(frame["transform_matrix"]) * [1, 1, -1, 1]).tolist()),
        "determinant -1; remove scale and mirroring",
    ),
    "axes of OpenCV": (
        in_each("transform_matrix", lambda _, frame: (np.array(frame["transform_matrix"]) * [1, -1, -1, 1]).tolist()),
        r"cameras that look away from each other, .* \(OpenGL\): export the poses again",
    ),
    "one place for all": (in_each("transform_matrix", at_the_origin), "expected several positions, got one for all"),
    "a frame that is a word": (lambda told: told["frames"].__setitem__(2, "x"), "frame 2: expected an object, got 'x'"),
    "a box of no size": (with_top(aabb_scale=0), "expected aabb_scale and scale above 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(tmp_path, name):
    change, message = REFUSED[name]
    place = write_transforms(tmp_path / "odd", change=change)
    if "another format" in name:
        (place / "images" / "000.png").rename(place / "images" / "000.heic")
    with pytest.raises(UsageError) as error:
        load(place)
    assert re.search(message, str(error.value)), error.value
    assert "\n" not in str(error.value)


def test_photos_with_and_without_alpha(tmp_path):
    place = write_transforms(tmp_path / "mixed")
    Image.fromarray(noise(3, 4)).save(place / "images" / "003.png")
    with pytest.raises(UsageError, match="all have alpha or none, got 1 of 16 with it, such as 003.png"):
        captured(place).doubts()
    opaque = noise(3, 4)
    opaque[..., 3] = 255
    Image.fromarray(opaque).save(place / "images" / "003.png")
    assert "1 of 16 photos have an alpha channel, which is 1 everywhere" in captured(place).doubts()


def test_a_photo_that_is_no_photo(tmp_path):
    place = write_transforms(tmp_path / "odd")
    (place / "images" / "002.png").write_text("not a picture")
    with pytest.raises(UsageError, match="frame 2: expected an image .*002.png, got .no picture.; is it whole"):
        captured(place).layout()


def test_photos_that_lie_on_their_sides(tmp_path):
    place = write_transforms(tmp_path / "odd", change=without("fl_y", "cx", "cy", "w", "h"))
    Image.fromarray(noise(7, 3, width=HEIGHT, height=WIDTH)).save(place / "images" / "007.png")
    with pytest.raises(UsageError, match="of the shape 12 x 8 like the first one, got 8 x 12 in 007.png"):
        captured(place).layout()


def test_a_file_of_a_part_of_the_frames_is_said(tmp_path):
    place = write_transforms(tmp_path / "odd")
    (place / "transforms_test.json").write_text((place / "transforms.json").read_text())
    assert any("transforms_test.json is not read" in doubt for doubt in captured(place).doubts())
