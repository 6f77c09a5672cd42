"""Shows the shape of an object alone: its colours are replaced by one colour, or by its shading.

A guide that was trained on such pictures with the word for the thing ("chair") finds no colour or texture in them that
could stand for the shape.

h and w: pixels of a crop.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from models import augmentations

LUMINANCE = np.asarray([0.2126, 0.7152, 0.0722], np.float32)
"""Shares of red, green and blue in luminance, of Rec. 709."""

MEAN_SHADE = 0.55
"""Mean luminance of an object whose shading is shown."""

SHADE_DEVIATION = 0.2
"""Standard deviation of this luminance."""


def show_shape(
    key: PRNGKeyArray,
    premultiplied: Float[Array, "h w 3"],
    opacity: Float[Array, "h w"],
    background: Float[Array, "h w 3"],
) -> Float[Array, "h w 3"]:
    """Composite an object in one colour, in its shading, or in its tinted shading, a third each, over a background.

    Args:
        key: Of the choices and of colours.
        premultiplied: The object's colours, multiplied by its opacity.
        opacity: Of the object.
        background: It is replaced by one colour every second time.
    """
    which_key, color_key, plain_key, behind_key = jax.random.split(key, 4)
    color = jnp.broadcast_to(jax.random.uniform(color_key, (3,)), premultiplied.shape)
    shading = jnp.broadcast_to(shade(premultiplied, opacity)[..., None], premultiplied.shape)
    covered = jnp.broadcast_to(opacity[..., None], premultiplied.shape)
    surfaces = jnp.stack([covered * color, shading, shading * (0.3 + 0.7 * color)])
    behind = jnp.broadcast_to(jax.random.uniform(behind_key, (3,)), background.shape)
    background = jnp.where(jax.random.bernoulli(plain_key), behind, background)
    return augmentations.composite_over(background, surfaces[jax.random.randint(which_key, (), 0, 3)], opacity)


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
