"""Computes hidden layers with ReLUs, one of which sees the first input again, in fused kernels.

f: fields, whose rows share weights, n: rows, w: width, k: features of the encoding, filled up.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from models.fields.fused_block.kernel_parts import Tuning
from models.fields.fused_block.machine import Hopper
from models.ray_split import compute_row_parts

TILE_MULTIPLE = 64
"""Rows are filled up with zeros to a multiple of this."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReluSettings:
    """Says what runs the fused kernels, and with which tunings."""

    machine: Hopper = Hopper()
    forward: Tuning = Tuning(warpgroups=3, slots=1)
    backward: Tuning = Tuning(slots=3)


def fused_trunk(
    encoded: Float[Array, "n k"],
    kernels: tuple[tuple[Float[Array, "_ w"], ...], ...],
    biases: tuple[Float[Array, " w"], ...],
    settings: ReluSettings,
) -> Float[Array, "n w"]:
    """Compute the hidden layers of NeRF's network.

    Args:
        encoded: Its type is that of all products, whose sums are float32.
        kernels: Of each layer, in float32: of the encoding for the first layer; of the features before for others; of
            both, the encoding's first, for a layer that sees it again.
        biases: Of each layer, in float32.
        settings: What runs the kernels.
    """
    return _trunk(settings, encoded, kernels, biases)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _trunk(settings: ReluSettings, encoded: Array, kernels: Any, biases: Any) -> Array:
    return _layers(settings, encoded, kernels, biases)[-1]


def _layers(settings: ReluSettings, encoded: Array, kernels: Any, biases: Any) -> list[Array]:
    """Compute the results of all layers."""
    results: list[Array] = []
    for factors, bias in zip(kernels, biases, strict=True):
        if len(factors) == 1 and results:
            kernel = factors[0].astype(encoded.dtype)
            [result] = _mapped(_forward, settings)(results[-1][None], kernel[None], bias[None])
        else:
            inputs = [encoded, *results[-1:]]
            total = bias[None]
            for rows, factor in zip(inputs, factors, strict=True):
                total = total + jnp.matmul(rows, factor.astype(rows.dtype)).astype(jnp.float32)
            result = jnp.maximum(total, 0).astype(encoded.dtype)
        results.append(result)
    return results


def _keep_results(settings: ReluSettings, encoded: Any, kernels: Any, biases: Any) -> tuple[Array, Any]:
    is_needed = encoded.perturbed
    encoded, kernels, biases = jax.tree.map(lambda x: x.value, (encoded, kernels, biases))
    results = _layers(settings, encoded, kernels, biases)
    return results[-1], (encoded, kernels, results, (None,) if is_needed else ())


def _gradients(settings: ReluSettings, saved: Any, gradient: Any) -> tuple[Any, ...]:
    encoded, kernels, results, needed = saved
    if isinstance(gradient, SymbolicZero):
        gradient = jnp.zeros(gradient.shape, gradient.dtype)
    passed = jnp.where(results[-1] > 0, gradient, jnp.zeros((), gradient.dtype))
    bias_gradients = [jnp.sum(passed, axis=0, dtype=jnp.float32)]
    kernel_gradients: list[tuple[Array, ...]] = []
    encoded_gradient = jnp.zeros((), jnp.float32)
    for place in reversed(range(len(kernels))):
        factors = kernels[place]
        before = passed
        of_layer: tuple[Array, ...] = ()
        if place > 0:
            kernel = factors[-1].astype(encoded.dtype)
            found = _mapped(_backward, settings)(before[None], results[place - 1][None], kernel[None])
            [passed], [of_kernel], [of_bias] = found
            of_layer = (of_kernel,)
            bias_gradients.append(of_bias)
        if place == 0 or len(factors) > 1:
            of_encoding = jnp.matmul(encoded.T, before, preferred_element_type=jnp.float32)
            of_layer = (of_encoding, *of_layer)
            if needed:
                encoded_gradient += jnp.matmul(before, factors[0].astype(encoded.dtype).T).astype(jnp.float32)
        kernel_gradients.append(of_layer)
    of_encoded = encoded_gradient.astype(encoded.dtype) if needed else None
    return of_encoded, tuple(kernel_gradients[::-1]), tuple(bias_gradients[::-1])


_trunk.defvjp(_keep_results, _gradients, symbolic_zeros=True)


def _forward(settings: ReluSettings, rows: Array, kernel: Array, bias: Array) -> Float[Array, "f n w"]:
    from models.fields.fused_relu.forward_kernel import forward_relu

    def compute(rows: Array, *weights: Array) -> Array:
        result = forward_relu(_filled_up(rows), *weights, tuning=settings.forward, machine=settings.machine)
        return result[:, : rows.shape[1]]

    return compute_row_parts(compute, [rows], [kernel, bias], adds_up=False)


def _backward(
    settings: ReluSettings, gradient: Array, rows: Array, kernel: Array
) -> tuple[Float[Array, "f n w"], Float[Array, "f w w"], Float[Array, "f w"]]:
    from models.fields.fused_relu.backward_kernel import backward_relu

    def compute(gradient: Array, rows: Array, kernel: Array) -> tuple[Array, ...]:
        both = (_filled_up(gradient), _filled_up(rows))
        passed, of_kernel, of_bias = backward_relu(*both, kernel, tuning=settings.backward, machine=settings.machine)
        return passed[:, : rows.shape[1]], jnp.sum(of_kernel, axis=1), jnp.sum(of_bias, axis=(1, 2))

    return compute_row_parts(compute, [gradient, rows], [kernel], adds_up=(False, True, True))


_NUM_ROW_ARGUMENTS: dict[Any, int] = {_forward: 1, _backward: 2}
"""How many of a function's arguments are rows; the others are weights."""


def _filled_up(rows: Float[Array, "f n w"]) -> Float[Array, "f m w"]:
    """Add rows of zeros, so that their number is a multiple of `TILE_MULTIPLE`."""
    missing = -rows.shape[1] % TILE_MULTIPLE
    return jnp.pad(rows, ((0, 0), (0, missing), (0, 0))) if missing else rows


@functools.cache
def _mapped(function: Callable[..., Any], settings: ReluSettings) -> Callable[..., Any]:
    """Give a function of many fields its rule under `jax.vmap`: the new axis becomes one of fields."""
    num_rows = _NUM_ROW_ARGUMENTS[function]
    wrapped = custom_vmap(functools.partial(function, settings))

    @wrapped.def_vmap
    def _add_axis(size: int, is_mapped: list[bool], *arguments: Array) -> tuple[Any, Any]:
        repeated = [
            value if has_axis else jnp.broadcast_to(value, (size, *value.shape))
            for value, has_axis in zip(arguments, is_mapped, strict=True)
        ]
        num_fields = repeated[0].shape[1]
        merged = []
        for place, value in enumerate(repeated):
            if place >= num_rows:
                value = jnp.broadcast_to(value, (size, num_fields, *value.shape[2:]))
            merged.append(value.reshape(-1, *value.shape[2:]))
        result = wrapped(*merged)
        result = jax.tree.map(lambda value: value.reshape(size, num_fields, *value.shape[1:]), result)
        return result, jax.tree.map(lambda _: True, result)

    return wrapped
