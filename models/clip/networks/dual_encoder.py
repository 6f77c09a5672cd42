"""What a CLIP model is: an image tower, a text tower, and how alike an image and a text are.

b: images or texts, h and w: pixels, t: tokens, f: features, i: images, j: texts.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from jaxtyping import Array, Float, Int, PyTree

from models.clip.networks.resnet import ModifiedResNet
from models.clip.networks.text_transformer import TextTransformer
from models.clip.networks.vit import VisionTransformer


class DualEncoder(linen.Module):
    """Two towers that meet in one space.

    Attributes:
        image_tower: Sees.
        text_tower: Reads; None for an encoder that never saw text.
    """

    image_tower: VisionTransformer | ModifiedResNet
    text_tower: TextTransformer | None = None

    def setup(self) -> None:
        """The temperature, as a logarithm, starts where OpenAI's started."""
        self.logit_scale = self.param("logit_scale", jax.nn.initializers.constant(np.log(1 / 0.07)), ())

    def image(
        self, images: Float[Array, "b h w 3"], feature: str | None = "embedding", **options: Any
    ) -> Float[Array, "b f"] | dict[str, Array]:
        """What the image tower says; `options` go to the tower (`train` of a ResNet)."""
        return self.image_tower(images, feature, **options)

    def text(
        self, tokens: Int[Array, "b t"], feature: str | None = "embedding"
    ) -> Float[Array, "b f"] | dict[str, Array]:
        """What the text tower says."""
        assert self.text_tower is not None
        return self.text_tower(tokens, feature)

    def __call__(
        self, images: Float[Array, "i h w 3"], tokens: Int[Array, "j t"] | None = None, **options: Any
    ) -> Float[Array, "i j"]:
        """Logits of every image and text; without a text tower there is one column of zeros."""
        seen = self.image(images, **options)
        assert isinstance(seen, jax.Array)
        if self.text_tower is None or tokens is None:
            return jnp.zeros((seen.shape[0], 1))
        read = self.text(tokens)
        assert isinstance(read, jax.Array)
        cosines = normalized(seen.astype(jnp.float32)) @ normalized(read.astype(jnp.float32)).T
        return jnp.exp(self.logit_scale) * cosines


def normalized(x: Float[Array, "*b f"]) -> Float[Array, "*b f"]:
    """The same directions, of length 1."""
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def with_dtype(model: DualEncoder, dtype: Any) -> DualEncoder:
    """The same model, computing in another type; parameters stay float32."""
    text_tower = model.text_tower and dataclasses.replace(model.text_tower, dtype=dtype)
    return dataclasses.replace(
        model, image_tower=dataclasses.replace(model.image_tower, dtype=dtype), text_tower=text_tower
    )


def init(model: DualEncoder, key: Any) -> PyTree:
    """Fresh variables: `params`, and `batch_stats` if a tower has any."""
    px = model.image_tower.image_px
    images = jnp.zeros((1, px, px, 3))
    tokens = None if model.text_tower is None else jnp.zeros((1, model.text_tower.context_length), jnp.int32)
    return model.init(key, images, tokens)


@functools.lru_cache(maxsize=32)
def shapes(model: DualEncoder) -> dict[str, tuple[int, ...]]:
    """Shape of every variable, by its path (`params/image_tower/positions`)."""
    tree = jax.eval_shape(functools.partial(init, model), jax.random.key(0))
    return {path: tuple(leaf.shape) for path, leaf in flattened(tree).items()}


def flattened(tree: PyTree) -> dict[str, Any]:
    """A nested dict's leaves by path, joined with slashes."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {"/".join(str(entry.key) for entry in path): leaf for path, leaf in leaves}


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `flattened`."""
    tree: dict[str, Any] = {}
    for path, leaf in flat.items():
        *folders, name = path.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = leaf
    return tree
