"""Defines EfficientNet-Lite, an image classifier for small devices: EfficientNet without attention over channels.

Batch normalisation is folded into the convolutions before it, because the network is never trained here.

b: images, h and w: pixels, c: channels, f: features.

References:
    Tan and Le 2019, https://arxiv.org/abs/1905.11946. Lite:
    https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from models.imagenet.windows import DepthwiseConvolution

STEM_CHANNELS = 32

KERNEL_SIZES = (3, 3, 5, 3, 5, 5, 3)
STRIDES = (1, 2, 2, 2, 1, 2, 1)
EXPANSIONS = (1, 6, 6, 6, 6, 6, 6)
"""Of each stage; the stride is that of its first block."""


class EfficientNetLite(linen.Module):
    """EfficientNet-Lite with its classifier.

    Attributes:
        image_px: Width and height of its images. Other sizes are not accepted.
        channels: Output channels of each of the seven stages.
        depths: Blocks of each stage.
        embedding_dim: Channels of the last feature map.
        num_classes: Labels.
        dtype: Compute type; parameters are float32.
    """

    image_px: int
    channels: tuple[int, ...]
    depths: tuple[int, ...]
    embedding_dim: int = 1280
    num_classes: int = 1000
    dtype: Any = jnp.float32

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that it computes."""
        return ("embedding", "spatial", "logits", *(f"stage_{i}" for i in range(len(self.channels) + 1)))

    @linen.compact
    def __call__(
        self, images: Float[Array, "b h w 3"], feature: str | None = "embedding"
    ) -> Float[Array, "b f"] | dict[str, Array]:
        """Compute one feature of images; later layers are not run.

        Args:
            images: Normalised as the weights require.
            feature: `embedding`: the mean over the last feature map, which the classifier reads. `spatial`: that map,
                row by row, channels last. `logits`: of the labels. `stage_k`: the mean over the feature map after the
                stem and k stages. None: all of them, by name.
        """
        x = _convolution(STEM_CHANNELS, 3, self.dtype, "stem", stride=2)(images.astype(self.dtype))
        x = jax.nn.relu6(x)
        outputs = {}
        for i in range(len(self.channels) + 1):
            outputs[f"stage_{i}"] = _mean_over_map(x)
            if feature in outputs:
                return outputs[feature]
            if i < len(self.channels):
                x = self._stage(x, i)
        x = jax.nn.relu6(_convolution(self.embedding_dim, 1, self.dtype, "head")(x))
        outputs["spatial"] = x.reshape(x.shape[0], -1)
        outputs["embedding"] = _mean_over_map(x)
        if feature in outputs:
            return outputs[feature]
        outputs["logits"] = linen.Dense(self.num_classes, dtype=self.dtype, name="classifier")(outputs["embedding"])
        return outputs["logits"] if feature else outputs

    def _stage(self, x: Float[Array, "b h w c"], i: int) -> Float[Array, "b h2 w2 c2"]:
        """Run the blocks of one stage; the first one has the stage's stride."""
        for j in range(self.depths[i]):
            block = InvertedResidual(
                channels=self.channels[i],
                kernel_size=KERNEL_SIZES[i],
                stride=STRIDES[i] if j == 0 else 1,
                expansion=EXPANSIONS[i],
                dtype=self.dtype,
                name=f"stage_{i}_block_{j}",
            )
            x = block(x)
        return x


class InvertedResidual(linen.Module):
    """A block that widens, filters each channel by itself, and narrows again; its residual joins the narrow ends.

    Attributes:
        channels: Output channels.
        kernel_size: Of the convolution of each channel.
        stride: 1 or 2.
        expansion: Ratio of inner channels to input channels; 1 widens nothing.
        dtype: Compute type.
    """

    channels: int
    kernel_size: int
    stride: int
    expansion: int
    dtype: Any = jnp.float32

    @linen.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        """Compute the input of the next block."""
        y = x
        if self.expansion != 1:
            y = jax.nn.relu6(_convolution(x.shape[-1] * self.expansion, 1, self.dtype, "expand")(y))
        y = jax.nn.relu6(DepthwiseConvolution(self.kernel_size, self.stride, self.dtype, name="depthwise")(y))
        y = _convolution(self.channels, 1, self.dtype, "project")(y)
        return x + y if x.shape == y.shape else y


def _convolution(channels: int, size: int, dtype: Any, name: str, stride: int = 1) -> linen.Conv:
    return linen.Conv(channels, (size, size), (stride, stride), padding="SAME", dtype=dtype, name=name)


def _mean_over_map(x: Float[Array, "b h w c"]) -> Float[Array, "b c"]:
    return x.mean(axis=(1, 2), dtype=jnp.float32).astype(x.dtype)
