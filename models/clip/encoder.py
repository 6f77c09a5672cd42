"""Defines `Encoder`, through which the rest of the project uses CLIP and its like: features of pixels and of texts.

*b: any leading axes, h and w: pixels, t: tokens, f: features, n: texts, i: images, j: texts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32, PyTree

from bench.errors import UsageError, nearest
from models.clip.networks.dual_encoder import DualEncoder, to_unit_length
from models.clip.tokenizers import Tokenizer

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
"""Mean and standard deviation of pixels in [0, 1], for all checkpoints that do not say otherwise."""


@runtime_checkable
class Towers(Protocol):
    """Interface of the model inside an `Encoder`: pure functions of a hashable value."""

    @property
    def image_px(self) -> int:
        """Width and height of its images."""

    @property
    def context_length(self) -> int:
        """Tokens of a text; 0 if it has no text tower."""

    @property
    def image_feature_names(self) -> tuple[str, ...]:
        """Names of image features."""

    @property
    def text_feature_names(self) -> tuple[str, ...]:
        """Names of text features."""

    def image(self, params: PyTree, images: Float[Array, "b h w 3"], feature: str) -> Float[Array, "b f"]:
        """Compute a feature of normalised images."""

    def text(self, params: PyTree, tokens: Int[Array, "b t"], feature: str) -> Float[Array, "b f"]:
        """Compute a feature of tokens."""

    def logit_scale(self, params: PyTree) -> Float[Array, ""]:
        """Return the factor of cosines in logits."""


@dataclasses.dataclass(frozen=True)
class LinenTowers:
    """Towers that are implemented in this package.

    Attributes:
        model: The linen module, which is its own configuration.
    """

    model: DualEncoder

    @property
    def image_px(self) -> int:
        """Width and height of its images."""
        return self.model.image_tower.image_px

    @property
    def context_length(self) -> int:
        """Tokens of a text; 0 if it has no text tower."""
        return self.model.text_tower.context_length if self.model.text_tower else 0

    @property
    def image_feature_names(self) -> tuple[str, ...]:
        """Names of image features."""
        return self.model.image_tower.features

    @property
    def text_feature_names(self) -> tuple[str, ...]:
        """Names of text features."""
        return self.model.text_tower.features if self.model.text_tower else ()

    def image(self, params: PyTree, images: Float[Array, "b h w 3"], feature: str) -> Float[Array, "b f"]:
        """Compute a feature of normalised images."""
        with matmul_precision(self.model.image_tower.dtype):
            features: Any = self.model.apply(params, images, feature, method="image")
        return features

    def text(self, params: PyTree, tokens: Int[Array, "b t"], feature: str) -> Float[Array, "b f"]:
        """Compute a feature of tokens."""
        assert self.model.text_tower is not None
        with matmul_precision(self.model.text_tower.dtype):
            features: Any = self.model.apply(params, tokens, feature, method="text")
        return features

    def logit_scale(self, params: PyTree) -> Float[Array, ""]:
        """Return the factor of cosines in logits."""
        return jnp.exp(params["params"]["logit_scale"])


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("params",),
    meta_fields=("name", "towers", "tokenizer", "mean", "std", "sha256"),
)
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Encoder:
    """A frozen CLIP model, or a frozen network that only sees (`models.imagenet`).

    It is a pytree whose only leaves are its parameters, so that it can be an argument of a compiled function.

    Attributes:
        name: Name that it was loaded by.
        params: All variables, float32.
        towers: Functions of the model.
        tokenizer: None if it reads no text.
        mean: Mean of the pixels it was trained on, by colour.
        std: Standard deviation of these pixels, by colour.
        sha256: Hash of the file that the parameters came from.
    """

    name: str
    params: PyTree
    towers: Towers
    tokenizer: Tokenizer | None
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD
    sha256: str

    @property
    def image_px(self) -> int:
        """Width and height of its images."""
        return self.towers.image_px

    @property
    def context_length(self) -> int:
        """Tokens of a text; 0 if it has no text tower."""
        return self.towers.context_length

    @property
    def known_words(self) -> frozenset[str] | None:
        """Words of its vocabulary; None if it reads any text."""
        return self.tokenizer.known_words if self.tokenizer else frozenset()

    def image_features(
        self, params: PyTree, images: Float[Array | np.ndarray, "*b h w 3"], feature: str = "embedding"
    ) -> Float[Array, "*b f"]:
        """Compute features of images. They are differentiable with respect to the images.

        Args:
            params: `self.params`, as an argument so that a compiled function does not keep a copy.
            images: In [0, 1], with `image_px` as width and height (see `preprocess.resize`).
            feature: One of `towers.image_feature_names`.

        Returns:
            float32, not normalised to length 1.

        Raises:
            UsageError: The images have another size, or there is no such feature.
        """
        height, width = images.shape[-3:-1]
        if (height, width) != (self.image_px, self.image_px):
            raise UsageError(
                f"{self.name}: expected images of {self.image_px} x {self.image_px} px, got {width} x {height}; "
                f"preprocess.resize(images, {self.image_px}) first"
            )
        self._check_feature(feature, self.towers.image_feature_names, "image")
        leading = images.shape[:-3]
        mean = np.reshape(np.asarray(self.mean, np.float32), (1, 1, 1, 3))
        std = np.reshape(np.asarray(self.std, np.float32), (1, 1, 1, 3))
        flat = (jnp.asarray(images).reshape(-1, *images.shape[-3:]) - mean) / std
        features = self.towers.image(params, flat, feature).astype(jnp.float32)
        return features.reshape(*leading, features.shape[-1])

    def text_features(
        self, params: PyTree, tokens: Int[Array | np.ndarray, "*b t"], feature: str = "embedding"
    ) -> Float[Array, "*b f"]:
        """Compute features of texts.

        Args:
            params: `self.params`.
            tokens: From `tokenize`.
            feature: One of `towers.text_feature_names`.

        Returns:
            float32, not normalised to length 1.

        Raises:
            UsageError: It reads no text, the texts have another length, or there is no such feature.
        """
        if not self.context_length:
            raise UsageError(f"{self.name}: expected an encoder that reads text, this one only sees; choose another")
        if tokens.shape[-1] != self.context_length:
            raise UsageError(
                f"{self.name}: expected {self.context_length} tokens a text, got {tokens.shape[-1]}; "
                "make them with this encoder's tokenize"
            )
        self._check_feature(feature, self.towers.text_feature_names, "text")
        leading = tokens.shape[:-1]
        features = self.towers.text(params, jnp.asarray(tokens).reshape(-1, tokens.shape[-1]), feature)
        return features.astype(jnp.float32).reshape(*leading, features.shape[-1])

    def tokenize(self, texts: Sequence[str]) -> Int32[np.ndarray, "n t"]:
        """Turn texts into token ids.

        Raises:
            UsageError: It reads no text, or a text is too long.
        """
        if self.tokenizer is None and self.context_length:
            raise UsageError(
                f"{self.name}: expected an encoder with CLIP's vocabulary, this one has another, of which only the "
                "ids are known; give text_features its ids, or choose another"
            )
        if self.tokenizer is None:
            raise UsageError(f"{self.name}: expected an encoder that reads text, this one only sees; choose another")
        return self.tokenizer.encode(texts)

    def logits(
        self, params: PyTree, image_features: Float[Array, "i f"], text_features: Float[Array, "j f"]
    ) -> Float[Array, "i j"]:
        """Compute the cosines of embeddings times the trained scale."""
        with matmul_precision(jnp.float32):
            cosines = to_unit_length(image_features) @ to_unit_length(text_features).T
        return self.towers.logit_scale(params) * cosines

    def _check_feature(self, feature: str, known: tuple[str, ...], of: str) -> None:
        if feature not in known:
            raise UsageError(
                f"{self.name}: expected a feature of its {of} tower, got {feature!r}; {nearest(feature, known)}"
            )


def matmul_precision(dtype: Any) -> Any:
    """Ask for full float32 precision if the type is float32. A GPU's default, TF32, changes the third digit."""
    if jnp.dtype(dtype) == jnp.float32:
        return jax.default_matmul_precision("highest")
    return contextlib.nullcontext()
