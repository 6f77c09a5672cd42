"""What the rest of the project holds of a CLIP: pixels to features, texts to features.

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
from models.clip.networks.dual_encoder import DualEncoder, normalized
from models.clip.tokenizers import Tokenizer

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
"""Of the pixels OpenAI trained on, in [0, 1]; every checkpoint of the CLIP family that says nothing else uses them."""


@runtime_checkable
class Towers(Protocol):
    """What an `Encoder` needs of a model: pure functions; a hashable value."""

    @property
    def image_px(self) -> int:
        """Width and height of the images it takes."""

    @property
    def context_length(self) -> int:
        """Tokens of a text; 0 if it reads none."""

    @property
    def image_feature_names(self) -> tuple[str, ...]:
        """What may be asked about an image."""

    @property
    def text_feature_names(self) -> tuple[str, ...]:
        """What may be asked about a text."""

    def image(self, params: PyTree, images: Float[Array, "b h w 3"], feature: str) -> Float[Array, "b f"]:
        """Features of normalised images."""

    def text(self, params: PyTree, tokens: Int[Array, "b t"], feature: str) -> Float[Array, "b f"]:
        """Features of tokens."""

    def logit_scale(self, params: PyTree) -> Float[Array, ""]:
        """What cosines are multiplied by."""


@dataclasses.dataclass(frozen=True)
class LinenTowers:
    """The towers of this package.

    Attributes:
        model: Its own configuration.
    """

    model: DualEncoder

    @property
    def image_px(self) -> int:
        """Width and height of the images it takes."""
        return self.model.image_tower.image_px

    @property
    def context_length(self) -> int:
        """Tokens of a text; 0 if it reads none."""
        return self.model.text_tower.context_length if self.model.text_tower else 0

    @property
    def image_feature_names(self) -> tuple[str, ...]:
        """What may be asked about an image."""
        return self.model.image_tower.features

    @property
    def text_feature_names(self) -> tuple[str, ...]:
        """What may be asked about a text."""
        return self.model.text_tower.features if self.model.text_tower else ()

    def image(self, params: PyTree, images: Float[Array, "b h w 3"], feature: str) -> Float[Array, "b f"]:
        """Features of normalised images."""
        with _precision(self.model.image_tower.dtype):
            found: Any = self.model.apply(params, images, feature, method="image")
        return found

    def text(self, params: PyTree, tokens: Int[Array, "b t"], feature: str) -> Float[Array, "b f"]:
        """Features of tokens."""
        assert self.model.text_tower is not None
        with _precision(self.model.text_tower.dtype):
            found: Any = self.model.apply(params, tokens, feature, method="text")
        return found

    def logit_scale(self, params: PyTree) -> Float[Array, ""]:
        """What cosines are multiplied by."""
        return jnp.exp(params["params"]["logit_scale"])


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("params",),
    meta_fields=("name", "towers", "tokenizer", "mean", "std", "sha256"),
)
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Encoder:
    """A frozen CLIP; a pytree whose only leaves are its parameters, so it may be an argument of a compiled function.

    Attributes:
        name: As `load` was asked for it.
        params: All variables, float32.
        towers: The functions.
        tokenizer: None if it reads no text.
        mean: Of the pixels it was trained on, by colour.
        std: Likewise.
        sha256: Of the file that the parameters came from.
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
        """Width and height of the images it takes."""
        return self.towers.image_px

    @property
    def context_length(self) -> int:
        """Tokens of a text; 0 if it reads none."""
        return self.towers.context_length

    @property
    def known_words(self) -> frozenset[str] | None:
        """All that it can read; None if it reads anything."""
        return self.tokenizer.known_words if self.tokenizer else frozenset()

    def image_features(
        self, params: PyTree, images: Float[Array | np.ndarray, "*b h w 3"], feature: str = "embedding"
    ) -> Float[Array, "*b f"]:
        """What the encoder sees, differentiable in the images.

        Args:
            params: `self.params`, given apart so that a compiled function does not keep a copy of them.
            images: In [0, 1] and already of `image_px` (see `preprocess.resize`).
            feature: One of `towers.image_feature_names`.

        Returns:
            float32, not normalised to length 1.

        Raises:
            UsageError: The size or the feature is another.
        """
        height, width = images.shape[-3:-1]
        if (height, width) != (self.image_px, self.image_px):
            raise UsageError(
                f"{self.name}: expected images of {self.image_px} x {self.image_px} px, got {width} x {height}; "
                f"preprocess.resize(images, {self.image_px}) first"
            )
        self._check_feature(feature, self.towers.image_feature_names, "image")
        leading = images.shape[:-3]
        mean, std = (np.reshape(np.asarray(v, np.float32), (1, 1, 1, 3)) for v in (self.mean, self.std))
        flat = (jnp.asarray(images).reshape(-1, *images.shape[-3:]) - mean) / std
        found = self.towers.image(params, flat, feature).astype(jnp.float32)
        return found.reshape(*leading, found.shape[-1])

    def text_features(
        self, params: PyTree, tokens: Int[Array | np.ndarray, "*b t"], feature: str = "embedding"
    ) -> Float[Array, "*b f"]:
        """What the encoder reads.

        Args:
            params: `self.params`.
            tokens: From `tokenize`.
            feature: One of `towers.text_feature_names`.

        Returns:
            float32, not normalised to length 1.

        Raises:
            UsageError: It reads no text, or the length or the feature is another.
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
        found = self.towers.text(params, jnp.asarray(tokens).reshape(-1, tokens.shape[-1]), feature)
        return found.astype(jnp.float32).reshape(*leading, found.shape[-1])

    def tokenize(self, texts: Sequence[str]) -> Int32[np.ndarray, "n t"]:
        """Token ids of texts.

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
        """Cosines of embeddings times the trained scale."""
        with _precision(jnp.float32):
            cosines = normalized(image_features) @ normalized(text_features).T
        return self.towers.logit_scale(params) * cosines

    def _check_feature(self, feature: str, known: tuple[str, ...], of: str) -> None:
        if feature not in known:
            raise UsageError(
                f"{self.name}: expected a feature of its {of} tower, got {feature!r}; {nearest(feature, known)}"
            )


def _precision(dtype: Any) -> Any:
    """Full float32 where float32 was asked for: by default a GPU multiplies in TF32, which moves the third digit."""
    if jnp.dtype(dtype) == jnp.float32:
        return jax.default_matmul_precision("highest")
    return contextlib.nullcontext()
