"""Composites densities and colours along a ray into a pixel, by absorption and emission without scattering.

The optical depth of a bin is its density times its length. The weight of a bin is the light that reaches it, times the
share of light that it stops. Lengths are differences of `t` times the norm of the direction.

*b: rays, n: bins (n+1 fenceposts), s: points on a ray.

References:
    Max 1995, "Optical models for direct volume rendering"; NeRF, equations 3 and 5, https://arxiv.org/abs/2003.08934.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from models.method import Views
from tasks.cameras import Rays

Background = float | Float[Array, ""] | Float[Array, "3"] | Float[Array, "*b 3"]
"""Grey level, one colour, or a colour for every ray."""

OPAQUE = 1e8
"""Optical depth that no light passes."""


def render(
    density: Float[Array, "*b n"],
    color: Float[Array, "*b n 3"],
    tdist: Float[Array, "*b n+1"],
    rays: Rays,
    background: Background,
    ends_opaque: Bool[Array, "*b"] | None = None,
) -> tuple[Views, Float[Array, "*b n"]]:
    """Composite bins of constant density and colour; return the views and the weights of the bins.

    Args:
        density: An inverse length, not negative; may be infinite.
        color: In [0, 1].
        tdist: Sorted fenceposts.
        rays: Light that is not stopped shows the background, at the distance `rays.far`.
        background: Behind the field.
        ends_opaque: Rays whose last bin stops all light that reaches it, whatever its density; None if there are none.
    """
    lengths = jnp.diff(tdist, axis=-1) * _norm(rays)
    middles = 0.5 * (tdist[..., 1:] + tdist[..., :-1])
    optical_depth = _optical_depth(density, lengths)
    if ends_opaque is not None:
        last = jnp.where(ends_opaque, OPAQUE, optical_depth[..., -1])
        optical_depth = jnp.concatenate([optical_depth[..., :-1], last[..., None]], axis=-1)
    return _composite(optical_depth, color, middles, rays.far, background)


def render_points(
    density: Float[Array, "*b s"],
    color: Float[Array, "*b s 3"],
    t: Float[Array, "*b s"],
    rays: Rays,
    background: Background,
) -> tuple[Views, Float[Array, "*b s"]]:
    """Composite points as the released NeRF codes do: each stands for the bin up to the next point.

    The last point stands for a bin of length 1e10, so that it is an opaque wall at any density. This is kept for the
    variants that reproduce those codes; `render` has no such wall.

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
    """Compute the weights of bins (not negative, sum at most 1), and the opacity of the ray."""
    total = jnp.cumsum(optical_depth, axis=-1)
    # Shifted, not `total - optical_depth`, which would lose small depths behind large ones and compute inf - inf.
    before = jnp.concatenate([jnp.zeros_like(total[..., :1]), total[..., :-1]], axis=-1)
    # expm1, because 1 - exp(-x) of a thin bin would lose its digits.
    return -jnp.expm1(-optical_depth) * jnp.exp(-before), -jnp.expm1(-total[..., -1])


def _optical_depth(density: Float[Array, "*b n"], lengths: Float[Array, "*b n"]) -> Float[Array, "*b n"]:
    # Without this bound an infinite density makes inf * 0 in a bin of length 0 and in gradients; with it every product
    # and sum is finite. Where the bound acts, true gradients are zero too.
    return jnp.minimum(jnp.minimum(density, 1e25) * lengths, OPAQUE)


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
    transmittance = 1 - opacity
    field_color = jnp.sum(weights[..., None] * color, axis=-2)
    behind = jnp.broadcast_to(jnp.asarray(background, jnp.float32), field_color.shape)
    views = Views(
        color=field_color + transmittance[..., None] * behind,
        opacity=opacity,
        distance=jnp.sum(weights * t, axis=-1) + transmittance * far,
    )
    return views, weights
