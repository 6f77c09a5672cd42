"""Renders the view that a training step of Dream Fields looks at.

r: rays, k: fenceposts of a ray.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from models.dream_fields import proposal
from models.dream_fields.arrays import TrainingView
from models.dream_fields.bounds import ray_bounds
from models.dream_fields.losses import distortion_loss, normalized_distances
from models.method import Hyperparameters, Params, State
from models.ray_split import join_rays, split_rays
from models.rendering import compositing, ray_sampling
from tasks.cameras import Rays

if TYPE_CHECKING:
    from models.dream_fields.method import DreamFields

RAYS_AT_ONCE = 4096
"""Most rays in one block of a training view. With several blocks the backward pass recomputes activations."""

MIN_TOTAL_DENSITY = 1e-6
"""If the densities of a view sum to less, it has no centre of density."""


@jax.named_scope("rendering")
def render_training_view(
    method: DreamFields,
    params: Params,
    state: State,
    hyperparameters: Hyperparameters,
    rays: Rays,
    key: PRNGKeyArray,
    blur: Float[Array, ""],
) -> TrainingView:
    """Render a training view, block by block.

    Args:
        method: With its sizes.
        params: Of the field.
        state: Of the step.
        hyperparameters: Of the trial.
        rays: Of the view, row by row.
        key: Of the places of samples, and of noise.
        blur: Factor of the extent of samples.
    """
    assert method.render_px, "dream_fields: render_px is open; see tasks.budgets.sized"
    num_rays = method.render_px**2
    num_blocks, num_at_once = ray_sampling.equal_blocks(num_rays, RAYS_AT_ONCE)
    # Indices beyond the last ray fill up the last block: they render the last ray again, and count for nothing.
    indices = jnp.arange(num_blocks * num_at_once).reshape(num_blocks, num_at_once)
    keys = jax.random.split(key, num_blocks)

    def render_block(block: tuple[Int[Array, " r"], PRNGKeyArray]) -> tuple[Array, Array, Array, Array | None]:
        index, block_key = block
        block_rays: Rays = split_rays(jax.tree.map(lambda x: x[jnp.minimum(index, num_rays - 1)], rays))
        tdist_key, noise_key = jax.random.split(block_key)
        tdist = place_samples(method, state, hyperparameters, block_rays, tdist_key)
        density, color, means = method.query_field(params, state, hyperparameters, block_rays, tdist, noise_key, blur)
        views, weights = compositing.render(density, color, tdist, block_rays, 0.0)
        distortion = None
        if method.distortion_weight:
            spread = distortion_loss(weights, normalized_distances(tdist, block_rays))
            distortion = jnp.sum(jnp.where(index < num_rays, spread, 0))
        counted = jnp.where(index[:, None] < num_rays, density, 0)
        weighted_sum = jnp.sum(counted[..., None] * means, axis=(0, 1))
        pixels = jnp.concatenate([views.color, views.opacity[:, None]], axis=-1)
        return join_rays(pixels), jnp.sum(counted), weighted_sum, distortion

    if num_blocks > 1:
        # The backward pass computes all of it again: to keep what residual blocks return costs more than it saves.
        blocks = jax.lax.map(jax.checkpoint(render_block), (indices, keys))
    else:
        blocks = jax.tree.map(lambda x: x[None], render_block((indices[0], keys[0])))
    image, total, weighted_sum, distortion = blocks
    image = image.reshape(-1, 4)[:num_rays].reshape(method.render_px, method.render_px, 4)
    total, weighted_sum = jax.lax.stop_gradient((jnp.sum(total), jnp.sum(weighted_sum, axis=0)))
    if distortion is not None:
        distortion = jnp.sum(distortion) / num_rays
    return TrainingView(image, total, weighted_sum / jnp.maximum(total, MIN_TOTAL_DENSITY), distortion)


def place_samples(
    method: DreamFields, state: State, hyperparameters: Hyperparameters, rays: Rays, key: PRNGKeyArray
) -> Float[Array, "r k"]:
    """Place the fenceposts of training rays: at random in regular bins, or where the grid of densities says."""
    assert method.num_samples, "dream_fields: num_samples is open; see tasks.budgets.sized"
    near, far = ray_bounds(hyperparameters, rays, hyperparameters["bounds"])
    if method.proposal_bins is None:
        return ray_sampling.fenceposts(near, far, method.num_samples, key)
    return proposal.propose_fenceposts(
        state["density_grid"],
        hyperparameters["half_width"],
        rays,
        near,
        far,
        num_bins=method.proposal_bins,
        num_samples=method.num_samples,
        key=key,
    )
