"""Turns a field's last value at a sample into density (an inverse length, not negative).

*b: any leading axes of samples.

References:
    VolSDF: Yariv et al. 2021, "Volume rendering of neural implicit surfaces", https://arxiv.org/abs/2106.12052.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from models.rendering.ray_sampling import Samples

DensityActivation = Literal["relu", "softplus", "shifted_softplus", "volsdf"]

FIRST_RADIUS = 0.7
"""Radius of the sphere that a signed distance begins as; a standard view of it has a mean opacity of about 0.19."""

FIRST_BETA = 0.1
"""Width of a surface before training, in scene units, as in VolSDF."""

LEAST_BETA = 1e-3
"""Width below which no surface is thinned by training."""

VALUE_SCALE = 0.1
"""What a field's value of 1 adds to the distance. At `FIRST_BETA` the value then counts as much as in a softplus."""

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": nn.relu,
    "softplus": nn.softplus,
    "shifted_softplus": lambda x: nn.softplus(x - 1),
}


def activate_density(
    field: nn.Module,
    raw: Float[Array, "*b"],
    samples: Samples,
    key: PRNGKeyArray | None,
    sharpness: Float[Array, ""] | None = None,
) -> Float[Array, "*b"]:
    """Add a field's density noise, if a key is given, and apply its density activation.

    Args:
        field: In whose `__call__` this is called: a signed distance has a parameter of its own there.
        raw: The field's last value.
        samples: Where.
        key: Of the noise.
        sharpness: Factor of the value before its activation, or of the thinness of a surface; None for 1.
    """
    if field.density_noise and key is not None:
        raw = raw + field.density_noise * jax.random.normal(key, raw.shape)
    if field.density_activation == "volsdf":
        return SurfaceDensity(name="surface")(raw, samples.means, sharpness)
    if sharpness is not None:
        raw = raw * sharpness
    return _ACTIVATIONS[field.density_activation](raw)


class SurfaceDensity(nn.Module):
    """Makes the density of VolSDF from a signed distance: one surface, whose width is learned.

    The distance, negative inside, is that of a sphere about the origin less the field's value. Nothing holds the
    gradient of the distance to length 1, so that it is a distance near the surface at most.
    """

    @nn.compact
    def __call__(
        self, value: Float[Array, "*b"], positions: Float[Array, "*b 3"], sharpness: Float[Array, ""] | None
    ) -> Float[Array, "*b"]:
        """Compute density from a field's value and positions."""
        log_beta = self.param("log_beta", nn.initializers.constant(math.log(FIRST_BETA - LEAST_BETA)), ())
        beta = LEAST_BETA + jnp.exp(log_beta)
        if sharpness is not None:
            beta = beta / sharpness
        # The small number keeps the gradient of the root finite at the origin.
        radius = jnp.sqrt(jnp.sum(positions**2, axis=-1) + 1e-12)
        return laplace_density(radius - FIRST_RADIUS - VALUE_SCALE * value, beta)


def laplace_density(distance: Float[Array, "*b"], beta: Float[Array, ""] | float) -> Float[Array, "*b"]:
    """Compute the cumulative Laplace distribution of a negated distance, divided by its scale.

    Args:
        distance: Signed distance to the surface, negative inside.
        beta: Width of the surface; far inside the density is 1 / beta.

    References:
        VolSDF, equations 2 and 3, with alpha = 1 / beta as in its section 3.
    """
    tail = 0.5 * jnp.exp(-jnp.abs(distance) / beta)  # one exponential that cannot overflow, for both sides
    return jnp.where(distance > 0, tail, 1 - tail) / beta
