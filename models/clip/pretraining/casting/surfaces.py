"""Says what surfaces look like and how they are lit, as numbers for the accelerator.

Colours, finishes, patterns and environments are those of `tasks.closed_world.appearance`. What a path tracer computes
is left out where a training picture can do without: light goes from a surface to the camera only, and a gloss mirrors
the environment alone.

g: things of a picture, s: slots, e and f: pixels of a texture, m and n: pixels of an environment, r: points, l: lights.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from models.clip.pretraining.casting.placed_objects import SLOTS
from tasks.closed_world import appearance
from tasks.closed_world.appearance import Family
from tasks.closed_world.meanings import FINISHES
from tasks.path_tracing.mitsuba_renderer import SHOULDER

TEXTURE_PX = 32
"""Width of a texture; those of the closed world divide it."""

SURFACES = ("diffuse", "roughplastic", "roughconductor")
"""Kinds of surfaces, by Mitsuba's names, in the order of their numbers."""

COAT = 0.053
"""Share of light that a clear coat with a refractive index of 1.6 mirrors, seen from straight ahead."""


class Look(NamedTuple):
    """Says what a thing of one colour and finish looks like.

    Attributes:
        texture: Linear colour of the body; plain bodies have one colour.
        colors: Linear colour of each slot.
        surfaces: Index in `SURFACES` of each slot.
        pattern: Index in `FINISHES`.
    """

    texture: Float[np.ndarray, "e f 3"]
    colors: Float[np.ndarray, "s 3"]
    surfaces: Int[np.ndarray, " s"]
    pattern: int


@functools.lru_cache(maxsize=256)
def look_of(color: str, finish: str) -> Look:
    """Read the look of a colour and finish from the fragments that Mitsuba is given."""
    colors = []
    surfaces = []
    texture = None
    materials = appearance.materials(color, finish)
    for slot in SLOTS:
        bsdf = materials[slot]["bsdf"]
        shown = _reflectance(bsdf)
        if slot == "body":
            texture = _texture(shown)
        colors.append(np.asarray(shown["value"]) if "value" in shown else np.zeros(3))
        surfaces.append(SURFACES.index(bsdf["type"]))
    assert texture is not None
    return Look(
        texture.astype(np.float32), np.stack(colors).astype(np.float32), np.asarray(surfaces), FINISHES.index(finish)
    )


def _reflectance(bsdf: dict[str, Any]) -> dict[str, Any]:
    """Return the fragment that holds a material's colour."""
    names = ("reflectance", "diffuse_reflectance", "specular_reflectance")
    return next(bsdf[name] for name in names if name in bsdf)


def _texture(shown: dict[str, Any]) -> Float[np.ndarray, "e f 3"]:
    """Repeat the pixels of a texture, or a plain colour, up to the common size."""
    pixels = np.asarray(shown["pixels"] if "pixels" in shown else [[shown["value"]]])
    rows, columns = pixels.shape[:2]
    return np.repeat(np.repeat(pixels, TEXTURE_PX // rows, axis=0), TEXTURE_PX // columns, axis=1)


@functools.lru_cache(maxsize=8)
def environments(family: Family, num: int) -> Float[np.ndarray, "num m n 3"]:
    """Compute the first environments of a family; rows go from the top down, columns from +y toward +x."""
    return np.stack([appearance.light(family, number)["pixels"] for number in range(num)]).astype(np.float32)


def sample_lights(
    environment: Float[Array, "m n 3"], uniform: Float[Array, " l"]
) -> tuple[Float[Array, "l 3"], Float[Array, "l 3"]]:
    """Draw directions of light where an environment is bright.

    Args:
        environment: Radiance.
        uniform: Uniform in [0, 1), one a light, best spread evenly.

    Returns:
        Directions toward the light, and what each adds to the irradiance of a surface that faces it.
    """
    rows, columns = environment.shape[:2]
    area = jnp.sin(jnp.pi * (jnp.arange(rows) + 0.5) / rows) * (2 * jnp.pi / columns) * (jnp.pi / rows)
    power = environment.mean(axis=-1) * area[:, None]
    total = power.sum()
    place = jnp.searchsorted(jnp.cumsum(power.reshape(-1)) / total, uniform)
    place = jnp.minimum(place, rows * columns - 1)
    radiance = environment.reshape(-1, 3)[place]
    added = radiance / radiance.mean(axis=-1, keepdims=True) * total / uniform.shape[0]
    return direction_of(place // columns, place % columns, rows), added


def direction_of(row: Int[Array, "*l"], column: Int[Array, "*l"], num_rows: int) -> Float[Array, "*l 3"]:
    """Compute the direction toward a pixel of an environment."""
    polar = jnp.pi * (row + 0.5) / num_rows
    around = jnp.pi * (column + 0.5) / num_rows
    return jnp.stack([jnp.sin(around) * jnp.sin(polar), jnp.cos(around) * jnp.sin(polar), jnp.cos(polar)], axis=-1)


def look_up_radiance(environment: Float[Array, "m n 3"], directions: Float[Array, "r 3"]) -> Float[Array, "r 3"]:
    """Look up the radiance from directions, bilinearly."""
    rows = environment.shape[0]
    polar = jnp.arccos(jnp.clip(directions[:, 2], -1.0, 1.0))
    around = jnp.mod(jnp.arctan2(directions[:, 0], directions[:, 1]), 2 * jnp.pi)
    places = [polar * rows / jnp.pi - 0.5, around * rows / jnp.pi - 0.5]

    def look(channel: Float[Array, "m n"]) -> Float[Array, " r"]:
        return jax.scipy.ndimage.map_coordinates(channel, places, order=1, mode="wrap")

    return jax.vmap(look, in_axes=-1, out_axes=-1)(environment)


def blur_environment(environment: Float[Array, "m n 3"]) -> Float[Array, "m n 3"]:
    """Blur an environment as brushed metal mirrors it: over some 10 degrees."""
    rows, columns = environment.shape[:2]
    small = environment.reshape(rows // 4, 4, columns // 4, 4, 3).mean(axis=(1, 3))
    return jax.image.resize(small, environment.shape, "linear")


def to_srgb(radiance: Float[Array, "r 3"]) -> Float[Array, "r 3"]:
    """Apply the tone curve of `tasks.path_tracing.mitsuba_renderer.to_srgb_uint8`, without rounding."""
    room = 1 - SHOULDER
    above = jnp.maximum(radiance - SHOULDER, 0) / room
    color = jnp.clip(radiance, 0, SHOULDER) + room * above / (1 + above)
    return jnp.where(color <= 0.0031308, 12.92 * color, 1.055 * jnp.maximum(color, 1e-9) ** (1 / 2.4) - 0.055)
