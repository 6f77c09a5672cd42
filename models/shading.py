"""Shows the shape of an object without its colours: its shading, in grey or tinted.

Encoders are trained on such pictures, and fields are shown so to their guides: both by these functions.

h and w: pixels.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

LUMINANCE = np.asarray([0.2126, 0.7152, 0.0722], np.float32)
"""Shares of red, green and blue in luminance, of Rec. 709."""

MEAN_SHADE = 0.55
"""Mean luminance of an object whose shading is shown."""

SHADE_DEVIATION = 0.2
"""Standard deviation of this luminance."""


def shade(premultiplied: Float[Array, "h w 3"], opacity: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """Compute the luminance of an object with a fixed mean and spread, multiplied by its opacity.

    Mean and spread of the object are taken as constants: no gradient goes through them.
    """
    luminance = jnp.einsum("hwc,c->hw", premultiplied, LUMINANCE, precision="highest")
    area = jnp.maximum(jnp.sum(opacity), 1.0)
    mean = jnp.sum(luminance) / area
    away = luminance - mean * opacity
    deviation = jnp.sqrt(jnp.sum(away**2 / jnp.maximum(opacity, 1e-3)) / area)
    mean, deviation = jax.lax.stop_gradient((mean, jnp.maximum(deviation, 0.02)))
    shaded = MEAN_SHADE * opacity + SHADE_DEVIATION / deviation * (luminance - mean * opacity)
    return jnp.clip(shaded, 0.0, opacity)


def tint(shading: Float[Array, "h w 3"], color: Float[Array, "h w 3"]) -> Float[Array, "h w 3"]:
    """Multiply shading by a colour that is made paler, so that dark ones show it too."""
    return shading * (0.3 + 0.7 * color)
