"""A video stays where cameras stood, whatever order and shape a capture has."""

from __future__ import annotations

import numpy as np
import pytest

from bench.export import camera_path
from bench.export.capture_geometry import CaptureGeometry
from tasks.cameras import Intrinsics, look_at


def geometry(poses, world="unbounded", **changes):
    lens = Intrinsics(*(np.float32(x) for x in (100.0, 100.0, 60.0, 40.0)))
    same = CaptureGeometry(world, poses, lens, 120, 80, 0.1, 10.0, np.eye(3), np.zeros(3), 1.0, np.zeros((0, 3)))
    return same._replace(**changes)


def arc(first_deg, last_deg, num=20, elevation_deg=10.0):
    azimuth_deg = np.linspace(first_deg, last_deg, num)
    return look_at(azimuth_deg, np.full(num, elevation_deg), np.full(num, 0.8))


def farthest(path, poses):
    """Return the largest distance of a frame from the nearest camera."""
    return np.linalg.norm(path[:, None, :3, 3] - poses[None, :, :3, 3], axis=-1).min(axis=1).max()


@pytest.mark.parametrize(
    ("poses", "way"),
    [
        (arc(0, 342), "round along 20 of the 20 training cameras, in the order of the photos"),
        (arc(0, 160), "there and back along 20 of the 20 training cameras, in the order of the photos"),
        (arc(0, 342)[np.random.RandomState(0).permutation(20)], "round along 20 of the 20 training cameras, from one "),
        (np.concatenate([arc(0, 60, 15), arc(180, 210, 5)]), "there and back along 15 of the 20 training cameras"),
    ],
)
def test_a_capture_is_followed(poses, way):
    path = camera_path.lay_capture_path(geometry(poses), num_frames=48, image_px=81)
    assert path.told.startswith(way)
    assert farthest(path.poses, poses) < 0.15  # neighbours of the full turn are 0.25 apart
    turns = path.poses[:, :3, :3]
    np.testing.assert_allclose(turns @ turns.swapaxes(1, 2), np.tile(np.eye(3), (48, 1, 1)), atol=1e-5)
    toward = -path.poses[:, :3, 3] / np.linalg.norm(path.poses[:, :3, 3], axis=1, keepdims=True)
    assert (-(path.poses[:, :3, 2]) * toward).sum(axis=1).min() > 0.98  # it looks where they look
    steps = np.linalg.norm(np.roll(path.poses, -1, 0)[:, :3, 3] - path.poses[:, :3, 3], axis=1)
    assert steps.max() < 3 * np.median(steps)  # closed, and without leaps
    assert (path.width, path.height) == (80, 54)
    np.testing.assert_allclose(path.intrinsics.focal_x / path.width, 100 / 120, rtol=1e-5)


def test_an_ellipse_before_what_lies_ahead():
    poses = np.tile(np.eye(4, dtype=np.float32), (12, 1, 1))
    poses[:, :2, 3] = np.stack(np.meshgrid([-0.3, -0.1, 0.1, 0.3], [-0.1, 0.0, 0.1]), axis=-1).reshape(-1, 2)
    path = camera_path.lay_capture_path(geometry(poses, "forward-facing", near=1.0, far=6.0), 24, 96)
    assert path.told == "an ellipse about the mean of the 12 training cameras"
    assert np.abs(path.poses[:, :3, 3]).max(axis=0) == pytest.approx([0.3, 0.1, 0], abs=0.01)
    depth = 1 / (0.25 / 1.0 + 0.75 / 6.0)
    ahead = path.poses[:, :3, 3] - path.poses[:, :3, 2] * (depth / path.poses[:, 2, 2])[:, None]
    np.testing.assert_allclose(ahead, [[0, 0, -depth]] * 24, atol=1e-4)


def test_a_few_cameras_are_a_path_too():
    for num in (2, 3):
        path, _ = camera_path.follow_cameras(arc(0, 40, num), 12)
        assert np.isfinite(path).all() and farthest(path, arc(0, 40, 9)) < 0.15
