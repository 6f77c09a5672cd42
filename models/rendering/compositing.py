"""How densities and colours along a ray become what a pixel shows: absorption and emission, nothing scattered.

All comes from the optical depth of each bin, density times length: its weight is the light that reaches the bin
times the share that the bin stops. Lengths are `t` times the norm of the direction.

*b: rays, n: bins (n+1 fenceposts), s: points on a ray.

References:
    Max 1995, "Optical models for direct volume rendering"; NeRF, equations 3 and 5, https://arxiv.org/abs/2003.08934.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from models.method import Views
from tasks.cameras import Rays

Background = float | Float[Array, ""] | Float[Array, "3"] | Float[Array, "*b 3"]
"""Grey level, one colour, or a colour for every ray."""


def render(
    density: Float[Array, "*b n"],
    color: Float[Array, "*b n 3"],
    tdist: Float[Array, "*b n+1"],
    rays: Rays,
    background: Background,
) -> tuple[Views, Float[Array, "*b n"]]:
    """What is seen, and the weights of bins in it; density and colour are constant in a bin.

    Args:
        density: An inverse length, not negative; may be infinite.
        color: In [0, 1].
        tdist: Sorted fenceposts.
        rays: What is not stopped on the way is `background`, at the distance `rays.far`.
        background: Seen through what the ray leaves.
    """
    lengths = jnp.diff(tdist, axis=-1) * _norm(rays)
    middles = 0.5 * (tdist[..., 1:] + tdist[..., :-1])
    return _composite(_optical_depth(density, lengths), color, middles, rays.far, background)


def render_points(
    density: Float[Array, "*b s"],
    color: Float[Array, "*b s 3"],
    t: Float[Array, "*b s"],
    rays: Rays,
    background: Background,
) -> tuple[Views, Float[Array, "*b s"]]:
    """As the released NeRF codes have it: a point stands for the way to the next one, the last for 1e10 more.

    So whatever density the last point has, it is a wall. That is their quirk, kept for the variants that reproduce
    them; `render` has no such wall.

    Args:
        density: See `render`.
        color: See `render`.
        t: Sorted points.
        rays: See `render`.
        background: See `render`.
    """
    ahead = jnp.concatenate([jnp.diff(t, axis=-1), jnp.full_like(t[..., :1], 1e10)], axis=-1)
    return _composite(_optical_depth(density, ahead * _norm(rays)), color, t, rays.far, background)


def ray_weights(optical_depth: Float[Array, "*b n"]) -> tuple[Float[Array, "*b n"], Float[Array, "*b"]]:
    """Weights of bins (not negative, sum at most 1) and the opacity of the ray, 1 minus what passes all bins."""
    total = jnp.cumsum(optical_depth, axis=-1)
    # Shifted, not `total - optical_depth`: that would lose what is small behind what is large, and be inf - inf.
    before = jnp.concatenate([jnp.zeros_like(total[..., :1]), total[..., :-1]], axis=-1)
    # expm1: a thin bin's 1 - exp(-x) would lose its digits.
    return -jnp.expm1(-optical_depth) * jnp.exp(-before), -jnp.expm1(-total[..., -1])


def _optical_depth(density: Float[Array, "*b n"], lengths: Float[Array, "*b n"]) -> Float[Array, "*b n"]:
    # At 1e8 nothing passes any more. Without a bound an infinite density makes inf * 0 in an empty bin and in
    # gradients; with it every product and sum stays finite. Where it acts, true gradients are zero too.
    return jnp.minimum(jnp.minimum(density, 1e25) * lengths, 1e8)


def _norm(rays: Rays) -> Float[Array, "*b 1"]:
    return jnp.linalg.norm(rays.directions, axis=-1, keepdims=True)


def _composite(
    optical_depth: Float[Array, "*b n"],
    color: Float[Array, "*b n 3"],
    t: Float[Array, "*b n"],
    far: Float[Array, "*b"],
    background: Background,
) -> tuple[Views, Float[Array, "*b n"]]:
    weights, opacity = ray_weights(optical_depth)
    passed = 1 - opacity
    seen = jnp.sum(weights[..., None] * color, axis=-2)
    behind = jnp.broadcast_to(jnp.asarray(background, jnp.float32), seen.shape)
    views = Views(
        color=seen + passed[..., None] * behind,
        opacity=opacity,
        distance=jnp.sum(weights * t, axis=-1) + passed * far,
    )
    return views, weights
