"""Cameras, photos and budgets, against slow twins and against what the released codes compute."""

from __future__ import annotations

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import budgets, cameras, task

AZIMUTHS = st.floats(-720, 720)
ELEVATIONS = st.floats(-89, 89)


def pose_at(azimuth_deg, elevation_deg, radius=4.0):
    return cameras.look_at(*(np.array(x, np.float64) for x in (azimuth_deg, elevation_deg, radius)))


def test_focal_length_of_nerf_synthetic():
    # NeRF prints "hwf [800, 800, 1111.1110311937682]" for every Blender scene (bmild/nerf issues and logs):
    # 0.5 * 800 / tan(0.5 * 0.6911112070083618).
    intrinsics = cameras.intrinsics_from_fov(cameras.BLENDER_FOV_DEG, 800, 800)
    assert float(intrinsics.focal_x) == float(intrinsics.focal_y) == pytest.approx(1111.1110311937682, rel=1e-7)
    assert (float(intrinsics.center_x), float(intrinsics.center_y)) == (400, 400)


def test_directions_of_the_world():
    # Source: the head of tasks/cameras.py. Azimuth 0 is +x, 90 is +y; elevation is above the horizon, z is up.
    for (azimuth, elevation), place in {(0, 0): (2, 0, 0), (90, 0): (0, 2, 0), (0, 30): (math.sqrt(3), 0, 1)}.items():
        np.testing.assert_allclose(pose_at(azimuth, elevation, 2.0)[:3, 3], place, atol=1e-6)
    pose = pose_at(0, 0)
    np.testing.assert_allclose(pose[:3, :3] @ [1, 0, 0], [0, 1, 0], atol=1e-6)  # right of a camera that looks along -x
    np.testing.assert_allclose(pose[:3, :3] @ [0, 1, 0], [0, 0, 1], atol=1e-6)  # up is up


@given(AZIMUTHS, ELEVATIONS, st.floats(0.1, 50))
@settings(max_examples=50, deadline=None)
def test_look_at_is_a_rotation_that_looks_at_the_origin(azimuth, elevation, radius):
    pose = pose_at(azimuth, elevation, radius).astype(np.float64)
    rotation, place = pose[:3, :3], pose[:3, 3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(place) == pytest.approx(radius, rel=1e-5)
    np.testing.assert_allclose(place - radius * rotation[:, 2], 0, atol=1e-4 * radius)  # along -z lies the origin
    assert rotation[2, 0] == pytest.approx(0, abs=1e-6)  # the horizon is level
    assert rotation[2, 1] > 0  # up is not down
    assert math.degrees(math.asin(place[2] / np.linalg.norm(place))) == pytest.approx(elevation, abs=0.05)


def test_look_at_takes_many_and_refuses_poles():
    poses = cameras.look_at(np.arange(3.0), np.full(3, 10.0), np.full(3, 4.0))
    assert poses.shape == (3, 4, 4) and poses.dtype == np.float32
    np.testing.assert_array_equal(poses[2], pose_at(2, 10, 4))
    with pytest.raises(ValueError, match=r"expected elevations in \(-90, 90\) degrees; 89.9"):
        pose_at(0, 90)


@given(st.integers(1, 60), st.floats(0, 3))
@settings(max_examples=20, deadline=None)
def test_hemisphere_covers_equal_areas(num_views, shift):
    places = cameras.hemisphere(num_views, shift=shift)[:, :3, 3] / 4
    heights = places[:, 2].astype(np.float64)
    low, high = math.sin(math.radians(3)), math.sin(math.radians(82))
    # Equal area between two heights of a sphere is equal difference of height (Archimedes).
    slow = [low + (high - low) * (i + 0.5) / num_views for i in range(num_views)]
    np.testing.assert_allclose(heights, slow, atol=1e-6)
    assert np.all(np.linalg.norm(places, axis=1) == pytest.approx(1, abs=1e-6))


def test_hemisphere_has_no_near_neighbours():
    for num_views in (25, 100):
        places = cameras.hemisphere(num_views)[:, :3, 3].astype(np.float64) / 4
        cosines = np.clip(places @ places.T, -1, 1) - 2 * np.eye(num_views)
        nearest = np.degrees(np.arccos(cosines.max(axis=1)))
        even = math.degrees(math.sqrt(2 * math.pi * 0.938 / num_views))  # side of a square of one view's area
        assert nearest.min() > 0.8 * even


def slow_ray(pose, intrinsics, column, row):
    """One ray, term by term."""
    x = (column - float(intrinsics.center_x)) / float(intrinsics.focal_x)
    y = -(row - float(intrinsics.center_y)) / float(intrinsics.focal_y)
    camera = (x, y, -1.0)
    return [sum(float(pose[i][j]) * camera[j] for j in range(3)) for i in range(3)]


@given(AZIMUTHS, ELEVATIONS, st.sampled_from([(1, 1), (3, 2), (2, 5)]), st.sampled_from([0.0, 0.5]))
@settings(max_examples=15, deadline=None)
def test_view_rays_against_slow_twin(azimuth, elevation, size, pixel_center):
    height, width = size
    pose = pose_at(azimuth, elevation)
    intrinsics = cameras.Intrinsics(*(np.float32(x) for x in (3.1, 2.7, 0.4 * width, 0.6 * height)))
    rays = cameras.view_rays(jnp.asarray(pose), intrinsics, height, width, 2.0, 6.0, pixel_center=pixel_center)
    assert rays.directions.shape == rays.origins.shape == (height, width, 3)
    for row in range(height):
        for column in range(width):
            slow = slow_ray(pose, intrinsics, column + pixel_center, row + pixel_center)
            np.testing.assert_allclose(rays.directions[row, column], slow, atol=2e-6)
            np.testing.assert_array_equal(rays.origins[row, column], pose[:3, 3])
    np.testing.assert_array_equal(rays.near, np.full((height, width), 2, np.float32))
    np.testing.assert_array_equal(rays.far, np.full((height, width), 6, np.float32))


def test_view_rays_with_pixel_center_0_are_those_of_the_nerf_code():
    pose, size, focal = pose_at(40, 20), 8, 11.1
    # Source: get_rays_np of bmild/nerf, run_nerf_helpers.py.
    i, j = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32), indexing="xy")
    dirs = np.stack([(i - size * 0.5) / focal, -(j - size * 0.5) / focal, -np.ones_like(i)], -1)
    rays_d = np.sum(dirs[..., np.newaxis, :] * pose[:3, :3], -1)
    intrinsics = cameras.Intrinsics(*(np.float32(x) for x in (focal, focal, size / 2, size / 2)))
    rays = cameras.view_rays(jnp.asarray(pose), intrinsics, size, size, 2.0, 6.0, pixel_center=0.0)
    np.testing.assert_allclose(rays.directions, rays_d, atol=1e-6)


def test_depth_along_the_axis_is_t_and_the_middle_hits_the_origin():
    pose = pose_at(200, 35)
    intrinsics = cameras.intrinsics_from_fov(50.0, 5, 5)
    rays = cameras.view_rays(jnp.asarray(pose), intrinsics, 5, 5, 2.0, 6.0)
    along = np.asarray(rays.directions) @ -pose[:3, 2]
    np.testing.assert_allclose(along, 1, atol=1e-5)
    np.testing.assert_allclose(rays.origins[2, 2] + 4 * rays.directions[2, 2], 0, atol=1e-5)
    # The outermost edges of the image are half the field of view from the axis.
    edge = cameras.pixel_rays(jnp.asarray(pose), intrinsics, jnp.float32(0), jnp.float32(2.5), 2.0, 6.0).directions
    cosine = edge @ -pose[:3, 2] / np.linalg.norm(edge)
    assert math.degrees(math.acos(float(cosine))) == pytest.approx(25, abs=1e-3)


def test_radius_is_that_of_mip_nerf():
    # Source: google/mipnerf internal/datasets.py: distance of neighbouring directions times 2 / sqrt(12).
    intrinsics = cameras.intrinsics_from_fov(40.0, 6, 6)
    rays = cameras.view_rays(jnp.asarray(pose_at(10, 10)), intrinsics, 6, 6, 2.0, 6.0)
    apart = np.linalg.norm(np.diff(np.asarray(rays.directions), axis=1), axis=-1)
    np.testing.assert_allclose(rays.radius[:, 1:], apart * 2 / math.sqrt(12), rtol=1e-5)


def test_pixel_rays_takes_a_pose_each():
    poses = cameras.hemisphere(3)
    intrinsics = cameras.Intrinsics(*(np.array(x, np.float32) for x in ([3, 4, 5], [3, 4, 5], [1, 1, 1], [1, 1, 1])))
    columns, rows = jnp.array([0.5, 1.5, 0.25]), jnp.array([0.5, 0.5, 1.75])
    rays = cameras.pixel_rays(jnp.asarray(poses), intrinsics, columns, rows, 1.0, 9.0)
    for n in range(3):
        one = cameras.select_cameras(intrinsics, n)
        slow = slow_ray(poses[n], one, float(columns[n]), float(rows[n]))
        np.testing.assert_allclose(rays.directions[n], slow, atol=1e-6)
        np.testing.assert_array_equal(rays.origins[n], poses[n, :3, 3])


def test_angle_to_nearest_against_slow_twin():
    poses, others = cameras.hemisphere(6, shift=0.3), cameras.hemisphere(4, radius=2.0)
    for pose, angle in zip(poses, cameras.angle_to_nearest_deg(poses, others), strict=True):
        slow = []
        for other in others:
            a, b = (p[:3, 3].astype(float).tolist() for p in (pose, other))
            dot = sum(x * y for x, y in zip(a, b, strict=True))
            slow.append(math.degrees(math.acos(dot / math.dist(a, [0] * 3) / math.dist(b, [0] * 3))))
        assert angle == pytest.approx(min(slow), abs=1e-4)
    assert cameras.angle_to_nearest_deg(poses, poses).max() < 1e-3


def test_a_camera_at_the_origin_is_in_no_direction():
    poses = cameras.hemisphere(3)
    there = poses[:1].copy()
    there[:, :3, 3] = 0
    assert cameras.angle_to_nearest_deg(there, poses) == pytest.approx([90])


@given(st.tuples(*[st.floats(0, 1)] * 4), st.floats(0, 1))
def test_composite_against_slow_twin(rgba, background):
    got = task.composite(np.array(rgba, np.float64), background)
    slow = [c * rgba[3] + background * (1 - rgba[3]) for c in rgba[:3]]
    np.testing.assert_allclose(got, slow, atol=1e-12)
    assert got.min() >= 0 and got.max() <= 1 + 1e-12


def test_replace_views_keeps_every_array_in_step():
    rng = np.random.RandomState(0)
    four = task.Photos(
        ids=(7, 8, 9, 10),
        colors=rng.rand(4, 2, 3, 3).astype(np.float32),
        alphas=rng.rand(4, 2, 3).astype(np.float32),
        poses=cameras.hemisphere(4),
        intrinsics=cameras.Intrinsics(*(rng.rand(4).astype(np.float32) for _ in range(4))),
    )
    two = task.replace_views(four, (3, 1))
    assert two.ids == (10, 8)
    for place, old in enumerate((3, 1)):
        np.testing.assert_array_equal(two.colors[place], four.colors[old])
        np.testing.assert_array_equal(two.alphas[place], four.alphas[old])
        np.testing.assert_array_equal(two.poses[place], four.poses[old])
        assert [x[place] for x in two.intrinsics[:4]] == [x[old] for x in four.intrinsics[:4]]


def test_is_frozen_dataclass():
    @dataclasses.dataclass(frozen=True)
    class Frozen:
        pass

    @dataclasses.dataclass
    class Thawed:
        pass

    assert task.is_frozen_dataclass(Frozen())
    assert not any(task.is_frozen_dataclass(value) for value in (Frozen, Thawed(), 3, None))


@dataclasses.dataclass(frozen=True)
class Inner:
    width: int | None = None
    depth: int | None = 3


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    image_px: int | None = None
    num_rays: int | None = 7
    views: tuple[int, ...] | None = None
    name: str | None = None


def test_sized_fills_what_is_open_and_nothing_else():
    budget = budgets.BUDGETS["quick"]
    filled = budgets.sized(Outer(), budget)
    assert filled == Outer(inner=Inner(width=budget.width, depth=3), image_px=budget.image_px, num_rays=7)
    assert budgets.sized(filled, budget) is filled  # nothing is open any more
    assert filled.name is None  # a budget has a name, but that is nobody else's size


def test_budgets_grow_and_are_checked():
    sizes = ("image_px", "num_spp", "num_steps", "num_rays", "num_samples", "width", "depth")
    for name in sizes:
        row = [getattr(budgets.BUDGETS[budget], name) for budget in ("smoke", "quick", "standard", "paper")]
        assert row == sorted(row)
    assert all(budget.name == name for name, budget in budgets.BUDGETS.items())
    with pytest.raises(ValueError, match="budget quick: num_rays is at least 1, got 0"):
        dataclasses.replace(budgets.BUDGETS["quick"], num_rays=0)
    assert dataclasses.replace(budgets.BUDGETS["quick"], num_importance=0).num_importance == 0


def test_paper_budget_is_the_papers():
    # Source: DietNeRF's configs: 400 px, 1024 rays, 64 + 128 samples, 8 layers of 256, 200k steps, a render of 168.
    paper = budgets.BUDGETS["paper"]
    assert (paper.image_px, paper.num_rays, paper.num_samples, paper.num_importance) == (400, 1024, 64, 128)
    assert (paper.depth, paper.width, paper.num_steps, paper.consistency_px) == (8, 256, 200_000, 168)
