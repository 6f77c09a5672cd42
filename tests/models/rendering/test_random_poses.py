"""Random poses against NumPy and the cameras of the tasks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import transform

from models.rendering import random_poses
from tasks import cameras

KEYS = jax.random.split(jax.random.key(0), 400)

# Compiled once for all tests: op by op, each operation is a program of its own.
interpolate = jax.jit(random_poses.interpolate_poses)
interpolate_all = jax.jit(jax.vmap(random_poses.interpolate_poses))


def is_pose(pose):
    turn = np.asarray(pose)[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=2e-6)
    assert np.linalg.det(turn) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_array_equal(np.asarray(pose)[3], [0, 0, 0, 1])


@pytest.mark.parametrize(("azimuth", "elevation", "radius"), [(0.0, 0.0, 4.0), (130.0, 45.0, 3.0), (-70.0, 89.0, 1.0)])
def test_looks_as_the_cameras_of_tasks_do(azimuth, elevation, radius):
    wanted = cameras.look_at(np.asarray(azimuth), np.asarray(elevation), np.asarray(radius))
    found = jax.jit(random_poses.look_at)(jnp.asarray(azimuth), jnp.asarray(elevation), radius)
    np.testing.assert_allclose(found, wanted, atol=3e-6)


@pytest.mark.parametrize("uniform_in", ["angle", "area"])
def test_hemisphere_is_uniform_in_what_it_says(uniform_in):
    sample = functools.partial(random_poses.sample_on_hemisphere, uniform_in=uniform_in)
    drawn = np.asarray(jax.jit(jax.vmap(lambda key: sample(key, jnp.asarray(4.0))))(KEYS))
    is_pose(drawn[0])
    distance = np.linalg.norm(drawn[:, :3, 3], axis=1)
    assert 3.5 <= distance.min() < 3.6 and 4.4 < distance.max() <= 4.5  # the released code's range
    height = drawn[:, 2, 3] / distance
    share = np.degrees(np.arcsin(height)) / 90 if uniform_in == "angle" else height
    assert share.min() >= 0
    # Kolmogorov's bound for 400 draws at one in a thousand is 1.95 / sqrt(400).
    assert np.abs(np.sort(share) - (np.arange(400) + 0.5) / 400).max() < 0.0975


def test_half_way_between_two_turns_is_half_the_turn():
    first = cameras.look_at(np.asarray(10.0), np.asarray(0.0), np.asarray(4.0))
    second = cameras.look_at(np.asarray(70.0), np.asarray(0.0), np.asarray(4.0))
    middle = interpolate(jnp.asarray(first), jnp.asarray(second), 0.5)
    wanted = cameras.look_at(np.asarray(40.0), np.asarray(0.0), np.asarray(4.0))
    np.testing.assert_allclose(middle[:3, :3], wanted[:3, :3], atol=1e-5)
    np.testing.assert_allclose(middle[:3, 3], (first[:3, 3] + second[:3, 3]) / 2, atol=1e-5)


NUM_TURNS = 200
ANGLES = {"equal": 0.0, "hardly turned": 1e-4, "turned": 1.0, "nearly a half turn": np.pi - 1e-3}


def turned_poses(angle, seed=3):
    """Pairs of random poses, the second turned from the first by an angle about a random axis; shares of the way."""
    first = transform.Rotation.random(NUM_TURNS, random_state=seed)
    axes = np.random.default_rng(seed).normal(size=(NUM_TURNS, 3))
    second = first * transform.Rotation.from_rotvec(angle * axes / np.linalg.norm(axes, axis=1, keepdims=True))
    poses = np.tile(np.eye(4), (2, NUM_TURNS, 1, 1))
    poses[0, :, :3, :3], poses[1, :, :3, :3] = first.as_matrix(), second.as_matrix()
    return *jnp.asarray(poses, jnp.float32), (np.arange(NUM_TURNS) + 0.5) / NUM_TURNS


@pytest.mark.parametrize("angle", ANGLES.values(), ids=ANGLES)
def test_rotations_between_poses_are_scipys(angle):
    first, second, shares = turned_poses(angle)
    found = interpolate_all(first, second, jnp.asarray(shares, jnp.float32))
    for i, share in enumerate(shares):
        pair = transform.Rotation.from_matrix(np.asarray([first[i, :3, :3], second[i, :3, :3]], np.float64))
        wanted = transform.Slerp([0, 1], pair)(share).as_matrix()
        np.testing.assert_allclose(found[i, :3, :3], wanted, atol=2e-6)


@jax.jit
@jax.vmap
@functools.partial(jax.grad, argnums=(0, 1, 2))
def gradients(first, second, share):
    return jnp.sum(random_poses.interpolate_poses(first, second, share) * jnp.arange(16.0).reshape(4, 4))


@pytest.mark.parametrize("angle", [1e-4, 1.0, np.pi - 1e-3])
def test_gradients_of_poses_are_finite_unless_they_are_equal(angle):
    first, second, shares = turned_poses(angle)
    grads = gradients(first, second, jnp.asarray(shares, jnp.float32))
    assert all(np.isfinite(leaf).all() for leaf in grads)


def test_equal_poses_have_only_themselves_between_them():
    pose = jnp.asarray(cameras.look_at(np.asarray(33.0), np.asarray(20.0), np.asarray(4.0)))
    np.testing.assert_allclose(interpolate(pose, pose, 0.3), pose, atol=1e-5)


@pytest.mark.slow
def test_interpolated_poses_stay_among_the_photographs():
    known = jnp.asarray(cameras.hemisphere(5))
    drawn = np.asarray(jax.vmap(lambda key: random_poses.interpolate_random_poses(key, known))(KEYS[:50]))
    for pose in drawn[:10]:
        is_pose(pose)
    positions = np.asarray(known)[:, :3, 3]
    assert (drawn[:, :3, 3] >= positions.min(axis=0) - 1e-5).all()
    assert (drawn[:, :3, 3] <= positions.max(axis=0) + 1e-5).all()


def test_one_photograph_is_enough():
    known = jnp.asarray(cameras.hemisphere(1))
    found = jax.jit(random_poses.interpolate_random_poses)(KEYS[0], known)
    np.testing.assert_allclose(found, known[0], atol=1e-5)
