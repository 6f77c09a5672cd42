"""Decides whether NeRF's hidden layers are computed in the fused kernels.

They need a Hopper GPU, bfloat16, and a width whose weights fit on the chip. Before they are used in a process, they are
compiled for a few rows, and their gradients compared with those in float32; where their error is more than twice that
of the layers in bfloat16, the layers compute them, and one line on standard error says why.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bench.errors import UsageError
from models.fields import kernel_probe, relu_layers
from models.fields.fused_block.choice import is_only_plain, unfit_device

if TYPE_CHECKING:  # Mosaic is imported only where it is used: it takes time, and not every platform has it.
    from models.fields.fused_relu.operation import ReluSettings

Layers = Literal["auto", "plain", "folded", "fused"]
"""As the paper writes them ("plain"), in fewer passes ("folded"), in fused kernels, or as is fastest here ("auto")."""

TRUNK_WIDTHS = (128, 256)
"""Widths whose weights fit into a multiprocessor's shared memory, and that slices of 128 inputs divide."""


def trunk_settings(layers: Layers, dtype: str, width: int) -> ReluSettings | None:
    """Return the settings of the fused kernels; None if layers compute the trunk.

    Raises:
        UsageError: The layers are "fused", which cannot run here.
    """
    if layers in ("plain", "folded") or is_only_plain():
        return None
    reason = None
    if dtype != "bfloat16":
        reason = f"{dtype} instead of bfloat16"
    elif width not in TRUNK_WIDTHS:
        reason = f"width {width} instead of {' or '.join(map(str, TRUNK_WIDTHS))}"
    reason = reason or unfit_device()
    if reason is None:
        settings, reason = probe_trunk(width)
        if settings is not None:
            return settings
    if layers == "fused":
        raise UsageError(f'layers: expected "fused" to be able to run, got {reason}; write layers="auto"')
    return None


@functools.cache
def probe_trunk(width: int) -> tuple[ReluSettings | None, str | None]:
    """Compile the fused kernels and compare them with the layers; say what is wrong with them, once.

    Returns:
        Settings with which they are right, those with most kernels if there are several; None and a reason if there are
        none.
    """
    failure = None
    try:
        from models.fields.fused_relu.operation import ReluSettings

        candidates = [ReluSettings(), ReluSettings(reads_encoding=False)]
    except Exception as problem:  # noqa: BLE001  Mosaic's interface is unstable: anything may be missing or refused.
        candidates = []
        failure = f"{type(problem).__name__}: {problem}"
    for settings in candidates:
        failure = kernel_probe.find_failure(compare_trunk, settings, width)
        if failure is None:
            return settings, None
        print(f"fused layers of width {width}: {failure}; fewer are fused, or none", file=sys.stderr)
    return None, failure


def compare_trunk(settings: ReluSettings, width: int) -> str | None:
    """Say what is wrong with the gradients of the fused kernels; None if nothing is."""
    return kernel_probe.compare_errors(trunk_error_ratio(settings, width))


def trunk_error_ratio(settings: ReluSettings, width: int) -> float:
    """Return the largest ratio of a gradient's error in the fused kernels to its error in the layers."""
    from models.fields.fused_relu.operation import fused_trunk

    generator = np.random.default_rng(0)
    shapes = (((64, width),), ((width, width),), ((64, width), (width, width)))
    kernels = tuple(
        tuple((generator.normal(size=(2, *shape)) * (2 / shape[0]) ** 0.5).astype(np.float32) for shape in factors)
        for factors in shapes
    )
    biases = tuple(generator.normal(size=(2, width)).astype(np.float32) for _ in shapes)
    heads = tuple((generator.normal(size=(2, width, columns)) / width**0.5).astype(np.float32) for columns in (64, 1))
    encoded = generator.normal(size=(2, 300, 64)).astype(jnp.bfloat16)

    def gradients(compute: Callable[..., tuple[Array, ...]], encoded: np.ndarray) -> list[np.ndarray]:
        def total(weights: tuple[Any, ...], encoded: Array) -> Array:
            products = [jnp.sin(value.astype(jnp.float32)) for value in compute(encoded, *weights)]
            return jnp.sum(jnp.concatenate(products, axis=-1))

        return kernel_probe.call_compiled(jax.vmap(jax.grad(total)), ((kernels, biases, heads), encoded))

    fused = gradients(functools.partial(fused_trunk, settings=settings), encoded)
    layers = gradients(folded_products, encoded)
    with jax.default_matmul_precision("highest"):
        truth = gradients(folded_products, encoded.astype(np.float32))
    return kernel_probe.largest_error_ratio(fused, layers, truth)


def folded_trunk(encoded: Array, kernels: tuple[tuple[Array, ...], ...], biases: tuple[Array, ...]) -> Array:
    """Compute hidden layers one by one, as `fused_trunk` takes their weights."""
    features: list[Array] = []
    for factors, bias in zip(kernels, biases, strict=True):
        inputs = [encoded, *features] if len(factors) > 1 else features or [encoded]
        features = [relu_layers.relu_layer(inputs, factors, relu_layers.for_all(bias, encoded.ndim))]
    return features[0]


def folded_products(
    encoded: Array, kernels: tuple[tuple[Array, ...], ...], biases: tuple[Array, ...], heads: tuple[Array, ...]
) -> tuple[Array, ...]:
    """Compute what `fused_trunk` computes, layer by layer."""
    features = folded_trunk(encoded, kernels, biases)
    return tuple(jnp.matmul(features, head.astype(features.dtype)).astype(jnp.float32) for head in heads)
