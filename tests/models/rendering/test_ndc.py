"""Normalised device coordinates: points on rays are where projection puts them, and come back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.rendering import ndc
from tasks.cameras import Rays

PLANE, FAR = 0.8, 50.0
SLOPES = np.array([1.7, 2.2])
FRUSTUM = ndc.Frustum(jnp.asarray(PLANE), jnp.asarray(SLOPES, jnp.float32), jnp.asarray(FAR))


def some_rays(far=FAR, num=12):
    """Rays as forward-facing cameras have them: from about the origin, with depth along about -z."""
    random = np.random.RandomState(1)
    directions = np.concatenate([0.4 * random.randn(num, 2), -1 + 0.1 * random.randn(num, 1)], axis=1)
    return Rays(
        origins=jnp.asarray(0.2 * random.randn(num, 3), jnp.float32),
        directions=jnp.asarray(directions, jnp.float32),
        near=jnp.full(num, 1.0),
        far=jnp.full(num, far),
        radius=jnp.full(num, 1e-3),
    )


def project(points):
    """Appendix C of NeRF: the projection of OpenGL with the far plane at infinity."""
    x, y, z = np.moveaxis(np.asarray(points, float), -1, 0)
    return np.stack([-SLOPES[0] * x / z, -SLOPES[1] * y / z, 1 + 2 * PLANE / z], axis=-1)


@pytest.mark.parametrize("t", [0.0, 0.2, 0.7, 0.97])
def test_a_point_on_a_converted_ray_is_the_projection_of_one_on_the_ray(t):
    rays = some_rays()
    converted = jax.jit(ndc.convert_to_ndc)(rays, FRUSTUM)
    there = np.asarray(converted.origins, float) + t * np.asarray(converted.directions, float)
    depth = np.asarray(ndc.depth_from_ndc(rays, FRUSTUM, jnp.full(12, t)), float)
    here = np.asarray(rays.origins, float) + depth[:, None] * np.asarray(rays.directions, float)
    inside = depth < FAR
    assert inside.sum() >= 6
    np.testing.assert_allclose(there[inside], project(here)[inside], atol=2e-4)
    np.testing.assert_allclose(
        ndc.convert_points_to_ndc(jnp.asarray(here, jnp.float32), FRUSTUM), project(here), atol=2e-5
    )


def test_rays_begin_at_the_plane_and_end_at_infinity():
    converted = ndc.convert_to_ndc(some_rays(), FRUSTUM)
    np.testing.assert_allclose(converted.origins[:, 2], -1, atol=1e-6)
    np.testing.assert_array_equal(converted.near, 0)
    np.testing.assert_array_equal(converted.far, 1)
    ends = converted.origins + converted.directions
    np.testing.assert_allclose(ends[:, 2], 1, atol=1e-6)


def test_a_ray_that_ends_early_ends_at_that_depth():
    rays = some_rays(far=4.0)
    converted = ndc.convert_to_ndc(rays, FRUSTUM)
    assert (np.asarray(converted.far) < 1).all()
    np.testing.assert_allclose(
        ndc.depth_from_ndc(rays._replace(far=jnp.full(12, 99.0)), FRUSTUM, converted.far), 4, rtol=1e-4
    )
    before = ndc.convert_to_ndc(some_rays(far=0.1), FRUSTUM)
    np.testing.assert_array_equal(before.far, 0)


def test_a_density_has_the_same_optical_depth_in_both():
    """Along the axis: a step of depth times the density is what it is in the cube."""
    z = jnp.asarray([-1.0, -3.0, -20.0])
    points = jnp.stack([jnp.zeros(3), jnp.zeros(3), z], axis=-1)
    step = 1e-3
    moved = ndc.convert_points_to_ndc(points - jnp.asarray([[0, 0, step]]), FRUSTUM)
    lengths = np.asarray(moved - ndc.convert_points_to_ndc(points, FRUSTUM))[:, 2]
    np.testing.assert_allclose(ndc.length_ratio(points, FRUSTUM), lengths / step, rtol=2e-2)
    assert float(ndc.length_ratio(jnp.asarray([0.0, 0.0, -0.5]), FRUSTUM)) == 0
