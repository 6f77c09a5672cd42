"""Samples gather where the field is dense, and everywhere where nothing is known."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.errors import UsageError
from bench.suites.identity import describe
from bench.training.batch import hyperparameters_of
from models.dream_fields import DREAM_FIELDS, DreamFields, proposal
from models.dream_fields.cameras import sample_training_rays
from models.dream_fields.training_view import render_training_view
from tasks.cameras import Rays

HALF_WIDTH = jnp.asarray(1.2)


def ball(points):
    """A ball of radius 0.4 with a hard surface."""
    return jnp.where(jnp.linalg.norm(points, axis=-1) < 0.4, 50.0, 0.0)


def grid_of(density_at, num_updates=30):
    """A grid after enough updates for the first, full one to be forgotten."""
    update = jax.jit(lambda grid, key: proposal.update_grid(grid, density_at, HALF_WIDTH, key))
    grid = proposal.full_grid()
    for key in jax.random.split(jax.random.key(0), num_updates):
        grid = update(grid, key)
    return grid


def straight_rays(offsets):
    """Rays along +x at some heights, through the cube."""
    num = len(offsets)
    origins = np.zeros((num, 3), np.float32)
    origins[:, 0] = -4
    origins[:, 2] = offsets
    ones = jnp.ones((num,), jnp.float32)
    directions = jnp.broadcast_to(jnp.asarray([1.0, 0.0, 0.0]), (num, 3))
    return Rays(jnp.asarray(origins), directions, near=2.8 * ones, far=5.2 * ones, radius=0.01 * ones)


@pytest.fixture(scope="module")
def grid():
    return grid_of(ball)


def proposed(grid, offsets, num_samples=64):
    rays = straight_rays(offsets)
    propose = jax.jit(proposal.propose_fenceposts, static_argnames=("num_bins", "num_samples"))
    return np.asarray(
        propose(
            grid, HALF_WIDTH, rays, rays.near, rays.far, num_bins=192, num_samples=num_samples, key=jax.random.key(1)
        )
    )


def test_a_grid_holds_the_field(grid):
    points = np.random.default_rng(0).uniform(-1.2, 1.2, (2000, 3)).astype(np.float32)
    radius = np.linalg.norm(points, axis=-1)
    found = np.asarray(proposal.look_up(grid, jnp.asarray(points), HALF_WIDTH))
    assert (found[radius < 0.3] == 50).all()
    assert (found[radius > 0.5] < 0.01).all()


def test_nothing_is_outside_of_the_cube(grid):
    outside = jnp.asarray([[1.3, 0.0, 0.0], [0.0, -1.21, 0.0]])
    np.testing.assert_array_equal(proposal.look_up(proposal.full_grid(), outside, HALF_WIDTH), 0)


def test_samples_gather_at_the_surface(grid):
    (fenceposts,) = proposed(grid, [0.0])
    front = 4 - 0.4
    near_surface = np.abs(fenceposts - front) < 0.1
    # Regular samples have 64 * 0.2 / 2.4 = 5 of their 65 fenceposts there.
    assert near_surface.sum() > 25
    assert (fenceposts < front - 0.1).sum() >= 2, "some samples stay before the surface"


def test_a_ray_through_empty_space_is_sampled_evenly(grid):
    (fenceposts,) = proposed(grid, [1.0])
    gaps = np.diff(fenceposts)
    assert gaps.max() < 3 * 2.4 / 64
    assert fenceposts[0] >= 2.8
    assert fenceposts[-1] <= np.float32(5.2)


def test_fenceposts_are_sorted(grid):
    fenceposts = proposed(grid, np.linspace(-1.1, 1.1, 50))
    assert (np.diff(fenceposts, axis=-1) >= 0).all()


def test_a_new_surface_is_found_at_the_next_update():
    grid = grid_of(lambda points: jnp.zeros(points.shape[:-1]))
    assert float(grid.max()) < 0.01
    found = proposal.update_grid(grid, ball, HALF_WIDTH, jax.random.key(5))
    assert float(found.max()) == 50


def test_a_density_that_is_not_finite_does_not_stay():
    found = proposal.update_grid(
        proposal.full_grid(), lambda p: jnp.full(p.shape[:-1], jnp.nan), HALF_WIDTH, jax.random.key(0)
    )
    np.testing.assert_allclose(found, proposal.DECAY)


def method_with(**changes):
    sizes = {"num_steps": 10, "encoder": "embedded-vit-8", "render_px": 6, "num_samples": 4, "num_crops": 1}
    return DreamFields(**{**sizes, "num_view_samples": 4, **changes})


def test_the_state_moves_at_every_sixteenth_step_alone():
    from models.fields.networks import Voxels

    field = Voxels(resolution=4, half_width=1.2)
    params = field.init(jax.random.key(0), proposal.ray_sampling.samples_at_points(jnp.zeros((1, 3))))["params"]
    grid = proposal.full_grid()

    def density_at(points):
        return field.apply({"params": params}, proposal.ray_sampling.samples_at_points(points))[0]

    updated = jax.jit(lambda step: proposal.updated_grid(density_at, grid, HALF_WIDTH, jax.random.key(0), step))
    np.testing.assert_array_equal(updated(jnp.asarray(15)), grid)
    assert float(jnp.abs(updated(jnp.asarray(32)) - grid).max()) > 0


class HardBall(nn.Module):
    """A ball with a hard surface, whose colour tells where it is."""

    @nn.compact
    def __call__(self, samples, *, key=None):
        return ball(samples.means), nn.sigmoid(3 * samples.means)


@pytest.mark.slow
def test_a_third_of_the_samples_sees_a_surface_better_than_regular_ones():
    hyperparameters = hyperparameters_of(method_with(field=HardBall()))
    rays = sample_training_rays(hyperparameters, 12, jax.random.key(1))
    state = {"origin": jnp.zeros(3), "density_grid": grid_of(ball)}

    def view(**changes):
        method = method_with(field=HardBall(), render_px=12, **changes)
        render = jax.jit(functools.partial(render_training_view, method, {}, state, hyperparameters, rays))
        return render(jax.random.key(2), jnp.ones(())).image

    truth = view(num_samples=2000)
    placed = float(jnp.abs(view(num_samples=64, proposal_bins=192) - truth).mean())
    regular = float(jnp.abs(view(num_samples=64) - truth).mean())
    assert placed < 0.5 * regular


@pytest.mark.parametrize("changes", [{"proposal_bins": 1}, {"proposal_bins": 192, "bounds": False}])
def test_what_a_grid_cannot_do_is_refused(changes):
    with pytest.raises(UsageError, match="proposal_bins"):
        method_with(**changes)


def test_a_method_without_it_is_the_method_of_before():
    assert "proposal_bins" not in describe(DREAM_FIELDS)
    assert describe(method_with(proposal_bins=192))["proposal_bins"] == 192
