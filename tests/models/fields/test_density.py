"""Densities of a signed distance, against the distribution of VolSDF in float64."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.fields import density
from models.fields.networks import Voxels
from models.rendering.ray_sampling import samples_at_points


def slow_density(distance, beta):
    """VolSDF, equations 2 and 3: 1 / beta times Laplace's cumulative distribution, of mean 0, of minus the distance."""
    s = -distance
    return (0.5 * np.exp(s / beta) if s <= 0 else 1 - 0.5 * np.exp(-s / beta)) / beta


@pytest.mark.parametrize("beta", [0.1, 0.01])
def test_a_distance_gives_laplaces_distribution(beta):
    distance = np.linspace(-0.5, 0.5, 41)
    found = density.laplace_density(jnp.asarray(distance, jnp.float32), beta)
    np.testing.assert_allclose(found, [slow_density(d, beta) for d in distance], rtol=1e-4, atol=1e-6)
    assert float(density.laplace_density(jnp.asarray(-9.0), beta)) == pytest.approx(1 / beta)


GRID = Voxels(resolution=3, half_width=1.5, density_activation="volsdf")
POINTS = jnp.asarray([[0.0, 0.0, 0.0], [0.5, 0.0, 0.2], [0.0, density.FIRST_RADIUS, 0.0], [0.9, 0.9, 0.0]])


def of_grid(params, sharpness=None):
    return GRID.apply({"params": params}, samples_at_points(POINTS), sharpness=sharpness)[0]


def test_it_begins_as_a_sphere_and_a_larger_value_is_denser():
    params = GRID.init(jax.random.key(0), samples_at_points(POINTS))["params"]
    away = np.linalg.norm(np.asarray(POINTS), axis=-1) - density.FIRST_RADIUS
    np.testing.assert_allclose(of_grid(params), [slow_density(d, density.FIRST_BETA) for d in away], rtol=1e-4)
    raised = {**params, "grid": params["grid"] + 2.0}
    wanted = [slow_density(d - 2 * density.VALUE_SCALE, density.FIRST_BETA) for d in away]
    np.testing.assert_allclose(of_grid(raised), wanted, rtol=1e-4)
    sharp = [slow_density(d, density.FIRST_BETA / 5) for d in away]
    np.testing.assert_allclose(of_grid(params, jnp.asarray(5.0)), sharp, rtol=1e-4)


def test_gradients_are_finite_at_the_origin_and_reach_the_width():
    params = GRID.init(jax.random.key(0), samples_at_points(POINTS))["params"]
    found = jax.grad(lambda params: of_grid(params).sum())(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    assert abs(float(found["surface"]["log_beta"])) > 0


@pytest.mark.parametrize("activation", ["relu", "softplus", "shifted_softplus"])
def test_sharpness_is_a_factor_of_the_value(activation):
    field = dataclasses.replace(GRID, density_activation=activation)
    params = {"grid": jax.random.normal(jax.random.key(2), (3, 3, 3, 4))}
    samples = samples_at_points(POINTS)
    sharp = field.apply({"params": params}, samples, sharpness=jnp.asarray(3.0))[0]
    scaled = field.apply({"params": {"grid": 3 * params["grid"]}}, samples)[0]
    np.testing.assert_allclose(sharp, scaled, rtol=1e-5)
