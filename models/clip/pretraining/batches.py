"""Makes the batches that an embedded encoder is trained on.

A batch samples pictures, composites each over a random background as Dream Fields does, augments it (zoom, shift,
light, blur, noise), and samples a paraphrase of its caption. A recipe may hide the surface of some pictures, or add
pictures that are broken up (see `shape_pictures`).

b: captions of a batch, i: pictures of a batch, n: pictures of a set, h and w: pixels, c: meanings, p: paraphrases,
t: tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from models import augmentations
from models.clip.pretraining import evaluate, shape_pictures
from models.clip.pretraining.recipes import TOKENIZER, Recipe
from tasks.closed_world import grammar
from tasks.closed_world.meanings import Meaning, ObjectSpec


class TrainingSet(NamedTuple):
    """Holds on the device the pictures and captions that batches are sampled from.

    Attributes:
        images: sRGB with straight alpha.
        meanings: Index of each picture's meaning, which is its row in `tokens`.
        tokens: All paraphrases of each meaning, repeated up to a common number; behind the meanings, the words of the
            kinds of single things.
        kinds: Row of the kind of each picture in `tokens`, -1 where it shows a pair.
    """

    images: UInt8[Array, "n h w 4"]
    meanings: Int[Array, " n"]
    tokens: Int[Array, "c p t"]
    kinds: Int[Array, " n"]


def build_training_set(
    images: UInt8[np.ndarray, "n h w 4"],
    meanings: Sequence[Meaning],
    says: Literal["captions", "kinds"] = "captions",
) -> TrainingSet:
    """Build a training set of pictures and all their captions; for kinds, only of pictures that show one object."""
    labels: Sequence[Meaning | str] = meanings
    if says == "kinds":
        single = [i for i, meaning in enumerate(meanings) if isinstance(meaning, ObjectSpec)]
        images = images[np.asarray(single)]
        labels = [evaluate.object_kind(meanings[i]) for i in single]
    kinds = [label.kind if isinstance(label, ObjectSpec) else None for label in labels]
    distinct = list(dict.fromkeys([*labels, *(kind for kind in kinds if kind is not None)]))
    tokens = [TOKENIZER.encode(_captions(label)) for label in distinct]
    most = max(len(rows) for rows in tokens)
    repeated = [rows[np.arange(most) % len(rows)] for rows in tokens]
    index = {label: i for i, label in enumerate(distinct)}
    places = [index[label] for label in labels]
    kind_places = [-1 if kind is None else index[kind] for kind in kinds]
    return TrainingSet(
        images=jnp.asarray(images),
        meanings=jnp.asarray(places, jnp.int32),
        tokens=jnp.asarray(np.stack(repeated)),
        kinds=jnp.asarray(kind_places, jnp.int32),
    )


def _captions(label: Meaning | str) -> Sequence[str]:
    """Return all captions of a meaning, or a kind's own word."""
    if isinstance(label, str):
        return [label]
    return grammar.paraphrases(label)


def augment_picture(key: PRNGKeyArray, picture: UInt8[Array, "h w 4"]) -> Float[Array, "h w 3"]:
    """Augment a picture: flip, zoom and shift, random background, contrast and brightness, blur, and noise."""
    keys = iter(jax.random.split(key, 16))

    def uniform(low: float, high: float) -> Float[Array, ""]:
        return jax.random.uniform(next(keys), (), minval=low, maxval=high)

    image_px = picture.shape[0]
    straight = picture.astype(jnp.float32) / 255
    premultiplied = jnp.concatenate([straight[..., :3] * straight[..., 3:], straight[..., 3:]], axis=-1)
    premultiplied = jnp.where(uniform(0.0, 1.0) < 0.5, premultiplied, premultiplied[:, ::-1])
    size = uniform(0.75, 1.45) * image_px
    free_px = image_px - size
    moved = augmentations.crop_and_resize(
        premultiplied, uniform(0.0, 1.0) * free_px, uniform(0.0, 1.0) * free_px, size, image_px
    )
    moved = moved * uniform(0.75, 1.0)  # a field may be partly transparent
    background_key = next(keys)
    plain_key = next(keys)
    noise_key = next(keys)
    kinds: tuple[augmentations.Background, ...] = (*augmentations.DREAM_FIELDS_BACKGROUNDS, "gaussian noise")
    background = augmentations.sample_background(background_key, image_px, kinds, max_blur_px=6.0)
    grey = jax.random.uniform(plain_key, (1,))
    color = jax.random.uniform(plain_key, (3,))
    which = uniform(0.0, 1.0)
    plain = jnp.where(which < 0.2, jnp.ones(3), jnp.where(which < 0.4, jnp.broadcast_to(grey, (3,)), color))
    background = jnp.where(which < 0.5, jnp.broadcast_to(plain[None, None], background.shape), background)
    image = augmentations.composite_over(background, moved[..., :3], moved[..., 3])
    image = jnp.clip((image - 0.5) * uniform(0.8, 1.2) + 0.5 + uniform(-0.1, 0.1), 1e-4, 1.0) ** uniform(0.8, 1.25)
    image = augmentations.blur(image, jnp.maximum(uniform(-1.0, 1.3), 0.0), 7)
    noisy = image + jnp.maximum(uniform(-0.06, 0.06), 0.0) * jax.random.normal(noise_key, image.shape)
    return jnp.clip(noisy, 0.0, 1.0)


class PictureBatch(NamedTuple):
    """Holds the pictures and captions of a step.

    Attributes:
        images: sRGB in [0, 1], of the pictures and then of those that are broken up.
        tokens: A caption of each picture.
        labels: What each picture and its caption mean: a row of `TrainingSet.tokens`.
        is_ambiguous: Whether a caption is right for a picture but says more or less than the picture's own: a kind's
            word beside a whole caption. Such a pair is neither matched nor kept apart.
    """

    images: Float[Array, "i h w 3"]
    tokens: Int[Array, "b t"]
    labels: Int[Array, " b"]
    is_ambiguous: Bool[Array, "b b"]


def sample_batch(recipe: Recipe, pool: TrainingSet, key: PRNGKeyArray) -> PictureBatch:
    """Draw pictures with their captions, and change them as the recipe says."""
    size = recipe.batch_size
    picture_key, caption_key, augment_key = jax.random.split(key, 3)
    drawn = jax.random.randint(picture_key, (size,), 0, pool.images.shape[0])
    pictures = pool.images[drawn]
    labels = pool.meanings[drawn]
    kinds = pool.kinds[drawn]
    is_shape = jnp.zeros(size, bool)
    if recipe.shape_share:
        shape_key = jax.random.fold_in(key, 1)
        is_shape = jax.random.bernoulli(shape_key, recipe.shape_share, (size,)) & (kinds >= 0)
        shapes = jax.vmap(shape_pictures.hide_surface)(jax.random.split(shape_key, size), pictures)
        pictures = jnp.where(is_shape[:, None, None, None], shapes, pictures)
        labels = jnp.where(is_shape, kinds, labels)
    num_broken = round(recipe.broken_share * size)
    if num_broken:
        broken_keys = jax.random.split(jax.random.fold_in(key, 2), num_broken)
        broken = jax.vmap(shape_pictures.break_up)(broken_keys, pool.images[drawn[:num_broken]])
        pictures = jnp.concatenate([pictures, broken])
    # Half of the captions are the canonical ones (index 0), because retrieval uses these.
    paraphrase = jax.random.randint(caption_key, (size,), -pool.tokens.shape[1], pool.tokens.shape[1])
    return PictureBatch(
        images=jax.vmap(augment_picture)(jax.random.split(augment_key, size + num_broken), pictures),
        tokens=pool.tokens[labels, jnp.maximum(paraphrase, 0)],
        labels=labels,
        is_ambiguous=(kinds[:, None] == kinds[None]) & (kinds >= 0)[None] & (is_shape[:, None] != is_shape[None]),
    )
