"""Trains the embedded encoders contrastively on rendered, captioned objects of the closed world.

    python -m models.clip.pretraining.train embedded-vit-8

A recipe names an architecture, a family of pictures and a seed. Pictures are rendered on first use (some minutes on 16
cores). A training step samples pictures, composites each over a random background as Dream Fields does, augments it
(zoom, shift, light, blur, noise), samples a paraphrase of its caption, and trains the towers to match pictures and
captions. Pictures of one meaning in a batch all match the captions of that meaning.

A fixed tenth of the world's combinations, and those that the embedded scenes show, are never trained on; the card has
the accuracy on them. Judges are trained on other renders, under other light, with another seed.

b: pictures of a batch, n: pictures of a set, h and w: pixels, c: captions, p: paraphrases, t: tokens, f: features.

References:
    CLIP: Radford et al. 2021, https://arxiv.org/abs/2103.00020.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, UInt8

from bench.errors import UsageError, nearest
from models import augmentations
from models.clip.checkpoints import files
from models.clip.checkpoints.catalog import EMBEDDED_FOLDER
from models.clip.networks import dual_encoder
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.networks.resnet import ModifiedResNet
from models.clip.networks.text_transformer import TextTransformer
from models.clip.networks.vit import VisionTransformer
from models.clip.pretraining import evaluate
from models.clip.tokenizers import WordTokenizer
from tasks.closed_world import grammar
from tasks.closed_world.appearance import Family
from tasks.closed_world.meanings import Meaning, ObjectSpec

MEAN = (0.5, 0.5, 0.5)
"""Mean by which pixels are normalised, by colour."""

STD = (0.25, 0.25, 0.25)
"""Standard deviation by which pixels are normalised, by colour."""

CONTEXT_LENGTH = grammar.LONGEST + 2

TOKENIZER = WordTokenizer(words=grammar.vocabulary(), context_length=CONTEXT_LENGTH)

CHUNK = 100
"""Steps of one compiled scan."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Describes how an encoder is trained.

    Attributes:
        image_tower: Architecture of the image tower.
        text_tower: Architecture of the text tower.
        family: Family of pictures.
        says: What a picture is matched with: its "captions", or its "kinds" alone, one word for each of 41 classes.
            An encoder of kinds learns what a classifier learns, and never sees a sentence.
        seed: Seed of the initial parameters and of all batches.
        num_renders: Pictures of the family, in both splits together.
        num_spp: Samples per pixel of the renders.
        num_steps: Gradient steps.
        batch_size: Pictures of a step.
        learning_rate: Highest learning rate of Adam. It rises over a twentieth of the steps and falls as a cosine to 0.
        weight_decay: Weight decay of matrices.
    """

    image_tower: VisionTransformer | ModifiedResNet
    text_tower: TextTransformer
    family: Family = "guide"
    says: Literal["captions", "kinds"] = "captions"
    seed: int = 0
    num_renders: int = 20_000
    num_spp: int = 64
    num_steps: int = 6_000
    batch_size: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 0.1

    @property
    def model(self) -> DualEncoder:
        """Both towers together."""
        return DualEncoder(image_tower=self.image_tower, text_tower=self.text_tower)


def text_tower(width: int, depth: int, num_heads: int, embedding_dim: int) -> TextTransformer:
    """Build a text tower for the world's grammar."""
    return TextTransformer(
        num_tokens=TOKENIZER.num_tokens,
        context_length=CONTEXT_LENGTH,
        width=width,
        depth=depth,
        num_heads=num_heads,
        embedding_dim=embedding_dim,
        activation="gelu",
        end_of_text=WordTokenizer.END,
    )


def vit(patch_px: int, width: int, depth: int, num_heads: int) -> VisionTransformer:
    """Build a vision transformer for images of 64 pixels."""
    return VisionTransformer(
        image_px=64,
        patch_px=patch_px,
        width=width,
        depth=depth,
        num_heads=num_heads,
        embedding_dim=128,
        activation="gelu",
    )


def resnet(width: int, stage_sizes: tuple[int, ...]) -> ModifiedResNet:
    """Build a modified ResNet for images of 64 pixels."""
    return ModifiedResNet(image_px=64, stage_sizes=stage_sizes, width=width, num_heads=8, embedding_dim=128)


RECIPES: dict[str, Recipe] = {
    "embedded-vit-8": Recipe(image_tower=vit(8, 192, 6, 3), text_tower=text_tower(128, 3, 4, 128), seed=1),
    "embedded-vit-16": Recipe(image_tower=vit(16, 224, 3, 4), text_tower=text_tower(128, 3, 4, 128), seed=2),
    "embedded-rn": Recipe(image_tower=resnet(16, (2, 2, 2, 2)), text_tower=text_tower(128, 3, 4, 128), seed=3),
    "embedded-vit-8-labels": Recipe(
        image_tower=vit(8, 192, 6, 3),
        text_tower=text_tower(32, 1, 1, 128),
        seed=4,
        says="kinds",
    ),
    "embedded-judge-rn": Recipe(
        image_tower=resnet(22, (1, 2, 3, 1)),
        text_tower=text_tower(160, 2, 5, 128),
        seed=11,
        family="judge",
        num_renders=18_000,
        num_steps=10_000,
    ),
    "embedded-judge-vit": Recipe(
        image_tower=vit(8, 160, 4, 5),
        text_tower=text_tower(160, 2, 5, 128),
        seed=12,
        family="judge",
        num_renders=18_000,
        num_steps=10_000,
    ),
}
"""Every encoder that comes with the project.

`embedded-vit-8-labels` is a control. It has the image tower of `embedded-vit-8`, and learns classes without sentences,
as networks trained on ImageNet do.
"""

OPTIONS = ("num_renders", "num_spp", "num_steps", "batch_size")
"""Fields of a recipe that the command line may change."""


class TrainingSet(NamedTuple):
    """Holds on the device the pictures and captions that batches are sampled from.

    Attributes:
        images: sRGB with straight alpha.
        meanings: Index of each picture's meaning, which is its row in `tokens`.
        tokens: All paraphrases of each meaning, repeated up to a common number.
    """

    images: UInt8[Array, "n h w 4"]
    meanings: Int[Array, " n"]
    tokens: Int[Array, "c p t"]


class EncoderTrainState(NamedTuple):
    """Holds the variables and the optimiser's state between steps."""

    variables: PyTree
    optimizer: PyTree


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
    distinct = list(dict.fromkeys(labels))
    tokens = [TOKENIZER.encode(_captions(label)) for label in distinct]
    most = max(len(rows) for rows in tokens)
    index = {label: i for i, label in enumerate(distinct)}
    return TrainingSet(
        images=jnp.asarray(images),
        meanings=jnp.asarray([index[label] for label in labels], jnp.int32),
        tokens=jnp.asarray(np.stack([rows[np.arange(most) % len(rows)] for rows in tokens])),
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


def normalize_pixels(images: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
    """Normalise pixels by mean and standard deviation."""
    return (images - jnp.asarray(MEAN).reshape(1, 1, 1, 3)) / jnp.asarray(STD).reshape(1, 1, 1, 3)


def contrastive_loss(logits: Float[Array, "b b"], meanings: Int[Array, " b"]) -> Float[Array, ""]:
    """Compute the cross entropy in both directions. All captions of a picture's meaning are right, in equal shares."""
    is_same = (meanings[:, None] == meanings[None, :]).astype(jnp.float32)
    targets = is_same / is_same.sum(axis=1, keepdims=True)
    return 0.5 * sum(optax.softmax_cross_entropy(each, targets).mean() for each in (logits, logits.T))


def make_optimizer(recipe: Recipe) -> optax.GradientTransformation:
    """Build AdamW with warm-up and cosine decay; vectors have no weight decay."""
    rate = optax.warmup_cosine_decay_schedule(
        0.0, recipe.learning_rate, max(1, recipe.num_steps // 20), max(2, recipe.num_steps)
    )
    decayed = functools.partial(jax.tree.map, lambda leaf: leaf.ndim > 1)
    return optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(rate, b2=0.98, weight_decay=recipe.weight_decay, mask=decayed)
    )


def train_encoder_step(
    recipe: Recipe, dtype: Any, train: EncoderTrainState, pool: TrainingSet, key: PRNGKeyArray
) -> tuple[EncoderTrainState, Float[Array, "2"]]:
    """Take a gradient step; return the loss, and the share of pictures whose best caption is right."""
    model = dual_encoder.with_dtype(recipe.model, dtype)
    size = (recipe.batch_size,)
    picture_key, caption_key, augment_key = jax.random.split(key, 3)
    drawn = jax.random.randint(picture_key, size, 0, pool.images.shape[0])
    meanings = pool.meanings[drawn]
    # Half of the captions are the canonical ones (index 0), because retrieval uses these.
    paraphrase = jax.random.randint(caption_key, size, -pool.tokens.shape[1], pool.tokens.shape[1])
    tokens = pool.tokens[meanings, jnp.maximum(paraphrase, 0)]
    augmented = jax.vmap(augment_picture)(jax.random.split(augment_key, recipe.batch_size), pool.images[drawn])
    images = normalize_pixels(augmented)
    options: dict[str, Any] = {"train": True} if isinstance(recipe.image_tower, ModifiedResNet) else {}

    def loss(params: PyTree) -> tuple[Float[Array, ""], tuple[PyTree, Float[Array, ""]]]:
        logits, statistics = model.apply(
            {**train.variables, "params": params}, images, tokens, mutable=["batch_stats"], **options
        )
        is_right = jnp.take_along_axis(meanings, jnp.argmax(logits, axis=1), axis=0) == meanings
        return contrastive_loss(logits, meanings), (statistics, is_right.mean())

    (value, (statistics, accuracy)), grads = jax.value_and_grad(loss, has_aux=True)(train.variables["params"])
    updates, optimizer = make_optimizer(recipe).update(grads, train.optimizer, train.variables["params"])
    params = dict(optax.apply_updates(train.variables["params"], updates))
    params["logit_scale"] = jnp.clip(params["logit_scale"], 0.0, np.log(100.0))  # as in CLIP's own training
    state = EncoderTrainState({**train.variables, **statistics, "params": params}, optimizer)
    return state, jnp.stack([value, accuracy])


def fit(recipe: Recipe, pool: TrainingSet, *, dtype: Any = None, show: bool = True) -> tuple[PyTree, float]:
    """Train an encoder; return the variables, and the seconds that it took after compilation."""
    dtype = dtype or (jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16)
    first, key = jax.random.split(jax.random.key(recipe.seed))
    # Compiled as one program, because operation by operation it takes minutes on a GPU.
    variables = jax.jit(functools.partial(dual_encoder.init, recipe.model))(first)
    train = EncoderTrainState(variables, jax.jit(make_optimizer(recipe).init)(variables["params"]))
    # On a CPU, XLA's convolutions are many times slower inside a loop.
    is_slow_in_loops = jax.default_backend() == "cpu" and isinstance(recipe.image_tower, ModifiedResNet)
    chunk = 1 if is_slow_in_loops else min(CHUNK, recipe.num_steps)

    @functools.partial(jax.jit, donate_argnums=0)
    def advance(
        train: EncoderTrainState, pool: TrainingSet, start: Int[Array, ""]
    ) -> tuple[EncoderTrainState, Float[Array, "2"]]:
        def body(train: EncoderTrainState, i: Int[Array, ""]) -> tuple[EncoderTrainState, Float[Array, "2"]]:
            return train_encoder_step(recipe, dtype, train, pool, jax.random.fold_in(key, i))

        train, curve = jax.lax.scan(body, train, start + jnp.arange(chunk))
        return train, curve.mean(axis=0)

    program = advance.lower(train, pool, jnp.asarray(0, jnp.int32)).compile()
    began = time.perf_counter()
    for start in range(0, recipe.num_steps - recipe.num_steps % chunk, chunk):
        train, curve = program(train, pool, jnp.asarray(start, jnp.int32))
        if show and start % (10 * CHUNK) == 0:
            loss, accuracy = (float(x) for x in curve)
            print(f"step {start + chunk:6d}  loss {loss:.4f}  right {accuracy:.3f}", flush=True)
    variables = jax.block_until_ready(train.variables)
    return variables, time.perf_counter() - began


def changed_options(name: str, recipe: Recipe) -> str:
    """Format the command-line options by which a recipe differs from the one of that name."""
    if name not in RECIPES:
        return ""
    options = ""
    for field in OPTIONS:
        value = getattr(recipe, field)
        if value != getattr(RECIPES[name], field):
            options += f" --{field.replace('_', '-')} {value}"
    return options


def pretrain_encoder(
    name: str, recipe: Recipe, folder: pathlib.Path, *, show: bool = True
) -> tuple[pathlib.Path, dict[str, Any]]:
    """Render missing pictures, train, test, and write `folder/NAME.safetensors`.

    Returns:
        The file, and its card.
    """
    from tasks.closed_world import dataset
    from tasks.closed_world.pictures import pictures_fingerprint

    tower_px = recipe.image_tower.image_px
    dataset.prepare_pictures(recipe.num_renders, tower_px, recipe.num_spp, recipe.family, dataset=False, show=show)
    read = functools.partial(dataset.read_arrays, recipe.num_renders, tower_px, recipe.num_spp, recipe.family)
    pictures = read("train")
    is_kept = evaluate.is_kept_for_testing(pictures.numbers)
    trained = [meaning for meaning, kept in zip(pictures.meanings, is_kept, strict=True) if not kept]
    pool = build_training_set(pictures.images[~is_kept], trained, recipe.says)
    variables, seconds = fit(recipe, pool, show=show)
    # Tested as shipped: stored in half precision, used in single precision.
    variables = jax.tree.map(lambda x: np.asarray(x, np.float16).astype(np.float32), variables)
    held_out = read("held_out")
    kept_meanings = [meaning for meaning, kept in zip(pictures.meanings, is_kept, strict=True) if kept]
    sets = {
        "seen combinations, other renders": (pictures.images[is_kept], kept_meanings),
        "held-out combinations": (held_out.images, list(held_out.meanings)),
    }
    checkpoint = files.Checkpoint(
        model=recipe.model, variables=variables, tokenizer=TOKENIZER, mean=MEAN, std=STD, card={}
    )
    measure = evaluate.measure_accuracy if recipe.says == "captions" else evaluate.measure_kind_accuracy
    card = {
        "command": f"python -m models.clip.pretraining.train {name}{changed_options(name, recipe)}",
        "data": f"closed world, family {recipe.family}, {recipe.num_renders} renders of {tower_px} px, "
        f"{recipe.num_spp} samples a pixel, fingerprint "
        f"{pictures_fingerprint(recipe.family, tower_px, recipe.num_spp)}",
        "num_steps": recipe.num_steps,
        "batch_size": recipe.batch_size,
        "seed": recipe.seed,
        "num_parameters": sum(int(leaf.size) for leaf in jax.tree.leaves(variables)),
        "trained_on": jax.local_devices()[0].device_kind,
        "train_s": round(seconds, 1),
        "accuracy": {title: measure(checkpoint, images, meanings) for title, (images, meanings) in sets.items()},
    }
    path = folder / f"{name}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    digest = files.write(path, dataclasses.replace(checkpoint, card=card), np.float16)
    return path, {"name": name, "sha256": digest, **card}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make encoders by name."""
    parser = argparse.ArgumentParser(
        prog="python -m models.clip.pretraining.train", description=__doc__.splitlines()[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(RECIPES)}; all of them if none is named")
    parser.add_argument("--out", type=pathlib.Path, default=EMBEDDED_FOLDER, metavar="FOLDER", help="where to write")
    for field in OPTIONS:
        parser.add_argument(
            f"--{field.replace('_', '-')}", type=int, metavar="N", help=f"instead of the recipe's {field}"
        )
    args = parser.parse_args(arguments)
    changes = {field: getattr(args, field) for field in OPTIONS if getattr(args, field) is not None}
    try:
        for name in args.names:
            if name not in RECIPES:
                raise UsageError(f"pretrain: expected an embedded encoder, got {name!r}; {nearest(name, RECIPES)}")
        for name in args.names or RECIPES:
            path, card = pretrain_encoder(name, dataclasses.replace(RECIPES[name], **changes), args.out)
            print(json.dumps(card, indent=2))
            print(f'{path}\nfor models/clip/checkpoints/catalog.py: "{name}": "{card["sha256"]}"', flush=True)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
