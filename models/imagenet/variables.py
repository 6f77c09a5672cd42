"""Turns the tensors of published files into the variables of our networks, and checks that nothing is left over."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from bench.errors import UsageError
from models.clip.networks.dual_encoder import flatten, unflatten
from models.imagenet import pickled_tensors
from models.imagenet.architectures import ImageClassifier
from models.imagenet.convolution_stack import ConvolutionStack
from models.imagenet.efficientnet_lite import EXPANSIONS, EfficientNetLite

EPSILON = 1e-3
"""Of EfficientNet's batch normalisation."""

LPIPS_NAMES = {"VGG-16": "VGG16_0", "AlexNet": "AlexNet_0"}
"""Where a backbone stands in a file of LPIPS; linear heads stand beside it."""


def read_variables(content: bytes, architecture: str, model: ImageClassifier, where: str) -> PyTree:
    """Read the variables of a network from the content of its published file.

    Args:
        content: Of the file.
        architecture: Name of the network.
        model: The network.
        where: Name of the encoder that is loaded, for messages.

    Raises:
        UsageError: The file holds something else than these tensors.
    """
    if isinstance(model, EfficientNetLite):
        found = dict(fold_efficientnet(pickled_tensors.read_torch_tensors(content, where), model, where))
    else:
        tree = pickled_tensors.read_numpy_tree(content, where)
        found = dict(_convolutions(tree.get(LPIPS_NAMES[architecture], {}), model))
    shapes = classifier_shapes(model)
    got_shapes = {path: array.shape for path, array in found.items()}
    wrong = sorted(path for path in {*shapes, *found} if shapes.get(path) != got_shapes.get(path))
    if wrong:
        path = wrong[0]
        got = f"shape {got_shapes[path]}" if path in found else "no such tensor"
        raise UsageError(f"{where}: expected {path} of shape {shapes.get(path)}, got {got}; install its package again")
    return unflatten({path: np.asarray(array, np.float32) for path, array in found.items()})


def init_classifier(model: ImageClassifier, key: Any) -> PyTree:
    """Initialise all variables of a network, its classifier's too."""
    return model.init(key, jnp.zeros((1, model.image_px, model.image_px, 3)), None)


@functools.lru_cache(maxsize=8)
def classifier_shapes(model: ImageClassifier) -> dict[str, tuple[int, ...]]:
    """Return the shape of every variable by its path (`params/stem/kernel`)."""
    tree = jax.eval_shape(functools.partial(init_classifier, model), jax.random.key(0))
    return {path: tuple(leaf.shape) for path, leaf in flatten(tree).items()}


def fold_efficientnet(
    tensors: Mapping[str, np.ndarray], model: EfficientNetLite, where: str
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield our variables with their paths, each batch normalisation folded into the convolution before it.

    Args:
        tensors: By the names of the package `efficientnet_lite_pytorch`.
        model: The network.
        where: Name of the encoder that is loaded, for messages.

    Raises:
        UsageError: A tensor is missing or left over.
    """
    left = {name for name in tensors if not name.endswith(".num_batches_tracked")}

    def take(name: str) -> np.ndarray:
        if name not in tensors:
            raise UsageError(f"{where}: expected the tensor {name}, got none; install its package again")
        left.discard(name)
        return tensors[name]

    for convolution, normalisation, path in layer_names(model):
        kernel = take(f"{convolution}.weight").astype(np.float64).transpose(2, 3, 1, 0)
        scale, shift, mean, variance = (
            take(f"{normalisation}.{part}").astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = scale / np.sqrt(variance + EPSILON)
        kernel = kernel * scale
        # A depthwise kernel has one input channel.
        yield f"params/{path}/kernel", kernel[:, :, 0] if path.endswith("/depthwise") else kernel
        yield f"params/{path}/bias", shift - mean * scale
    yield "params/classifier/kernel", take("_fc.weight").T
    yield "params/classifier/bias", take("_fc.bias")
    if left:
        raise UsageError(f"{where}: expected no other tensors, got {min(left)}; install its package again")


def layer_names(model: EfficientNetLite) -> Iterator[tuple[str, str, str]]:
    """Yield the file's names of each convolution and its normalisation, and the path of ours."""
    yield "_conv_stem", "_bn0", "stem"
    number = 0
    for i, depth in enumerate(model.depths):
        for j in range(depth):
            theirs = f"_blocks.{number}"
            ours = f"stage_{i}_block_{j}"
            if EXPANSIONS[i] != 1:
                yield f"{theirs}._expand_conv", f"{theirs}._bn0", f"{ours}/expand"
            yield f"{theirs}._depthwise_conv", f"{theirs}._bn1", f"{ours}/depthwise"
            yield f"{theirs}._project_conv", f"{theirs}._bn2", f"{ours}/project"
            number += 1
    yield "_conv_head", "_bn1", "head"


def _convolutions(tree: Mapping[str, Any], model: ConvolutionStack) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the variables of a backbone of LPIPS with their paths."""
    for name, layer in tree.items():
        for part, array in layer.items():
            yield f"params/{name.lower()}/{part}", array
