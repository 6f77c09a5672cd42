"""Shows the shape of an object alone: its colours are replaced by one colour, or by its shading.

A guide that was trained on such pictures with the word for the thing ("chair") finds no colour or texture in them that
could stand for the shape.

h and w: pixels of a crop.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from models import augmentations
from models.shading import shade, tint


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
    surfaces = jnp.stack([covered * color, shading, tint(shading, color)])
    behind = jnp.broadcast_to(jax.random.uniform(behind_key, (3,)), background.shape)
    background = jnp.where(jax.random.bernoulli(plain_key), behind, background)
    return augmentations.composite_over(background, surfaces[jax.random.randint(which_key, (), 0, 3)], opacity)
