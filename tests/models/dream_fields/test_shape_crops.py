"""Pictures of the shape alone, against what they must not depend on."""

import jax
import jax.numpy as jnp
import numpy as np

from models.dream_fields.shape_crops import show_shape
from models.shading import MEAN_SHADE, SHADE_DEVIATION, shade

RNG = np.random.default_rng(2)

OPACITY = RNG.uniform(0, 1, (6, 6)) * (RNG.uniform(0, 1, (6, 6)) > 0.3)

STRAIGHT = RNG.uniform(0, 1, (6, 6, 3))


def as_arrays(straight, opacity):
    return jnp.asarray(straight * opacity[..., None], jnp.float32), jnp.asarray(opacity, jnp.float32)


def slow_shade(straight, opacity):
    luminance = straight @ np.array([0.2126, 0.7152, 0.0722])
    mean = np.average(luminance, weights=opacity)
    deviation = np.sqrt(np.average((luminance - mean) ** 2, weights=opacity))
    return opacity * np.clip(MEAN_SHADE + SHADE_DEVIATION * (luminance - mean) / deviation, 0, 1)


def test_shading_has_a_mean_and_a_spread_of_its_own():
    np.testing.assert_allclose(shade(*as_arrays(STRAIGHT, OPACITY)), slow_shade(STRAIGHT, OPACITY), atol=1e-4)
    darker = shade(*as_arrays(0.3 * STRAIGHT + 0.1, OPACITY))
    np.testing.assert_allclose(darker, slow_shade(STRAIGHT, OPACITY), atol=1e-3)
    assert np.isfinite(shade(jnp.zeros((6, 6, 3)), jnp.zeros((6, 6)))).all()


def test_what_is_shown_does_not_depend_on_hue():
    """Three kinds of surface; a flat one does not depend on the colours at all."""
    hues = np.broadcast_to([0.9, 0.2, 0.1], STRAIGHT.shape) * STRAIGHT[..., :1], STRAIGHT[..., :1] * np.ones(3)
    background = jnp.asarray(RNG.uniform(0, 1, (6, 6, 3)), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 40)
    seen = [
        np.asarray(jax.vmap(lambda key, hue=hue: show_shape(key, *as_arrays(hue, OPACITY), background))(keys))
        for hue in hues
    ]
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-3)
    empty = OPACITY == 0
    keeps_background = np.abs(seen[0] - np.asarray(background))[:, empty].max(axis=(1, 2)) < 1e-6
    assert 8 < keeps_background.sum() < 32
    inside = seen[0][:, OPACITY > 0]
    is_flat = [np.linalg.matrix_rank(crop - crop[:1], tol=1e-3) <= 1 for crop in inside[~keeps_background]]
    assert any(is_flat) and not all(is_flat)
