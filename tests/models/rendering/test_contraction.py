"""Contraction of mip-NeRF 360: values, derivative, points at infinity, covariances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fields.encodings import projected_variance
from models.rendering import ray_sampling
from models.rendering.contraction import contract_points, contract_samples, contraction_jacobian
from tasks.cameras import Rays

POINTS = np.random.RandomState(0).randn(40, 3).astype(np.float32) * np.geomspace(0.1, 100, 40)[:, None].astype(
    np.float32
)


def slow_contract(x):
    """Equation 10 of mip-NeRF 360."""
    norm = np.linalg.norm(x)
    return x if norm <= 1 else (2 - 1 / norm) * (x / norm)


def test_values_are_those_of_the_equation():
    found = jax.jit(contract_points)(jnp.asarray(POINTS))
    np.testing.assert_allclose(found, [slow_contract(x) for x in POINTS.astype(float)], atol=1e-6)
    inside = np.linalg.norm(POINTS, axis=1) <= 1
    assert 5 < inside.sum() < 35
    np.testing.assert_array_equal(np.asarray(found)[inside], POINTS[inside])


@pytest.mark.parametrize("distance", [1e3, 1e8, 1e15])
def test_what_is_infinitely_far_is_at_2(distance):
    directions = POINTS / np.linalg.norm(POINTS, axis=1, keepdims=True)
    found = np.linalg.norm(contract_points(jnp.asarray(directions * np.float32(distance))), axis=1)
    np.testing.assert_allclose(found, 2 - 1 / distance, atol=1e-6)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), st.floats(1.0, 100.0))
@settings(max_examples=50, deadline=None)
def test_farther_points_stay_farther_and_within_2(point, factor):
    near, far = (np.linalg.norm(contract_points(jnp.asarray(point, jnp.float32) * x)) for x in (1.0, factor))
    assert near <= far + 1e-6 and far <= 2 + 1e-6


def test_the_derivative_is_that_of_the_values():
    found = jax.jit(contraction_jacobian)(jnp.asarray(POINTS))
    wanted = jax.jit(jax.vmap(jax.jacfwd(contract_points)))(jnp.asarray(POINTS))
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def frustums(origin=(0.3, -0.2, 0.1)):
    direction = jnp.asarray([[0.5, -0.8, 1.1]])
    ends = jnp.asarray([1.0])
    rays = Rays(jnp.asarray([origin]), direction, ends, 9 * ends, 0.05 * ends)
    return ray_sampling.conical_frustums(rays, jnp.asarray([[0.1, 0.4, 1.5, 4.0, 30.0]]))


def test_the_covariance_is_mapped_by_the_derivative():
    samples = frustums()
    contracted = jax.jit(lambda x: contract_samples(x, has_extent=True))(samples)
    derivative = jax.jit(jax.jacfwd(contract_points))
    for i in range(4):
        d = np.asarray(samples.directions[0, i], float)
        t_var, r_var = float(samples.t_var[0, i]), float(samples.r_var[0, i])
        before = t_var * np.outer(d, d) + r_var * (np.eye(3) - np.outer(d, d) / (d @ d))
        jacobian = np.asarray(derivative(samples.means[0, i]), float)
        np.testing.assert_allclose(contracted.covariance[0, i], jacobian @ before @ jacobian.T, rtol=2e-4, atol=1e-7)


def test_a_small_gaussian_spreads_as_its_samples_do():
    """The linearised covariance against a cloud of points that goes through the contraction."""
    samples = jax.tree.map(lambda x: x[:, 2:3], frustums())
    samples = samples._replace(t_var=samples.t_var * 1e-3, r_var=samples.r_var * 1e-1)
    d = np.asarray(samples.directions[0, 0], float)
    covariance = float(samples.t_var[0, 0]) * np.outer(d, d)
    covariance += float(samples.r_var[0, 0]) * (np.eye(3) - np.outer(d, d) / (d @ d))
    cloud = np.random.RandomState(0).multivariate_normal(np.asarray(samples.means[0, 0]), covariance, 20000)
    spread = np.cov(np.asarray(contract_points(jnp.asarray(cloud, jnp.float32)), float).T)
    found = np.asarray(contract_samples(samples, has_extent=True).covariance[0, 0])
    np.testing.assert_allclose(found, spread, atol=0.05 * np.abs(spread).max())


def test_encodings_read_the_covariance():
    samples = contract_samples(frustums(), has_extent=True)
    vectors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, -2, 3]], np.float32)
    found = projected_variance(samples, vectors)
    wanted = np.einsum("ki,brij,kj->brk", vectors, np.asarray(samples.covariance), vectors)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-7)
    # Within the unit ball nothing is changed.
    near = frustums()
    np.testing.assert_allclose(found[:, :1], projected_variance(near, vectors)[:, :1], rtol=1e-4)


def test_points_have_no_covariance_and_directions_are_kept():
    samples = ray_sampling.samples_at_points(jnp.asarray(POINTS))
    contracted = contract_samples(samples, has_extent=False)
    assert contracted.covariance is None
    np.testing.assert_array_equal(contracted.directions, samples.directions)
    scaled = ray_sampling.scale_covariances(contract_samples(frustums(), has_extent=True), 2.0)
    np.testing.assert_allclose(scaled.covariance, 4 * contract_samples(frustums(), has_extent=True).covariance)
