"""Which architectures have a name, and how any of them is written down.

A name is open_clip's; its ending says the nonlinearity: `-quickgelu` for QuickGELU, none (or `-gelu`) for GELU. The
same weights with the other one give wrong features and no error.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

from flax import linen

from bench.errors import UsageError, nearest
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.networks.resnet import ModifiedResNet
from models.clip.networks.text_transformer import TextTransformer
from models.clip.networks.transformer import Activation
from models.clip.networks.vit import VisionTransformer
from models.clip.tokenizers import CLIP_NUM_TOKENS

QUICK, EXACT = "-quickgelu", "-gelu"

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
"""Architectures that can be named, without the ending that says the nonlinearity."""

_TYPES: dict[str, type[linen.Module]] = {
    kind.__name__: kind for kind in (DualEncoder, VisionTransformer, ModifiedResNet, TextTransformer)
}
_NOT_WRITTEN = ("parent", "name", "dtype")


def named(name: str) -> DualEncoder:
    """The architecture of a name, with the nonlinearity its ending says.

    Raises:
        UsageError: There is none of that name.

    Example:
        >>> named("ViT-B-32-quickgelu").image_tower.activation, named("ViT-B-32").image_tower.activation
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
            image_px=image_px, patch_px=patch_px, width=width, depth=depth, num_heads=num_heads,
            embedding_dim=embedding_dim, activation=activation,
        )  # fmt: skip
    else:
        (embedding_dim, image_px, stage_sizes, width, num_heads), text = _RESNETS[plain]
        image_tower = ModifiedResNet(
            image_px=image_px, stage_sizes=stage_sizes, width=width, num_heads=num_heads, embedding_dim=embedding_dim
        )
    width, depth, num_heads = text
    text_tower = TextTransformer(
        num_tokens=CLIP_NUM_TOKENS, context_length=77, width=width, depth=depth, num_heads=num_heads,
        embedding_dim=embedding_dim, activation=activation,
    )  # fmt: skip
    return DualEncoder(image_tower=image_tower, text_tower=text_tower)


def from_huggingface(config: dict[str, Any]) -> DualEncoder:
    """The architecture of a `config.json` of `transformers.CLIPModel`; what it leaves out has that class's defaults.

    Raises:
        UsageError: It is another kind of model, or a value is one that this package has not.
    """
    if config.get("model_type") != "clip":
        raise UsageError(
            f"config.json: expected model_type 'clip', got {config.get('model_type')!r}; choose a CLIPModel checkpoint"
        )
    vision = {**_HF_VISION, **(config.get("vision_config") or {})}
    text = {**_HF_TEXT, **(config.get("text_config") or {})}
    embedding_dim = config.get("projection_dim", 512)
    for part, values in (("vision_config", vision), ("text_config", text)):
        if values["layer_norm_eps"] != 1e-5:
            raise UsageError(
                f"config.json: expected {part}.layer_norm_eps 1e-05, got {values['layer_norm_eps']}; "
                "this package has no other"
            )
    image_tower = VisionTransformer(
        image_px=vision["image_size"], patch_px=vision["patch_size"], width=vision["hidden_size"],
        depth=vision["num_hidden_layers"], num_heads=vision["num_attention_heads"], embedding_dim=embedding_dim,
        activation=_hf_activation("vision_config", vision), hidden_width=_hf_hidden_width(vision),
    )  # fmt: skip
    # Configurations made before 2023 say 2, which is wrong; `transformers` then takes the largest id, and so do we.
    end_of_text = text["eos_token_id"]
    text_tower = TextTransformer(
        num_tokens=text["vocab_size"], context_length=text["max_position_embeddings"], width=text["hidden_size"],
        depth=text["num_hidden_layers"], num_heads=text["num_attention_heads"], embedding_dim=embedding_dim,
        activation=_hf_activation("text_config", text), end_of_text=None if end_of_text == 2 else end_of_text,
        hidden_width=_hf_hidden_width(text),
    )  # fmt: skip
    return DualEncoder(image_tower=image_tower, text_tower=text_tower)


_HF_VISION: dict[str, Any] = {
    "image_size": 224, "patch_size": 32, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
    "num_attention_heads": 12, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
}  # fmt: skip
_HF_TEXT: dict[str, Any] = {
    "vocab_size": 49408, "max_position_embeddings": 77, "hidden_size": 512, "intermediate_size": 2048,
    "num_hidden_layers": 12, "num_attention_heads": 8, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
    "eos_token_id": 49407,
}  # fmt: skip


def _hf_activation(part: str, values: dict[str, Any]) -> Activation:
    if values["hidden_act"] not in typing.get_args(Activation):
        raise UsageError(
            f"config.json: expected {part}.hidden_act quick_gelu or gelu, got {values['hidden_act']!r}; "
            "this package has no other"
        )
    return values["hidden_act"]


def _hf_hidden_width(values: dict[str, Any]) -> int | None:
    return None if values["intermediate_size"] == 4 * values["hidden_size"] else values["intermediate_size"]


def to_json(module: linen.Module) -> dict[str, Any]:
    """An architecture as plain values: its type, and all fields but the compute type.

    Example:
        >>> to_json(named("RN50").image_tower)["stage_sizes"]
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
    """The inverse of `to_json`.

    Raises:
        UsageError: An unknown type or field, or a value of another type.
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
    """Whether a value has one of the few types that architectures are made of."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_is_of(value, argument) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, tuple) and all(_is_of(entry, arguments[0]) for entry in value)
    return isinstance(value, hint) and not isinstance(value, bool)
