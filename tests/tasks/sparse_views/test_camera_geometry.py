"""Where cameras look and which way is up, on rings, rows and rooms whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.sparse_views import camera_geometry
from tests.fixtures.captured_scenes import ring, row


def rotation(seed):
    """A random rotation, by QR."""
    found, triangle = np.linalg.qr(np.random.RandomState(seed).normal(size=(3, 3)))
    found = found * np.sign(np.diag(triangle))
    return found * (1 if np.linalg.det(found) > 0 else [-1, 1, 1])


def moved(poses, turn, shift):
    found = poses.copy()
    found[:, :3] = turn @ found[:, :3]
    found[:, :3, 3] += shift
    return found


@given(st.integers(0, 10**6), st.floats(0.01, 100), st.integers(5, 30))
@settings(max_examples=30, deadline=None)
def test_axes_of_a_ring_meet_in_its_middle_wherever_it_stands(seed, radius, count):
    shift = np.random.RandomState(seed).normal(size=3) * 10
    turn = rotation(seed)
    poses = moved(ring(count, radius), turn, shift)
    found = camera_geometry.find_meeting_point(poses)
    assert found.is_known
    np.testing.assert_allclose(found.position, shift, atol=1e-4 * radius)
    np.testing.assert_allclose(found.depths, radius, rtol=1e-4)
    up = camera_geometry.find_up_axis(poses).direction
    assert np.degrees(np.arccos(np.clip(up @ turn[:, 2], -1, 1))) < camera_geometry.NEAR_AN_AXIS_DEG + 0.1


def test_a_few_cameras_that_look_away_move_it_little():
    poses = ring(20)
    for place in (3, 7):
        poses[place, :3, :3] = poses[place, :3, :3] @ rotation(place)
    found = camera_geometry.find_meeting_point(poses)
    assert np.linalg.norm(found.position) < 0.01
    assert found.misses[3] > 0.05 and np.median(found.misses) < 0.01


def test_cameras_that_look_in_one_direction_meet_nowhere():
    poses = row(10, depth=1e5)
    assert not camera_geometry.find_meeting_point(poses).is_known
    assert not camera_geometry.find_meeting_point(poses[:1]).is_known
    np.testing.assert_allclose(camera_geometry.angles_from_mean_axis_deg(poses), 0, atol=0.1)
    assert camera_geometry.angles_from_mean_axis_deg(ring(8)).min() > 60


def test_cameras_that_look_outward_meet_behind_themselves():
    found = camera_geometry.find_meeting_point(ring(12) @ np.diag([-1.0, 1, -1, 1]))
    assert found.is_known and (found.depths < 0).all()


@pytest.mark.parametrize(
    ("turn", "expected", "source"),
    [
        (np.eye(3), [0, 0, 1], "+z of the file, as the cameras are held"),
        (np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]), [0, 1, 0], "+y of the file, as the cameras are held"),
        (np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]).T @ np.diag([1, -1, -1]), None, "-y of the file"),
    ],
)
def test_an_axis_of_the_file_is_preferred(turn, expected, source):
    poses = moved(ring(12), turn, np.zeros(3))
    if expected is None:
        poses = moved(ring(12), np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]), np.zeros(3))
        expected = [0, -1, 0]
    found = camera_geometry.find_up_axis(poses)
    np.testing.assert_allclose(found.direction, expected)
    assert found.source.startswith(source)


def test_a_phone_held_upright_lies_on_its_side():
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # about the viewing axis
    poses = ring(12)
    poses[:, :3, :3] = poses[:, :3, :3] @ turn
    found = camera_geometry.find_up_axis(poses)
    assert found.is_rolled
    np.testing.assert_allclose(np.abs(found.direction), [0, 0, 1])


def test_cameras_side_by_side_tell_by_their_own_up():
    found = camera_geometry.find_up_axis(row(10))
    np.testing.assert_allclose(found.direction, [0, 1, 0])
