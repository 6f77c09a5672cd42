"""Random poses against NumPy and the cameras of the tasks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.rendering import random_poses
from tasks import cameras

KEYS = jax.random.split(jax.random.key(0), 400)


def is_pose(pose):
    turn = np.asarray(pose)[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=2e-6)
    assert np.linalg.det(turn) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_array_equal(np.asarray(pose)[3], [0, 0, 0, 1])


@pytest.mark.parametrize(("azimuth", "elevation", "radius"), [(0.0, 0.0, 4.0), (130.0, 45.0, 3.0), (-70.0, 89.0, 1.0)])
def test_looks_as_the_cameras_of_tasks_do(azimuth, elevation, radius):
    wanted = cameras.look_at(np.asarray(azimuth), np.asarray(elevation), np.asarray(radius))
    found = random_poses.look_at(jnp.asarray(azimuth), jnp.asarray(elevation), radius)
    np.testing.assert_allclose(found, wanted, atol=3e-6)


@pytest.mark.parametrize("even_in", ["angle", "area"])
def test_hemisphere_is_even_in_what_it_says(even_in):
    drawn = np.asarray(jax.vmap(lambda key: random_poses.on_hemisphere(key, jnp.asarray(4.0), even_in=even_in))(KEYS))
    is_pose(drawn[0])
    distance = np.linalg.norm(drawn[:, :3, 3], axis=1)
    assert 3.5 <= distance.min() < 3.6 and 4.4 < distance.max() <= 4.5  # the released code's range
    height = drawn[:, 2, 3] / distance
    share = np.degrees(np.arcsin(height)) / 90 if even_in == "angle" else height
    assert share.min() >= 0
    # Kolmogorov's bound for 400 draws at one in a thousand is 1.95 / sqrt(400).
    assert np.abs(np.sort(share) - (np.arange(400) + 0.5) / 400).max() < 0.0975


def test_half_way_between_two_turns_is_half_the_turn():
    first = cameras.look_at(np.asarray(10.0), np.asarray(0.0), np.asarray(4.0))
    second = cameras.look_at(np.asarray(70.0), np.asarray(0.0), np.asarray(4.0))
    middle = random_poses.between(jnp.asarray(first), jnp.asarray(second), 0.5)
    wanted = cameras.look_at(np.asarray(40.0), np.asarray(0.0), np.asarray(4.0))
    np.testing.assert_allclose(middle[:3, :3], wanted[:3, :3], atol=1e-5)
    np.testing.assert_allclose(middle[:3, 3], (first[:3, 3] + second[:3, 3]) / 2, atol=1e-5)


def test_quaternions_of_half_turns_keep_their_axis():
    for axis in range(3):
        turn = -np.eye(3, dtype=np.float32)
        turn[axis, axis] = 1
        np.testing.assert_allclose(random_poses.rotation(random_poses.quaternion(jnp.asarray(turn))), turn, atol=1e-6)


def test_equal_poses_have_only_themselves_between_them():
    pose = jnp.asarray(cameras.look_at(np.asarray(33.0), np.asarray(20.0), np.asarray(4.0)))
    np.testing.assert_allclose(random_poses.between(pose, pose, 0.3), pose, atol=1e-5)


def test_interpolated_poses_stay_among_the_photographs():
    known = jnp.asarray(cameras.hemisphere(5))
    drawn = np.asarray(jax.vmap(lambda key: random_poses.interpolated(key, known))(KEYS[:50]))
    for pose in drawn[:10]:
        is_pose(pose)
    positions = np.asarray(known)[:, :3, 3]
    assert (drawn[:, :3, 3] >= positions.min(axis=0) - 1e-5).all()
    assert (drawn[:, :3, 3] <= positions.max(axis=0) + 1e-5).all()


def test_one_photograph_is_enough():
    known = jnp.asarray(cameras.hemisphere(1))
    np.testing.assert_allclose(random_poses.interpolated(KEYS[0], known), known[0], atol=1e-5)
