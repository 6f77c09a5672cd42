"""Converts the tensors of a checkpoint into our variables, and checks that they fit an architecture.

The tables of `tensor_names` say which tensors become which variable, and by which conversion of `CONVERSIONS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from bench.errors import UsageError
from models.clip.checkpoints.tensor_names import Layout, rules
from models.clip.networks import architectures, dual_encoder
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.networks.resnet import ModifiedResNet

Shapes = Mapping[str, tuple[int, ...]]

_IGNORED: dict[str, str] = {
    # Counters and masks without information; the last three come with OpenAI's TorchScript files.
    "open_clip": r"(.*\.num_batches_tracked|attn_mask|input_resolution|context_length|vocab_size)$",
    "huggingface": r"(text|vision)_model\.embeddings\.position_ids$",
    "ours": r"$^",
}


class Conversion(NamedTuple):
    """Converts one variable between a checkpoint's tensors and ours.

    Attributes:
        to_variable: Makes our variable from a checkpoint's tensors.
        to_tensors: Makes the checkpoint's tensors from our variable.
    """

    to_variable: Callable[[list[np.ndarray]], np.ndarray]
    to_tensors: Callable[[np.ndarray], list[np.ndarray]]


def _only(tensors: list[np.ndarray]) -> np.ndarray:
    [tensor] = tensors
    return tensor


def _same_to_tensors(variable: np.ndarray) -> list[np.ndarray]:
    return [variable]


def _linear_to_variable(tensors: list[np.ndarray]) -> np.ndarray:
    """Transpose: linear layers of PyTorch have outputs first."""
    return _only(tensors).T


def _linear_to_tensors(variable: np.ndarray) -> list[np.ndarray]:
    return [variable.T]


def _convolution_to_variable(tensors: list[np.ndarray]) -> np.ndarray:
    """Reorder axes: convolutions of PyTorch have outputs, inputs, rows, columns."""
    return _only(tensors).transpose(2, 3, 1, 0)


def _convolution_to_tensors(variable: np.ndarray) -> list[np.ndarray]:
    return [variable.transpose(3, 2, 0, 1)]


def _patches_to_variable(tensors: list[np.ndarray]) -> np.ndarray:
    """Flatten a convolution over patches: pixels row by row, colours last, then outputs."""
    tensor = _only(tensors)
    return tensor.transpose(2, 3, 1, 0).reshape(-1, tensor.shape[0])


def _patches_to_tensors(variable: np.ndarray) -> list[np.ndarray]:
    px = round((variable.shape[0] / 3) ** 0.5)
    return [variable.reshape(px, px, 3, -1).transpose(3, 2, 0, 1)]


def _three_to_variable(tensors: list[np.ndarray]) -> np.ndarray:
    """Join queries, keys and values."""
    return np.concatenate(tensors, axis=-1)


def _three_to_tensors(variable: np.ndarray) -> list[np.ndarray]:
    return list(np.split(variable, 3, axis=-1))


def _three_linear_to_variable(tensors: list[np.ndarray]) -> np.ndarray:
    """Transpose and join the layers of queries, keys and values."""
    return _three_to_variable([tensor.T for tensor in tensors])


def _three_linear_to_tensors(variable: np.ndarray) -> list[np.ndarray]:
    return [part.T for part in _three_to_tensors(variable)]


CONVERSIONS: dict[str, Conversion] = {
    "same": Conversion(_only, _same_to_tensors),
    "linear": Conversion(_linear_to_variable, _linear_to_tensors),
    "convolution": Conversion(_convolution_to_variable, _convolution_to_tensors),
    "patches": Conversion(_patches_to_variable, _patches_to_tensors),
    "three": Conversion(_three_to_variable, _three_to_tensors),
    "three linear": Conversion(_three_linear_to_variable, _three_linear_to_tensors),
}
"""Conversions by the names that the rules of `tensor_names` use."""


def detect_layout(names: Any) -> Layout | None:
    """Return the layout of a checkpoint, from the names of its tensors; None if it is unknown."""
    names = set(names)
    if "params/logit_scale" in names:
        return "ours"
    if any(name.startswith("vision_model.") for name in names):
        return "huggingface"
    if any(name.startswith("visual.") for name in names):
        return "open_clip"
    return None


def tensor_shapes(model: DualEncoder, layout: Layout) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor that a checkpoint of an architecture has, in order."""
    shapes = dual_encoder.variable_shapes(model)
    found = {}
    for rule in rules(model, layout):
        # A view of a single number, so that no array of that size is made.
        view = np.broadcast_to(np.float32(0), shapes[rule.ours])
        tensors = CONVERSIONS[rule.how].to_tensors(view)
        found.update({name: tensor.shape for name, tensor in zip(rule.theirs, tensors, strict=True)})
    return found


def check_tensors(model: DualEncoder, layout: Layout, got: Shapes, where: str) -> None:
    """Check the names and shapes of a checkpoint's tensors before any of them is read.

    Raises:
        UsageError: With the first tensor that is missing, has another shape, or is too many.
    """
    expected = tensor_shapes(model, layout)
    for name, shape in expected.items():
        if got.get(name) != shape:
            found = f"shape {got[name]}" if name in got else "no such tensor"
            raise UsageError(f"{where}: expected {name} of shape {shape}, got {found}; {_advice(layout, got)}")
    for name in got:
        if name not in expected and not re.match(_IGNORED[layout], name):
            raise UsageError(
                f"{where}: expected no tensor {name}, got one of shape {got[name]}; {_advice(layout, got)}"
            )


def find_architecture(layout: Layout, got: Shapes) -> str | None:
    """Find the named architecture that a few typical tensors belong to; None if there is none.

    This is much less than a full `check_tensors`.
    """
    for name in architectures.NAMES:
        model = architectures.build(name)
        if model.text_tower is None:
            continue
        if isinstance(model.image_tower, ModifiedResNet) and layout != "open_clip":
            continue
        if _has_typical_tensors(model, layout, got):
            return name
    return None


def _has_typical_tensors(model: DualEncoder, layout: Layout, got: Shapes) -> bool:
    """Tell whether the width, depth and resolution of an architecture are those of a checkpoint's tensors."""
    image_tower = model.image_tower
    text_tower = model.text_tower
    assert text_tower is not None
    if isinstance(image_tower, ModifiedResNet):
        num_positions = (image_tower.image_px // image_tower.stride) ** 2 + 1
        shapes: dict[str, tuple[int, ...]] = {
            "visual.attnpool.positional_embedding": (num_positions, 32 * image_tower.width)
        }
        beyond_last = {f"visual.layer{i + 1}.{num}.conv1.weight" for i, num in enumerate(image_tower.stage_sizes)}
    else:
        patches, positions, block = _TYPICAL_NAMES[layout]
        shapes = {
            patches: (image_tower.width, 3, image_tower.patch_px, image_tower.patch_px),
            positions: (image_tower.num_patches + 1, image_tower.width),
        }
        beyond_last = {block.format(image_tower.depth)}
    projection = (text_tower.width, text_tower.embedding_dim)
    if layout == "open_clip":
        shapes["text_projection"] = projection
    else:
        shapes["text_projection.weight"] = projection[::-1]
    has_shapes = all(got.get(name) == shape for name, shape in shapes.items())
    last = {_previous_block(name) for name in beyond_last}
    has_depth = last <= set(got) and not beyond_last & set(got)
    return has_shapes and has_depth


_TYPICAL_NAMES: dict[str, tuple[str, str, str]] = {
    "open_clip": (
        "visual.conv1.weight",
        "visual.positional_embedding",
        "visual.transformer.resblocks.{}.ln_1.weight",
    ),
    "huggingface": (
        "vision_model.embeddings.patch_embedding.weight",
        "vision_model.embeddings.position_embedding.weight",
        "vision_model.encoder.layers.{}.layer_norm1.weight",
    ),
}


def _previous_block(name: str) -> str:
    """Return the name of the same tensor in the previous block."""
    return re.sub(r"\.(\d+)\.", lambda match: f".{int(match[1]) - 1}.", name)


def _advice(layout: Layout, got: Shapes) -> str:
    """Say which architecture a checkpoint's tensors fit, for the end of a message."""
    if layout == "ours":
        return "the file's own description of its architecture is not that of its tensors: make it again"
    name = find_architecture(layout, got)
    if name:
        return f"this is a checkpoint of {name}"
    return f"this is a checkpoint of none of {', '.join(architectures.NAMES)}"


def to_variables(model: DualEncoder, layout: Layout, tensor: Callable[[str], np.ndarray]) -> dict[str, Any]:
    """Convert a checkpoint's tensors, which `check_tensors` has passed, into our variables.

    Args:
        model: Architecture.
        layout: Layout of the checkpoint.
        tensor: Reads one tensor.

    Returns:
        Nested variables, float32.
    """
    flat = {}
    for rule in rules(model, layout):
        tensors = [np.asarray(tensor(name)).astype(np.float32) for name in rule.theirs]
        flat[rule.ours] = np.asarray(CONVERSIONS[rule.how].to_variable(tensors), order="C")
    return dual_encoder.unflatten(flat)
