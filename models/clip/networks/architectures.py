"""Builds CLIP architectures from open_clip's names, from `config.json` of transformers, and from JSON of our own.

The end of a name tells the activation: `-quickgelu` for QuickGELU, nothing (or `-gelu`) for GELU. Weights with the
other activation give wrong features without any error.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from flax import linen

from bench.errors import UsageError, nearest
from models.clip.checkpoints.settings import CheckpointSettings
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.networks.resnet import ModifiedResNet
from models.clip.networks.text_transformer import TextTransformer
from models.clip.networks.transformer import Activation
from models.clip.networks.vit import VisionTransformer
from models.clip.tokenizers import CLIP_END, CLIP_NUM_TOKENS

QUICK = "-quickgelu"
EXACT = "-gelu"

# name: (embedding_dim, image_px, patch_px, width, depth, num_heads), (text width, depth, num_heads)
_VITS = {
    "ViT-B-32": ((512, 224, 32, 768, 12, 12), (512, 12, 8)),
    "ViT-B-16": ((512, 224, 16, 768, 12, 12), (512, 12, 8)),
    "ViT-L-14": ((768, 224, 14, 1024, 24, 16), (768, 12, 12)),
    "ViT-L-14-336": ((768, 336, 14, 1024, 24, 16), (768, 12, 12)),
    "ViT-H-14": ((1024, 224, 14, 1280, 32, 16), (1024, 24, 16)),
}
# name: (embedding_dim, image_px, stage_sizes, width, num_heads), (text width, depth, num_heads)
_RESNETS = {
    "RN50": ((1024, 224, (3, 4, 6, 3), 64, 32), (512, 12, 8)),
    "RN101": ((512, 224, (3, 4, 23, 3), 64, 32), (512, 12, 8)),
    "RN50x4": ((640, 288, (4, 6, 10, 6), 80, 40), (640, 12, 10)),
    "RN50x16": ((768, 384, (6, 8, 18, 8), 96, 48), (768, 12, 12)),
    "RN50x64": ((1024, 448, (3, 15, 36, 10), 128, 64), (1024, 12, 16)),
}

NAMES = (*_VITS, *_RESNETS)
"""Names of architectures, without the ending that tells the activation."""

_TYPES: dict[str, type[linen.Module]] = {
    kind.__name__: kind for kind in (DualEncoder, VisionTransformer, ModifiedResNet, TextTransformer)
}
_NOT_WRITTEN = ("parent", "name", "dtype")


def build(name: str) -> DualEncoder:
    """Build the architecture of a name, with the activation that its ending tells.

    Raises:
        UsageError: There is no such name.

    Example:
        >>> build("ViT-B-32-quickgelu").image_tower.activation, build("ViT-B-32").image_tower.activation
        ('quick_gelu', 'gelu')
    """
    activation: Activation = "quick_gelu" if name.endswith(QUICK) else "gelu"
    plain = name.removesuffix(QUICK).removesuffix(EXACT)
    if plain not in NAMES:
        raise UsageError(
            f"architecture: expected one of open_clip's names with or without {QUICK}, got {name!r}; "
            f"{nearest(plain, NAMES)}"
        )
    if plain in _VITS:
        (embedding_dim, image_px, patch_px, width, depth, num_heads), text = _VITS[plain]
        image_tower: VisionTransformer | ModifiedResNet = VisionTransformer(
            image_px=image_px,
            patch_px=patch_px,
            width=width,
            depth=depth,
            num_heads=num_heads,
            embedding_dim=embedding_dim,
            activation=activation,
        )
    else:
        (embedding_dim, image_px, stage_sizes, width, num_heads), text = _RESNETS[plain]
        image_tower = ModifiedResNet(
            image_px=image_px, stage_sizes=stage_sizes, width=width, num_heads=num_heads, embedding_dim=embedding_dim
        )
    width, depth, num_heads = text
    text_tower = TextTransformer(
        num_tokens=CLIP_NUM_TOKENS,
        context_length=77,
        width=width,
        depth=depth,
        num_heads=num_heads,
        embedding_dim=embedding_dim,
        activation=activation,
    )
    return DualEncoder(image_tower=image_tower, text_tower=text_tower)


def from_huggingface(config: Mapping[str, Any], where: str = "config.json") -> DualEncoder:
    """Build the architecture of a `config.json` of `transformers.CLIPModel`.

    Missing values are that class's defaults.

    Args:
        config: Content of the file.
        where: Name of the encoder that is loaded, for messages.

    Raises:
        UsageError: It is another kind of model, or a value is not supported here.
    """
    settings = CheckpointSettings(config, where)
    if config.get("model_type") != "clip":
        settings.refuse("model_type", "'clip'", "choose a CLIPModel checkpoint")
    embedding_dim = settings.count("projection_dim", 512)
    vision = settings.part("vision_config")
    text = settings.part("text_config")
    image_px = vision.count("image_size", 224)
    patch_px = vision.count("patch_size", 32)
    if patch_px > image_px:
        vision.refuse("patch_size", f"of at most image_size, {image_px}")
    image_tower = VisionTransformer(
        image_px=image_px,
        patch_px=patch_px,
        embedding_dim=embedding_dim,
        **_hf_blocks(vision, width=768, hidden_width=3072, num_heads=12),
    )
    # Files from before 2023 wrongly say 2. Like `transformers`, this then takes the token with the largest id.
    end_of_text = text.count("eos_token_id", CLIP_END, least=0)
    text_tower = TextTransformer(
        num_tokens=text.count("vocab_size", CLIP_NUM_TOKENS),
        context_length=text.count("max_position_embeddings", 77),
        end_of_text=None if end_of_text == 2 else end_of_text,
        embedding_dim=embedding_dim,
        **_hf_blocks(text, width=512, hidden_width=2048, num_heads=8),
    )
    return DualEncoder(image_tower=image_tower, text_tower=text_tower)


def _hf_blocks(settings: CheckpointSettings, *, width: int, hidden_width: int, num_heads: int) -> dict[str, Any]:
    """Return the fields that both towers have, from one part of a `config.json`, with that part's defaults."""
    if settings.number("layer_norm_eps", 1e-5) != 1e-5:
        settings.refuse("layer_norm_eps", "1e-05", "this package has no other")
    activation = settings.values.get("hidden_act", "quick_gelu")
    if activation not in typing.get_args(Activation):
        settings.refuse("hidden_act", "quick_gelu or gelu", "this package has no other")
    width = settings.count("hidden_size", width)
    num_heads = settings.count("num_attention_heads", num_heads)
    if width % num_heads:
        settings.refuse("num_attention_heads", f"to divide hidden_size, {width}")
    hidden_width = settings.count("intermediate_size", hidden_width)
    return {
        "width": width,
        "depth": settings.count("num_hidden_layers", 12),
        "num_heads": num_heads,
        "activation": activation,
        "hidden_width": None if hidden_width == 4 * width else hidden_width,
    }


def to_json(module: linen.Module) -> dict[str, Any]:
    """Write an architecture as plain values: its type, and all fields except the compute type.

    Example:
        >>> to_json(build("RN50").image_tower)["stage_sizes"]
        [3, 4, 6, 3]
    """
    written: dict[str, Any] = {"type": type(module).__name__}
    for field in dataclasses.fields(module):
        if field.name not in _NOT_WRITTEN:
            value = getattr(module, field.name)
            if isinstance(value, linen.Module):
                value = to_json(value)
            written[field.name] = list(value) if isinstance(value, tuple) else value
    return written


def from_json(written: dict[str, Any]) -> linen.Module:
    """Build the module that `to_json` wrote.

    Raises:
        UsageError: A type or a field is unknown, or a value has another type.
    """
    values = dict(written)
    kind = values.pop("type", None)
    if kind not in _TYPES:
        raise UsageError(f"architecture: expected a type, got {kind!r}; {nearest(str(kind), _TYPES)}")
    module = _TYPES[kind]
    hints = typing.get_type_hints(module)
    known = [field.name for field in dataclasses.fields(module) if field.name not in _NOT_WRITTEN]
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"architecture {kind}: expected a field, got {name!r}; {nearest(name, known)}")
        if isinstance(value, dict):
            value = from_json(value)
        value = tuple(value) if isinstance(value, list) else value
        if not _is_of(value, hints[name]):
            raise UsageError(
                f"architecture {kind}: expected {name} to be {hints[name]}, got {value!r}; correct the file"
            )
        values[name] = value
    return module(**values)


def _is_of(value: Any, hint: Any) -> bool:
    """Tell whether a value fits a type hint, of the few kinds that architectures use."""
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_is_of(value, argument) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, tuple) and all(_is_of(entry, arguments[0]) for entry in value)
    return isinstance(value, hint) and not isinstance(value, bool)
