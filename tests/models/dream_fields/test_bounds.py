"""Bounds of rays against a walk along them; the tracked origin."""

import jax.numpy as jnp
import numpy as np
import pytest

from models.dream_fields import (
    bounds,
)
from tests.fixtures.toy_dreams import (
    made,
    rays_of,
    some,
    stepped,
)

RNG = np.random.default_rng(4)


def test_ends_are_where_a_walk_along_the_ray_enters_and_leaves_the_cube():
    origins = RNG.normal(size=(60, 3))
    origins *= 4 / np.linalg.norm(origins, axis=1, keepdims=True)
    directions = (RNG.uniform(-1.6, 1.6, (60, 3)) - origins) * RNG.uniform(0.2, 0.5, (60, 1))
    t = np.linspace(0, 12, 12_001)
    near, far = bounds.ray_bounds(some(half_width=1.2), rays_of(origins, directions), jnp.ones(()))
    num_missed = 0
    for i in range(60):
        inside = np.abs(origins[i] + t[:, None] * directions[i]).max(axis=1) <= 1.2
        if inside.any():
            assert float(near[i]) == pytest.approx(t[inside][0], abs=2e-3)
            assert float(far[i]) == pytest.approx(t[inside][-1], abs=2e-3)
        elif float(far[i]) > float(near[i]):  # it cuts a corner between two steps
            assert float(far[i]) - float(near[i]) < 2e-3
        else:
            num_missed += 1
            assert float(near[i]) == float(far[i]) == 4.0
    assert 5 < num_missed < 55


def test_ends_of_rays_along_axes_from_inside_and_away():
    rays = rays_of(
        [[4, 0, 0], [4, 1.1, 0], [4, 1.3, 0], [0.5, 0, 0], [4, 0, 0], [4, 0, 0.5], [0, 0, 4]],
        [[-1, 0, 0], [-2, 0, 0], [-1, 0, 0], [1, 0, 0], [1, 0, 0], [-1, -0.0, 0.0], [1e-12, -1e-12, -1]],
    )
    near, far = bounds.ray_bounds(some(half_width=1.2), rays, jnp.ones(()))
    np.testing.assert_allclose(near, [2.8, 1.4, 4, 0, 4, 2.8, 2.8], atol=1e-5)
    np.testing.assert_allclose(far, [5.2, 2.6, 4, 0.7, 4, 5.2, 5.2], atol=1e-5)
    near, far = bounds.ray_bounds(some(), rays, jnp.zeros(()))
    np.testing.assert_array_equal(near, 1)
    np.testing.assert_array_equal(far, 7)


def test_inside_is_the_cube_or_everywhere():
    points = jnp.asarray([[0.0, 0, 0], [0.5, -0.5, 0.5], [0.51, 0, 0], [0, 0, -9.0]])
    np.testing.assert_array_equal(bounds.is_in_bounds(some(half_width=0.5), points), [True, True, False, False])
    np.testing.assert_array_equal(bounds.is_in_bounds(some(half_width=0.5, bounds=False), points), True)


def test_the_origin_follows_the_centre_of_density():
    method = made(track_origin=True, origin_decay=0.7, bounds=False)
    origin = (0.4, -0.3, 0.2)  # the blob is about 0
    for seed in range(30):
        origin = tuple(float(x) for x in stepped(method, seed=seed, origin=origin)[1][0]["origin"])
    assert np.abs(origin).max() < 0.1


@pytest.mark.parametrize("changes", [{"track_origin": False}, {"track_origin": True, "origin_decay": 1.0}])
def test_the_origin_stays_unless_it_is_tracked(changes):
    _, (state, _) = stepped(made(**changes), origin=(0.1, 0.2, 0.3))
    np.testing.assert_allclose(state["origin"], [0.1, 0.2, 0.3], atol=1e-7)


def test_the_origin_stays_where_there_is_nothing():
    _, (state, _) = stepped(made(track_origin=True), origin=(0.1, 0.2, 0.3), strength=0.0)
    np.testing.assert_allclose(state["origin"], [0.1, 0.2, 0.3], atol=1e-7)
