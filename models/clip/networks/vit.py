"""Defines CLIP's vision transformer (ViT), an image tower.

b: images, h and w: pixels, n: patches, t: tokens (the class token and the patches), f: features.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from models.clip.networks.transformer import Activation, Block, layer_norm


class VisionTransformer(linen.Module):
    """CLIP's ViT: class token, learnt positions, a layer norm before and after the blocks, and a projection.

    Attributes:
        image_px: Width and height of its images. Other sizes are not accepted.
        patch_px: Width and height of a patch.
        width: Features of a token.
        depth: Transformer blocks.
        num_heads: Heads of each block.
        embedding_dim: Dimensions of the space shared with text.
        activation: Activation that the checkpoint was trained with.
        hidden_width: Units of the blocks' hidden layers; None for four times the width.
        dtype: Compute type; parameters are float32.
    """

    image_px: int
    patch_px: int
    width: int
    depth: int
    num_heads: int
    embedding_dim: int
    activation: Activation
    hidden_width: int | None = None
    dtype: Any = jnp.float32

    @property
    def num_patches(self) -> int:
        """Patches of an image."""
        return (self.image_px // self.patch_px) ** 2

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that it computes."""
        return ("embedding", "class_token", "spatial", *(f"block_{i}" for i in range(self.depth + 1)))

    @linen.compact
    def __call__(
        self, images: Float[Array, "b h w 3"], feature: str | None = "embedding"
    ) -> Float[Array, "b f"] | dict[str, Array]:
        """Compute one feature of images; later layers are not run.

        Args:
            images: Normalised as the checkpoint requires.
            feature: `embedding`: in the space shared with text, not normalised to length 1. `class_token`: after the
                last block, before layer norm and projection (the feature that DietNeRF compares). `spatial`: the
                patches after the last block, row by row. `block_k`: the class token after k blocks. None: all of them,
                by name.
        """
        size = self.image_px // self.patch_px * self.patch_px  # like a convolution, drop an incomplete patch
        x = _patches(images[:, :size, :size].astype(self.dtype), self.patch_px)
        x = linen.Dense(self.width, use_bias=False, dtype=self.dtype, name="patches")(x)
        spread = jax.nn.initializers.normal(self.width**-0.5)
        class_token = self.param("class_token", spread, (self.width,)).astype(self.dtype)
        class_token = jnp.broadcast_to(class_token[None, None], (x.shape[0], 1, self.width))
        x = jnp.concatenate([class_token, x], axis=1)
        positions = self.param("positions", spread, (self.num_patches + 1, self.width))
        x = x + positions[None].astype(self.dtype)
        x = layer_norm("norm_before")(x).astype(self.dtype)
        outputs = {}
        for i in range(self.depth + 1):
            outputs[f"block_{i}"] = x[:, 0]
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
                )(x)
        outputs["class_token"] = x[:, 0]
        outputs["spatial"] = x[:, 1:].reshape(x.shape[0], -1)
        if feature in outputs:
            return outputs[feature]
        pooled = layer_norm("norm_after")(x[:, 0]).astype(self.dtype)
        projection = self.param("projection", spread, (self.width, self.embedding_dim))
        outputs["embedding"] = pooled @ projection.astype(self.dtype)
        return outputs["embedding"] if feature else outputs


def _patches(images: Float[Array, "b h w 3"], patch_px: int) -> Float[Array, "b n {patch_px}*{patch_px}*3"]:
    """Divide images into patches, row by row. A patch holds its pixels row by row, colours last."""
    # A strided convolution computes the same, but its gradient with respect to the image is slow on a GPU.
    num_images, height, width, _ = images.shape
    rows = height // patch_px
    columns = width // patch_px
    x = images.reshape(num_images, rows, patch_px, columns, patch_px, 3)
    return jnp.moveaxis(x, 2, 3).reshape(num_images, rows * columns, patch_px * patch_px * 3)
