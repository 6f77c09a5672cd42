"""Describes how each embedded encoder is trained.

A fixed tenth of the world's combinations, and those that the embedded scenes show, are never trained on. Judges are
trained on other renders, under other light, with another seed.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from models.clip.networks.dual_encoder import DualEncoder
from models.clip.networks.resnet import ModifiedResNet
from models.clip.networks.text_transformer import TextTransformer
from models.clip.networks.vit import VisionTransformer
from models.clip.tokenizers import WordTokenizer
from tasks.closed_world import grammar
from tasks.closed_world.appearance import Family

MEAN = (0.5, 0.5, 0.5)
"""Mean by which pixels are normalised, by colour."""

STD = (0.25, 0.25, 0.25)
"""Standard deviation by which pixels are normalised, by colour."""

CONTEXT_LENGTH = grammar.LONGEST + 2

TOKENIZER = WordTokenizer(words=grammar.vocabulary(), context_length=CONTEXT_LENGTH)


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
        renderer: How the pictures of training are made: "path tracing", or "casting" on the accelerator (see
            `casting.cast_pictures`). Tested is on path-traced pictures in any case.
        num_renders: Pictures of the family, in both splits together.
        num_test_renders: Path-traced pictures among which those for testing are, where training's are cast.
        num_spp: Samples per pixel of the renders.
        num_steps: Gradient steps.
        batch_size: Pictures of a step.
        learning_rate: Highest learning rate of Adam. It rises over a twentieth of the steps and falls as a cosine to 0.
        weight_decay: Weight decay of matrices.
        attack_radius: Largest Euclidean length by which a picture is changed against the encoder, see `attacks`; each
            picture of a batch has its own length between 0 and this. 0: pictures are left as they are.
        attack_steps: Gradient steps of that change.
        attack_growth: Share of the steps over which the radius grows from 0 to its largest. With a radius of 6 from
            the first step on an encoder learned nothing.
        shape_share: Share of the pictures of single things that are shown without their surface, and matched with the
            kind's word alone, see `shape_pictures.hide_surface`.
        broken_share: Pictures that are broken up, see `shape_pictures.break_up`, as a share of the batch. Captions are
            not matched with them.
    """

    image_tower: VisionTransformer | ModifiedResNet
    text_tower: TextTransformer
    family: Family = "guide"
    says: Literal["captions", "kinds"] = "captions"
    seed: int = 0
    renderer: Literal["path tracing", "casting"] = "path tracing"
    num_renders: int = 20_000
    num_test_renders: int = 4_000
    num_spp: int = 64
    num_steps: int = 6_000
    batch_size: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    attack_radius: float = 0.0
    attack_steps: int = 3
    attack_growth: float = 0.0
    shape_share: float = 0.0
    broken_share: float = 0.0

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
    "embedded-vit-8-attacked": Recipe(
        image_tower=vit(8, 192, 6, 3),
        text_tower=text_tower(128, 3, 4, 128),
        seed=5,
        renderer="casting",
        num_renders=60_000,
        num_steps=7_500,
        attack_radius=2.0,
        shape_share=0.25,
    ),
    "embedded-vit-8-large": Recipe(
        image_tower=vit(8, 256, 6, 4),
        text_tower=text_tower(128, 3, 4, 128),
        seed=6,
        renderer="casting",
        num_renders=60_000,
        num_steps=6_400,
        attack_radius=3.0,
        shape_share=0.25,
        broken_share=0.25,
    ),
    "embedded-judge-rn-attacked": Recipe(
        image_tower=resnet(28, (1, 2, 3, 1)),
        text_tower=text_tower(160, 2, 5, 128),
        seed=13,
        family="judge",
        renderer="casting",
        num_renders=36_000,
        num_steps=8_000,
        attack_radius=1.5,
        shape_share=0.25,
        broken_share=0.25,
    ),
}
"""Every encoder that comes with the project.

`embedded-vit-8-labels` is a control. It has the image tower of `embedded-vit-8`, and learns classes without sentences,
as networks trained on ImageNet do.
"""

OPTIONS: dict[str, type] = {
    "num_renders": int,
    "num_test_renders": int,
    "num_spp": int,
    "num_steps": int,
    "batch_size": int,
    "attack_radius": float,
    "attack_steps": int,
    "attack_growth": float,
    "shape_share": float,
    "broken_share": float,
}
"""Fields of a recipe that the command line may change."""


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
