"""How the tensors of a checkpoint become our variables and back, and which checkpoint is not of which architecture.

Rules (`tensor_names`) are applied both ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bench.errors import UsageError
from models.clip.checkpoints.tensor_names import Layout, rules
from models.clip.networks import architectures, dual_encoder
from models.clip.networks.dual_encoder import DualEncoder
from models.clip.networks.resnet import ModifiedResNet

Shapes = Mapping[str, tuple[int, ...]]

_IGNORED: dict[str, str] = {
    # Counters and masks that say nothing; the last three come with OpenAI's TorchScript files.
    "open_clip": r"(.*\.num_batches_tracked|attn_mask|input_resolution|context_length|vocab_size)$",
    "huggingface": r"(text|vision)_model\.embeddings\.position_ids$",
    "ours": r"$^",
}


def _join(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays, axis=-1)


def _split(array: np.ndarray) -> list[np.ndarray]:
    return list(np.split(array, 3, axis=-1))


def _from_patches(array: np.ndarray) -> np.ndarray:
    px = round((array.shape[0] / 3) ** 0.5)
    return array.reshape(px, px, 3, -1).transpose(3, 2, 0, 1)


_HOW: dict[str, tuple[Callable[[list[np.ndarray]], np.ndarray], Callable[[np.ndarray], list[np.ndarray]]]] = {
    "same": (lambda them: them[0], lambda ours: [ours]),
    # PyTorch's linear layers keep outputs first.
    "linear": (lambda them: them[0].T, lambda ours: [ours.T]),
    # PyTorch's convolutions: outputs, inputs, rows, columns.
    "convolution": (lambda them: them[0].transpose(2, 3, 1, 0), lambda ours: [ours.transpose(3, 2, 0, 1)]),
    # A patch's pixels row by row, colours last, as one vector.
    "patches": (
        lambda them: them[0].transpose(2, 3, 1, 0).reshape(-1, them[0].shape[0]),
        lambda ours: [_from_patches(ours)],
    ),
    # Queries, keys and values side by side.
    "three linear": (lambda them: _join([t.T for t in them]), lambda ours: [part.T for part in _split(ours)]),
    "three": (_join, _split),
}


def sniff(names: Any) -> Layout | None:
    """The layout that tensors of these names are in; None if it is none of ours."""
    names = set(names)
    if "params/logit_scale" in names:
        return "ours"
    if any(name.startswith("vision_model.") for name in names):
        return "huggingface"
    if any(name.startswith("visual.") for name in names):
        return "open_clip"
    return None


def wanted(model: DualEncoder, layout: Layout) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that a checkpoint of an architecture has, in order."""
    shapes = dual_encoder.shapes(model)
    found = {}
    for rule in rules(model, layout):
        # A view of one number: nothing of that size is made.
        view = np.broadcast_to(np.float32(0), shapes[rule.ours])
        parts = _HOW[rule.how][1](view)
        found.update({name: tuple(part.shape) for name, part in zip(rule.theirs, parts, strict=True)})
    return found


def check(model: DualEncoder, layout: Layout, got: Shapes, where: str) -> None:
    """Compares names and shapes before anything is read.

    Raises:
        UsageError: With the first tensor that is missing, of another shape, or too many.
    """
    want = wanted(model, layout)
    for name, shape in want.items():
        if got.get(name) != shape:
            there = f"shape {got[name]}" if name in got else "no such tensor"
            raise UsageError(f"{where}: expected {name} of shape {shape}, got {there}; {_fitting(layout, got)}")
    for name in got:
        if name not in want and not re.match(_IGNORED[layout], name):
            raise UsageError(
                f"{where}: expected no tensor {name}, got one of shape {got[name]}; {_fitting(layout, got)}"
            )


def architecture_of(layout: Layout, got: Shapes) -> str | None:
    """The named architecture whose telling tensors these are; None if there is none. Far from a full `check`."""
    for name in architectures.NAMES:
        model = architectures.named(name)
        image, text = model.image_tower, model.text_tower
        resnet = isinstance(image, ModifiedResNet)
        if text is None or (resnet and layout != "open_clip"):
            continue
        if resnet:
            channels = 32 * image.width
            told: dict[str, tuple[int, ...]] = {
                "visual.attnpool.positional_embedding": ((image.image_px // image.stride) ** 2 + 1, channels)
            }
            last = {f"visual.layer{i + 1}.{num}.conv1.weight" for i, num in enumerate(image.stage_sizes)}
        else:
            patches, positions, block = _TELLING[layout]
            told = {
                patches: (image.width, 3, image.patch_px, image.patch_px),
                positions: (image.num_patches + 1, image.width),
            }
            last = {block.format(image.depth)}
        projection = (text.width, text.embedding_dim)
        if layout == "open_clip":
            told["text_projection"] = projection
        else:
            told["text_projection.weight"] = projection[::-1]
        one_more, as_many = last, {_one_less(name) for name in last}
        if all(got.get(k) == v for k, v in told.items()) and as_many <= set(got) and not one_more & set(got):
            return name
    return None


_TELLING: dict[str, tuple[str, str, str]] = {
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


def _one_less(name: str) -> str:
    """The same layer of the block before."""
    return re.sub(r"\.(\d+)\.", lambda found: f".{int(found[1]) - 1}.", name)


def _fitting(layout: Layout, got: Shapes) -> str:
    """Names the architecture that tensors fit, for the end of a message."""
    if layout == "ours":
        return "the file's own description of its architecture is not that of its tensors: make it again"
    name = architecture_of(layout, got)
    return (
        f"this is a checkpoint of {name}"
        if name
        else f"this is a checkpoint of none of {', '.join(architectures.NAMES)}"
    )


def to_ours(model: DualEncoder, layout: Layout, tensor: Callable[[str], np.ndarray]) -> dict[str, Any]:
    """Our variables from a checkpoint's tensors, which `check` has passed.

    Args:
        model: Architecture.
        layout: Of the checkpoint.
        tensor: Reads one tensor.

    Returns:
        Nested, float32.
    """
    flat = {}
    for rule in rules(model, layout):
        parts = [np.asarray(tensor(name)).astype(np.float32) for name in rule.theirs]
        flat[rule.ours] = np.asarray(_HOW[rule.how][0](parts), order="C")
    return dual_encoder.nested(flat)


def from_ours(model: DualEncoder, layout: Layout, variables: Any) -> dict[str, np.ndarray]:
    """A checkpoint's tensors from our variables, as their original would save them."""
    flat = dual_encoder.flattened(variables)
    found = {}
    for rule in rules(model, layout):
        parts = _HOW[rule.how][1](np.asarray(flat[rule.ours]))
        found.update({name: np.asarray(part, order="C") for name, part in zip(rule.theirs, parts, strict=True)})
        if layout == "open_clip" and rule.ours.startswith("batch_stats/") and rule.ours.endswith("/mean"):
            found[rule.theirs[0].replace("running_mean", "num_batches_tracked")] = np.zeros((), np.int64)
    return found
