"""Photos of a user's: what is read, what is refused, and where it is looked for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from bench.errors import UsageError
from tasks import budgets, cameras
from tasks.sparse_views import nerf_synthetic, transforms_json
from tasks.sparse_views.nerf_synthetic import BlenderScene


def noise(seed, height, width, channels):
    return np.random.RandomState(seed).randint(0, 256, (height, width, channels)).astype(np.uint8)


def write_scene(place, *, counts=(100, 200), height=8, width=8, channels=4, extension=".png", top=None, change=None):
    """A scene in the layout of NeRF Realistic Synthetic; `change` alters what transforms_train.json says."""
    for split, count in zip(("train", "test"), counts, strict=True):
        (place / split).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.fromarray(noise(1000 * (split == "test") + i, height, width, channels)).save(
                place / split / f"r_{i}{extension}"
            )
        told = json.loads(
            transforms_json.format_transforms(
                cameras.hemisphere(count), [f"./{split}/r_{i}" for i in range(count)], 40.0
            )
        )
        told |= top or {}
        if change and split == "train":
            change(told)
        (place / f"transforms_{split}.json").write_text(json.dumps(told))
    return place


@pytest.fixture(scope="module")
def lego(tmp_path_factory):
    """A folder with a scene of the real one's counts: 100 training and 200 test views."""
    folder = tmp_path_factory.mktemp("synthetic")
    write_scene(folder / "lego")
    return folder


def small(tmp_path, **fields):
    """A scene of 4 training and 3 test views, and a task on it."""
    write_scene(tmp_path / "toy", **{"counts": (4, 3)} | fields)
    return BlenderScene(scene="toy", folder=str(tmp_path), num_views=2, image_px=4, test_every=1)


# What is read


def test_views_of_the_paper(lego):
    data = BlenderScene(scene="lego", folder=str(lego), image_px=4).load()
    # Sources: run_nerf.py of DietNeRF, seed 0; load_blender.py with testskip=8: 25 of 200 test views.
    assert data.train.ids == (26, 86, 2, 55, 75, 93, 16, 73)
    assert data.test.ids == tuple(range(0, 200, 8)) and len(data.test.ids) == 25
    np.testing.assert_allclose(data.train.poses, cameras.hemisphere(100)[list(data.train.ids)], atol=1e-6)
    np.testing.assert_allclose(data.test.poses, cameras.hemisphere(200)[::8], atol=1e-6)
    np.testing.assert_allclose(data.all_train_poses, cameras.hemisphere(100), atol=1e-6)
    assert (data.near, data.far, data.pixel_center) == (2.0, 6.0, 0.5)
    task = BlenderScene(scene="lego", folder=str(lego), image_px=4)
    assert task.layout() == (8, 25, 4, 4) == (len(data.train.ids), len(data.test.ids), *data.train.colors.shape[1:3])
    assert budgets.sized(BlenderScene(scene="lego"), budgets.BUDGETS["paper"]).image_px == 400


def test_focal_is_halved_with_the_image(lego):
    # Source: load_blender.py: focal = 0.5 * W / tan(0.5 * camera_angle_x); half_res: focal / 2.
    data = BlenderScene(scene="lego", folder=str(lego), image_px=4).load()
    focal = 0.5 * 8 / math.tan(math.radians(20)) / 2
    for values, value in zip(data.train.intrinsics[:4], (focal, focal, 2, 2), strict=True):
        np.testing.assert_allclose(values, np.full(8, value), rtol=1e-6)


@pytest.mark.parametrize("resize", ["premultiplied", "straight"])
@pytest.mark.parametrize("background", [1.0, 0.25])
def test_resizing_against_slow_twin(tmp_path, resize, background):
    task = dataclasses.replace(small(tmp_path), resize=resize, background=background, views=(3,), num_views=1)
    photos = task.load().train
    image = noise(3, 8, 8, 4) / 255
    for row in range(4):
        for column in range(4):
            block = [image[2 * row + i, 2 * column + j] for i in (0, 1) for j in (0, 1)]
            alpha = sum(pixel[3] for pixel in block) / 4
            for c in range(3):
                if resize == "straight":  # DietNeRF: INTER_AREA on straight RGBA, then composited on white
                    slow = sum(pixel[c] for pixel in block) / 4 * alpha + background * (1 - alpha)
                else:  # the mean of what each pixel shows in front of the background
                    slow = sum(pixel[c] * pixel[3] + background * (1 - pixel[3]) for pixel in block) / 4
                assert photos.colors[0, row, column, c] == pytest.approx(slow, abs=1e-5)
            assert photos.alphas[0, row, column] == pytest.approx(alpha, abs=1e-6)


def slow_area(image, height, width):
    """Every old pixel gives every new pixel the area that they share."""
    old_height, old_width, channels = image.shape
    small = np.zeros((height, width, channels))
    for y in range(height):
        for x in range(width):
            area = 0.0
            for h in range(old_height):
                for w in range(old_width):
                    down = min((y + 1) * old_height / height, h + 1) - max(y * old_height / height, h)
                    across = min((x + 1) * old_width / width, w + 1) - max(x * old_width / width, w)
                    if down > 0 and across > 0:
                        small[y, x] += down * across * image[h, w]
                        area += down * across
            small[y, x] /= area
    return small


@given(
    hnp.arrays(np.float32, st.tuples(*[st.integers(1, 7)] * 2, st.just(3)), elements=st.floats(0, 1, width=32)),
    st.data(),
)
@settings(max_examples=40, deadline=None)
def test_area_filter_against_slow_twin(image, data):
    height, width = (data.draw(st.integers(1, size)) for size in image.shape[:2])
    got = transforms_json.area_filter(image, height, width)
    np.testing.assert_allclose(got, slow_area(image, height, width), atol=1e-5)
    np.testing.assert_allclose(got.mean(axis=(0, 1)), image.mean(axis=(0, 1)), atol=1e-5)  # light is kept
    np.testing.assert_allclose(transforms_json.area_filter(image, *image.shape[:2]), image, atol=1e-7)


def test_images_without_alpha_are_opaque_and_need_not_be_square(tmp_path):
    task = small(tmp_path, height=6, width=12, channels=3)
    data = task.load()
    assert task.layout() == (2, 3, 2, 4) and data.train.colors.shape == (2, 2, 4, 3)
    np.testing.assert_array_equal(data.train.alphas, np.ones((2, 2, 4), np.float32))
    slow = noise(data.train.ids[0], 6, 12, 3).reshape(2, 3, 4, 3, 3).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(data.train.colors[0], slow, atol=1e-6)
    focal = 0.5 * 12 / math.tan(math.radians(20)) / 3
    np.testing.assert_allclose([x[0] for x in data.train.intrinsics[:4]], [focal, focal, 2, 1], rtol=1e-6)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA"])
def test_other_png_modes(tmp_path, mode):
    task = dataclasses.replace(small(tmp_path), views=(0, 1, 2), num_views=3)
    for i in range(3):
        image = noise(i, 8, 8, 3 if mode in ("L", "P") else 4)
        Image.fromarray(image).convert(mode).save(tmp_path / "toy" / "train" / f"r_{i}.png")
    alphas = task.load().train.alphas
    assert (alphas.min() == 1) == (mode in ("L", "P"))


def captured(tmp_path, *, top=None, each=None, count=9):
    """A captured scene as instant-ngp and nerfstudio have it: one transforms.json, intrinsics in pixels, JPEG."""
    place = tmp_path / "garden"
    (place / "images").mkdir(parents=True, exist_ok=True)
    frames = []
    for i, pose in enumerate(cameras.hemisphere(count)):
        Image.fromarray(noise(i, 6, 8, 3)).save(place / "images" / f"{i:04}.jpg", quality=95)
        frames.append(
            {"file_path": f"images/{i:04}.jpg", "transform_matrix": pose.tolist()} | (each(i) if each else {})
        )
    (place / "transforms.json").write_text(json.dumps((top or {}) | {"frames": frames}))
    return BlenderScene(scene="garden", folder=str(tmp_path), num_views=3, image_px=4, test_every=4, near=0.5, far=9.0)


def test_captured_scene_with_intrinsics_at_the_top(tmp_path):
    top = {
        "fl_x": 10.0,
        "fl_y": 11.0,
        "cx": 4.5,
        "cy": 2.75,
        "w": 8,
        "h": 6,
        "k1": 0.0,
        "camera_model": "OPENCV",
        "aabb_scale": 4,
    }
    task = captured(tmp_path, top=top)
    data = task.load()
    assert data.test.ids == (0, 4, 8) and not set(data.train.ids) & set(data.test.ids)
    assert len(data.all_train_poses) == 6 and task.layout() == (3, 3, 3, 4)
    assert (data.near, data.far) == (0.5, 9.0)
    np.testing.assert_allclose(np.array(data.train.intrinsics[:4])[:, 0], [5, 5.5, 2.25, 1.375])
    np.testing.assert_allclose(data.train.poses, cameras.hemisphere(9)[list(data.train.ids)], atol=1e-6)


def test_captured_scene_with_intrinsics_of_each_frame(tmp_path):
    task = captured(tmp_path, top={"fl_x": 1.0, "h": 6}, each=lambda i: {"fl_x": 10.0 + i, "cx": 3.0 + i, "w": 8})
    data = task.load()
    np.testing.assert_allclose(data.train.intrinsics.focal_x, [(10 + i) / 2 for i in data.train.ids])
    np.testing.assert_allclose(data.train.intrinsics.focal_y, [(10 + i) / 2 for i in data.train.ids])  # square pixels
    np.testing.assert_allclose(data.train.intrinsics.center_x, [(3 + i) / 2 for i in data.train.ids])
    np.testing.assert_allclose(data.train.intrinsics.center_y, 1.5)


def test_poses_of_3_rows_and_paths_with_extension(tmp_path):
    def change(told):
        for frame in told["frames"]:
            frame["transform_matrix"] = frame["transform_matrix"][:3]
            frame["file_path"] += ".png"

    data = small(tmp_path, change=change).load()
    np.testing.assert_allclose(data.all_train_poses, cameras.hemisphere(4), atol=1e-6)


def test_loaded_arrays_cannot_be_written(lego):
    task = BlenderScene(scene="lego", folder=str(lego), image_px=4)
    assert task.load() is task.load()
    with pytest.raises(ValueError, match="read-only"):
        task.load().train.colors[0] = 0


# What a task is


def test_fingerprint_is_of_what_files_hold_not_of_places(lego, tmp_path):
    task = small(tmp_path / "a")
    same = small(tmp_path / "b")
    base = task.fingerprint()
    assert base == same.fingerprint()
    image = tmp_path / "a" / "toy" / "train" / "r_1.png"
    image.write_bytes(image.read_bytes() + b"\0")
    assert task.fingerprint() != base
    file = tmp_path / "b" / "toy" / "transforms_test.json"
    file.write_text(file.read_text() + " ")
    assert same.fingerprint() != base
    identity = {f.name for f in dataclasses.fields(BlenderScene) if f.metadata.get("identity", True)}
    assert "folder" not in identity
    assert {"resize", "image_px", "num_views", "test_every", "pixel_center"} <= identity


def test_a_photo_edited_in_place_is_other_data(lego, tmp_path):
    task = small(tmp_path / "a")
    base = task.fingerprint()
    image = tmp_path / "a" / "toy" / "train" / "r_1.png"
    before = image.stat()
    content = bytearray(image.read_bytes())
    content[-5] ^= 1
    image.write_bytes(bytes(content))
    assert image.stat().st_size == before.st_size
    assert task.fingerprint() != base


def test_names():
    assert BlenderScene(scene="lego").name == "lego__8v" and BlenderScene(scene="lego").cluster == "lego"
    assert BlenderScene(scene="lego", views=(2, 5), background=0.0).name == "lego__2v__views-2-5__black"
    with pytest.raises(AssertionError, match="its size is open"):
        BlenderScene(scene="lego").layout()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scene": "a/b"}, "expected the name of one folder, got 'a/b'; the path before it is `folder`"),
        ({"resize": "nearest"}, "expected resize 'premultiplied' or 'straight', got 'nearest'"),
        ({"test_every": 0}, "expected test_every and image_px of at least 1, got 0"),
        ({"background": 2.0}, "expected background and pixel_center from 0 to 1, got 2.0"),
        ({"near": 3.0, "far": 2.0}, "expected 0 < near < far, got near=3.0, far=2.0"),
        ({"subset_seed": -1}, "expected a subset_seed from 0"),
        ({"num_views": 0}, "expected num_views of at least 1, got 0"),
    ],
)
def test_mistakes_in_fields_are_told(fields, message):
    task = object.__new__(BlenderScene)  # past the type checker of the tests, which users do not have
    for field in dataclasses.fields(BlenderScene):
        object.__setattr__(task, field.name, ({"scene": "lego"} | fields).get(field.name, field.default))
    with pytest.raises(UsageError, match=message):
        task.__post_init__()


# What is refused


def alter(key, value, frame=1):
    def change(told):
        told["frames"][frame][key] = value

    return change


def drop(key, frame=None):
    def change(told):
        del (told if frame is None else told["frames"][frame])[key]

    return change


MIRRORED = np.diag([1.0, 1.0, -1.0, 1.0]).tolist()
SCALED = np.diag([1.1, 1.1, 1.1, 1.0]).tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("frames"), r"transforms_train.json: expected a key 'frames' with at least one frame"),
        (lambda told: told["frames"].clear(), "expected a key 'frames' with at least one frame"),
        (drop("file_path", 2), "transforms_train.json, frame 2: expected a key 'file_path' with a str, got None"),
        (drop("transform_matrix", 0), "frame 0: expected a key 'transform_matrix' with a list, got None"),
        (
            alter("transform_matrix", SCALED),
            r"frame 1: expected transform_matrix to be a rotation .* got a matrix 0\.21 from",
        ),
        (
            alter("transform_matrix", MIRRORED),
            "frame 1: expected .* rotation .* with determinant -1; remove scale and mirror",
        ),
        (alter("transform_matrix", [[1, 2], [3, 4]]), "frame 1: expected transform_matrix of 4 x 4 numbers, got"),
        (alter("transform_matrix", [["a"] * 4] * 4), "expected transform_matrix of 4 x 4 numbers"),
        (alter("transform_matrix", (np.eye(4) * math.nan).tolist()), "expected transform_matrix of 4 x 4 numbers"),
        (lambda told: told["frames"].__setitem__(3, 7), "frame 3: expected an object, got 7"),
        (drop("camera_angle_x"), "expected a key 'camera_angle_x' or 'fl_x', got neither"),
        (lambda told: told.update(camera_angle_x="wide"), "expected a number for 'camera_angle_x', got 'wide'"),
        (lambda told: told.update(fl_x=-3), "expected focal lengths above 0, got -3 and -3"),
        (
            lambda told: told.update(k1=0.1),
            r"expected a pinhole camera, got k1; undistort .* \(colmap image_undistorter\)",
        ),
        (lambda told: told.update(camera_model="OPENCV_FISHEYE"), "got camera_model 'OPENCV_FISHEYE'"),
        (lambda told: told.update(w=800), "expected an image with w=800, got 8 in r_"),
        (
            alter("file_path", "./train/none", 2),
            "frame 2: expected an image .*none.png, got 'no such file'; put it there",
        ),
    ],
)
def test_bad_transforms_are_told(tmp_path, change, message):
    task = dataclasses.replace(small(tmp_path, change=change), views=(2, 1), num_views=2)
    with pytest.raises(UsageError, match=message):
        task.load()


def test_bad_images_are_told(tmp_path):
    task = dataclasses.replace(small(tmp_path), views=(0, 1), num_views=2)
    image = tmp_path / "toy" / "train" / "r_1.png"
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"frame 1: expected an image .*r_1.png, got '.*'; is it whole"):
        task.load()
    image.write_bytes(b"not an image")
    with pytest.raises(UsageError, match="frame 1: expected an image .*r_1.png, got .no picture"):
        task.load()
    Image.fromarray(noise(0, 9, 8, 4)).save(image)
    with pytest.raises(
        UsageError, match=r"frame 1: expected an image of 8 x 8 like the first one, got 8 x 9 in r_1.png"
    ):
        task.load()
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(image)
    with pytest.raises(UsageError, match="frame 1: expected an image of 8 bits, got mode I;16"):
        task.load()
    image.unlink()
    with pytest.raises(UsageError, match="frame 1: expected an image .*, got 'no such file'"):
        task.fingerprint()
    for i in range(4):
        Image.fromarray(noise(0, 12, 8, 4)).save(tmp_path / "toy" / "train" / f"r_{i}.png")
    with pytest.raises(UsageError, match="toy: expected training and test images of one shape, got 4 x 6 and 4 x 4"):
        task.load()


def test_bad_files_are_told(tmp_path):
    task = small(tmp_path)
    file = tmp_path / "toy" / "transforms_train.json"
    for content in (b'{"frames": [', b"\xff\xfe{", b""):
        file.write_bytes(content)
        with pytest.raises(UsageError, match="transforms_train.json: expected (JSON|text in UTF-8), got .*; (wa|sa)"):
            task.load()
    file.unlink()
    with pytest.raises(UsageError, match="transforms_train.json: expected a transforms file, got no such file"):
        task.load()
    file.mkdir()
    with pytest.raises(UsageError, match="transforms_train.json: expected a plain file, got a folder; remove it"):
        task.load()
    file.rmdir()
    (tmp_path / "toy" / "transforms_test.json").unlink()
    with pytest.raises(UsageError, match="toy: expected transforms_train.json and .* or transforms.json, got neither"):
        task.load()


def test_views_that_are_not_there_are_told(tmp_path, lego):
    task = BlenderScene(scene="lego", folder=str(lego), image_px=4)
    with pytest.raises(UsageError, match=r"among its 100 training views \(from 0 to 99\), got 100, which is not there"):
        dataclasses.replace(task, views=(0, 100), num_views=2).load()
    with pytest.raises(UsageError, match="expected 101 training views, got 100; lower num_views"):
        dataclasses.replace(task, num_views=101).load()
    with pytest.raises(
        UsageError, match="expected image_px of at most 8, the width of its images, got 9; images are only"
    ):
        dataclasses.replace(task, image_px=9).layout()
    garden = captured(tmp_path, top={"fl_x": 9.0})
    with pytest.raises(UsageError, match="got 4, which is held out; correct `views`"):
        dataclasses.replace(garden, views=(1, 4), num_views=2).load()
    with pytest.raises(UsageError, match="expected views to train on, got none besides every 1. view"):
        dataclasses.replace(garden, test_every=1).load()


def test_scenes_that_are_not_there_are_told(lego, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="scene: expected a folder 'legoo' in .*; the nearest is 'lego'"):
        BlenderScene(scene="legoo", folder=str(lego), image_px=4).load()
    with pytest.raises(UsageError, match="which holds no folders; correct `folder`"):
        BlenderScene(scene="lego", folder=str(tmp_path / "none"), image_px=4).load()
    for name in ("DIR", "URL", "SHA256"):
        monkeypatch.delenv(f"BENCH_BLENDER_{name}", raising=False)
    with pytest.raises(
        UsageError, match="NeRF Realistic Synthetic: expected to be told where it is, .* set one of them"
    ):
        BlenderScene(scene="lego", image_px=4).load()
    monkeypatch.setenv("BENCH_BLENDER_DIR", str(lego))
    assert BlenderScene(scene="lego", image_px=4).load().train.ids[:2] == (26, 86)


# The mirror


def test_a_mirror_is_asked_once(tmp_path, monkeypatch):
    write_scene(tmp_path / "made" / "toy", counts=(4, 3))
    with zipfile.ZipFile(tmp_path / "nerf.zip", "w") as archive:
        archive.writestr("__MACOSX/toy/transforms_train.json", "x")
        for path in (tmp_path / "made").rglob("*.*"):
            archive.write(path, f"nerf_synthetic/{path.relative_to(tmp_path / 'made')}")
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("BENCH_BLENDER_DIR", raising=False)
    monkeypatch.setenv("BENCH_BLENDER_URL", (tmp_path / "nerf.zip").as_uri())
    monkeypatch.setenv("BENCH_BLENDER_SHA256", hashlib.sha256((tmp_path / "nerf.zip").read_bytes()).hexdigest().upper())
    task = BlenderScene(scene="toy", num_views=2, image_px=4, test_every=1)
    assert task.load().train.colors.shape == (2, 4, 4, 3)
    (tmp_path / "nerf.zip").unlink()
    assert task.layout() == (2, 3, 4, 4)


def test_an_archive_without_scenes_is_told(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("x.txt", "x")
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("BENCH_BLENDER_DIR", raising=False)
    monkeypatch.setenv("BENCH_BLENDER_SHA256", hashlib.sha256((tmp_path / "b.zip").read_bytes()).hexdigest())
    monkeypatch.setenv("BENCH_BLENDER_URL", (tmp_path / "b.zip").as_uri())
    with pytest.raises(UsageError, match="expected an archive with transforms_train.json in it, got none"):
        nerf_synthetic.default_root()
