"""Ranks the captions of a set against a view: embeddings, ranks and margins, and what chance would give.

All but the embeddings are pure functions of cosines and ranks. `bench.metrics.caption_protocols` decides which views,
on which background, by which judge.

To add a metric that an encoder makes: a field of `RetrievalRanks`, then the lists that `bench/metrics/registry.py`
names.

n: views, m: captions of a set, h and w: pixels of a view, f: features.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from bench.programs.kept_programs import KeptFunction
from models.clip import preprocess
from models.clip.encoder import Encoder
from tasks.captions.caption_sets import CaptionSet

BATCH = 16
"""Views of one call. The last batch is filled up, so that a view has the same digits everywhere."""

TEXT_BATCH = 256

TOP = {"rprec1": 1, "rprec5": 5}
"""By a metric's base, among how many of the first captions the right one must be."""

_TEXT_EMBEDDINGS: dict[tuple[str, str, str], Float[np.ndarray, "m f"]] = {}
"""Embeddings of captions, by encoder, its weights and the set's SHA-256: a set is embedded once for all trials."""


class RetrievalRanks(NamedTuple):
    """The place of the right caption, view by view.

    Attributes:
        rank: From 1, the best; a wrong caption with the same cosine stands before the right one.
        hit1: Whether it came first.
        hit5: Whether it was among the first five.
        margin: Its cosine minus the best wrong one's.
        cosine: Its own.
        predicted: Place in the set of the caption that came first.
        wrong: Place of the best wrong one.
        nll: Minus the logarithm of its softmax over raw cosines, without a temperature, as the released code of
            Dream Fields logs it; close to that of chance for every encoder.
    """

    rank: Int[np.ndarray, " n"]
    hit1: Bool[np.ndarray, " n"]
    hit5: Bool[np.ndarray, " n"]
    margin: Float[np.ndarray, " n"]
    cosine: Float[np.ndarray, " n"]
    predicted: Int[np.ndarray, " n"]
    wrong: Int[np.ndarray, " n"]
    nll: Float[np.ndarray, " n"]


def ranked(cosines: Float[np.ndarray, "n m"], place: int) -> RetrievalRanks:
    """Rank one caption among those of its set.

    Args:
        cosines: Of views with captions.
        place: Of the right caption, the same for all views.

    Raises:
        ValueError: There is no other caption, or no such place.

    Example:
        >>> found = ranked(np.asarray([[0.1, 0.3, 0.2], [0.3, 0.3, 0.1], [0.1, 0.4, 0.1]]), place=1)
        >>> found.rank.tolist(), found.predicted.tolist(), found.wrong.tolist(), found.margin.round(3).tolist()
        ([1, 2, 1], [1, 0, 1], [2, 0, 0], [0.1, 0.0, 0.3])
    """
    num_captions = cosines.shape[1]
    if num_captions < 2 or not 0 <= place < num_captions:
        raise ValueError(f"ranked: expected a place among at least 2 captions, got {place} among {num_captions}")
    cosines = cosines.astype(np.float64)
    own = cosines[:, place]
    others = cosines.copy()
    others[:, place] = -np.inf
    wrong = others.argmax(axis=1)
    rank = 1 + (others >= own[:, None]).sum(axis=1)
    top = cosines.max(axis=1)
    return RetrievalRanks(
        rank=rank,
        hit1=rank == 1,
        hit5=rank <= 5,
        margin=own - others.max(axis=1),
        cosine=own,
        predicted=np.where(rank == 1, place, wrong),
        wrong=wrong,
        nll=top + np.log(np.exp(cosines - top[:, None]).sum(axis=1)) - own,
    )


def precision_at(ranks: Int[np.ndarray, " n"], set_size: int, num_distractors: int) -> Float[np.ndarray, " n"]:
    """Compute how often the right caption would come first among fewer wrong ones: the exact mean over all choices.

    Of the wrong captions `rank - 1` come before the right one. It comes first if none of those is chosen, which of
    C(size - 1, k) choices C(size - rank, k) leave out: the hypergeometric law.

    Args:
        ranks: From 1, in the whole set; an empty or solid field has the set's size.
        set_size: Captions in the set.
        num_distractors: Wrong captions beside the right one; chance is 1 / (num_distractors + 1).

    Raises:
        ValueError: More distractors than there are, or a rank beyond the set.

    Example:
        >>> precision_at(np.asarray([1, 2, 5]), set_size=5, num_distractors=4).tolist()  # the whole set
        [1.0, 0.0, 0.0]
        >>> precision_at(np.asarray([1, 2, 5]), set_size=5, num_distractors=1).tolist()  # one against one
        [1.0, 0.75, 0.0]
    """
    if not 0 <= num_distractors < set_size:
        raise ValueError(f"precision_at: expected 0 to {set_size - 1} distractors, got {num_distractors}")
    if not ((ranks >= 1) & (ranks <= set_size)).all():
        raise ValueError(f"precision_at: expected ranks from 1 to {set_size}, got {ranks.min()} to {ranks.max()}")
    num_choices = math.comb(set_size - 1, num_distractors)
    return np.asarray([math.comb(set_size - int(rank), num_distractors) / num_choices for rank in ranks])


def chance(set_size: int, top: int = 1) -> float:
    """Compute how often the right caption is among the first `top` of a random order.

    Example:
        >>> chance(128), chance(128, top=5), chance(4, top=5)
        (0.0078125, 0.0390625, 1.0)
    """
    return min(top, set_size) / set_size


# ---- embeddings ------------------------------------------------------------------------------------------------------


def image_embeddings(encoder: Encoder, images: Float[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n f"]:
    """Embed images, with length 1.

    Args:
        encoder: In float32: a judge never computes with less.
        images: In [0, 1], square. Those of another size than the encoder's are resized by a bicubic filter and clipped
            to [0, 1] again; the scores' `departs` says so.
    """
    found = []
    for start in range(0, len(images), BATCH):
        batch = np.asarray(images[start : start + BATCH], np.float32)
        full = np.concatenate([batch, np.zeros((BATCH - len(batch), *batch.shape[1:]), np.float32)])
        found.append(np.asarray(_embed_images(encoder, jax.device_put(full)))[: len(batch)])
    return np.concatenate(found)


def text_embeddings(encoder: Encoder, captions: CaptionSet) -> Float[np.ndarray, "m f"]:
    """Embed the captions of a set, with length 1, and keep the embeddings for the next trial.

    Raises:
        UsageError: The encoder reads no text, or a caption is too long for it.
    """
    key = (encoder.name, encoder.sha256, captions.sha256)
    if key not in _TEXT_EMBEDDINGS:
        tokens = encoder.tokenize(captions.captions)
        starts = range(0, len(tokens), TEXT_BATCH)
        _TEXT_EMBEDDINGS[key] = np.concatenate(
            [np.asarray(_embed_texts(encoder, jax.device_put(tokens[start : start + TEXT_BATCH]))) for start in starts]
        )
    return _TEXT_EMBEDDINGS[key]


@KeptFunction
def _embed_images(encoder: Encoder, images: Float[Array, "b h w 3"]) -> Float[Array, "b f"]:
    if images.shape[1] != encoder.image_px:
        images = jnp.clip(preprocess.resize(images, encoder.image_px), 0, 1)
    return _unit(encoder.image_features(encoder.params, images))


@KeptFunction
def _embed_texts(encoder: Encoder, tokens: Int[Array, "b t"]) -> Float[Array, "b f"]:
    return _unit(encoder.text_features(encoder.params, tokens))


def _unit(x: Float[Array, "b f"]) -> Float[Array, "b f"]:
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)
