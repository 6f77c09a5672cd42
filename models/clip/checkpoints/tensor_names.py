"""Lists the names of a checkpoint's tensors, in one table for each layout.

Layouts are `open_clip` (OpenAI's own files have the same names), `huggingface` (`transformers.CLIPModel`), and `ours`
(paths of our variables). A rule names one of our variables, the tensors it is made of, and the conversion (see
`layouts`). No tensor is guessed, skipped or left over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

from bench.errors import UsageError
from models.clip.networks import dual_encoder
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.networks.resnet import ModifiedResNet
from models.clip.networks.text_transformer import TextTransformer

Layout = Literal["open_clip", "huggingface", "ours"]


@dataclasses.dataclass(frozen=True)
class TensorNameRule:
    """One line of a table.

    Attributes:
        ours: Path of our variable.
        theirs: Names of the tensors that it is made of, in order.
        how: Name of the conversion in `layouts.CONVERSIONS`.
    """

    ours: str
    theirs: tuple[str, ...]
    how: str


def rules(model: DualEncoder, layout: Layout) -> tuple[TensorNameRule, ...]:
    """Return the table of a layout for an architecture, in the order of its layers.

    Raises:
        UsageError: The layout has no such architecture.
    """
    if layout == "ours":
        return tuple(TensorNameRule(path, (path,), "same") for path in dual_encoder.variable_shapes(model))
    is_resnet = isinstance(model.image_tower, ModifiedResNet)
    if layout == "huggingface" and (is_resnet or model.text_tower is None):
        raise UsageError(
            "huggingface: expected a ViT with a text tower, got another architecture; transformers has no other CLIP"
        )
    table = [TensorNameRule("params/logit_scale", ("logit_scale",), "same")]
    if layout == "huggingface":
        assert model.text_tower is not None
        table.extend(_huggingface_vit(model))
        table.extend(_huggingface_text(model.text_tower))
        return tuple(table)
    table.extend(_open_clip_resnet(model) if is_resnet else _open_clip_vit(model))
    if model.text_tower is not None:
        table.extend(_open_clip_text(model.text_tower))
    return tuple(table)


def _norm(ours: str, theirs: str) -> Iterator[TensorNameRule]:
    yield TensorNameRule(f"{ours}/scale", (f"{theirs}.weight",), "same")
    yield TensorNameRule(f"{ours}/bias", (f"{theirs}.bias",), "same")


def _linear(ours: str, theirs: str) -> Iterator[TensorNameRule]:
    yield TensorNameRule(f"{ours}/kernel", (f"{theirs}.weight",), "linear")
    yield TensorNameRule(f"{ours}/bias", (f"{theirs}.bias",), "same")


def _open_clip_block(ours: str, theirs: str) -> Iterator[TensorNameRule]:
    yield from _norm(f"{ours}/norm_1", f"{theirs}.ln_1")
    yield TensorNameRule(f"{ours}/attention/qkv/kernel", (f"{theirs}.attn.in_proj_weight",), "linear")
    yield TensorNameRule(f"{ours}/attention/qkv/bias", (f"{theirs}.attn.in_proj_bias",), "same")
    yield from _linear(f"{ours}/attention/out", f"{theirs}.attn.out_proj")
    yield from _norm(f"{ours}/norm_2", f"{theirs}.ln_2")
    yield from _linear(f"{ours}/widen", f"{theirs}.mlp.c_fc")
    yield from _linear(f"{ours}/narrow", f"{theirs}.mlp.c_proj")


def _huggingface_block(ours: str, theirs: str) -> Iterator[TensorNameRule]:
    qkv = [f"{theirs}.self_attn.{part}_proj" for part in "qkv"]
    yield from _norm(f"{ours}/norm_1", f"{theirs}.layer_norm1")
    yield TensorNameRule(f"{ours}/attention/qkv/kernel", tuple(f"{name}.weight" for name in qkv), "three linear")
    yield TensorNameRule(f"{ours}/attention/qkv/bias", tuple(f"{name}.bias" for name in qkv), "three")
    yield from _linear(f"{ours}/attention/out", f"{theirs}.self_attn.out_proj")
    yield from _norm(f"{ours}/norm_2", f"{theirs}.layer_norm2")
    yield from _linear(f"{ours}/widen", f"{theirs}.mlp.fc1")
    yield from _linear(f"{ours}/narrow", f"{theirs}.mlp.fc2")


def _open_clip_vit(model: DualEncoder) -> Iterator[TensorNameRule]:
    ours = "params/image_tower"
    yield TensorNameRule(f"{ours}/patches/kernel", ("visual.conv1.weight",), "patches")
    yield TensorNameRule(f"{ours}/class_token", ("visual.class_embedding",), "same")
    yield TensorNameRule(f"{ours}/positions", ("visual.positional_embedding",), "same")
    yield from _norm(f"{ours}/norm_before", "visual.ln_pre")
    for i in range(model.image_tower.depth):
        yield from _open_clip_block(f"{ours}/block_{i}", f"visual.transformer.resblocks.{i}")
    yield from _norm(f"{ours}/norm_after", "visual.ln_post")
    yield TensorNameRule(f"{ours}/projection", ("visual.proj",), "same")


def _huggingface_vit(model: DualEncoder) -> Iterator[TensorNameRule]:
    ours = "params/image_tower"
    theirs = "vision_model"
    yield TensorNameRule(f"{ours}/patches/kernel", (f"{theirs}.embeddings.patch_embedding.weight",), "patches")
    yield TensorNameRule(f"{ours}/class_token", (f"{theirs}.embeddings.class_embedding",), "same")
    yield TensorNameRule(f"{ours}/positions", (f"{theirs}.embeddings.position_embedding.weight",), "same")
    yield from _norm(f"{ours}/norm_before", f"{theirs}.pre_layrnorm")  # so misspelt in the files
    for i in range(model.image_tower.depth):
        yield from _huggingface_block(f"{ours}/block_{i}", f"{theirs}.encoder.layers.{i}")
    yield from _norm(f"{ours}/norm_after", f"{theirs}.post_layernorm")
    yield TensorNameRule(f"{ours}/projection", ("visual_projection.weight",), "linear")


def _open_clip_text(tower: TextTransformer) -> Iterator[TensorNameRule]:
    ours = "params/text_tower"
    yield TensorNameRule(f"{ours}/tokens/embedding", ("token_embedding.weight",), "same")
    yield TensorNameRule(f"{ours}/positions", ("positional_embedding",), "same")
    for i in range(tower.depth):
        yield from _open_clip_block(f"{ours}/block_{i}", f"transformer.resblocks.{i}")
    yield from _norm(f"{ours}/norm_after", "ln_final")
    yield TensorNameRule(f"{ours}/projection", ("text_projection",), "same")


def _huggingface_text(tower: TextTransformer) -> Iterator[TensorNameRule]:
    ours = "params/text_tower"
    theirs = "text_model"
    yield TensorNameRule(f"{ours}/tokens/embedding", (f"{theirs}.embeddings.token_embedding.weight",), "same")
    yield TensorNameRule(f"{ours}/positions", (f"{theirs}.embeddings.position_embedding.weight",), "same")
    for i in range(tower.depth):
        yield from _huggingface_block(f"{ours}/block_{i}", f"{theirs}.encoder.layers.{i}")
    yield from _norm(f"{ours}/norm_after", f"{theirs}.final_layer_norm")
    yield TensorNameRule(f"{ours}/projection", ("text_projection.weight",), "linear")


def _open_clip_resnet(model: DualEncoder) -> Iterator[TensorNameRule]:
    tower = model.image_tower
    for i in range(3):
        yield from _convolution(f"stem_{i}", f"conv{i + 1}")
        yield from _batch_norm(f"stem_norm_{i}", f"bn{i + 1}")
    for i, num_blocks in enumerate(tower.stage_sizes):
        for j in range(num_blocks):
            ours = f"stage_{i}_block_{j}"
            theirs = f"layer{i + 1}.{j}"
            for k in range(3):
                yield from _convolution(f"{ours}/conv_{k}", f"{theirs}.conv{k + 1}")
                yield from _batch_norm(f"{ours}/norm_{k}", f"{theirs}.bn{k + 1}")
            if j == 0:
                yield from _convolution(f"{ours}/shortcut", f"{theirs}.downsample.0")
                yield from _batch_norm(f"{ours}/shortcut_norm", f"{theirs}.downsample.1")
    ours = "params/image_tower/pool"
    theirs = "visual.attnpool"
    yield TensorNameRule(f"{ours}/positions", (f"{theirs}.positional_embedding",), "same")
    for mine, letter in (("query", "q"), ("key", "k"), ("value", "v"), ("out", "c")):
        yield from _linear(f"{ours}/{mine}", f"{theirs}.{letter}_proj")


def _convolution(ours: str, theirs: str) -> Iterator[TensorNameRule]:
    yield TensorNameRule(f"params/image_tower/{ours}/kernel", (f"visual.{theirs}.weight",), "convolution")


def _batch_norm(ours: str, theirs: str) -> Iterator[TensorNameRule]:
    yield from _norm(f"params/image_tower/{ours}", f"visual.{theirs}")
    yield TensorNameRule(f"batch_stats/image_tower/{ours}/mean", (f"visual.{theirs}.running_mean",), "same")
    yield TensorNameRule(f"batch_stats/image_tower/{ours}/var", (f"visual.{theirs}.running_var",), "same")
