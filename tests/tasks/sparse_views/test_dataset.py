"""The dataset of rendered views is whole or not there, whatever interrupts its writing, and TFDS reads it."""

from __future__ import annotations

import contextlib
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

from bench.errors import UsageError
from bench.import_paths import ROOT
from tasks import cameras
from tasks.budgets import BUDGETS
from tasks.data_dir import folder_checksums
from tasks.scenes import scenes
from tasks.sparse_views import dataset, embedded, scene_views
from tests.fixtures.painted_views import SCENE, builder_of, paint, tiny


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
        views[24]["intrinsics"], cameras.intrinsics_from_fov(cameras.BLENDER_FOV_DEG, image_px, image_px)[:4]
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
    assert len(list(configs)) == len(configs) == 2 * len(BUDGETS) * len(scenes.SCENES)
    assert all(name in configs for name in configs)
    with pytest.raises(
        UsageError, match=f"embedded_scenes: expected a config, got none; for example embedded_scenes/{SCENE}_16px"
    ):
        dataset.EmbeddedScenes(data_dir=os.environ["BENCH_DATA_DIR"])


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

    scenes.render_scene = render_views
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


def test_without_locks_the_first_to_finish_wins(painter, monkeypatch):
    """On a file system without locks two processes may render the same: the second one's files are dropped."""

    @contextlib.contextmanager
    def unheld(folder, doing):
        folder.mkdir(parents=True, exist_ok=True)
        yield False

    def slower(*args, **kwargs):
        if not painter.calls:
            painter(*args, **kwargs)  # marks that the outer rendering has begun
            dataset.prepare_scene(builder_of(tiny()))
        return painter(*args, **kwargs)

    monkeypatch.setattr(dataset, "folder_lock", unheld)
    monkeypatch.setattr(scenes, "render_scene", slower)
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


@pytest.mark.parametrize("name", ["*-train.array_record*", "*-test.array_record*", "features.json", "metadata.json"])
@pytest.mark.parametrize("harm", ["flipped", "cut", "removed"])
def test_damaged_views_are_found_by_their_checksums_and_rendered_again(painter, name, harm, capsys):
    before = tiny().load()
    embedded._load.cache_clear()
    file = next(pathlib.Path(builder_of(tiny()).data_dir).glob(name))
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    if harm == "removed":
        file.unlink()
    else:
        file.write_bytes(bytes(content) if harm == "flipped" else bytes(content[:-9]))
    np.testing.assert_array_equal(tiny().load().test.colors, before.test.colors)
    assert "these views are rendered again" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["views", "description"])
def test_damaged_files_of_an_earlier_version_are_told(painter, what):
    tiny().load()
    embedded._load.cache_clear()
    place = pathlib.Path(builder_of(tiny()).data_dir)
    (place / folder_checksums.CHECKSUMS).unlink()
    if what == "views":
        file = next(place.glob("*-train.array_record*"))
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        file = place / "dataset_info.json"
        file.write_text(json.dumps(json.loads(file.read_text()))[:20])
    with pytest.raises(UsageError, match=f"{SCENE}_5px_1spp.*: expected rendered views, got .*; delete this folder"):
        tiny().load()
