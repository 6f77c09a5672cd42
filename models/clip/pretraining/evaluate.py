"""Evaluates the embedded encoders, for their model cards.

All pictures are ones that the encoder was not trained on, composited on mid-grey. Captions are the canonical caption of
each meaning. The command

    python -m models.clip.pretraining.evaluate embedded-judge-rn --family guide

prints the accuracy on the renders of one family. The accuracy of a judge on true renders is the upper bound of what it
can measure on fields.

n: pictures, h and w: pixels, m: meanings, f: features.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, get_args

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from models.clip import loading
from models.clip.checkpoints import files
from models.clip.checkpoints.catalog import JUDGES
from models.clip.encoder import Encoder, LinenTowers
from tasks.closed_world import grammar
from tasks.closed_world.appearance import Family
from tasks.closed_world.meanings import KINDS, Meaning, ObjectSpec, fraction, things

KEPT_BACK = 0.03
"""Share of the pictures of trained combinations that are kept for testing."""

NUM_CAPTIONS = 64
"""Captions of a retrieval set, so that chance is 1 in 64."""

GREY = 0.5


def is_kept_for_testing(numbers: Sequence[int]) -> Bool[np.ndarray, " n"]:
    """Tell which pictures, by their numbers, are kept for testing."""
    return np.asarray([fraction("kept back", number) < KEPT_BACK for number in numbers])


def composite_on_grey(images: UInt8[np.ndarray, "n h w 4"], grey: float = GREY) -> Float[np.ndarray, "n h w 3"]:
    """Composite RGBA images with straight alpha on a plain background."""
    straight = images.astype(np.float32) / 255
    return straight[..., :3] * straight[..., 3:] + grey * (1 - straight[..., 3:])


def make_encoder(checkpoint: files.Checkpoint) -> Encoder:
    """Make an encoder of a checkpoint that is not in a file yet, like `models.clip.load`."""
    return Encoder(
        name="pretrain",
        params=checkpoint.variables,
        towers=LinenTowers(checkpoint.model),
        tokenizer=checkpoint.tokenizer,
        mean=checkpoint.mean,
        std=checkpoint.std,
        sha256="",
    )


def embed_images(encoder: Encoder, images: Float[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n f"]:
    """Embed images, normalised to length 1."""
    embed = jax.jit(lambda params, batch: encoder.image_features(params, batch))
    size = min(256, len(images))
    found = []
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        padded = np.concatenate([batch, np.repeat(batch[:1], size - len(batch), axis=0)])
        found.append(np.asarray(embed(encoder.params, padded))[: len(batch)])
    return normalize_rows(np.concatenate(found))


def embed_meanings(encoder: Encoder, meanings: Sequence[Meaning]) -> Float[np.ndarray, "m f"]:
    """Embed the canonical captions of meanings, normalised to length 1."""
    embed = jax.jit(lambda params, batch: encoder.text_features(params, batch))
    tokens = encoder.tokenize([grammar.caption(meaning) for meaning in meanings])
    found = []
    for start in range(0, len(tokens), 512):
        found.append(np.asarray(embed(encoder.params, tokens[start : start + 512])))
    return normalize_rows(np.concatenate(found))


def normalize_rows(x: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n f"]:
    """Scale rows to length 1."""
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def measure_accuracy(
    checkpoint: files.Checkpoint | Encoder, images: UInt8[np.ndarray, "n h w 4"], meanings: Sequence[Meaning]
) -> dict[str, Any]:
    """Measure how often an encoder finds the right caption of a set of pictures.

    Returns:
        `retrieval_64`: among 64 captions of the set, pairs included. `zero_shot`: among the captions of all single
        objects of the set. `kind`, `color` and `finish`: the property of the best caption among all objects of the
        world. Each has the number of pictures and a 95% interval by resampling meanings.
    """
    encoder = checkpoint if isinstance(checkpoint, Encoder) else make_encoder(checkpoint)
    embeddings = embed_images(encoder, composite_on_grey(images))
    captions = list(dict.fromkeys(meanings))
    own_caption = np.asarray([captions.index(meaning) for meaning in meanings])
    ranks = retrieval(embeddings @ embed_meanings(encoder, captions).T, own_caption)
    accuracy: dict[str, Any] = {
        "retrieval_64": summary(ranks, own_caption) | {"num_captions": min(NUM_CAPTIONS, len(captions))}
    }
    single = [meaning for meaning in meanings if isinstance(meaning, ObjectSpec)]
    if not single:
        return accuracy
    is_single = np.asarray([isinstance(meaning, ObjectSpec) for meaning in meanings])
    single_embeddings = embeddings[is_single]
    names = list(dict.fromkeys(single))
    own_name = np.asarray([names.index(meaning) for meaning in single])
    is_right = (single_embeddings @ embed_meanings(encoder, names).T).argmax(axis=1) == own_name
    accuracy["zero_shot"] = summary(is_right.astype(np.float64), own_name) | {"num_captions": len(names)}
    everything = list(things())
    best = [everything[i] for i in (single_embeddings @ embed_meanings(encoder, everything).T).argmax(axis=1)]
    for field in ("kind", "color", "finish"):
        is_same = [getattr(a, field) == getattr(b, field) for a, b in zip(best, single, strict=True)]
        accuracy[field] = summary(np.asarray(is_same, np.float64), own_name) | {"num_captions": len(everything)}
    return accuracy


def measure_kind_accuracy(
    checkpoint: files.Checkpoint | Encoder, images: UInt8[np.ndarray, "n h w 4"], meanings: Sequence[Meaning]
) -> dict[str, Any]:
    """Measure the accuracy of an encoder that knows only kinds: how often it finds the right word among all kinds."""
    encoder = checkpoint if isinstance(checkpoint, Encoder) else make_encoder(checkpoint)
    single = [i for i, meaning in enumerate(meanings) if isinstance(meaning, ObjectSpec)]
    names = sorted(KINDS)
    embed = jax.jit(lambda params, tokens: encoder.text_features(params, tokens))
    words = normalize_rows(np.asarray(embed(encoder.params, encoder.tokenize(names))))
    embeddings = embed_images(encoder, composite_on_grey(images[np.asarray(single)]))
    best = (embeddings @ words.T).argmax(axis=1)
    is_right = [names[k] == object_kind(meanings[i]) for k, i in zip(best, single, strict=True)]
    shown = list(dict.fromkeys(meanings[i] for i in single))
    own_meaning = np.asarray([shown.index(meanings[i]) for i in single])
    return {"kind": summary(np.asarray(is_right, np.float64), own_meaning) | {"num_captions": len(names)}}


def object_kind(meaning: Meaning) -> str:
    """Return the kind of a single object."""
    assert isinstance(meaning, ObjectSpec)
    return meaning.kind


def retrieval(cosines: Float[np.ndarray, "n m"], own_caption: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Compute the chance that each picture's own caption is the best of 64, with 63 others drawn at random.

    All 63 must be among the captions that the own one beats: the chance of drawing so without putting back.
    """
    num_others = cosines.shape[1] - 1
    num_drawn = min(NUM_CAPTIONS - 1, num_others)
    own = np.take_along_axis(cosines, own_caption[:, None], axis=1)
    num_beaten = (cosines < own).sum(axis=1)
    draws = np.arange(num_drawn)
    chances = np.clip(num_beaten[:, None] - draws, 0, None) / (num_others - draws)
    return chances.prod(axis=1)


def summary(right: Float[np.ndarray, " n"], cluster: Int[np.ndarray, " n"]) -> dict[str, Any]:
    """Compute a mean with its 95% interval by resampling clusters, as pictures of one meaning are not independent."""
    random = np.random.default_rng(0)
    counts = np.bincount(cluster)
    total = np.bincount(cluster, right)[counts > 0]
    num = counts[counts > 0]
    drawn = random.integers(0, len(num), (2000, len(num)))
    low, high = np.percentile(total[drawn].sum(axis=1) / num[drawn].sum(axis=1), [2.5, 97.5])
    return {
        "mean": round(float(right.mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "num_pictures": len(right),
        "num_meanings": len(num),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print how often encoders find the captions of true renders: an upper bound of what they can measure on fields."""
    parser = argparse.ArgumentParser(prog="python -m models.clip.pretraining.evaluate", description=main.__doc__)
    parser.add_argument("names", nargs="*", default=JUDGES, metavar="NAME", help="encoders (default: the judges)")
    parser.add_argument(
        "--family", choices=get_args(Family), default="guide", help="whose renders and light (default: %(default)s)"
    )
    parser.add_argument(
        "--num-renders", type=int, default=4000, metavar="N", help="of the family, both splits (default: %(default)s)"
    )
    args = parser.parse_args(arguments)
    from tasks.closed_world import dataset

    dataset.prepare_pictures(args.num_renders, 64, 64, args.family, dataset=False)
    for name in args.names:
        pictures = dataset.read_arrays(args.num_renders, 64, 64, args.family, "held_out")
        accuracy = measure_accuracy(loading.load(name), pictures.images, list(pictures.meanings))
        for metric, found in accuracy.items():
            print(
                f"{name}, held-out combinations, family {args.family}, {metric}: {found['mean']:.3f} "
                f"[{found['low']:.3f}, {found['high']:.3f}] ({found['num_pictures']} pictures of "
                f"{found['num_meanings']} meanings, among {found['num_captions']} captions)"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
