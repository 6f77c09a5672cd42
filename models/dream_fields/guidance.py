"""Computes how well random crops of a training view fit the caption, by one guide or by several.

Every guide sees the same crops, at its own size and over backgrounds of its own.

n: crops, f: features, m: other captions, p: pixels along a side of the view, h and w: pixels of a guide's image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from models import augmentations
from models.clip.encoder import Encoder
from models.clip.networks.dual_encoder import to_unit_length
from models.dream_fields import wording
from models.dream_fields.arrays import DreamFieldsData, GuideTexts
from models.method import Frozen, Hyperparameters
from models.ray_split import split_rays
from tasks.captions.caption_task import CaptionData

if TYPE_CHECKING:
    from models.dream_fields.method import DreamFields


class CropFit(NamedTuple):
    """Holds how crops fit what the guides read.

    Attributes:
        cosines: Of each guide: the cosine of each crop with the caption.
        negative: Mean cosine with the other captions; None if it is in no term of the loss.
        contrast: Mean cross-entropy of finding the caption among them; None as `negative`.
    """

    cosines: tuple[Float[Array, " n"], ...]
    negative: Float[Array, ""] | None
    contrast: Float[Array, ""] | None

    @property
    def cosine(self) -> Float[Array, ""]:
        """Mean over guides of the mean cosine with the caption."""
        return mean_of([jnp.mean(cosines) for cosines in self.cosines])


def read_texts(method: DreamFields, encoder: Encoder, data: CaptionData) -> GuideTexts:
    """Embed all that a guide reads.

    Raises:
        UsageError: The loss needs other captions, and there is none.
    """
    [caption] = embed_texts(encoder, [method.prompt.replace("{}", data.caption)])
    if not method.reads_negatives:
        return GuideTexts(caption)
    others = wording.choose_negatives(data, method.negatives, method.negative_captions)
    num_rows = len(method.negative_captions) or wording.NUM_NEGATIVES
    texts = [method.prompt.replace("{}", other) for other in others]
    filled = texts + texts[:1] * (num_rows - len(texts))
    is_other = (jnp.arange(num_rows) < len(texts)).astype(jnp.float32)
    return GuideTexts(caption, embed_texts(encoder, filled), is_other)


def embed_texts(encoder: Encoder, texts: Sequence[str]) -> Float[Array, "m f"]:
    """Embed texts, and normalise them to length 1."""
    return _embed_tokens(encoder, jnp.asarray(encoder.tokenize(texts)))


@jax.jit
def _embed_tokens(encoder: Encoder, tokens: Int[Array, "m t"]) -> Float[Array, "m f"]:
    return to_unit_length(encoder.text_features(encoder.params, tokens))


def compare_crops(
    method: DreamFields,
    frozen: Frozen,
    data: DreamFieldsData,
    hyperparameters: Hyperparameters,
    image: Float[Array, "p p 4"],
    key: PRNGKeyArray,
) -> CropFit:
    """Compare random crops of a view with what each guide reads."""
    cosines = []
    negatives = []
    contrasts = []
    crops_by_px: dict[int, Float[Array, "n h w 3"]] = {}
    for name, texts in zip(method.encoders, data.texts, strict=True):
        encoder: Encoder = frozen[name]
        if encoder.image_px not in crops_by_px:
            crops_by_px[encoder.image_px] = augment_crops(method, hyperparameters, image, encoder.image_px, key)
        with jax.named_scope("encoder"):
            features = to_unit_length(encoder.image_features(encoder.params, crops_by_px[encoder.image_px]))
        cosines.append(jnp.einsum("nf,f->n", features, texts.caption, precision="highest"))
        if texts.others is not None and texts.is_other is not None:
            others = jnp.einsum("nf,mf->nm", features, texts.others, precision="highest")
            is_other = jnp.broadcast_to(texts.is_other, others.shape)
            negatives.append(jnp.sum(others * is_other) / jnp.sum(is_other))
            scale = encoder.towers.logit_scale(encoder.params)
            contrasts.append(contrast_loss(scale * cosines[-1], scale * others, is_other))
    if not negatives:
        return CropFit(tuple(cosines), None, None)
    return CropFit(tuple(cosines), mean_of(negatives), mean_of(contrasts))


def augment_crops(
    method: DreamFields,
    hyperparameters: Hyperparameters,
    image: Float[Array, "p p 4"],
    image_px: int,
    key: PRNGKeyArray,
) -> Float[Array, "n h w 3"]:
    """Take random crops of a view, each over a random background, at a guide's size."""
    assert method.num_crops, "dream_fields: num_crops is open; see tasks.budgets.sized"

    def augment(key: PRNGKeyArray) -> Float[Array, "h w 3"]:
        crop_key, background_key = jax.random.split(key)
        crop = augmentations.random_resized_crop(crop_key, image, hyperparameters["crop_share"], image_px)
        background = augmentations.sample_weighted_background(
            background_key, image_px, hyperparameters["backgrounds"], hyperparameters["max_blur_px"]
        )
        return augmentations.composite_over(background, crop[..., :3], crop[..., 3])

    with jax.named_scope("augmentation"):
        return split_rays(jax.vmap(augment)(split_rays(jax.random.split(key, method.num_crops))))


def contrast_loss(
    caption_logits: Float[Array, " n"], other_logits: Float[Array, "n m"], is_other: Float[Array, "n m"]
) -> Float[Array, ""]:
    """Compute the cross-entropy, in nats, of finding the caption among others; the mean over crops."""
    others = jnp.where(is_other > 0, other_logits, -jnp.inf)
    logits = jnp.concatenate([caption_logits[:, None], others], axis=1)
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - caption_logits)


def mean_of(values: Sequence[Float[Array, ""]]) -> Float[Array, ""]:
    """Compute the mean of a few scalars."""
    return sum(values[1:], start=values[0]) / len(values)
