"""Trains the embedded encoders contrastively on rendered, captioned objects of the closed world.

    python -m models.clip.pretraining.train embedded-vit-8

A recipe (`recipes`) names an architecture, a family of pictures and a seed. Pictures are rendered on first use (some
minutes on 16 cores). A training step draws a batch (`batches`), may change its pictures against the encoder
(`attacks`), and trains the towers to match pictures and captions. Pictures of one meaning in a batch all match the
captions of that meaning. The card has the accuracy on combinations that were never trained on.

b: captions of a batch, i: pictures of a batch, h and w: pixels.

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
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from bench.errors import UsageError, nearest
from models.clip.checkpoints import files
from models.clip.checkpoints.catalog import EMBEDDED_FOLDER
from models.clip.networks import dual_encoder
from models.clip.networks.resnet import ModifiedResNet
from models.clip.pretraining import attacks, evaluate
from models.clip.pretraining.batches import TrainingSet, build_training_set, sample_batch
from models.clip.pretraining.recipes import MEAN, OPTIONS, RECIPES, STD, TOKENIZER, Recipe, changed_options

NEVER = -1e4
"""Logit of a pair that is left out."""

CHUNK = 100
"""Steps of one compiled scan."""


class EncoderTrainState(NamedTuple):
    """Holds the variables and the optimiser's state between steps."""

    variables: PyTree
    optimizer: PyTree


def normalize_pixels(images: Float[Array, "b h w 3"]) -> Float[Array, "b h w 3"]:
    """Normalise pixels by mean and standard deviation."""
    return (images - jnp.asarray(MEAN).reshape(1, 1, 1, 3)) / jnp.asarray(STD).reshape(1, 1, 1, 3)


def contrastive_loss(
    logits: Float[Array, "i b"], labels: Int[Array, " b"], is_ambiguous: Bool[Array, "b b"] | None = None
) -> Float[Array, ""]:
    """Compute the cross entropy in both directions. All captions of a picture's meaning are right, in equal shares.

    Args:
        logits: Of pictures and captions. Rows beyond the captions are of pictures for which no caption is right.
        labels: What each caption, and the picture in the same place, mean.
        is_ambiguous: Pairs that are left out.
    """
    is_same = (labels[:, None] == labels[None, :]).astype(jnp.float32)
    targets = is_same / is_same.sum(axis=1, keepdims=True)
    num = len(labels)
    if is_ambiguous is not None:
        logits = logits.at[:num].set(jnp.where(is_ambiguous, NEVER, logits[:num]))
    of_pictures = optax.softmax_cross_entropy(logits[:num], targets).mean()
    of_captions = optax.softmax_cross_entropy(logits.T, jnp.pad(targets, ((0, 0), (0, len(logits) - num)))).mean()
    return 0.5 * (of_pictures + of_captions)


def learning_rate_at(recipe: Recipe, step: Int[Array, ""] | int, num_steps: Int[Array, ""] | int) -> Float[Array, ""]:
    """Compute the learning rate of a step: it rises over a twentieth of the steps, and falls as a cosine to 0."""
    warm_steps = jnp.maximum(1, num_steps // 20)
    risen = jnp.minimum(step / warm_steps, 1.0)
    fallen = jnp.clip((step - warm_steps) / jnp.maximum(1, num_steps - warm_steps), 0.0, 1.0)
    return recipe.learning_rate * risen * 0.5 * (1 + jnp.cos(jnp.pi * fallen))


def attack_radius_at(
    recipe: Recipe, step: Int[Array, ""] | int, num_steps: Int[Array, ""] | int | None = None
) -> Float[Array, ""] | float:
    """Compute the largest radius of a step's attacks: it grows evenly over the recipe's share of all steps.

    Example:
        >>> growing = dataclasses.replace(RECIPES["embedded-vit-8-large"], attack_radius=6.0, attack_growth=0.5)
        >>> [float(attack_radius_at(growing, step, 100)) for step in (0, 25, 50, 99)]
        [0.0, 3.0, 6.0, 6.0]
    """
    if not recipe.attack_growth:
        return recipe.attack_radius
    total = recipe.num_steps if num_steps is None else num_steps
    return recipe.attack_radius * jnp.minimum(step / (recipe.attack_growth * total), 1.0)


def make_optimizer(recipe: Recipe, num_steps: Int[Array, ""] | int | None = None) -> optax.GradientTransformation:
    """Build AdamW with warm-up and cosine decay; vectors have no weight decay.

    Args:
        recipe: Of the encoder.
        num_steps: All steps, if they are not the recipe's; may be traced, so that one program serves any number.
    """
    total = recipe.num_steps if num_steps is None else num_steps
    decayed = functools.partial(jax.tree.map, lambda leaf: leaf.ndim > 1)
    rate = functools.partial(learning_rate_at, recipe, num_steps=total)
    return optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(rate, b2=0.98, weight_decay=recipe.weight_decay, mask=decayed)
    )


def train_encoder_step(
    recipe: Recipe,
    dtype: Any,
    train: EncoderTrainState,
    pool: TrainingSet,
    key: PRNGKeyArray,
    num_steps: Int[Array, ""] | int | None = None,
    step: Int[Array, ""] | int = 0,
) -> tuple[EncoderTrainState, Float[Array, "2"]]:
    """Take a gradient step; return the loss, and the share of pictures whose best caption is right."""
    model = dual_encoder.with_dtype(recipe.model, dtype)
    batch = sample_batch(recipe, pool, key)
    options: dict[str, Any] = {"train": True} if isinstance(recipe.image_tower, ModifiedResNet) else {}

    def loss(params: PyTree, images: Float[Array, "i h w 3"]) -> tuple[Float[Array, ""], tuple[PyTree, Array]]:
        logits, statistics = model.apply(
            {**train.variables, "params": params},
            normalize_pixels(images),
            batch.tokens,
            mutable=["batch_stats"],
            **options,
        )
        best = jnp.argmax(logits[: recipe.batch_size], axis=1)
        is_right = batch.labels[best] == batch.labels
        return contrastive_loss(logits, batch.labels, batch.is_ambiguous), (statistics, is_right.mean())

    images = batch.images
    if recipe.attack_radius:
        share = jax.random.uniform(jax.random.fold_in(key, 3), (len(images),))
        images = attacks.attack_pictures(
            lambda changed: loss(train.variables["params"], changed)[0],
            images,
            attack_radius_at(recipe, step, num_steps) * share,
            recipe.attack_steps,
        )
    (value, (statistics, accuracy)), grads = jax.value_and_grad(loss, has_aux=True)(train.variables["params"], images)
    updates, optimizer = make_optimizer(recipe, num_steps).update(grads, train.optimizer, train.variables["params"])
    params = dict(optax.apply_updates(train.variables["params"], updates))
    params["logit_scale"] = jnp.clip(params["logit_scale"], 0.0, np.log(100.0))  # as in CLIP's own training
    state = EncoderTrainState({**train.variables, **statistics, "params": params}, optimizer)
    return state, jnp.stack([value, accuracy])


class FittedEncoder(NamedTuple):
    """Holds what training leaves.

    Attributes:
        variables: Of the towers.
        num_steps: Gradient steps.
        train_s: Seconds that they took, after compilation.
    """

    variables: PyTree
    num_steps: int
    train_s: float


def fit(
    recipe: Recipe, pool: TrainingSet, *, dtype: Any = None, show: bool = True, most_s: float | None = None
) -> FittedEncoder:
    """Train an encoder.

    Args:
        recipe: How.
        pool: On what.
        dtype: Compute type; None for bfloat16 on an accelerator, float32 on a CPU.
        show: Whether to print the loss now and then.
        most_s: Seconds that the steps may take; there are fewer steps if the recipe's would take longer.
    """
    dtype = dtype or (jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16)
    first, key = jax.random.split(jax.random.key(recipe.seed))

    @jax.jit  # as one program, because operation by operation it takes minutes on a GPU
    def begin() -> EncoderTrainState:
        variables = dual_encoder.init(recipe.model, first)
        return EncoderTrainState(variables, make_optimizer(recipe).init(variables["params"]))

    # On a CPU, XLA's convolutions are many times slower inside a loop.
    is_slow_in_loops = jax.default_backend() == "cpu" and isinstance(recipe.image_tower, ModifiedResNet)
    chunk = 1 if is_slow_in_loops else min(CHUNK, recipe.num_steps)

    @functools.partial(jax.jit, donate_argnums=0)
    def advance(
        train: EncoderTrainState, pool: TrainingSet, start: Int[Array, ""], num_steps: Int[Array, ""]
    ) -> tuple[EncoderTrainState, Float[Array, "2"]]:
        def body(train: EncoderTrainState, i: Int[Array, ""]) -> tuple[EncoderTrainState, Float[Array, "2"]]:
            return train_encoder_step(recipe, dtype, train, pool, jax.random.fold_in(key, i), num_steps, i)

        train, curve = jax.lax.scan(body, train, start + jnp.arange(chunk))
        return train, curve.mean(axis=0)

    train = begin()
    counts = [jnp.asarray(number, jnp.int32) for number in (0, recipe.num_steps)]
    program = advance.lower(train, pool, *counts).compile()
    num_steps = recipe.num_steps - recipe.num_steps % chunk
    if most_s is not None:
        chunk_s = time_second_call(lambda state: program(state, pool, *counts)[0], begin())
        num_steps = max(chunk, min(num_steps, int(most_s / chunk_s) * chunk))
    began = time.perf_counter()
    for start in range(0, num_steps, chunk):
        train, curve = program(train, pool, jnp.asarray(start, jnp.int32), jnp.asarray(num_steps, jnp.int32))
        if show and start % (10 * CHUNK) == 0:
            loss, accuracy = (float(x) for x in curve)
            print(f"step {start + chunk:6d} of {num_steps}  loss {loss:.4f}  right {accuracy:.3f}", flush=True)
    variables = jax.block_until_ready(train.variables)
    return FittedEncoder(variables, num_steps, time.perf_counter() - began)


def time_second_call(call: Callable[[EncoderTrainState], EncoderTrainState], state: EncoderTrainState) -> float:
    """Measure the seconds of a second call, which takes the first one's result; the first may have to warm up."""
    warmed = jax.block_until_ready(call(state))
    began = time.perf_counter()
    jax.block_until_ready(call(warmed))
    return time.perf_counter() - began


def pretrain_encoder(
    name: str, recipe: Recipe, folder: pathlib.Path, *, show: bool = True, most_s: float | None = None
) -> tuple[pathlib.Path, dict[str, Any]]:
    """Render missing pictures, train, test, and write `folder/NAME.safetensors`.

    Args:
        name: Of the encoder.
        recipe: How it is trained.
        folder: Where its file is written.
        show: Whether to print how it goes.
        most_s: See `fit`; the card has the steps that were taken, which another run can ask for.

    Returns:
        The file, and its card.
    """
    from models.clip.pretraining.picture_sets import describe_pictures, read_pictures

    pictures = read_pictures(recipe, show=show)
    pool = build_training_set(pictures.images, pictures.meanings, recipe.says)
    fitted = fit(recipe, pool, show=show, most_s=most_s)
    recipe = dataclasses.replace(recipe, num_steps=fitted.num_steps)
    # Tested as shipped: stored in half precision, used in single precision.
    variables = jax.tree.map(lambda x: np.asarray(x, np.float16).astype(np.float32), fitted.variables)
    checkpoint = files.Checkpoint(
        model=recipe.model, variables=variables, tokenizer=TOKENIZER, mean=MEAN, std=STD, card={}
    )
    measure = evaluate.measure_accuracy if recipe.says == "captions" else evaluate.measure_kind_accuracy
    card = {
        "command": f"python -m models.clip.pretraining.train {name}{changed_options(name, recipe)}",
        "data": describe_pictures(recipe),
        "num_steps": recipe.num_steps,
        "batch_size": recipe.batch_size,
        "seed": recipe.seed,
        "num_parameters": sum(int(leaf.size) for leaf in jax.tree.leaves(variables)),
        "trained_on": jax.local_devices()[0].device_kind,
        "train_s": round(fitted.train_s, 1),
        "accuracy": {
            title: measure(checkpoint, images, meanings) for title, (images, meanings) in pictures.tests.items()
        },
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
    for field, type_ in OPTIONS.items():
        parser.add_argument(
            f"--{field.replace('_', '-')}", type=type_, metavar="N", help=f"instead of the recipe's {field}"
        )
    parser.add_argument(
        "--train-seconds",
        type=float,
        metavar="S",
        help="seconds that the steps may take; fewer steps if they take longer",
    )
    args = parser.parse_args(arguments)
    changes = {field: getattr(args, field) for field in OPTIONS if getattr(args, field) is not None}
    try:
        for name in args.names:
            if name not in RECIPES:
                raise UsageError(f"pretrain: expected an embedded encoder, got {name!r}; {nearest(name, RECIPES)}")
        for name in args.names or RECIPES:
            path, card = pretrain_encoder(
                name, dataclasses.replace(RECIPES[name], **changes), args.out, most_s=args.train_seconds
            )
            print(json.dumps(card, indent=2))
            print(f'{path}\nfor models/clip/checkpoints/catalog.py: "{name}": "{card["sha256"]}"', flush=True)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
