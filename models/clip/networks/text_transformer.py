"""What a text tower of CLIP reads: tokens up to the end of the text.

b: texts, t: tokens of the context, w: width, f: features.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float, Int

from models.clip.networks.transformer import Activation, Block, causal, layer_norm


class TextTransformer(linen.Module):
    """CLIP's text transformer: each token sees those before it; the end-of-text token speaks for the text.

    Attributes:
        num_tokens: Of the vocabulary.
        context_length: Tokens of a text, padding included.
        width: Of a token.
        depth: Blocks.
        num_heads: Of each block.
        embedding_dim: Of the space shared with images.
        activation: As the checkpoint was trained.
        end_of_text: Its id; the first one in a text counts. None is the largest id of the text, which in CLIP's own
            vocabulary is the end of text.
        hidden_width: Of the two-layer networks; None is four times the width.
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
        """Names that `feature` may have."""
        return ("embedding", "end_token", *(f"block_{i}" for i in range(self.depth + 1)))

    @linen.compact
    def __call__(
        self, tokens: Int[Array, "b t"], feature: str | None = "embedding"
    ) -> Float[Array, "b f"] | dict[str, Array]:
        """What one layer says of texts.

        Args:
            tokens: Ids; what follows the end of text is not looked at.
            feature: `embedding`: in the space shared with images, not normalised to length 1. `end_token`: after the
                last layer norm, before the projection. `block_k`: the end-of-text token after k blocks.
                None: all of them, by name.
        """
        found = tokens if self.end_of_text is None else tokens == self.end_of_text
        end = jnp.argmax(found, axis=1)[:, None, None]
        spread = jax.nn.initializers.normal(0.02)
        embed = linen.Embed(self.num_tokens, self.width, dtype=self.dtype, embedding_init=spread, name="tokens")
        positions = self.param("positions", jax.nn.initializers.normal(0.01), (self.context_length, self.width))
        x = embed(tokens) + positions[None].astype(self.dtype)
        mask = causal(self.context_length)
        said = {}
        for i in range(self.depth + 1):
            said[f"block_{i}"] = jnp.take_along_axis(x, end, axis=1)[:, 0]
            if feature in said:
                return said[feature]
            if i < self.depth:
                x = Block(
                    num_heads=self.num_heads, depth=self.depth, activation=self.activation,
                    hidden_width=self.hidden_width, dtype=self.dtype, name=f"block_{i}",
                )(x, mask)  # fmt: skip
        pooled = layer_norm("norm_after")(said[f"block_{self.depth}"]).astype(self.dtype)
        said["end_token"] = pooled
        if feature in said:
            return pooled
        spread = jax.nn.initializers.normal(self.width**-0.5)
        projection = self.param("projection", spread, (self.width, self.embedding_dim))
        said["embedding"] = pooled @ projection.astype(self.dtype)
        return said["embedding"] if feature else said
