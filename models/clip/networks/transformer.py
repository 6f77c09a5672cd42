"""Defines CLIP's transformer block: pre-norm attention and a two-layer network, for both images and text.

Layer norms and softmaxes always run in float32, whatever the compute type.

b: images or texts, t: tokens, w: width.

References:
    Radford et al., Learning transferable visual models from natural language supervision, 2021.
"""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array, Bool, Float

Activation = Literal["quick_gelu", "gelu"]


def activate(x: Float[Array, "*b"], activation: Activation) -> Float[Array, "*b"]:
    """Apply the activation that a checkpoint was trained with; the other one gives wrong features without any error.

    Args:
        x: Any shape.
        activation: `quick_gelu` for OpenAI's weights (x times a sigmoid), `gelu` (exact) for LAION's.
    """
    if activation == "quick_gelu":
        return x * jax.nn.sigmoid(1.702 * x)
    return jax.nn.gelu(x, approximate=False)


def layer_norm(name: str) -> linen.LayerNorm:
    """Make a layer norm with PyTorch's settings."""
    # The fast variance is a difference of two large numbers, which loses digits that equality with PyTorch needs.
    return linen.LayerNorm(epsilon=1e-5, dtype=jnp.float32, use_fast_variance=False, name=name)


def causal_mask(num_tokens: int) -> Bool[np.ndarray, "t t"]:
    """Make the mask by which each token attends to itself and to earlier tokens only."""
    return np.tril(np.ones((num_tokens, num_tokens), bool))


class Attention(linen.Module):
    """Multi-head self-attention.

    Attributes:
        num_heads: Must divide the width.
        out_std: Standard deviation of the output's initial weights.
        dtype: Compute type.
    """

    num_heads: int
    out_std: float
    dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, x: Float[Array, "b t w"], mask: Bool[np.ndarray, "t t"] | None = None) -> Float[Array, "b t w"]:
        """Let each token attend to the tokens that `mask` allows; None allows all."""
        num_texts, num_tokens, width = x.shape
        head_width = width // self.num_heads
        # One matrix product computes queries, keys and values.
        qkv = linen.Dense(3 * width, dtype=self.dtype, kernel_init=_normal(width**-0.5), name="qkv")(x)
        query, key, value = jnp.moveaxis(qkv.reshape(num_texts, num_tokens, 3, self.num_heads, head_width), 2, 0)
        logits = jnp.einsum("bqhd,bkhd->bhqk", query * head_width**-0.5, key).astype(jnp.float32)
        if mask is not None:
            logits = jnp.where(mask[None, None], logits, -jnp.inf)
        weights = jax.nn.softmax(logits, axis=-1).astype(self.dtype)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, value).reshape(num_texts, num_tokens, width)
        return linen.Dense(width, dtype=self.dtype, kernel_init=_normal(self.out_std), name="out")(mixed)


class Block(linen.Module):
    """A residual block: attention, then a two-layer network, each after a layer norm.

    Attributes:
        num_heads: Heads of the attention.
        depth: Blocks of the whole transformer. Deeper ones start with smaller residuals.
        activation: Activation between the two layers.
        hidden_width: Units between the two layers; None for four times the width.
        dtype: Compute type, also of the residual stream.
    """

    num_heads: int
    depth: int
    activation: Activation
    hidden_width: int | None = None
    dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, x: Float[Array, "b t w"], mask: Bool[np.ndarray, "t t"] | None = None) -> Float[Array, "b t w"]:
        """Compute the input of the next block."""
        width = x.shape[-1]
        residual_std = width**-0.5 * (2 * self.depth) ** -0.5
        attention = Attention(num_heads=self.num_heads, out_std=residual_std, dtype=self.dtype, name="attention")
        x = x + attention(layer_norm("norm_1")(x).astype(self.dtype), mask)
        hidden = layer_norm("norm_2")(x).astype(self.dtype)
        hidden_width = self.hidden_width or 4 * width
        widen = linen.Dense(hidden_width, dtype=self.dtype, kernel_init=_normal((2 * width) ** -0.5), name="widen")
        narrow = linen.Dense(width, dtype=self.dtype, kernel_init=_normal(residual_std), name="narrow")
        return x + narrow(activate(widen(hidden), self.activation))


def _normal(std: float) -> jax.nn.initializers.Initializer:
    return jax.nn.initializers.normal(std)
