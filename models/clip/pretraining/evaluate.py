"""How well an encoder of the closed world reads and sees: what its card says.

Every number is on pictures that it was not trained on, on mid-grey, with the canonical caption of each meaning.

    python -m models.clip.pretraining.evaluate embedded-judge-rn --family guide

says it of the renders of either family: what a judge says of true renders is the ceiling of what it can say of a field.

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
from tasks.closed_world import meanings as meanings_module
from tasks.closed_world.appearance import Family
from tasks.closed_world.meanings import Meaning, ObjectSpec, fraction

KEPT_BACK = 0.03
"""Share of the pictures of trained combinations that are not trained on."""

NUM_CAPTIONS = 64
"""Of a retrieval set: chance is 1 in 64."""

GREY = 0.5


def kept_back(numbers: Sequence[int]) -> Bool[np.ndarray, " n"]:
    """Which pictures training leaves for testing, by their numbers."""
    return np.asarray([fraction("kept back", number) < KEPT_BACK for number in numbers])


def on_grey(images: UInt8[np.ndarray, "n h w 4"], grey: float = GREY) -> Float[np.ndarray, "n h w 3"]:
    """Straight RGBA before a plain background."""
    straight = images.astype(np.float32) / 255
    return straight[..., :3] * straight[..., 3:] + grey * (1 - straight[..., 3:])


def encoder_of(checkpoint: files.Checkpoint) -> Encoder:
    """A checkpoint that lies in no file yet, as `models.clip.load` would give it."""
    return Encoder(
        name="pretrain",
        params=checkpoint.variables,
        towers=LinenTowers(checkpoint.model),
        tokenizer=checkpoint.tokenizer,
        mean=checkpoint.mean,
        std=checkpoint.std,
        sha256="",
    )


def image_embeddings(encoder: Encoder, images: Float[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n f"]:
    """Of length 1."""
    see = jax.jit(lambda params, batch: encoder.image_features(params, batch))
    size = min(256, len(images))
    found = []
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        padded = np.concatenate([batch, np.repeat(batch[:1], size - len(batch), axis=0)])
        found.append(np.asarray(see(encoder.params, padded))[: len(batch)])
    return unit(np.concatenate(found))


def text_embeddings(encoder: Encoder, meanings: Sequence[Meaning]) -> Float[np.ndarray, "m f"]:
    """Of length 1, of canonical captions."""
    read = jax.jit(lambda params, batch: encoder.text_features(params, batch))
    tokens = encoder.tokenize([grammar.caption(meaning) for meaning in meanings])
    return unit(
        np.concatenate([np.asarray(read(encoder.params, tokens[i : i + 512])) for i in range(0, len(tokens), 512)])
    )


def unit(x: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n f"]:
    """Rows of length 1."""
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def accuracy(
    checkpoint: files.Checkpoint | Encoder, images: UInt8[np.ndarray, "n h w 4"], meanings: Sequence[Meaning]
) -> dict[str, Any]:
    """What the card says about a set of pictures.

    Returns:
        `zero_shot`: the right caption among all those of the set's single things. `retrieval_64`: the right caption
        among 64 of the set's, pairs included. `kind`, `color` and `finish`: of the best caption among all things
        there are. Each with the number of pictures, and a 95% interval by resampling meanings.
    """
    encoder = checkpoint if isinstance(checkpoint, Encoder) else encoder_of(checkpoint)
    see = image_embeddings(encoder, on_grey(images))
    shown = np.asarray([isinstance(meaning, ObjectSpec) for meaning in meanings])
    single = [meaning for meaning in meanings if isinstance(meaning, ObjectSpec)]
    said: dict[str, Any] = {}
    captions = list(dict.fromkeys(meanings))
    place = np.asarray([captions.index(meaning) for meaning in meanings])
    read = text_embeddings(encoder, captions)
    ranks = retrieval(see @ read.T, place)
    said["retrieval_64"] = summary(ranks, place) | {"num_captions": min(NUM_CAPTIONS, len(captions))}
    if single:
        everything = list(meanings_module.things())
        best = [everything[i] for i in (see[shown] @ text_embeddings(encoder, everything).T).argmax(axis=1)]
        names = list(dict.fromkeys(single))
        which = np.asarray([names.index(meaning) for meaning in single])
        right = (see[shown] @ text_embeddings(encoder, names).T).argmax(axis=1) == which
        said["zero_shot"] = summary(right.astype(np.float64), which) | {"num_captions": len(names)}
        for field in ("kind", "color", "finish"):
            same = [getattr(a, field) == getattr(b, field) for a, b in zip(best, single, strict=True)]
            said[field] = summary(np.asarray(same, np.float64), which) | {"num_captions": len(everything)}
    return said


def kinds(
    checkpoint: files.Checkpoint | Encoder, images: UInt8[np.ndarray, "n h w 4"], meanings: Sequence[Meaning]
) -> dict[str, Any]:
    """What the card says of an encoder that knows kinds alone: the right word among those of all kinds."""
    encoder = checkpoint if isinstance(checkpoint, Encoder) else encoder_of(checkpoint)
    single = [i for i, meaning in enumerate(meanings) if isinstance(meaning, ObjectSpec)]
    names = sorted(meanings_module.KINDS)
    read = jax.jit(lambda params, tokens: encoder.text_features(params, tokens))
    words = unit(np.asarray(read(encoder.params, encoder.tokenize(names))))
    best = (image_embeddings(encoder, on_grey(images[np.asarray(single)])) @ words.T).argmax(axis=1)
    right = np.asarray([names[k] == kind_of(meanings[i]) for k, i in zip(best, single, strict=True)], np.float64)
    shown = list(dict.fromkeys(meanings[i] for i in single))
    said = summary(right, np.asarray([shown.index(meanings[i]) for i in single]))
    return {"kind": said | {"num_captions": len(names)}}


def kind_of(meaning: Meaning) -> str:
    """Of a single thing."""
    assert isinstance(meaning, ObjectSpec)
    return meaning.kind


def retrieval(
    cosines: Float[np.ndarray, "n m"], place: Int[np.ndarray, " n"], num_sets: int = 20
) -> Float[np.ndarray, " n"]:
    """How often each picture's caption is the best of 64, its own and 63 random others, over some such sets."""
    random = np.random.default_rng(0)
    num_captions = cosines.shape[1]
    num_others = min(NUM_CAPTIONS, num_captions) - 1
    hits = np.zeros(len(place))
    for row, own in enumerate(place):
        for _ in range(num_sets):
            others = random.choice(num_captions - 1, num_others, replace=False)
            others = others + (others >= own)
            hits[row] += cosines[row, own] > cosines[row, others].max(initial=-2.0)
    return hits / num_sets


def summary(right: Float[np.ndarray, " n"], cluster: Int[np.ndarray, " n"]) -> dict[str, Any]:
    """A mean with its 95% interval, resampled over clusters: pictures of one meaning are not independent."""
    random = np.random.default_rng(0)
    num = np.bincount(cluster)
    total, num = np.bincount(cluster, right)[num > 0], num[num > 0]
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
    """Prints how well encoders find captions of true renders: the ceiling of what they can say of a field."""
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

    dataset.prepare(args.num_renders, 64, 64, args.family, dataset=False)
    for name in args.names:
        pictures = dataset.read_arrays(args.num_renders, 64, 64, args.family, "held_out")
        found = accuracy(loading.load(name), pictures.images, list(pictures.meanings))
        for metric, said in found.items():
            print(
                f"{name}, held-out combinations, family {args.family}, {metric}: {said['mean']:.3f} "
                f"[{said['low']:.3f}, {said['high']:.3f}] ({said['num_pictures']} pictures of {said['num_meanings']} "
                f"meanings, among {said['num_captions']} captions)"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
