"""Contracts all of space into a ball of radius 2, for scenes without an end: the unit ball stays as it is.

*b: any leading axes of samples.

References:
    mip-NeRF 360: Barron et al. 2022, https://arxiv.org/abs/2111.12077, equations 9 and 10.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from models.rendering.ray_sampling import Samples


def contract_points(points: Float[Array, "*b 3"]) -> Float[Array, "*b 3"]:
    """Contract points: one at a distance r above 1 moves to distance 2 - 1 / r (equation 10).

    Example:
        >>> print(contract_points(jnp.asarray([[0.5, 0.0, 0.0], [4.0, 0.0, 0.0]])))
        [[0.5  0.   0.  ]
         [1.75 0.   0.  ]]
    """
    return points * _ratio(_distance(points))


def contract_samples(samples: Samples, *, has_extent: bool) -> Samples:
    """Contract samples; directions stay those of the rays, as colours depend on them.

    Args:
        samples: Points or Gaussians.
        has_extent: Whether they are Gaussians. Their covariance is mapped by the contraction's derivative at the mean
            (equation 9), after which they are no longer symmetric about their rays.
    """
    means = contract_points(samples.means)
    if not has_extent:
        return samples._replace(means=means)
    return samples._replace(means=means, covariance=_contract_covariance(samples))


def contraction_jacobian(points: Float[Array, "*b 3"]) -> Float[Array, "*b 3 3"]:
    """Compute the derivative of `contract_points`, a symmetric matrix.

    Along the radius it is 1 / r^2, across it 2 / r - 1 / r^2.
    """
    distance = _distance(points)
    across = _ratio(distance)
    along = 1 / distance**2
    radius = points / distance
    identity = jnp.broadcast_to(jnp.eye(3), (*points.shape, 3))
    return across[..., None] * identity + (along - across)[..., None] * (radius[..., :, None] * radius[..., None, :])


def _distance(points: Float[Array, "*b 3"]) -> Float[Array, "*b 1"]:
    """Return the distance from the origin, at least 1: within the unit ball nothing moves."""
    return jnp.sqrt(jnp.maximum(jnp.sum(points**2, axis=-1, keepdims=True), 1.0))


def _ratio(distance: Float[Array, "*b 1"]) -> Float[Array, "*b 1"]:
    return (2 - 1 / distance) / distance


def _contract_covariance(samples: Samples) -> Float[Array, "*b 3 3"]:
    """Map the covariance of Gaussians that are symmetric about their rays."""
    jacobian = contraction_jacobian(samples.means)
    # Sums of products instead of matmuls, whose default precision on accelerators is too low for variances.
    direction = jnp.sum(jacobian * samples.directions[..., None, :], axis=-1)
    squared = jnp.sum(jacobian[..., :, :, None] * jacobian[..., None, :, :], axis=-2)
    norm_squared = jnp.maximum(jnp.sum(samples.directions**2, axis=-1), 1e-20)
    excess = (samples.t_var - samples.r_var / norm_squared)[..., None, None]
    return excess * (direction[..., :, None] * direction[..., None, :]) + samples.r_var[..., None, None] * squared
