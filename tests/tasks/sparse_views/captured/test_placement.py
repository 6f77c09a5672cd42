"""Where captured scenes are placed, and from where to where rays are sampled."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import UsageError
from tasks.sparse_views.captured.placement import place_points, place_poses
from tests.fixtures.captured_scenes import captured, ring, row, write_transforms


def placed(tmp_path, poses, top=None, channels=3, **fields):
    task = captured(write_transforms(tmp_path / "scene", poses=poses, top=top, channels=channels), **fields)
    placement = task.placement()
    return task, placement, (placement.near / placement.scale, placement.far / placement.scale)


def test_a_small_capture_is_seen(tmp_path):
    # The case "near-far-of-a-small-capture": a ring half a metre round a ball of 0.1.
    _, placement, (near, far) = placed(tmp_path, ring(16), top={"aabb_scale": 1})
    assert placement.world == "bounded"
    assert (near, far) == pytest.approx((0.25, 0.75), rel=1e-4)
    assert (placement.near, placement.far) == pytest.approx((2, 6), rel=1e-4)


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (5.0, -7.0, 2.0)])
def test_the_place_that_cameras_look_at_becomes_the_origin(tmp_path, shift):
    task, placement, _ = placed(tmp_path, ring(16, 3.0, shift), world="bounded")
    np.testing.assert_allclose(placement.center, shift, atol=1e-5)
    poses = place_poses(placement, np.stack([frame.pose for frame in task.capture().frames]))
    np.testing.assert_allclose(poses, ring(16, 4.0), atol=1e-4)
    assert poses.dtype == np.float32


def test_an_unbounded_scene_reaches_to_the_box_of_instant_ngp(tmp_path):
    _, placement, (near, far) = placed(tmp_path, ring(16, 3.0), top={"aabb_scale": 4})
    assert placement.world == "unbounded" and near == pytest.approx(0.75, rel=1e-4)
    # The box is 4 / 0.33 wide about the origin. An axis falls by 20 degrees, and leaves through a side.
    half = 2 / 0.33
    longest = max(
        half / (np.cos(np.radians(20)) * max(abs(np.cos(a)), abs(np.sin(a)))) for a in np.arange(16) * np.pi / 8
    )
    assert 1.2 * (3 + half) < far <= 1.2 * (3 + longest) + 1e-3
    np.testing.assert_allclose(np.linalg.norm(place_points(placement, ring(16, 3.0)[:, :3, 3]), axis=1), 1, atol=1e-5)
    assert placement.reasons["near and far"] == "the cameras, where their axes meet, and the box of aabb_scale"


def test_scale_and_offset_of_instant_ngp_move_the_box(tmp_path):
    same = {"aabb_scale": 4, "scale": 0.33, "offset": [0.5, 0.5, 0.5]}
    _, _, first = placed(tmp_path / "a", ring(16, 3.0), top=same)
    _, _, second = placed(tmp_path / "b", ring(16, 3.0), top=same | {"scale": 0.1})
    assert second[1] > 2 * first[1] and second[0] == pytest.approx(first[0])


def test_what_is_given_is_taken(tmp_path):
    _, placement, bounds = placed(tmp_path, ring(16), near=0.1, far=0.9, scale=3.0, center=(1.0, 0.0, 0.0))
    assert bounds == pytest.approx((0.1, 0.9)) and placement.scale == 3
    np.testing.assert_allclose(place_points(placement, np.array([1.0, 0, 0])), 0)
    assert placement.reasons["near and far"] == placement.reasons["centre"] == "as given"


@pytest.mark.parametrize("bounds", [(2.0, 6.0), (0.01, 0.1)])
def test_nothing_between_near_and_far_is_refused(tmp_path, bounds):
    with pytest.raises(
        UsageError, match="got cameras that look at depths from 0.5 to 0.5 .*; set task.near and task.far"
    ):
        placed(tmp_path, ring(16), near=bounds[0], far=bounds[1])


def test_some_photos_with_nothing_between_are_doubted(tmp_path):
    poses = ring(16)
    poses[4, :3, 3] *= 6
    task, _, _ = placed(tmp_path, poses, near=0.2, far=1.0)
    assert "what a photo shows lies behind far (004.png)" in task.doubts()


def test_one_estimate_beside_a_number_that_is_given(tmp_path):
    _, placement, bounds = placed(tmp_path, ring(16), world="bounded", far=2.0)
    assert bounds == pytest.approx((0.25, 2.0), rel=1e-4)
    assert placement.reasons["near and far"] == "as given; else from the cameras: the place where their axes meet"
    with pytest.raises(UsageError, match="expected near below far, got near=0.25 and far=0.1"):
        placed(tmp_path / "b", ring(16), world="bounded", far=0.1)


def test_a_forward_facing_scene_without_bounds(tmp_path):
    _, placement, (near, far) = placed(tmp_path, row(16, width=3.0))
    assert placement.world == "forward-facing" and placement.near == pytest.approx(1)
    assert 0.3 * 19 < near < 0.3 * 21 and 40 * 19 < far < 40 * 21
    with pytest.raises(
        UsageError, match="cameras that all look in one direction; set task.near and task.far in the unit"
    ):
        placed(tmp_path / "b", row(16, depth=1e6))


def test_photos_taken_outward_need_near_and_far(tmp_path):
    outward = ring(16) @ np.diag([-1.0, 1, -1, 1])
    with pytest.raises(UsageError, match="cameras that look away from each other, with axes that meet behind them"):
        placed(tmp_path / "a", outward)
    _, placement, bounds = placed(tmp_path / "b", outward, near=0.5, far=9.0)
    assert bounds == pytest.approx((0.5, 9))
    assert placement.reasons["centre"].startswith("the mean of the cameras' positions, as their axes do not meet")


PLY = (
    "ply\nformat {} 1.0\nelement vertex 40\nproperty float x\nproperty double y\nproperty float z\nproperty uchar red\n"
)


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_points_of_nerfstudio(tmp_path, kind):
    points = np.random.RandomState(0).uniform(-0.1, 0.1, (40, 3))
    order = ">" if "big" in kind else "<"
    table = np.zeros(40, [("x", f"{order}f4"), ("y", f"{order}f8"), ("z", f"{order}f4"), ("red", "u1")])
    table["x"], table["y"], table["z"] = points.T
    lines = "\n".join(f"{x} {y} {z} 7" for x, y, z in points.tolist()).encode()
    place = write_transforms(tmp_path / "scene", top={"ply_file_path": "sparse_pc.ply"})
    header = PLY.format(kind).encode() + b"end_header\n"
    (place / "sparse_pc.ply").write_bytes(header + (lines if kind == "ascii" else table.tobytes()))
    task = captured(place)
    np.testing.assert_allclose(task.capture().points.positions, points, rtol=1e-5)
    assert task.placement().reasons["near and far"] == "40 points of sparse_pc.ply"
    (place / "sparse_pc.ply").write_bytes(header[:40])
    with pytest.raises(UsageError, match="sparse_pc.ply: expected a PLY file of points with x, y, z, got no header"):
        captured(place).layout()


def test_points_of_colmap_beside_nerfstudio_are_turned_as_it_says(tmp_path):
    from tests.fixtures.captured_scenes import write_colmap

    points = np.random.RandomState(0).uniform(-0.1, 0.1, (40, 3))
    turn = [[1, 0, 0, 0.5], [0, 0, 1, 0], [0, -1, 0, 0]]  # what nerfstudio writes, and a shift
    place = write_transforms(tmp_path / "scene", top={"applied_transform": turn, "applied_scale": 2.0})
    write_colmap(place / "colmap", poses=ring(4), points=points, binary=True)
    expected = 2 * (points @ np.array(turn)[:, :3].T + np.array(turn)[:, 3])
    np.testing.assert_allclose(captured(place).capture().points.positions, expected, atol=1e-12)
    other = write_transforms(tmp_path / "other")
    write_colmap(other / "colmap", poses=ring(4), points=points, binary=True)
    assert any("without applied_transform nobody knows" in doubt for doubt in captured(other).doubts())
