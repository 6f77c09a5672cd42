"""Changes pictures of objects so that an encoder has to look at the shape of the whole.

`hide_surface` leaves the shape alone: a silhouette, the shading, or the shading in one colour. `break_up` leaves the
parts alone: tiles in other places, or the whole warped; no caption is right for what it makes.

h and w: pixels.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from models.shading import shade, tint

NUM_TILES = 4
"""Tiles along a side of a picture that is broken up."""

WARP_SHARE = 0.16
"""Standard deviation of a warp, in widths of the picture."""

WARP_KNOTS = 4
"""Knots of a warp along a side; between them it is smooth."""


def hide_surface(key: PRNGKeyArray, picture: UInt8[Array, "h w 4"]) -> UInt8[Array, "h w 4"]:
    """Replace the colours of a picture: by one colour, by its shading in grey, or by its shading in one colour."""
    which_key, color_key = jax.random.split(key)
    which = jax.random.randint(which_key, (), 0, 3)
    color = jax.random.uniform(color_key, (3,))
    straight = picture.astype(jnp.float32) / 255
    opacity = straight[..., 3]
    shading = shade(straight[..., :3] * opacity[..., None], opacity) / jnp.maximum(opacity, 1e-3)
    flat = jnp.broadcast_to(color, (*picture.shape[:2], 3))
    grey = jnp.broadcast_to(shading[..., None], flat.shape)
    surface = jnp.stack([flat, grey, tint(grey, flat)])[which]
    return jnp.concatenate([round_to_bytes(surface), picture[..., 3:]], axis=-1)


def break_up(key: PRNGKeyArray, picture: UInt8[Array, "h w 4"]) -> UInt8[Array, "h w 4"]:
    """Shuffle the tiles of a picture, or warp it."""
    which_key, change_key = jax.random.split(key)
    shuffled = shuffle_tiles(change_key, picture)
    warped = warp_smoothly(change_key, picture)
    return jnp.where(jax.random.bernoulli(which_key), shuffled, warped)


def shuffle_tiles(key: PRNGKeyArray, picture: UInt8[Array, "h w 4"]) -> UInt8[Array, "h w 4"]:
    """Put the tiles of a picture into other places; its width is a multiple of their number."""
    size = picture.shape[0] // NUM_TILES
    tiles = picture.reshape(NUM_TILES, size, NUM_TILES, size, 4).swapaxes(1, 2).reshape(NUM_TILES**2, size, size, 4)
    moved = tiles[jax.random.permutation(key, NUM_TILES**2)]
    return moved.reshape(NUM_TILES, NUM_TILES, size, size, 4).swapaxes(1, 2).reshape(picture.shape)


def warp_smoothly(key: PRNGKeyArray, picture: UInt8[Array, "h w 4"]) -> UInt8[Array, "h w 4"]:
    """Move each pixel by a smooth random distance, with premultiplied opacity; beyond the edges nothing is seen."""
    image_px = picture.shape[0]
    knots = WARP_SHARE * image_px * jax.random.normal(key, (WARP_KNOTS, WARP_KNOTS, 2))
    moves = jax.image.resize(knots, (image_px, image_px, 2), method="cubic")
    pixels = jnp.stack(jnp.meshgrid(jnp.arange(image_px), jnp.arange(image_px), indexing="ij"), axis=-1) + moves
    straight = picture.astype(jnp.float32) / 255
    premultiplied = jnp.concatenate([straight[..., :3] * straight[..., 3:], straight[..., 3:]], axis=-1)

    def move(channel: Float[Array, "h w"]) -> Float[Array, "h w"]:
        return jax.scipy.ndimage.map_coordinates(channel, [pixels[..., 0], pixels[..., 1]], order=1, mode="constant")

    moved = jax.vmap(move, in_axes=-1, out_axes=-1)(premultiplied)
    colors = moved[..., :3] / jnp.maximum(moved[..., 3:], 1e-3)
    return round_to_bytes(jnp.concatenate([colors, moved[..., 3:]], axis=-1))


def round_to_bytes(values: Float[Array, "h w c"]) -> UInt8[Array, "h w c"]:
    """Round values in [0, 1] to bytes."""
    return jnp.round(jnp.clip(values, 0.0, 1.0) * 255).astype(jnp.uint8)
