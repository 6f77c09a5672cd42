"""A guide and a field so simple that NumPy can follow them, and Dream Fields with them at a tiny size."""

from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from bench.trainer import numbers_of
from models.clip.encoder import Encoder
from models.clip.tokenizers import WordTokenizer
from models.dream_fields import DreamFields
from models.method import split_numbers
from tasks.budgets import BUDGETS, sized
from tasks.captions.caption_task import CaptionTask

NAME = "file:tiny"

WORDS = ("a", "blue", "dotted", "guitar", "photo", "of")

NUM_TOKENS = 12


@dataclasses.dataclass(frozen=True)
class ToyTowers:
    """Sees a matrix times the mean colours of an image's quarters; reads the sum of its words."""

    image_px: int = 8
    context_length: int = NUM_TOKENS
    image_feature_names: tuple[str, ...] = ("embedding",)
    text_feature_names: tuple[str, ...] = ("embedding",)

    def image(self, params, images, feature):
        half = self.image_px // 2
        quarters = images.reshape(-1, 2, half, 2, half, 3).mean(axis=(2, 4)).reshape(-1, 12)
        return jnp.matmul(quarters, params["sees"], precision="highest") + 0.1

    def text(self, params, tokens, feature):
        return params["reads"][tokens].sum(axis=1)

    def logit_scale(self, params):
        return jnp.ones(())


def toy_guide(name=NAME, **towers):
    """The encoder; towers of other sizes by keyword."""
    see_key, read_key = jax.random.split(jax.random.key(5))
    return Encoder(
        name=name,
        params={
            "sees": jax.random.normal(see_key, (12, 7)),
            "reads": jax.random.normal(read_key, (4 + len(WORDS), 7)),
        },
        towers=ToyTowers(**towers),
        tokenizer=WordTokenizer(WORDS, NUM_TOKENS),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        sha256="tiny",
    )


def slow_cosine(encoder, image, text):
    """What `ToyTowers` makes of one image, against what was read."""
    half = encoder.image_px // 2
    quarters = [
        np.asarray(image, np.float64)[half * i : half * (i + 1), half * j : half * (j + 1)].mean(axis=(0, 1))
        for i in range(2)
        for j in range(2)
    ]
    seen = np.concatenate(quarters) @ np.asarray(encoder.params["sees"], np.float64) + 0.1
    return seen @ np.asarray(text, np.float64) / np.linalg.norm(seen)


TASK = CaptionTask(caption="a blue dotted guitar", view_px=8)
GUIDE = toy_guide()
PX, NUM_SAMPLES, NUM_CROPS, NUM_STEPS = 6, 5, 3, 100


class Blob(nn.Module):
    """Denser toward a place, and where pieces are larger; its colour tells where it is."""

    place: tuple[float, float, float] = (0.0, 0.0, 0.0)
    noise: float = 0.0

    @nn.compact
    def __call__(self, samples, *, key=None):
        strength = self.param("strength", nn.initializers.constant(3.0), ())
        away = samples.means - jnp.broadcast_to(jnp.asarray(self.place), samples.means.shape)
        extent = 1 + 20 * samples.t_var + 200 * samples.r_var
        density = strength * jnp.exp(-2 * jnp.sum(away**2, axis=-1)) * extent
        if self.noise and key is not None:
            density = density * jnp.exp(self.noise * jax.random.normal(key, density.shape))
        return density, nn.sigmoid(3 * away)


def slow_blob(strength, point, t_var=0.0, r_var=0.0):
    density = strength * np.exp(-2 * point @ point) * (1 + 20 * t_var + 200 * r_var)
    return density, 1 / (1 + np.exp(-3 * point))


def made(**changes):
    sizes = {"num_steps": NUM_STEPS, "render_px": PX, "num_samples": NUM_SAMPLES, "num_crops": NUM_CROPS}
    return sized(DreamFields(**{"encoder": NAME, "field": Blob(), **sizes, **changes}), BUDGETS["smoke"])


def prepared(method, task=TASK):
    data = method.prepare({NAME: GUIDE}, task)
    return *method.init(jax.random.key(0), data), data


@functools.cache
def compiled(method):
    """Loss and aside, of a method without its numbers: one program for all tests that share it."""
    return jax.jit(lambda params, state, data, numbers, key, step: method.loss(
        params, state, {NAME: GUIDE}, data, numbers, key, step
    ))  # fmt: skip


def stepped(method, step=0, seed=7, origin=(0.0, 0.0, 0.0), strength=3.0):
    params, state, data = prepared(method)
    params, state = {"strength": jnp.asarray(strength)}, {"origin": jnp.asarray(origin)}
    static, _ = split_numbers(method)
    return compiled(static)(params, state, data, numbers_of(method), jax.random.key(seed), jnp.asarray(step))


def some(**changes):
    """Numbers of a method as functions get them."""
    return numbers_of(made(**changes))
