"""Cameras of training views stay in their ranges and fill them."""

import jax
import numpy as np
import pytest

from bench.training.batch import hyperparameters_of
from models.dream_fields import (
    DREAM_FIELDS,
    DREAM_FIELDS_2022,
)
from models.dream_fields.cameras import sample_training_rays
from tasks.cameras import BLENDER_FOV_DEG
from tests.fixtures.toy_dreams import (
    PX,
    made,
)

RNG = np.random.default_rng(4)


def test_cameras_stay_in_their_ranges_and_fill_them():
    method = made(azimuth_deg=200.0, low_deg=-20.0, high_deg=50.0, radius=5.0, focal_multiplier=1.5)
    hyperparameters = hyperparameters_of(method)
    keys = jax.random.split(jax.random.key(0), 400)
    rays = jax.jit(jax.vmap(lambda key: sample_training_rays(hyperparameters, method.render_px, key)))(keys)
    positions = np.asarray(rays.origins[:, 0])
    np.testing.assert_allclose(np.linalg.norm(positions, axis=1), 5, rtol=1e-5)
    azimuth = np.degrees(np.arctan2(positions[:, 1], positions[:, 0])) % 360
    elevation = np.degrees(np.arcsin(positions[:, 2] / 5))
    for found, low, high in ((azimuth, 0, 200), (elevation, -20, 50)):
        assert low - 0.01 <= found.min() < low + 0.03 * (high - low)
        assert high - 0.03 * (high - low) < found.max() <= high + 0.01
        assert found.mean() == pytest.approx((low + high) / 2, abs=0.05 * (high - low))
    axis = np.asarray(rays.directions).mean(axis=1)  # of a view's rays: looks at the origin, of length 1
    np.testing.assert_allclose(axis, -positions / 5, atol=1e-5)
    corner = np.asarray(rays.directions[:, 0]) - axis
    wanted = np.sqrt(2) * (1 - 1 / PX) * np.tan(np.radians(BLENDER_FOV_DEG) / 2) / 1.5
    np.testing.assert_allclose(np.linalg.norm(corner, axis=1), wanted, rtol=1e-4)
    reach = 3**0.5 * 1.2
    np.testing.assert_allclose(rays.near, 5 - reach, rtol=1e-5)
    np.testing.assert_allclose(rays.far, 5 + reach, rtol=1e-5)


def test_the_recipes_cameras_are_at_thirty_degrees_all_round():
    for method in (DREAM_FIELDS, DREAM_FIELDS_2022):
        assert (method.azimuth_deg, method.low_deg, method.high_deg, method.radius) == (360, 30, 30, 4)
    assert (DREAM_FIELDS_2022.focal_multiplier, DREAM_FIELDS_2022.half_width) == (1.2, 1.0)
