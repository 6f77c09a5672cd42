"""Where along a ray a field is asked, and what piece of the ray each question stands for.

A ray is cut at fenceposts (`tdist`, sorted, in `t`) into bins; weights and densities belong to bins. NeRF asks at
points instead; NeRF's points are fenceposts too (see `fenceposts`). Nothing here passes a gradient on to densities.

*b: rays, p: fenceposts (p-1 bins), s: points on a ray, m: how many are drawn anew.

References:
    NeRF: Mildenhall et al. 2020, https://arxiv.org/abs/2003.08934.
    mip-NeRF: Barron et al. 2021, https://arxiv.org/abs/2103.13415.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from tasks.cameras import Rays


class Samples(NamedTuple):
    """Pieces of rays as a field is asked about them; a pytree.

    A piece is a Gaussian that is round across its ray. Its variance along any vector p is
    `t_var (d.p)^2 + r_var (|p|^2 - (d.p)^2 / |d|^2)`, so no covariance matrix is ever formed.

    Attributes:
        means: The middle of the piece, in scene units.
        directions: Of the ray, not normalised.
        t_var: Variance along the ray, in units of `t`; zero for a point.
        r_var: Variance across the ray, in scene units; zero for a point.
    """

    means: Float[Array, "*b 3"]
    directions: Float[Array, "*b 3"]
    t_var: Float[Array, "*b"]
    r_var: Float[Array, "*b"]


def fenceposts(
    near: Float[Array, "*b"], far: Float[Array, "*b"], num_bins: int, key: PRNGKeyArray | None = None
) -> Float[Array, "*b {num_bins}+1"]:
    """Cuts every ray between near and far; the first and last fencepost of a regular cut are near and far.

    The points of the released NeRF codes are the fenceposts of one bin fewer: `fenceposts(near, far, s - 1, key)`.

    Args:
        near: First `t`.
        far: Last `t`, not before near.
        num_bins: How many bins.
        key: Moves each fencepost at random within half a bin of its place, never out of the ray and never past its
            neighbour. None leaves them regular.
    """
    shape = (*near.shape, num_bins + 1)
    if key is not None:
        edges = np.clip((np.arange(num_bins + 2) - 0.5) / num_bins, 0, 1).astype(np.float32)
        low, high = _expand(edges[:-1], near.ndim), _expand(edges[1:], near.ndim)
        fractions = jnp.minimum(low + (high - low) * jax.random.uniform(key, shape), high)
    else:
        fractions = jnp.broadcast_to(jnp.arange(num_bins + 1, dtype=jnp.float32) / num_bins, shape)
    near, far = near[..., None], far[..., None]
    # Rounding is monotone, so this form keeps order; `minimum` and `where` keep it within the ray to the last bit.
    tdist = jnp.minimum(near + (far - near) * fractions, far)
    return jnp.where(fractions < 1, tdist, far)


def invert_cdf(
    tdist: Float[Array, "*b p"], weights: Float[Array, "*b p-1"], quantiles: Float[Array, "*b m"]
) -> Float[Array, "*b m"]:
    """Where a density that is constant in each bin, and integrates to the bin's weight, reaches given quantiles.

    The answer is near plus, for every bin, the part of its length that lies before the quantile: one fused sum over
    bins, with no search and no gather (both slow on accelerators and under `vmap`), monotone in the quantile.

    Args:
        tdist: Sorted.
        weights: Not negative, not all zero; any scale.
        quantiles: In [0, 1], in any order.
    """
    total = jnp.sum(weights, axis=-1, keepdims=True)
    inner = jnp.minimum(jnp.cumsum(weights[..., :-1], axis=-1) / total, 1)
    cdf = jnp.concatenate([jnp.zeros_like(total), inner, jnp.ones_like(total)], axis=-1)
    # A bin with no weight is passed as a whole at its quantile: a steep ramp does that without 0/0.
    slope = 1 / jnp.maximum(jnp.diff(cdf, axis=-1), 1e-12)
    part = jnp.clip((quantiles[..., None] - cdf[..., None, :-1]) * slope[..., None, :], 0, 1)
    lengths = jnp.diff(tdist, axis=-1)
    inside = tdist[..., :1] + jnp.sum(part * lengths[..., None, :], axis=-1)
    return jnp.clip(inside, tdist[..., :1], tdist[..., -1:])


def add_importance_points(
    t: Float[Array, "*b s"], weights: Float[Array, "*b s"], num_points: int, key: PRNGKeyArray | None = None
) -> Float[Array, "*b s+{num_points}"]:
    """NeRF's hierarchical sampling (section 5.2), as released: the old points and new ones, sorted.

    The density is that of the inner points' weights plus 1e-5, each spread over the bin between the middles on both
    sides of its point.

    Args:
        t: Sorted points of the coarse pass, at least three.
        weights: Theirs; no gradient passes.
        num_points: How many new ones.
        key: New points are drawn independently; None takes evenly spaced quantiles, 0 and 1 among them.
    """
    t, weights = jax.lax.stop_gradient((t, weights))
    middles = 0.5 * (t[..., 1:] + t[..., :-1])
    shape = (*t.shape[:-1], num_points)
    if key is not None:
        quantiles = jax.random.uniform(key, shape)
    else:
        quantiles = jnp.broadcast_to(jnp.linspace(0, 1, num_points, dtype=jnp.float32), shape)
    drawn = invert_cdf(middles, weights[..., 1:-1] + 1e-5, quantiles)
    return jnp.sort(jnp.concatenate([t, drawn], axis=-1), axis=-1)


def resample_fenceposts(
    tdist: Float[Array, "*b p"],
    weights: Float[Array, "*b p-1"],
    num_bins: int,
    key: PRNGKeyArray | None = None,
    *,
    padding: float = 0.01,
) -> Float[Array, "*b {num_bins}+1"]:
    """mip-NeRF's resampling (section 3.1): new fenceposts where the coarse pass saw something.

    Weights are blurred first (the larger of both neighbours, averaged), so that a surface at a bin's edge is found.

    Args:
        tdist: Sorted fenceposts of the coarse pass.
        weights: Of its bins; no gradient passes.
        num_bins: How many new bins; the old fenceposts are not kept.
        key: Jitters each quantile within its own stratum, so that the result is sorted; None takes evenly spaced
            ones, 0 and 1 among them.
        padding: Added to every blurred weight, so that empty space is still visited.
    """
    tdist, weights = jax.lax.stop_gradient((tdist, weights))
    padded = jnp.concatenate([weights[..., :1], weights, weights[..., -1:]], axis=-1)
    larger = jnp.maximum(padded[..., :-1], padded[..., 1:])
    blurred = 0.5 * (larger[..., :-1] + larger[..., 1:])
    num = num_bins + 1
    shape = (*tdist.shape[:-1], num)
    if key is not None:
        strata = jnp.arange(num, dtype=jnp.float32)
        quantiles = (_expand(strata, len(shape) - 1) + jax.random.uniform(key, shape)) / num
    else:
        quantiles = jnp.broadcast_to(jnp.linspace(0, 1, num, dtype=jnp.float32), shape)
    return invert_cdf(tdist, blurred + padding, quantiles)


def samples_on_rays(rays: Rays, t: Float[Array, "*b s"]) -> Samples:
    """Points on rays, with no extent."""
    directions = jnp.broadcast_to(rays.directions[..., None, :], (*t.shape, 3))
    zero = jnp.zeros_like(t)
    return Samples(rays.origins[..., None, :] + directions * t[..., None], directions, zero, zero)


def samples_at_points(where: Float[Array, "*b 3"], direction: tuple[float, float, float] = (0.0, 0.0, -1.0)) -> Samples:
    """Points that no ray asks for, as for a mesh.

    Args:
        where: In scene units.
        direction: From where they are seen, for fields that depend on it; the default looks straight down.
    """
    directions = jnp.broadcast_to(jnp.asarray(direction, jnp.float32), where.shape)
    zero = jnp.zeros(where.shape[:-1], jnp.float32)
    return Samples(where, directions, zero, zero)


def conical_frustums(rays: Rays, tdist: Float[Array, "*b p"], *, variance_scale: float = 1.0) -> Samples:
    """Gaussians with the mean and the variances of the pixel's cone between two fenceposts (mip-NeRF, equation 7).

    `Rays.radius` already holds the 2 / sqrt(12) that makes a cone as wide as its pixel; nothing is divided again.

    Args:
        rays: Their radius is the cone's at t = 1.
        tdist: Fenceposts, sorted.
        variance_scale: Multiplies the variance across the ray. 1/12 gives what the released Dream Fields code has,
            which divides by 12 once more (and takes the bin's middle as its mean, which hardly differs).
    """
    middle = 0.5 * (tdist[..., 1:] + tdist[..., :-1])
    half = 0.5 * (tdist[..., 1:] - tdist[..., :-1])
    # Moments in the half length's share q, which is in [0, 1]: no high powers of t, no difference of large numbers.
    share = half**2 / jnp.maximum(3 * middle**2 + half**2, np.finfo(np.float32).tiny)
    t_mean = middle * (1 + 2 * share)
    t_var = half**2 / 3 - (4 / 15) * share**2 * (12 * middle**2 - half**2)
    r_var = rays.radius[..., None] ** 2 * (middle**2 / 4 + (5 / 12 - (4 / 15) * share) * half**2)
    samples = samples_on_rays(rays, t_mean)
    return samples._replace(t_var=t_var, r_var=r_var * variance_scale)


def scale_covariances(samples: Samples, scale: float | Float[Array, ""]) -> Samples:
    """The same pieces with their standard deviations multiplied: how Dream Fields anneals its encoding from 2 to 1."""
    return samples._replace(t_var=samples.t_var * scale**2, r_var=samples.r_var * scale**2)


def _expand(x: Float[Array | np.ndarray, " k"], num_leading: int) -> Float[Array, "*ones k"]:
    """Adds leading axes of length one: rank promotion is an error in this project."""
    return jnp.expand_dims(x, tuple(range(num_leading)))
