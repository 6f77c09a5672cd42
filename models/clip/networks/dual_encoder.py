"""Defines a CLIP model: an image tower and a text tower that embed into one space.

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
    """Holds an image tower and a text tower.

    Attributes:
        image_tower: Embeds images.
        text_tower: Embeds texts; None for an encoder that was not trained with text.
    """

    image_tower: VisionTransformer | ModifiedResNet
    text_tower: TextTransformer | None = None

    def setup(self) -> None:
        """Declare the logarithm of the inverse temperature, with OpenAI's initial value."""
        self.logit_scale = self.param("logit_scale", jax.nn.initializers.constant(np.log(1 / 0.07)), ())

    def image(
        self, images: Float[Array, "b h w 3"], feature: str | None = "embedding", **options: Any
    ) -> Float[Array, "b f"] | dict[str, Array]:
        """Compute features of images; `options` go to the tower (`train` of a ResNet)."""
        return self.image_tower(images, feature, **options)

    def text(
        self, tokens: Int[Array, "b t"], feature: str | None = "embedding"
    ) -> Float[Array, "b f"] | dict[str, Array]:
        """Compute features of texts."""
        assert self.text_tower is not None
        return self.text_tower(tokens, feature)

    def __call__(
        self, images: Float[Array, "i h w 3"], tokens: Int[Array, "j t"] | None = None, **options: Any
    ) -> Float[Array, "i j"]:
        """Compute the logit of every image and text; without a text tower, one column of zeros."""
        image_features = self.image(images, **options)
        assert isinstance(image_features, jax.Array)
        if self.text_tower is None or tokens is None:
            return jnp.zeros((image_features.shape[0], 1))
        text_features = self.text(tokens)
        assert isinstance(text_features, jax.Array)
        cosines = (
            to_unit_length(image_features.astype(jnp.float32)) @ to_unit_length(text_features.astype(jnp.float32)).T
        )
        return jnp.exp(self.logit_scale) * cosines


def to_unit_length(x: Float[Array, "*b f"]) -> Float[Array, "*b f"]:
    """Scale features to length 1."""
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def with_dtype(model: DualEncoder, dtype: Any) -> DualEncoder:
    """Return the same model with another compute type; parameters stay float32."""
    text_tower = model.text_tower and dataclasses.replace(model.text_tower, dtype=dtype)
    return dataclasses.replace(
        model, image_tower=dataclasses.replace(model.image_tower, dtype=dtype), text_tower=text_tower
    )


def init(model: DualEncoder, key: Any) -> PyTree:
    """Initialise variables: `params`, and `batch_stats` if a tower has any."""
    px = model.image_tower.image_px
    images = jnp.zeros((1, px, px, 3))
    tokens = None if model.text_tower is None else jnp.zeros((1, model.text_tower.context_length), jnp.int32)
    return model.init(key, images, tokens)


@functools.lru_cache(maxsize=32)
def variable_shapes(model: DualEncoder) -> dict[str, tuple[int, ...]]:
    """Return the shape of every variable by its path (`params/image_tower/positions`)."""
    tree = jax.eval_shape(functools.partial(init, model), jax.random.key(0))
    return {path: tuple(leaf.shape) for path, leaf in flatten(tree).items()}


def flatten(tree: PyTree) -> dict[str, Any]:
    """Flatten a nested dict; keys of the result are paths, joined with slashes."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {"/".join(str(entry.key) for entry in path): leaf for path, leaf in leaves}


def unflatten(flat: dict[str, Any]) -> dict[str, Any]:
    """Nest a dict that `flatten` made."""
    tree: dict[str, Any] = {}
    for path, leaf in flat.items():
        *folders, name = path.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[name] = leaf
    return tree
