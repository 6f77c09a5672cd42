"""Places samples along rays.

Fenceposts (`tdist`, sorted, in `t`) divide a ray into bins; weights and densities belong to bins. NeRF samples points
instead; its points are fenceposts too (see `fenceposts`). No function here passes a gradient to densities.

*b: rays, p: fenceposts (p-1 bins), s: points on a ray, m: new samples.

References:
    NeRF: Mildenhall et al. 2020, https://arxiv.org/abs/2003.08934.
    mip-NeRF: Barron et al. 2021, https://arxiv.org/abs/2103.13415.
    mip-NeRF 360: Barron et al. 2022, https://arxiv.org/abs/2111.12077.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from tasks.cameras import Rays


class Samples(NamedTuple):
    """Holds the samples at which a field is evaluated: Gaussians, or points. A pytree.

    A Gaussian is symmetric about its ray. Its variance along any vector p is
    `t_var (d.p)^2 + r_var (|p|^2 - (d.p)^2 / |d|^2)`, so that no covariance matrix is needed.

    Attributes:
        means: Position of the mean, in scene units.
        directions: Direction of the ray, not normalised.
        t_var: Variance along the ray, in units of `t`; zero for a point.
        r_var: Variance across the ray, in scene units; zero for a point.
        covariance: Stands for both variances where a Gaussian is not symmetric about its ray; else None.
    """

    means: Float[Array, "*b 3"]
    directions: Float[Array, "*b 3"]
    t_var: Float[Array, "*b"]
    r_var: Float[Array, "*b"]
    covariance: Float[Array, "*b 3 3"] | None = None


def fenceposts(
    near: Float[Array, "*b"], far: Float[Array, "*b"], num_bins: int, key: PRNGKeyArray | None = None
) -> Float[Array, "*b {num_bins}+1"]:
    """Place fenceposts between near and far of every ray; regular ones begin with near and end with far.

    The points of the released NeRF codes are the fenceposts of one bin fewer: `fenceposts(near, far, s - 1, key)`.

    Args:
        near: First `t`.
        far: Last `t`, at least near.
        num_bins: Number of bins.
        key: Jitters each fencepost by up to half a bin, but not out of the ray and not past its neighbour. None leaves
            them regular.
    """
    shape = (*near.shape, num_bins + 1)
    if key is not None:
        edges = np.clip((np.arange(num_bins + 2) - 0.5) / num_bins, 0, 1).astype(np.float32)
        low = _expand(edges[:-1], near.ndim)
        high = _expand(edges[1:], near.ndim)
        fractions = jnp.minimum(low + (high - low) * jax.random.uniform(key, shape), high)
    else:
        fractions = jnp.broadcast_to(jnp.arange(num_bins + 1, dtype=jnp.float32) / num_bins, shape)
    near = near[..., None]
    far = far[..., None]
    # Rounding is monotone, so that this formula keeps the order; `minimum` and `where` keep every bit within the ray.
    tdist = jnp.minimum(near + (far - near) * fractions, far)
    return jnp.where(fractions < 1, tdist, far)


def space_inverse_depths(
    near: Float[Array, "*b"], far: Float[Array, "*b"], shares: Float[Array, "*b p"]
) -> Float[Array, "*b p"]:
    """Turn shares of the way from near to far into `t`, so that equal steps are equal steps of inverse depth.

    Of a scene without an end, half of the samples then lie within twice the near depth. mip-NeRF 360, equation 11.

    Args:
        near: First `t`, above 0.
        far: Last `t`, at least near.
        shares: Sorted, from 0 (near) to 1 (far).
    """
    near = near[..., None]
    far = far[..., None]
    t = 1 / ((1 - shares) / near + shares / far)
    # The reciprocal of a reciprocal is not exact, and no sample may leave the ray.
    return jnp.where(shares < 1, jnp.clip(t, near, far), far)


def invert_cdf(
    tdist: Float[Array, "*b p"], weights: Float[Array, "*b p-1"], quantiles: Float[Array, "*b m"]
) -> Float[Array, "*b m"]:
    """Invert the CDF of a density that is constant in each bin and integrates to the bin's weight.

    The result is near plus, for every bin, the part of its length that lies before the quantile. This is one fused sum
    over bins without search or gather, which are slow on accelerators and under `vmap`. It is monotone in the quantile.

    Args:
        tdist: Sorted fenceposts.
        weights: Not negative, not all zero; of any sum.
        quantiles: In [0, 1], in any order.
    """
    total = jnp.sum(weights, axis=-1, keepdims=True)
    inner = jnp.minimum(jnp.cumsum(weights[..., :-1], axis=-1) / total, 1)
    cdf = jnp.concatenate([jnp.zeros_like(total), inner, jnp.ones_like(total)], axis=-1)
    # The CDF jumps over a bin of weight 0. A steep slope does that without computing 0/0.
    slope = 1 / jnp.maximum(jnp.diff(cdf, axis=-1), 1e-12)
    part = jnp.clip((quantiles[..., None] - cdf[..., None, :-1]) * slope[..., None, :], 0, 1)
    lengths = jnp.diff(tdist, axis=-1)
    inside = tdist[..., :1] + jnp.sum(part * lengths[..., None, :], axis=-1)
    return jnp.clip(inside, tdist[..., :1], tdist[..., -1:])


def add_importance_points(
    t: Float[Array, "*b s"], weights: Float[Array, "*b s"], num_points: int, key: PRNGKeyArray | None = None
) -> Float[Array, "*b s+{num_points}"]:
    """Add NeRF's importance samples (section 5.2) to the coarse points, as released, and sort all.

    The density to sample from is the weight of each inner point plus 1e-5, spread over the bin between the midpoints
    on both sides of the point.

    Args:
        t: Sorted points of the coarse level, at least three.
        weights: Weights of these points. No gradient passes.
        num_points: Number of new points.
        key: Draws the new points independently. None takes evenly spaced quantiles, including 0 and 1.
    """
    t, weights = jax.lax.stop_gradient((t, weights))
    middles = 0.5 * (t[..., 1:] + t[..., :-1])
    shape = (*t.shape[:-1], num_points)
    if key is not None:
        quantiles = jax.random.uniform(key, shape)
    else:
        quantiles = jnp.broadcast_to(jnp.linspace(0, 1, num_points, dtype=jnp.float32), shape)
    new_points = invert_cdf(middles, weights[..., 1:-1] + 1e-5, quantiles)
    return jnp.sort(jnp.concatenate([t, new_points], axis=-1), axis=-1)


def resample_fenceposts(
    tdist: Float[Array, "*b p"],
    weights: Float[Array, "*b p-1"],
    num_bins: int,
    key: PRNGKeyArray | None = None,
    *,
    padding: float = 0.01,
) -> Float[Array, "*b {num_bins}+1"]:
    """Place fenceposts in proportion to the coarse level's weights, as mip-NeRF does (section 3.1).

    Weights are first blurred (maximum of two neighbours, then mean of two), so that a surface at a bin's edge is found.

    Args:
        tdist: Sorted fenceposts of the coarse level.
        weights: Weights of its bins. No gradient passes.
        num_bins: Number of new bins. The old fenceposts are not kept.
        key: Jitters each quantile within its own stratum, so that the result is sorted. None takes evenly spaced
            quantiles, including 0 and 1.
        padding: Added to every blurred weight, so that empty space is still sampled.
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


def equal_blocks(num_rays: int, most: int) -> tuple[int, int]:
    """Divide rays into blocks of one size, as few as hold at most so many rays.

    Returns:
        Number of blocks, and rays in each: together at least `num_rays`, and fewer than one ray a block more.

    Example:
        >>> equal_blocks(28_224, 4096), equal_blocks(7_744, 4096), equal_blocks(100, 4096)
        ((7, 4032), (2, 3872), (1, 100))
    """
    num_blocks = -(-num_rays // most)
    return num_blocks, -(-num_rays // num_blocks)


def samples_on_rays(rays: Rays, t: Float[Array, "*b s"]) -> Samples:
    """Make samples without extent at given distances along rays."""
    directions = jnp.broadcast_to(rays.directions[..., None, :], (*t.shape, 3))
    zero = jnp.zeros_like(t)
    return Samples(rays.origins[..., None, :] + directions * t[..., None], directions, zero, zero)


def samples_at_points(where: Float[Array, "*b 3"], direction: tuple[float, float, float] = (0.0, 0.0, -1.0)) -> Samples:
    """Make samples without extent at given points, which belong to no ray, as for a mesh.

    Args:
        where: Points, in scene units.
        direction: View direction, for fields that depend on it; the default looks straight down.
    """
    directions = jnp.broadcast_to(jnp.asarray(direction, jnp.float32), where.shape)
    zero = jnp.zeros(where.shape[:-1], jnp.float32)
    return Samples(where, directions, zero, zero)


def conical_frustums(rays: Rays, tdist: Float[Array, "*b p"], *, variance_scale: float = 1.0) -> Samples:
    """Approximate the pixel's cone between neighbouring fenceposts by Gaussians (mip-NeRF, equation 7).

    `Rays.radius` already contains the factor 2 / sqrt(12) that makes a cone as wide as its pixel.

    Args:
        rays: Their radius is the cone's at t = 1.
        tdist: Sorted fenceposts.
        variance_scale: Multiplies the variance across the ray. 1/12 gives the variance of the released Dream Fields
            code, which divides by 12 twice (and takes the bin's middle as its mean, which hardly differs).
    """
    middle = 0.5 * (tdist[..., 1:] + tdist[..., :-1])
    half = 0.5 * (tdist[..., 1:] - tdist[..., :-1])
    # Moments as functions of this share, which is in [0, 1]: no high powers of t, no difference of large numbers.
    share = half**2 / jnp.maximum(3 * middle**2 + half**2, np.finfo(np.float32).tiny)
    t_mean = middle * (1 + 2 * share)
    t_var = half**2 / 3 - (4 / 15) * share**2 * (12 * middle**2 - half**2)
    r_var = rays.radius[..., None] ** 2 * (middle**2 / 4 + (5 / 12 - (4 / 15) * share) * half**2)
    samples = samples_on_rays(rays, t_mean)
    return samples._replace(t_var=t_var, r_var=r_var * variance_scale)


def scale_covariances(samples: Samples, scale: float | Float[Array, ""]) -> Samples:
    """Multiply the standard deviations of samples. Dream Fields anneals its encoding so, from 2 to 1."""
    covariance = None if samples.covariance is None else samples.covariance * scale**2
    return samples._replace(t_var=samples.t_var * scale**2, r_var=samples.r_var * scale**2, covariance=covariance)


def _expand(x: Float[Array | np.ndarray, " k"], num_leading: int) -> Float[Array, "*ones k"]:
    """Add leading axes of length 1, because rank promotion is an error in this project."""
    return jnp.expand_dims(x, tuple(range(num_leading)))
