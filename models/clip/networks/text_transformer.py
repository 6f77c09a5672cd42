"""Defines CLIP's text transformer, the text tower.

b: texts, t: tokens of the context, w: width, f: features.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float, Int

from models.clip.networks.transformer import Activation, Block, causal_mask, layer_norm


class TextTransformer(linen.Module):
    """CLIP's text transformer: causal self-attention, and a text feature taken at the end-of-text token.

    Attributes:
        num_tokens: Size of the vocabulary.
        context_length: Tokens of a text, including padding.
        width: Features of a token.
        depth: Transformer blocks.
        num_heads: Heads of each block.
        embedding_dim: Dimensions of the space shared with images.
        activation: Activation that the checkpoint was trained with.
        end_of_text: Id of the end-of-text token, whose first occurrence counts. None takes the token with the largest
            id, which in CLIP's own vocabulary is the end-of-text token.
        hidden_width: Units of the blocks' hidden layers; None for four times the width.
        dtype: Compute type; parameters are float32.
    """

    num_tokens: int
    context_length: int
    width: int
    depth: int
    num_heads: int
    embedding_dim: int
    activation: Activation
    end_of_text: int | None = None
    hidden_width: int | None = None
    dtype: Any = jnp.float32

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that it computes."""
        return ("embedding", "end_token", *(f"block_{i}" for i in range(self.depth + 1)))

    @linen.compact
    def __call__(
        self, tokens: Int[Array, "b t"], feature: str | None = "embedding"
    ) -> Float[Array, "b f"] | dict[str, Array]:
        """Compute one feature of texts.

        Args:
            tokens: Token ids. Tokens after the end-of-text token have no effect.
            feature: `embedding`: in the space shared with images, not normalised to length 1. `end_token`: after the
                last layer norm, before the projection. `block_k`: the end-of-text token after k blocks.
                None: all of them, by name.
        """
        end_score = tokens if self.end_of_text is None else tokens == self.end_of_text
        end = jnp.argmax(end_score, axis=1)[:, None, None]
        spread = jax.nn.initializers.normal(0.02)
        embed = linen.Embed(self.num_tokens, self.width, dtype=self.dtype, embedding_init=spread, name="tokens")
        positions = self.param("positions", jax.nn.initializers.normal(0.01), (self.context_length, self.width))
        x = embed(tokens) + positions[None].astype(self.dtype)
        mask = causal_mask(self.context_length)
        outputs = {}
        for i in range(self.depth + 1):
            outputs[f"block_{i}"] = jnp.take_along_axis(x, end, axis=1)[:, 0]
            if feature in outputs:
                return outputs[feature]
            if i < self.depth:
                x = Block(
                    num_heads=self.num_heads,
                    depth=self.depth,
                    activation=self.activation,
                    hidden_width=self.hidden_width,
                    dtype=self.dtype,
                    name=f"block_{i}",
                )(x, mask)
        pooled = layer_norm("norm_after")(outputs[f"block_{self.depth}"]).astype(self.dtype)
        outputs["end_token"] = pooled
        if feature in outputs:
            return pooled
        spread = jax.nn.initializers.normal(self.width**-0.5)
        projection = self.param("projection", spread, (self.width, self.embedding_dim))
        outputs["embedding"] = pooled @ projection.astype(self.dtype)
        return outputs["embedding"] if feature else outputs
