"""The cameras of embedded scenes keep their places, and a scene is built once for its fingerprint."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import UsageError
from tasks import cameras
from tasks.sparse_views import embedded, scene_views


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

    @pytest.mark.parametrize("content", ["", "{", "[]", "{}", "7"])
    def test_a_damaged_one_is_made_anew(self, counted, tmp_path, content):
        self.ask()
        (kept,) = (tmp_path / "fingerprints").glob("*.json")
        whole = kept.read_text()
        kept.write_text(content)
        assert self.ask() == "of-kettle" and len(counted) == 2
        assert kept.read_text() == whole

    def test_without_either_it_says_what_to_do(self, counted, monkeypatch):
        monkeypatch.setattr(scene_views, "renderer_version", lambda: None)
        with pytest.raises(UsageError, match="expected Mitsuba, or rendered data with its fingerprint"):
            self.ask()
