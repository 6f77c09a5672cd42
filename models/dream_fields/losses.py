"""Computes the loss terms that keep an object of Dream Fields solid: transmittance, and priors on opacity and weights.

Dense fog may match a caption too. These terms ask that most of the view is empty and that each ray is either stopped
or let through.

p: pixels along a side of the training view, *b: rays, n: bins (n+1 fenceposts).

References:
    Dream Fields: Jain et al. 2022, https://arxiv.org/abs/2112.01455, section 4.5.
    Beta prior: Lombardi et al. 2019, "Neural Volumes", https://arxiv.org/abs/1906.07751, section 5.
    Distortion loss: Barron et al. 2022, "Mip-NeRF 360", https://arxiv.org/abs/2111.12077, equation 15.
"""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from models.method import Hyperparameters
from tasks.cameras import Rays

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


def distortion_loss(weights: Float[Array, "*b n"], fenceposts: Float[Array, "*b n+1"]) -> Float[Array, "*b"]:
    """Compute the distortion loss of rays: small if the weights are few, near each other, and in short bins.

    It is the integral over all pairs of points on the ray of the product of their weights times their distance. The
    sum over pairs of bins is computed from running sums in one pass.

    Args:
        weights: Of the bins.
        fenceposts: Sorted, from 0 to 1 along a ray.

    References:
        Mip-NeRF 360, equation 15.
    """
    middles = 0.5 * (fenceposts[..., 1:] + fenceposts[..., :-1])
    weighted = weights * middles
    before = jnp.cumsum(weights, axis=-1) - weights
    weighted_before = jnp.cumsum(weighted, axis=-1) - weighted
    between = 2 * jnp.sum(weights * (middles * before - weighted_before), axis=-1)
    within = jnp.sum(weights**2 * jnp.diff(fenceposts, axis=-1), axis=-1) / 3
    return between + within


def normalized_distances(tdist: Float[Array, "*b k"], rays: Rays) -> Float[Array, "*b k"]:
    """Map distances along rays so that the rays' near is 0 and their far is 1."""
    near = rays.near[..., None]
    return (tdist - near) / (rays.far[..., None] - near)
