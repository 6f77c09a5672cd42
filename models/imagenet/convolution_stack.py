"""Defines the layers of VGG-16 and AlexNet that see: convolutions in stages, each stage followed by max pooling.

Their classifiers are left out: the weights that come with LPIPS end at the last convolution.

b: images, h and w: pixels, f: features.

References:
    VGG: Simonyan and Zisserman 2015, https://arxiv.org/abs/1409.1556. AlexNet in the form of torchvision: Krizhevsky
    2014, https://arxiv.org/abs/1404.5997.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import Array, Float

from models.imagenet.windows import max_pool


class ConvolutionStack(linen.Module):
    """Stages of convolutions with ReLU, each stage followed by max pooling.

    Attributes:
        image_px: Width and height of its images. Other sizes are not accepted.
        stages: Output channels of the convolutions of each stage.
        kernel_sizes: Width and height of each convolution's window.
        first_stride: Stride of the first convolution; the others have 1.
        first_padding: Zeros around the image; the others keep the size of their map.
        pool_px: Width and height of the windows of which the maximum is taken, two pixels apart.
        dtype: Compute type; parameters are float32.
    """

    image_px: int
    stages: tuple[tuple[int, ...], ...]
    kernel_sizes: tuple[tuple[int, ...], ...]
    first_stride: int = 1
    first_padding: int = 1
    pool_px: int = 2
    dtype: Any = jnp.float32

    @property
    def embedding_dim(self) -> int:
        """Channels of the last feature map."""
        return self.stages[-1][-1]

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that it computes."""
        return ("embedding", "spatial", *(f"stage_{i}" for i in range(1, len(self.stages))))

    @linen.compact
    def __call__(
        self, images: Float[Array, "b h w 3"], feature: str | None = "embedding"
    ) -> Float[Array, "b f"] | dict[str, Array]:
        """Compute one feature of images; later layers are not run.

        Args:
            images: Normalised as the weights require.
            feature: `embedding`: the mean over the last feature map, after its pooling. `spatial`: that map, row by
                row, channels last. `stage_k`: the mean over the map after k stages, each with its pooling. None: all
                of them, by name.
        """
        x = images.astype(self.dtype)
        outputs = {}
        number = 0
        for i in range(len(self.stages)):
            for channels, size in zip(self.stages[i], self.kernel_sizes[i], strict=True):
                is_first = number == 0
                convolution = linen.Conv(
                    channels,
                    (size, size),
                    self.first_stride if is_first else 1,
                    padding=self.first_padding if is_first else size // 2,
                    dtype=self.dtype,
                    name=f"conv_{number}",
                )
                x = jax.nn.relu(convolution(x))
                number += 1
            x = max_pool(x, self.pool_px, 2)
            is_last = i == len(self.stages) - 1
            outputs["embedding" if is_last else f"stage_{i + 1}"] = x.mean(axis=(1, 2), dtype=jnp.float32)
            if feature in outputs:
                return outputs[feature]
        outputs["spatial"] = x.reshape(x.shape[0], -1)
        return outputs["spatial"] if feature else outputs
