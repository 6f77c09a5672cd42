"""Computes how well random crops of a training view fit the caption, by one guide or by several.

Every guide sees the same crops, at its own size and over backgrounds of its own.

n: crops, f: features, m: other captions, p: pixels along a side of the view, h and w: pixels of a guide's image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from models import augmentations
from models.clip.encoder import Encoder
from models.clip.networks.dual_encoder import to_unit_length
from models.dream_fields import shape_crops, wording
from models.dream_fields.arrays import DreamFieldsData, GuideTexts
from models.method import Frozen, Hyperparameters
from models.ray_split import split_rays
from tasks.captions.caption_task import CaptionData

if TYPE_CHECKING:
    from models.dream_fields.method import DreamFields


class Crops(NamedTuple):
    """Holds crops of a training view as a guide sees them.

    Attributes:
        images: Over their backgrounds.
        shows_shape: Whether a crop shows the shape alone; None if no crop does.
    """

    images: Float[Array, "n h w 3"]
    shows_shape: Bool[Array, " n"] | None


class CropFit(NamedTuple):
    """Holds how crops fit what the guides read.

    Attributes:
        cosines: Of each guide: the cosine of each crop with its text.
        negative: Mean cosine with the other captions; None if it is in no term of the loss.
        contrast: Mean cross-entropy of finding the caption among them; None as `negative`.
    """

    cosines: tuple[Float[Array, " n"], ...]
    negative: Float[Array, ""] | None
    contrast: Float[Array, ""] | None

    @property
    def cosine(self) -> Float[Array, ""]:
        """Mean over guides of the mean cosine of crops with their texts."""
        return mean_of([jnp.mean(cosines) for cosines in self.cosines])


def read_texts(method: DreamFields, encoder: Encoder, data: CaptionData) -> GuideTexts:
    """Embed all that a guide reads.

    Raises:
        UsageError: The loss needs other captions, and there is none.
    """
    prompt = method.prompt.replace("{}", data.caption)
    texts = GuideTexts(caption=embed_text(encoder, prompt))
    if method.silhouette_share:
        words = wording.shape_words(data.caption) or prompt
        texts = texts._replace(shape=embed_text(encoder, words))
    if not method.reads_negatives:
        return texts
    others = wording.choose_negatives(data, method.negatives, method.negative_captions)
    num_rows = len(method.negative_captions) or wording.NUM_NEGATIVES
    prompts = [method.prompt.replace("{}", other) for other in others]
    filled = prompts + prompts[:1] * (num_rows - len(prompts))
    is_other = (jnp.arange(num_rows) < len(prompts)).astype(jnp.float32)
    return texts._replace(others=embed_texts(encoder, filled), is_other=is_other)


def embed_texts(encoder: Encoder, texts: Sequence[str]) -> Float[Array, "m f"]:
    """Embed texts, and normalise them to length 1."""
    return _embed_tokens(encoder, encoder.tokenize(texts))


def embed_text(encoder: Encoder, text: str) -> Float[Array, " f"]:
    """Embed one text, and normalise it to length 1; the first row is taken by the same program."""
    return _embed_first(encoder, encoder.tokenize([text]))


@jax.jit
def _embed_tokens(encoder: Encoder, tokens: Int[Array | np.ndarray, "m t"]) -> Float[Array, "m f"]:
    return to_unit_length(encoder.text_features(encoder.params, tokens))


@jax.jit
def _embed_first(encoder: Encoder, tokens: Int[Array | np.ndarray, "1 t"]) -> Float[Array, " f"]:
    return _embed_tokens(encoder, tokens)[0]


def compare_crops(
    method: DreamFields,
    frozen: Frozen,
    data: DreamFieldsData,
    hyperparameters: Hyperparameters,
    image: Float[Array, "p p 4"],
    key: PRNGKeyArray,
) -> CropFit:
    """Compare random crops of a view with what each guide reads.

    Crops that show the shape alone are compared with the words for it, and not with other captions.
    """
    cosines = []
    negatives = []
    contrasts = []
    crops_by_px: dict[int, Crops] = {}
    for name, texts in zip(method.encoders, data.texts, strict=True):
        encoder: Encoder = frozen[name]
        if encoder.image_px not in crops_by_px:
            crops_by_px[encoder.image_px] = augment_crops(method, hyperparameters, image, encoder.image_px, key)
        crops = crops_by_px[encoder.image_px]
        with jax.named_scope("encoder"):
            features = to_unit_length(encoder.image_features(encoder.params, crops.images))
        own = jnp.einsum("nf,f->n", features, texts.caption, precision="highest")
        if texts.others is not None and texts.is_other is not None:
            others = jnp.einsum("nf,mf->nm", features, texts.others, precision="highest")
            scale = encoder.towers.logit_scale(encoder.params)
            found = contrast_losses(scale * own, scale * others, texts.is_other)
            other = jnp.einsum("nm,m->n", others, texts.is_other, precision="highest") / jnp.sum(texts.is_other)
            negatives.append(mean_in_color(other, crops.shows_shape))
            contrasts.append(mean_in_color(found, crops.shows_shape))
        if crops.shows_shape is not None and texts.shape is not None:
            of_shape = jnp.einsum("nf,f->n", features, texts.shape, precision="highest")
            own = jnp.where(crops.shows_shape, of_shape, own)
        cosines.append(own)
    if not negatives:
        return CropFit(tuple(cosines), None, None)
    return CropFit(tuple(cosines), mean_of(negatives), mean_of(contrasts))


def augment_crops(
    method: DreamFields,
    hyperparameters: Hyperparameters,
    image: Float[Array, "p p 4"],
    image_px: int,
    key: PRNGKeyArray,
) -> Crops:
    """Take random crops of a view, each over a random background, at a guide's size."""
    num_crops = method.num_crops
    assert num_crops, "dream_fields: num_crops is open; see tasks.budgets.sized"
    crop_share = hyperparameters["crop_share"]
    shares = None
    if method.close_share:
        is_close = jax.random.bernoulli(jax.random.fold_in(key, 1), method.close_share, (num_crops,))
        shares = jnp.where(is_close, method.close_crop_share, jnp.broadcast_to(crop_share, (num_crops,)))
    shows_shape = None
    if method.silhouette_share:
        shows_shape = jax.random.bernoulli(jax.random.fold_in(key, 2), method.silhouette_share, (num_crops,))

    def augment(
        key: PRNGKeyArray, share: Float[Array, ""] | None, shows_shape: Bool[Array, ""] | None
    ) -> Float[Array, "h w 3"]:
        crop_key, background_key = jax.random.split(key)
        crop = augmentations.random_resized_crop(crop_key, image, crop_share if share is None else share, image_px)
        background = augmentations.sample_weighted_background(
            background_key, image_px, hyperparameters["backgrounds"], hyperparameters["max_blur_px"]
        )
        seen = augmentations.composite_over(background, crop[..., :3], crop[..., 3])
        if shows_shape is None:
            return seen
        shape_key = jax.random.fold_in(key, 3)
        shape = shape_crops.show_shape(shape_key, crop[..., :3], crop[..., 3], background)
        return jnp.where(shows_shape, shape, seen)

    with jax.named_scope("augmentation"):
        drawn = split_rays((jax.random.split(key, num_crops), shares, shows_shape))
        return Crops(split_rays(jax.vmap(augment)(*drawn)), shows_shape)


def contrast_losses(
    caption_logits: Float[Array, " n"], other_logits: Float[Array, "n m"], is_other: Float[Array, " m"]
) -> Float[Array, " n"]:
    """Compute the cross-entropy, in nats, of finding each crop's caption among others.

    Args:
        caption_logits: Of the caption.
        other_logits: Of the other captions.
        is_other: 0 for columns that count for nothing.
    """
    counts = jnp.broadcast_to(is_other > 0, other_logits.shape)
    logits = jnp.concatenate([caption_logits[:, None], jnp.where(counts, other_logits, -jnp.inf)], axis=1)
    return jax.nn.logsumexp(logits, axis=1) - caption_logits


def mean_in_color(values: Float[Array, " n"], shows_shape: Bool[Array, " n"] | None) -> Float[Array, ""]:
    """Compute the mean over the crops that do not show the shape alone; 0 if all of them do."""
    if shows_shape is None:
        return jnp.mean(values)
    return jnp.sum(jnp.where(shows_shape, 0, values)) / jnp.maximum(jnp.sum(~shows_shape), 1)


def mean_of(values: Sequence[Float[Array, ""]]) -> Float[Array, ""]:
    """Compute the mean of a few scalars."""
    return sum(values[1:], start=values[0]) / len(values)
