"""Computes the loss terms that keep an object of Dream Fields solid: transmittance and a prior on opacity.

Dense fog may match a caption too. These terms ask that most of the view is empty and that each ray is either stopped
or let through.

p: pixels along a side of the training view.

References:
    Dream Fields: Jain et al. 2022, https://arxiv.org/abs/2112.01455, section 4.5.
    Beta prior: Lombardi et al. 2019, "Neural Volumes", https://arxiv.org/abs/1906.07751, section 5.
"""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from models.method import Hyperparameters

Transmittance = Literal["none", "clipped additive", "gated", "clipped gated"]

TRANSMITTANCE: tuple[Transmittance, ...] = ("none", "clipped additive", "gated", "clipped gated")


def transmittance_loss(
    form: Float[Array, ""],
    weight: Float[Array, ""],
    negative_cosine: Float[Array, ""],
    transmittance: Float[Array, ""],
    target: Float[Array, ""],
) -> Float[Array, ""]:
    """Add the reward for empty space to the caption loss.

    Args:
        form: Index in `TRANSMITTANCE`.
        weight: Weight of the additive form.
        negative_cosine: Mean negative cosine between crops and caption.
        transmittance: Mean transmittance of the view.
        target: Transmittance above this is not rewarded.

    References:
        Dream Fields, equations 8 and 9 (additive) and 11 (gated). In one place the text gives the gated forms the
        opposite sign; this sign is the one that minimises a negative cosine.
    """
    clipped = jnp.minimum(transmittance, target)
    forms = jnp.stack(
        [
            negative_cosine,
            negative_cosine - weight * clipped,
            transmittance * negative_cosine,
            clipped * negative_cosine,
        ]
    )
    return jnp.sum(jnp.where(jnp.arange(len(TRANSMITTANCE)) == form, forms, 0))


def opacity_target(hyperparameters: Hyperparameters, progress: Float[Array, ""]) -> Float[Array, ""]:
    """Anneals the target of mean opacity (1 minus transmittance) exponentially from its first to its last value.

    Args:
        hyperparameters: Of `DreamFields`.
        progress: Share of the training steps that are done.
    """
    share = jnp.minimum(1, progress / jnp.maximum(hyperparameters["opacity_share"], 1e-6))
    first = hyperparameters["first_opacity"]
    return first * (hyperparameters["last_opacity"] / first) ** share


def beta_prior(opacity: Float[Array, "p p"]) -> Float[Array, ""]:
    """Compute the beta prior on ray opacity (Neural Volumes, section 5), which is smallest, about 0, at 0 and 1."""
    return jnp.mean(jnp.log(0.1 + opacity) + jnp.log(1.1 - opacity) - jnp.log(0.1) - jnp.log(1.1))
