"""Embedded sparse views: what a task is called, what it holds, and that it is rendered once."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from bench.errors import UsageError
from bench.import_paths import ROOT
from tasks import budgets, cameras
from tasks.scenes import scenes
from tasks.sparse_views import dataset, embedded, scene_views
from tasks.sparse_views.embedded import SparseViews
from tests.fixtures.painted_views import OTHER, SCENE, builder_of, forget, paint, tiny

# Names and mistakes


def test_names_say_what_differs():
    names = {
        f"{SCENE}__8v": {},
        f"{SCENE}__3v": {"num_views": 3},
        f"{SCENE}__8v__subset2": {"subset_seed": 2},
        f"{SCENE}__2v__views-7-5": {"views": (7, 5)},
        f"{SCENE}__8v__black": {"background": 0.0},
        f"{SCENE}__8v__subset1__bg0.25": {"background": 0.25, "subset_seed": 1},
    }
    for name, fields in names.items():
        task = SparseViews(scene=SCENE, **fields)
        assert task.name == name and task.cluster == SCENE
    long = [SparseViews(scene=SCENE, views=tuple(range(first, first + 9))).name for first in (0, 1)]
    assert len(set(long)) == 2 and all(len(name) < 40 for name in long)


def test_explicit_views_win():
    task = SparseViews(scene=SCENE, views=(9, 4), image_px=4, num_spp=1)
    assert task.view_ids == (9, 4) and task.num_views == 2 and task.layout().num_train == 2
    assert dataclasses.replace(task, background=0.5).view_ids == (9, 4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scene": SCENE[:-1] + "zz"}, f"scene: expected an embedded one, got .*; the nearest is '{SCENE}'"),
        ({"num_views": 0}, "expected num_views of at least 1, got 0"),
        ({"num_views": 101}, "expected num_views from 1 to 100, got 101"),
        ({"views": ()}, "expected views as different ids from 0 up"),
        ({"views": (3, 3)}, "expected views as different ids from 0 up"),
        ({"views": (-1, 3)}, "expected views as different ids from 0 up"),
        ({"views": (3, 100)}, "expected view ids from 0 to 99, got 100"),
        ({"views": (3, 4), "num_views": 5}, "expected num_views=2 beside 2 explicit views, got 5; leave one out"),
        ({"background": 1.5}, "expected a background from 0 .* got 1.5"),
        ({"subset_seed": -1}, "expected a subset_seed from 0"),
        ({"image_px": 0}, "expected image_px of at least 1, got 0"),
        ({"num_spp": 0}, "expected num_spp of at least 1, got 0"),
    ],
)
def test_mistakes_are_told(fields, message):
    with pytest.raises(UsageError, match=message):
        SparseViews(**{"scene": SCENE} | fields)


def test_open_sizes_are_our_own_mistake():
    task = SparseViews(scene=SCENE)
    for ask in (task.layout, task.fingerprint, task.load):
        with pytest.raises(AssertionError, match="its sizes are open"):
            ask()
    assert budgets.sized(task, budgets.BUDGETS["quick"]).layout() == (8, 25, 48, 48)


# What is loaded


def test_load_against_slow_twin(painter):
    task = tiny(background=0.25)
    data = task.load()
    assert (data.near, data.far, data.pixel_center) == (2.0, 6.0, 0.5)
    assert data.train.ids == (26, 86, 2) and data.test.ids == tuple(range(25))
    for photos, first_seed in ((data.train, 0), (data.test, 100)):  # test views follow on the training views
        assert photos.colors.dtype == photos.alphas.dtype == np.float32
        for n, view in enumerate(photos.ids):
            rgba = paint(first_seed + view, 5).tolist()
            for row in range(5):
                for column in range(5):
                    *color, alpha = (x / 255 for x in rgba[row][column])
                    slow = [c * alpha + 0.25 * (1 - alpha) for c in color]
                    np.testing.assert_allclose(photos.colors[n, row, column], slow, atol=1e-6)
                    assert photos.alphas[n, row, column] == pytest.approx(alpha, abs=1e-6)
    np.testing.assert_array_equal(data.train.poses, scene_views.split_poses("train")[[26, 86, 2]])
    np.testing.assert_array_equal(data.test.poses, scene_views.split_poses("test"))
    np.testing.assert_array_equal(data.all_train_poses, scene_views.split_poses("train"))
    one = cameras.intrinsics_from_fov(cameras.BLENDER_FOV_DEG, 5, 5)
    for values, value in zip(data.train.intrinsics[:4], one[:4], strict=True):
        np.testing.assert_array_equal(values, np.full(3, value))
    layout = task.layout()
    assert data.train.colors.shape == (layout.num_train, layout.height, layout.width, 3)
    assert data.test.colors.shape == (layout.num_test, layout.height, layout.width, 3)


def test_loaded_arrays_are_shared_and_cannot_be_written(painter):
    data = tiny().load()
    assert tiny().load() is data
    arrays = [
        *data.train[1:4],
        *data.train.intrinsics[:4],
        *data.test[1:4],
        *data.test.intrinsics[:4],
        data.all_train_poses,
    ]
    assert not any(array.flags.writeable for array in arrays)


def test_tasks_of_one_scene_share_a_rendering(painter):
    tiny().load()
    tiny(subset_seed=5, num_views=100, background=0.0).load()
    assert painter.calls == [(SCENE, 5, 1, 0, 125)]


def test_prepare_all_renders_what_is_missing_only(painter, capfd):
    tasks = [tiny(), tiny(num_views=7), tiny(scene=OTHER), object()]
    embedded.prepare_all(tasks[:2])
    embedded.prepare_all(tasks)
    assert painter.num_views == 2 * 125 and [call[0] for call in painter.calls] == [SCENE, OTHER]
    said = capfd.readouterr()
    assert said.out == "" and f"rendering {OTHER}" in said.err  # TFDS's own lines are not let through
    embedded.prepare_all(tasks)
    assert painter.num_views == 2 * 125 and capfd.readouterr().err == ""


def test_validation_views_are_rendered_apart(painter):
    embedded.prepare_all([tiny()], validation=True, show=False)
    assert [call[3:] for call in painter.calls] == [(125, 25)]  # seeds of their own
    images, poses = dataset.read_split(builder_of(tiny(), validation=True), "val", (0, 24))
    np.testing.assert_array_equal(images, [paint(125, 5), paint(149, 5)])
    np.testing.assert_array_equal(poses, scene_views.split_poses("val")[[0, 24]])
    tiny().load()
    assert [call[3:] for call in painter.calls] == [(125, 25), (0, 125)]


def test_fingerprint_tells_data_apart(painter, monkeypatch):
    base = tiny().fingerprint()
    assert base == tiny().fingerprint() == tiny(views=(26, 86, 2)).fingerprint()  # the same data
    others = [tiny(scene=OTHER), tiny(num_views=4), tiny(subset_seed=1), tiny(image_px=6), tiny(num_spp=2)]
    assert len({base, *(task.fingerprint() for task in others)}) == 6
    monkeypatch.setattr(embedded, "POSES_VERSION", 99)
    assert tiny().fingerprint() != base


def test_a_changed_scene_is_rendered_anew(painter, monkeypatch):
    first = tiny().load()
    monkeypatch.setattr(scenes, "fingerprint", lambda *_: "another source")
    monkeypatch.setattr(scene_views, "source_digest", lambda: "of changed files")
    forget()
    second = tiny().load()
    assert len(painter.calls) == 2
    np.testing.assert_array_equal(first.test.colors, second.test.colors)  # the painter did not change


def test_importing_the_task_is_light():
    heavy = {"mitsuba", "tensorflow_datasets", "rich", "PIL"}
    read = (
        f"import sys, tasks.sparse_views.embedded, tasks.sparse_views.nerf_synthetic; print({heavy} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()", done.stderr


# The renderer itself


@pytest.fixture(scope="module")
def real():
    """A real scene at the smoke budget's size, from all training views."""
    forget()
    return SparseViews(scene="chess", num_views=100, image_px=16, num_spp=4).load()


def test_a_real_scene_shows_an_object_on_the_background(real):
    for photos in (real.train, real.test):
        assert ((photos.alphas > 0.5).mean(axis=(1, 2)) > 0.03).all()  # there is something in every view
        assert (photos.alphas < 0.5).any(axis=(1, 2)).all()  # and something behind it
        assert photos.colors.min() >= 0 and photos.colors.max() <= 1
        np.testing.assert_array_equal(photos.colors[photos.alphas == 0], 1)


def hull(photos, pixel_center, mirror=1):
    """How many points of a grid lie on the object in nearly all views: most if the cameras are the renderer's."""
    grid = np.linspace(-1.05, 1.05, 28)
    points = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), -1).reshape(-1, 3)
    seen = np.zeros(len(points))
    for n, pose in enumerate(photos.poses):
        inside = (points - pose[:3, 3]) @ pose[:3, :3]
        focal_x, focal_y, center_x, center_y = (float(x[n]) for x in photos.intrinsics[:4])
        column = center_x - mirror * focal_x * inside[:, 0] / inside[:, 2] - pixel_center
        row = center_y + focal_y * inside[:, 1] / inside[:, 2] - pixel_center
        top, left = (np.clip(np.floor(x).astype(int), 0, photos.alphas.shape[1] - 2) for x in (row, column))
        down, across = row - top, column - left
        alphas = photos.alphas[n]
        alpha = (1 - down) * ((1 - across) * alphas[top, left] + across * alphas[top, left + 1]) + down * (
            (1 - across) * alphas[top + 1, left] + across * alphas[top + 1, left + 1]
        )
        seen += alpha > 0.5
    return int((seen >= 98).sum())


def test_cameras_are_those_of_the_renderer(real):
    """Silhouettes carve the most when rays go through the middles of pixels: half a pixel off shows."""
    right = hull(real.train, real.pixel_center)
    assert right > 100
    assert max(hull(real.train, off) for off in (0.0, 1.0)) < 0.8 * right
    assert hull(real.train, real.pixel_center, mirror=-1) < 0.1 * right
