"""Embedded sparse views: which views, what they hold, and that they are rendered once and are whole."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.import_paths import ROOT
from tasks import budgets, cameras
from tasks.data_dir import locking
from tasks.scenes import scenes
from tasks.sparse_views import dataset, embedded, scene_views, view_selection
from tasks.sparse_views.embedded import SparseViews

SCENE, OTHER = list(scenes.SCENES)[:2]
PAPER_VIEWS = (26, 86, 2, 55, 75, 93, 16, 73)
"""DietNeRF's run_nerf.py with seed 0, also printed in the paper's repository."""


class Painter:
    """Stands in for the renderer: noise that tells its seed."""

    def __init__(self):
        self.calls = []
        self.num_views = 0

    def __call__(self, scene, poses, *, image_px, num_spp, num_workers=None, first_seed=0, on_view=None):
        self.calls.append((scene, image_px, num_spp, first_seed, len(poses)))
        for i in range(len(poses)):
            self.num_views += 1
            if on_view:
                on_view(i)
        return np.stack([paint(first_seed + i, image_px) for i in range(len(poses))])


def paint(seed, image_px):
    return np.random.RandomState(seed).randint(0, 256, (image_px, image_px, 4)).astype(np.uint8)


@pytest.fixture
def painter(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "cache"))
    painter = Painter()
    monkeypatch.setattr(scenes, "render_views", painter)
    monkeypatch.setattr(scenes, "fingerprint", "{}-{}-{}".format)  # building the scenes takes longer than these tests
    forget()
    yield painter
    forget()


def forget():
    for cached in (embedded._load, scene_views.scene_fingerprint, dataset.config):
        cached.cache_clear()


def tiny(**fields):
    return SparseViews(**{"scene": SCENE, "num_views": 3, "image_px": 5, "num_spp": 1} | fields)


def builder_of(task, validation=False):
    folder = pathlib.Path(os.environ["BENCH_DATA_DIR"])
    return dataset.embedded_scenes(task.scene, task.image_px, task.num_spp, folder, validation)


# Which views


def test_seed_0_gives_the_views_of_the_paper():
    assert SparseViews(scene=SCENE).view_ids == PAPER_VIEWS
    # Source: shared notes on DietNeRF; first 20 of the permutation, for other view counts.
    twenty = (*PAPER_VIEWS, 54, 95, 53, 92, 78, 13, 7, 30, 22, 24, 33, 8)
    assert SparseViews(scene=SCENE, num_views=20).view_ids == twenty
    np.random.seed(0)
    assert tuple(np.random.choice(100, 8, replace=False)) == PAPER_VIEWS  # the released code's own words


@given(st.integers(1, 100), st.integers(1, 100), st.integers(0, 2**32 - 1))
def test_fewer_views_are_part_of_more(few, many, seed):
    few, many = sorted((few, many))
    views = view_selection.subset(many, seed, 100)
    assert views[:few] == view_selection.subset(few, seed, 100)
    assert len(set(views)) == many and set(views) <= set(range(100))


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


# Where the cameras are


def test_splits_keep_their_distance():
    splits = {split: scene_views.split_poses(split) for split in scene_views.NUM_POSES}
    assert {split: len(poses) for split, poses in splits.items()} == {"train": 100, "test": 25, "val": 25}
    for poses in splits.values():
        np.testing.assert_allclose(np.linalg.norm(poses[:, :3, 3], axis=1), 4, rtol=1e-6)
        assert poses[:, 2, 3].min() > 0
    for one, other in (("test", "train"), ("val", "train"), ("val", "test")):
        assert cameras.angle_to_nearest_deg(splits[one], splits[other]).min() > 3


def test_poses_are_those_of_their_version():
    # Taken from version 1. If this fails because the poses were changed, raise POSES_VERSION and take them again.
    assert scene_views.POSES_VERSION == 1
    places = [scene_views.split_poses(split)[-1, :3, 3] for split in ("train", "test", "val")]
    np.testing.assert_allclose(places, POSES_1, atol=1e-4)


POSES_1 = [[0.2674, -0.6218, 3.9423], [0.3848, -0.8664, 3.8860], [-0.8316, -0.4552, 3.8860]]


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
    for values, value in zip(data.train.intrinsics, one, strict=True):
        np.testing.assert_array_equal(values, np.full(3, value))
    layout = task.layout()
    assert data.train.colors.shape == (layout.num_train, layout.height, layout.width, 3)
    assert data.test.colors.shape == (layout.num_test, layout.height, layout.width, 3)


def test_loaded_arrays_are_shared_and_cannot_be_written(painter):
    data = tiny().load()
    assert tiny().load() is data
    arrays = [*data.train[1:4], *data.train.intrinsics, *data.test[1:4], *data.test.intrinsics, data.all_train_poses]
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
    images, poses = dataset.read(builder_of(tiny(), validation=True), "val", (0, 24))
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


# The dataset


@pytest.mark.parametrize("image_px", [5, 16], ids=["own size", "a budget's size"])
def test_anyone_may_open_the_data_with_tfds(painter, image_px):
    import tensorflow_datasets as tfds

    num_spp = 4
    tiny(image_px=image_px, num_spp=num_spp).load()
    name = f"embedded_scenes/{SCENE}_{image_px}px_{num_spp}spp"
    views = tfds.data_source(name, split="test", data_dir=os.environ["BENCH_DATA_DIR"])
    assert len(views) == 25 and views[24]["id"] == 24
    np.testing.assert_array_equal(views[24]["image"], paint(124, image_px))
    np.testing.assert_array_equal(views[24]["pose"], scene_views.split_poses("test")[24])
    np.testing.assert_array_equal(
        views[24]["intrinsics"], cameras.intrinsics_from_fov(cameras.BLENDER_FOV_DEG, image_px, image_px)
    )


def test_the_files_can_be_read_without_this_code(painter):
    tiny().load()
    read = f"""
        import os, sys, tensorflow_datasets as tfds
        name, folder = "embedded_scenes/{SCENE}_5px_1spp", os.environ["BENCH_DATA_DIR"]
        views = tfds.data_source(name, split="train", data_dir=folder)
        print(len(views), views[3]["image"].shape, "tasks" in sys.modules, "tensorflow" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(read)], capture_output=True, text=True, cwd="/")
    assert done.stdout.strip() == "100 (5, 5, 4) False False", done.stderr


def test_configs_are_found_by_name(painter):
    configs = dataset.EmbeddedScenes.builder_configs
    found = configs[f"{SCENE}_33px_2spp_val"]
    assert (found.scene, found.image_px, found.num_spp, found.splits) == (SCENE, 33, 2, ("val",))
    assert found is dataset.config(SCENE, 33, 2, True)
    for name in ("nosuchscene_33px_2spp", f"{SCENE}_33px", f"{SCENE}_0px_2spp"):
        assert name not in configs
    assert len(list(configs)) == len(configs) == 2 * 4 * len(scenes.SCENES)
    assert all(name in configs for name in configs)
    with pytest.raises(
        UsageError, match=f"embedded_scenes: expected a config, got none; for example embedded_scenes/{SCENE}_16px"
    ):
        dataset.EmbeddedScenes(data_dir=os.environ["BENCH_DATA_DIR"])


def test_importing_the_task_is_light():
    heavy = {"mitsuba", "tensorflow_datasets", "rich", "PIL"}
    read = (
        f"import sys, tasks.sparse_views.embedded, tasks.sparse_views.nerf_synthetic; print({heavy} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "set()", done.stderr


# Interrupted, at once, full, damaged

CHILD = """
    import pathlib, sys, time
    import numpy as np
    from tasks.scenes import scenes
    from tasks.sparse_views import dataset
    from tasks.sparse_views.embedded import SparseViews

    log = pathlib.Path(sys.argv[1])

    def render_views(scene, poses, *, image_px, num_spp, num_workers=None, first_seed=0, on_view=None):
        with log.open("a") as file:
            file.write("rendering\\n")
        time.sleep(float(sys.argv[2]))
        return np.stack([np.full((image_px, image_px, 4), first_seed + i, np.uint8) for i in range(len(poses))])

    def stuck(self, split, whole=dataset.EmbeddedScenes._generate_examples):
        for i, example in enumerate(whole(self, split)):
            if i == 10:
                log.write_text("writing\\n")
                time.sleep(600)
            yield example

    scenes.render_views = render_views
    scenes.fingerprint = "{}-{}-{}".format
    if sys.argv[3] == "stuck":
        dataset.EmbeddedScenes._generate_examples = stuck
    data = SparseViews(scene=sys.argv[4], num_views=3, image_px=5, num_spp=1).load()
    print("loaded", round(float(data.train.alphas[0, 0, 0] * 255)), flush=True)
"""


def child(log, *, sleep=0.0, how="whole"):
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(log), str(sleep), how, SCENE]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_rendering_is_never_taken_for_a_finished_one(painter, tmp_path):
    process = child(tmp_path / "log", how="stuck")
    log = tmp_path / "log"
    while process.poll() is None and not (log.exists() and "writing" in log.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate()
    config_folder = pathlib.Path(builder_of(tiny()).data_dir).parent
    assert [p.name.split(".")[0] for p in config_folder.iterdir()] == ["incomplete"], said
    assert not dataset.is_prepared(builder_of(tiny()))
    data = tiny().load()
    assert len(painter.calls) == 1
    np.testing.assert_array_equal(np.round(data.train.alphas[0] * 255), paint(26, 5)[..., 3])
    assert [p.name.split(".")[0] for p in config_folder.iterdir()] == ["1"]  # what was left is cleared away


def test_two_processes_render_once(painter, tmp_path):
    both = [child(tmp_path / "log", sleep=1.0) for _ in range(2)]
    said = [process.communicate() for process in both]
    assert [out.strip() for out, _ in said] == ["loaded 26"] * 2, said
    assert (tmp_path / "log").read_text().split() == ["rendering"]
    waiting = [f"waiting for another process that fills {tmp_path / 'cache'}" in err for _, err in said]
    assert sum(waiting) <= 1  # none, if one was done before the other had started


def test_a_lock_is_waited_for(tmp_path, capsys):
    import threading

    order = []

    def second():
        with locking.folder_lock(tmp_path, "the test"):
            order.append("second")

    with locking.folder_lock(tmp_path, "the test") as held:
        assert held
        thread = threading.Thread(target=second)
        thread.start()
        while "waiting" not in (said := capsys.readouterr().err):
            time.sleep(0.01)
        assert f"waiting for another process that fills {tmp_path}: the test" in said
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_without_locks_the_first_to_finish_wins(painter, monkeypatch):
    """On a file system without locks two processes may render the same: the second one's files are dropped."""

    @contextlib.contextmanager
    def unheld(folder, doing):
        folder.mkdir(parents=True, exist_ok=True)
        yield False

    def slower(*args, **kwargs):
        if not painter.calls:
            painter(*args, **kwargs)  # marks that the outer rendering has begun
            dataset.prepare(builder_of(tiny()))
        return painter(*args, **kwargs)

    monkeypatch.setattr(dataset, "folder_lock", unheld)
    monkeypatch.setattr(scenes, "render_views", slower)
    data = tiny().load()
    assert len(painter.calls) == 3
    np.testing.assert_array_equal(np.round(data.train.alphas[0] * 255), paint(26, 5)[..., 3])


def test_a_full_disk_is_told_before_rendering(painter, monkeypatch):
    monkeypatch.setattr(dataset.shutil, "disk_usage", lambda _: types.SimpleNamespace(free=100))
    with pytest.raises(
        UsageError, match=r"cache/embedded_scenes: expected 0 MB free for .*_5px_1spp, got 0 MB; free some"
    ):
        tiny().load()
    assert not painter.calls


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        # As array_record 0.8.6 says it, seen on a tmpfs of 400 kB.
        RuntimeError('Failed to finalize writing of split "train": write() failed: No space left on device; writing x'),
    ],
)
def test_a_disk_that_fills_while_writing_is_told(painter, monkeypatch, error):
    def full(self, **_):
        raise error

    monkeypatch.setattr(dataset.EmbeddedScenes, "download_and_prepare", full)
    message = r"1\.0\.\d+: expected a folder that can be written, got '.*No space left on device'; free it, or choose"
    with pytest.raises(UsageError, match=message):
        tiny().load()


def test_a_cache_that_is_no_folder_is_told(painter, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "file"))
    with pytest.raises(
        UsageError, match=r"file/fingerprints: expected a folder that can be written, got 'Not a direct"
    ):
        tiny().load()
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "file" / "deeper"))
    with pytest.raises(UsageError, match="choose another with BENCH_DATA_DIR"):
        tiny().load()


@pytest.mark.parametrize("what", ["views", "description"])
def test_damaged_files_are_told(painter, what):
    tiny().load()
    embedded._load.cache_clear()
    place = pathlib.Path(builder_of(tiny()).data_dir)
    if what == "views":
        file = next(place.glob("*-train.array_record*"))
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        file = place / "dataset_info.json"
        file.write_text(json.dumps(json.loads(file.read_text()))[:20])
    with pytest.raises(UsageError, match=f"{SCENE}_5px_1spp.*: expected rendered views, got .*; delete this folder"):
        tiny().load()


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
        focal_x, focal_y, center_x, center_y = (float(x[n]) for x in photos.intrinsics)
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


class TestFingerprintOnDisk:
    @pytest.fixture
    def counted(self, monkeypatch, tmp_path):
        """Counts how often a scene is built for its fingerprint."""
        built = []

        def fingerprint(scene, image_px, num_spp):
            built.append(scene)
            return f"of-{scene}"

        monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
        monkeypatch.setattr(embedded.scenes, "fingerprint", fingerprint)
        scene_views.scene_fingerprint.cache_clear()
        yield built
        scene_views.scene_fingerprint.cache_clear()

    def ask(self):
        scene_views.scene_fingerprint.cache_clear()  # as another process would
        return scene_views.scene_fingerprint("kettle", 16, 4)

    def test_a_scene_is_built_once(self, counted):
        assert self.ask() == self.ask() == "of-kettle"
        assert counted == ["kettle"]

    def test_another_renderer_builds_it_again(self, counted, monkeypatch):
        self.ask()
        monkeypatch.setattr(scene_views, "renderer_version", lambda: "99.0")
        self.ask()
        assert len(counted) == 2

    def test_without_the_renderer_it_comes_with_the_data(self, counted, monkeypatch):
        self.ask()
        monkeypatch.setattr(scene_views, "renderer_version", lambda: None)
        assert self.ask() == "of-kettle"
        assert len(counted) == 1

    def test_without_either_it_says_what_to_do(self, counted, monkeypatch):
        monkeypatch.setattr(scene_views, "renderer_version", lambda: None)
        with pytest.raises(UsageError, match="expected Mitsuba, or rendered data with its fingerprint"):
            self.ask()
