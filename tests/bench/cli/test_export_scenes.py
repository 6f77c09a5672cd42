"""The export is read by our own loader as it was, and by the lines of other NeRF codes."""

from __future__ import annotations

import json

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from bench import __main__ as command_line
from bench.cli import export_scenes
from bench.errors import UsageError
from tasks import cameras
from tasks.scenes import scenes
from tasks.sparse_views import dataset, embedded, scene_views
from tasks.sparse_views.embedded import SparseViews
from tasks.sparse_views.nerf_synthetic import BlenderScene

SCENE, OTHER = list(scenes.SCENES)[:2]


def noise(seed, height, width, channels):
    return np.random.RandomState(seed).randint(0, 256, (height, width, channels)).astype(np.uint8)


@pytest.fixture
def painted(monkeypatch, tmp_path):
    """Stands in for the renderer, and a cache of its own."""

    def render_views(scene, poses, *, image_px, num_spp, num_workers=None, first_seed=0, on_view=None):
        return np.stack([noise(first_seed + i, image_px, image_px, 4) for i in range(len(poses))])

    def forget():
        for cached in (embedded._load, scene_views.scene_fingerprint, dataset.config):
            cached.cache_clear()

    monkeypatch.setattr(scenes, "render_scene", render_views)
    monkeypatch.setattr(scenes, "fingerprint", "{}-{}-{}".format)  # building the scenes takes longer than these tests
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "cache"))
    forget()
    yield
    forget()


def export(out, *options):
    return command_line.main(
        ["export-scenes", "--format", "blender", str(out), "--image-px", "6", "--spp", "1", *options]
    )


def test_export_comes_back_as_it_was(painted, tmp_path, capsys):
    out = tmp_path / "out"
    assert export(out, "--scenes", f"{SCENE},{OTHER}") == 0
    assert f"{out}: {SCENE}, {OTHER} (train, val, test; 6 px, 1 samples a pixel)" in capsys.readouterr().out
    for scene in (SCENE, OTHER):
        rendered = SparseViews(scene=scene, image_px=6, num_spp=1, background=0.5).load()
        read = BlenderScene(scene=scene, folder=str(out), image_px=6, test_every=1, background=0.5).load()
        for ours, theirs in ((rendered.train, read.train), (rendered.test, read.test)):
            assert ours.ids == theirs.ids
            np.testing.assert_allclose(theirs.colors, ours.colors, atol=1e-6)  # 1/255 would do; the bytes are the same
            np.testing.assert_allclose(theirs.alphas, ours.alphas, atol=1e-6)
            for n in range(len(ours.ids)):
                rays = [
                    cameras.view_rays(jnp.asarray(p.poses[n]), cameras.select_cameras(p.intrinsics, n), 6, 6, 2.0, 6.0)
                    for p in (ours, theirs)
                ]
                for a, b in zip(*rays, strict=True):
                    np.testing.assert_allclose(a, b, atol=1e-5)
        np.testing.assert_allclose(read.all_train_poses, rendered.all_train_poses, atol=1e-6)
        assert (read.near, read.far, read.pixel_center) == (rendered.near, rendered.far, rendered.pixel_center)


def test_export_is_what_other_nerf_codes_read(painted, tmp_path):
    """Read by the lines of load_blender.py (bmild/nerf, yenchenlin/nerf-pytorch, DietNeRF), imageio aside."""
    assert export(tmp_path / "out", "--scenes", SCENE) == 0
    basedir, all_imgs, all_poses = tmp_path / "out" / SCENE, [], []
    for s in ["train", "val", "test"]:
        meta = json.loads((basedir / f"transforms_{s}.json").read_text())
        imgs, poses = [], []
        for frame in meta["frames"][::1]:
            fname = f"{basedir}/{frame['file_path']}.png"
            imgs.append(np.asarray(Image.open(fname)))
            poses.append(np.array(frame["transform_matrix"]))
        all_imgs.append((np.array(imgs) / 255.0).astype(np.float32))
        all_poses.append(np.array(poses).astype(np.float32))
    assert [imgs.shape for imgs in all_imgs] == [(100, 6, 6, 4), (25, 6, 6, 4), (25, 6, 6, 4)]
    assert [poses.shape for poses in all_poses] == [(100, 4, 4), (25, 4, 4), (25, 4, 4)]
    assert float(meta["camera_angle_x"]) == pytest.approx(
        0.6911112070083618, abs=1e-12
    )  # that of NeRF Realistic Synthetic
    assert set(meta) == {"camera_angle_x", "frames"} and set(meta["frames"][0]) == {
        "file_path",
        "rotation",
        "transform_matrix",
    }
    assert meta["frames"][3]["file_path"] == "./test/r_3"


def test_export_again_and_elsewhere(painted, tmp_path, capsys):
    out = tmp_path / "out"
    assert export(out, "--scenes", SCENE, "--splits", "test") == 0
    assert sorted(p.name for p in (out / SCENE).iterdir()) == ["test", "transforms_test.json"]
    (out / SCENE / "test" / "r_3.png").unlink()  # an export that was interrupted is taken up again
    assert export(out, "--scenes", SCENE, "--splits", "test") == 0
    assert (out / SCENE / "test" / "r_3.png").exists() and not list(out.rglob("*.tmp"))
    assert export(out, "--scenes", OTHER, "--splits", "test") == 2
    assert "out: expected an empty folder, or one with this very export, got other files" in capsys.readouterr().err
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "export.json").write_text("not ours")
    assert export(tmp_path / "theirs") == 2
    assert (tmp_path / "theirs" / "export.json").read_text() == "not ours"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scenes", SCENE[:-1]], f"--scenes: expected one of .*; the nearest is '{SCENE}'"),
        (["--splits", "trian"], "--splits: expected one of .*, got 'trian'; the nearest is 'train'"),
        (["--image-px", "0"], "--image-px: expected a whole number of at least 1, got '0'"),
    ],
)
def test_mistakes_in_export_are_told(painted, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        command_line.run(["export-scenes", str(tmp_path / "out"), *options])
    assert not (tmp_path / "out").exists()


def test_an_export_that_cannot_be_written_is_told(painted, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert export(tmp_path / "file" / "out", "--scenes", SCENE) == 2
    assert "expected folders above it" in capsys.readouterr().err
    assert export_scenes.HELP and "export-scenes" in export_scenes.EXAMPLE
