"""Attacks pictures during training, so that an encoder cannot be pleased by changes that a person does not see.

A field is optimised until its guide is pleased. A guide that was trained on pictures alone is pleased by a picture with
faint patterns, or by parts in the wrong places. Trained on pictures that were changed against it, it asks for changes
that people see too.

b: pictures of a batch, h and w: pixels.

References:
    Madry et al. 2018, https://arxiv.org/abs/1706.06083: projected gradient steps inside the training step.
    Santurkar et al. 2019, https://arxiv.org/abs/1906.09453: pictures that are optimised for such a classifier.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

STEP_SHARE = 2.5
"""Length of all steps together, in radii: the attack may turn round on its way."""


def attack_pictures(
    loss: Callable[[Float[Array, "b h w 3"]], Float[Array, ""]],
    pictures: Float[Array, "b h w 3"],
    radius: Float[Array, " b"],
    num_steps: int,
) -> Float[Array, "b h w 3"]:
    """Change pictures so that a loss grows.

    Args:
        loss: Of a batch of pictures; it is increased.
        pictures: sRGB in [0, 1].
        radius: Largest Euclidean length of each picture's change, over all its pixels and colours.
        num_steps: Gradient steps of the attack.

    Returns:
        Pictures in [0, 1] that are constants to a gradient.
    """

    def step(changed: Float[Array, "b h w 3"], _: None) -> tuple[Float[Array, "b h w 3"], None]:
        ascent = to_length(jax.grad(loss)(changed), radius * STEP_SHARE / num_steps, shrink_only=False)
        change = to_length(changed + ascent - pictures, radius, shrink_only=True)
        return jnp.clip(pictures + change, 0.0, 1.0), None

    changed, _ = jax.lax.scan(step, pictures, None, length=num_steps)
    return jax.lax.stop_gradient(changed)


def to_length(
    changes: Float[Array, "b h w 3"], length: Float[Array, " b"], *, shrink_only: bool
) -> Float[Array, "b h w 3"]:
    """Scale each picture's change to a Euclidean length; or only where it is longer."""
    found = jnp.sqrt(jnp.sum(changes**2, axis=(1, 2, 3)))
    factor = length / jnp.maximum(found, 1e-12)
    factor = jnp.minimum(factor, 1.0) if shrink_only else factor
    return changes * factor[:, None, None, None]
