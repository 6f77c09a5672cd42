"""Defines CLIP's modified ResNet, an image tower.

It differs from other ResNets in three ways: a stem of three convolutions; average pooling instead of strides; and
attention pooling instead of an average over the last feature map.

b: images, h and w: pixels, c: channels, f: features.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

EXPANSION = 4
"""Ratio of a bottleneck's output channels to its inner channels."""


class ModifiedResNet(linen.Module):
    """CLIP's modified ResNet.

    Attributes:
        image_px: Width and height of its images, a multiple of `stride`. Other sizes are not accepted.
        stage_sizes: Bottlenecks of each stage; every stage but the first halves the resolution.
        width: Channels after the stem and inside the first stage; each later stage has twice as many.
        num_heads: Heads of the attention pooling.
        embedding_dim: Dimensions of the space shared with text.
        dtype: Compute type; parameters are float32.
    """

    image_px: int
    stage_sizes: tuple[int, ...]
    width: int
    num_heads: int
    embedding_dim: int
    dtype: Any = jnp.float32

    @property
    def stride(self) -> int:
        """Image pixels along a side of one pixel of the last feature map."""
        return 4 * 2 ** (len(self.stage_sizes) - 1)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that it computes."""
        return ("embedding", "spatial", *(f"stage_{i}" for i in range(len(self.stage_sizes) + 1)))

    @linen.compact
    def __call__(
        self, images: Float[Array, "b h w 3"], feature: str | None = "embedding", train: bool = False
    ) -> Float[Array, "b f"] | dict[str, Array]:
        """Compute one feature of images; later layers are not run.

        Args:
            images: Normalised as the checkpoint requires.
            feature: `embedding`: in the space shared with text, not normalised to length 1. `spatial`: the last feature
                map, row by row, channels last. `stage_k`: the mean over the feature map after k stages. None: all of
                them, by name.
            train: Whether batch normalisation uses the batch's own statistics and updates the running ones
                (`mutable=["batch_stats"]`).
        """
        x = images.astype(self.dtype)
        for i, channels in enumerate((self.width // 2, self.width // 2, self.width)):
            x = _convolution(channels, 3, self.dtype, f"stem_{i}", stride=2 if i == 0 else 1)(x)
            x = jax.nn.relu(_batch_norm(train, self.dtype, f"stem_norm_{i}")(x))
        x = linen.avg_pool(x, (2, 2), (2, 2))
        outputs = {}
        for i in range(len(self.stage_sizes) + 1):
            outputs[f"stage_{i}"] = x.mean(axis=(1, 2))
            if feature in outputs:
                return outputs[feature]
            if i < len(self.stage_sizes):
                for j in range(self.stage_sizes[i]):
                    stride = 2 if i > 0 and j == 0 else 1
                    bottleneck = Bottleneck(self.width * 2**i, stride, self.dtype, name=f"stage_{i}_block_{j}")
                    x = bottleneck(x, train)
        outputs["spatial"] = x.reshape(x.shape[0], -1)
        if feature in outputs:
            return outputs[feature]
        pool = AttentionPool(self.num_heads, self.embedding_dim, self.dtype, name="pool")
        outputs["embedding"] = pool(x.reshape(x.shape[0], -1, x.shape[-1]))
        return outputs["embedding"] if feature else outputs


class Bottleneck(linen.Module):
    """A residual block of three convolutions: 1 x 1, 3 x 3 (then average pooling for a stride), and 1 x 1.

    Attributes:
        channels: Inner channels; the output has `EXPANSION` times as many.
        stride: 1 or 2.
        dtype: Compute type.
    """

    channels: int
    stride: int
    dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, x: Float[Array, "b h w c"], train: bool = False) -> Float[Array, "b h2 w2 c2"]:
        """Compute the input of the next block."""
        window = (self.stride, self.stride)
        y = _convolution(self.channels, 1, self.dtype, "conv_0")(x)
        y = jax.nn.relu(_batch_norm(train, self.dtype, "norm_0")(y))
        y = _convolution(self.channels, 3, self.dtype, "conv_1")(y)
        y = jax.nn.relu(_batch_norm(train, self.dtype, "norm_1")(y))
        y = linen.avg_pool(y, window, window) if self.stride > 1 else y
        y = _convolution(self.channels * EXPANSION, 1, self.dtype, "conv_2")(y)
        y = _batch_norm(train, self.dtype, "norm_2")(y)
        if self.stride > 1 or x.shape[-1] != y.shape[-1]:
            x = linen.avg_pool(x, window, window) if self.stride > 1 else x
            x = _convolution(self.channels * EXPANSION, 1, self.dtype, "shortcut")(x)
            x = _batch_norm(train, self.dtype, "shortcut_norm")(x)
        return jax.nn.relu(x + y)


class AttentionPool(linen.Module):
    """Attention pooling as in CLIP's `AttentionPool2d`.

    The mean feature is the query; all spatial features and the mean are keys and values.

    Attributes:
        num_heads: Must divide the number of channels.
        embedding_dim: Dimensions of the output.
        dtype: Compute type.
    """

    num_heads: int
    embedding_dim: int
    dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, x: Float[Array, "b n c"]) -> Float[Array, "b f"]:
        """Pool the features of each image into one vector."""
        num_images, _, channels = x.shape
        x = jnp.concatenate([x.mean(axis=1, keepdims=True), x], axis=1)
        spread = jax.nn.initializers.normal(channels**-0.5)
        x = x + self.param("positions", spread, x.shape[1:])[None].astype(self.dtype)
        heads = (self.num_heads, channels // self.num_heads)
        query = linen.Dense(channels, dtype=self.dtype, kernel_init=spread, name="query")(x[:, 0])
        key = linen.Dense(channels, dtype=self.dtype, kernel_init=spread, name="key")(x)
        value = linen.Dense(channels, dtype=self.dtype, kernel_init=spread, name="value")(x)
        query = query.reshape(num_images, *heads) * heads[1] ** -0.5
        key = key.reshape(num_images, -1, *heads)
        value = value.reshape(num_images, -1, *heads)
        logits = jnp.einsum("bhd,bkhd->bhk", query, key).astype(jnp.float32)
        weights = jax.nn.softmax(logits, axis=-1).astype(self.dtype)
        mixed = jnp.einsum("bhk,bkhd->bhd", weights, value).reshape(num_images, channels)
        return linen.Dense(self.embedding_dim, dtype=self.dtype, kernel_init=spread, name="out")(mixed)


def _convolution(channels: int, size: int, dtype: Any, name: str, stride: int = 1) -> linen.Conv:
    return linen.Conv(
        channels, (size, size), (stride, stride), padding=size // 2, use_bias=False, dtype=dtype, name=name
    )


def _batch_norm(train: bool, dtype: Any, name: str) -> linen.BatchNorm:
    return linen.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype, name=name)
