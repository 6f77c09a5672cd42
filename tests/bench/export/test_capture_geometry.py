"""The box of a captured scene holds what its cameras see in common, in the unit and axes of their poses."""

from __future__ import annotations

import numpy as np

from bench.export import capture_geometry, mesh_grid
from bench.export.field import TrainedField
from tests.bench.export.test_camera_path import arc, geometry

TURN = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
CENTER = np.array([10.0, 20.0, 30.0])


def placed(**changes):
    return geometry(arc(0, 342), rotation=TURN, center=CENTER, scale=0.25, **changes)


def test_back_to_the_poses():
    points = np.random.RandomState(0).normal(size=(5, 3))
    there = placed().to_field(points)
    np.testing.assert_allclose(there[0], TURN @ (points[0] - CENTER) * 0.25, rtol=1e-5)
    np.testing.assert_allclose(placed().from_field(there), points, atol=1e-4)


def test_cameras_that_see_a_point():
    seen = capture_geometry.count_cameras(geometry(arc(0, 342)), np.array([[0.0, 0, 0], [0, 0, 5.0]]))
    assert seen.tolist() == [20, 0]
    one = geometry(arc(0, 0, 1), near=0.5, far=0.9)  # it stands at 0.8 on the x axis
    ahead = -one.poses[0, :3, 2]
    points = one.poses[0, :3, 3] + np.array([[0.4], [0.6], [1.0], [-0.6]]) * ahead
    assert capture_geometry.count_cameras(one, points).tolist() == [0, 1, 0, 0]


def test_what_they_see_in_common():
    low, high = capture_geometry.common_box(placed())
    np.testing.assert_allclose((low + high) / 2, CENTER, atol=0.15)
    half = (high - low) / 2 * 0.25
    assert (half > 0.15).all() and (half < 0.45).all()  # cameras stand at 0.8
    cloud = CENTER + np.random.RandomState(0).uniform(-0.3, 0.3, (500, 3))
    low, high = capture_geometry.common_box(placed(points=cloud))
    np.testing.assert_allclose(np.stack([low, high]) - CENTER, [[-0.36] * 3, [0.36] * 3], atol=0.03)


def test_a_view_ahead_has_its_frustum():
    poses = np.tile(np.eye(4, dtype=np.float32), (4, 1, 1))
    ahead = geometry(poses, "forward-facing", near=1.0, far=5.0)
    low, high = capture_geometry.common_box(ahead)
    np.testing.assert_allclose([low[2], high[2]], [-5, -1], atol=0.2)
    assert 2 < high[0] < 3.1 and -3.1 < low[0] < -2  # 5 * 60 / 100 at the far end


def test_grids():
    field = TrainedField(None, {}, {}, {}, 0.1, 10.0, 1.0, placed())
    grid = mesh_grid.choose_grid(field, 21, box=(0.0, 0.0, 0.0, 4.0, 2.0, 1.0))
    assert grid.shape == (21, 11, 6) and grid.is_cropped
    np.testing.assert_allclose(grid.high, [4, 2, 1])
    bounded = field._replace(capture=placed(world="bounded"), near=2.0, far=6.0)
    cube = mesh_grid.choose_grid(bounded, 9)
    np.testing.assert_allclose((cube.low + cube.high) / 2, CENTER)
    np.testing.assert_allclose(cube.high - cube.low, 2 * bounded.half_width / 0.25)
    density = np.arange(5 * 4 * 4, dtype=np.float32).reshape(5, 4, 4)
    halved, mean = mesh_grid.halve_grid(grid._replace(shape=(5, 4, 4)), density)
    assert mean.shape == halved.shape == (2, 2, 2) and halved.cell == 2 * grid.cell
    assert mean[0, 0, 0] == density[:2, :2, :2].mean()
    np.testing.assert_allclose(halved.low, grid.low + grid.cell / 2)
