"""Computes hidden layers with ReLUs, one of which sees the first input again, in fused kernels.

f: fields, whose rows share weights, n: rows, w: width, k: features of the encoding, filled up.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from models.fields.fused_block.kernel_parts import Tuning
from models.fields.fused_block.machine import Hopper
from models.fields.relu_layers import fill_up
from models.ray_split import compute_row_parts

MULTIPLE = 64
"""Rows and features are filled up with zeros to a multiple of this."""


MOST_FEATURES = 64
"""Features of an encoding whose kernel fits on a multiprocessor, beside that of the features before."""

MOST_OUTPUTS = 4
"""A head of so few columns gives densities and colours, and no features."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReluSettings:
    """Says what runs the fused kernels, and with which tunings.

    Attributes:
        machine: What runs them.
        forward: Tuning of a layer with one input.
        forward_of_two: Tuning of a layer that sees the encoding again: its kernel leaves room for one warpgroup.
        backward: Tuning of all gradients.
        reads_encoding: Whether layers that see the encoding are computed in the kernels.
    """

    machine: Hopper = Hopper()
    forward: Tuning = Tuning(warpgroups=3, slots=1)
    forward_of_two: Tuning = Tuning(warpgroups=1, slots=1)
    backward: Tuning = Tuning(slots=3)
    reads_encoding: bool = True


def fused_trunk(
    encoded: Float[Array, "*b k"],
    kernels: tuple[tuple[Float[Array, "_ w"], ...], ...],
    biases: tuple[Float[Array, " w"], ...],
    heads: tuple[Float[Array, "w _"], ...],
    settings: ReluSettings,
) -> tuple[Float[Array, "*b _"], ...]:
    """Compute products of the hidden features of NeRF's network.

    Args:
        encoded: Its type is that of all products, whose sums are float32.
        kernels: Of each hidden layer, in float32: of the encoding for the first layer; of the features before for
            others; of both, the encoding's first, for a layer that sees it again.
        biases: Of each hidden layer, in float32.
        heads: What the last features are multiplied by, in float32; together at most as many columns as features.
        settings: What runs the kernels.

    Returns:
        The product with each head; of at most `MOST_OUTPUTS` columns in float32, else in the type of all products.
    """
    filled = fill_up(encoded, MULTIPLE)
    missing = filled.shape[-1] - encoded.shape[-1]
    wider = []
    for place, (first, *others) in enumerate(kernels):
        if place == 0 or others:
            first = jnp.pad(first, ((0, missing), (0, 0)))
        wider.append((first, *others))
    found = _trunk(settings, filled.reshape(-1, filled.shape[-1]), tuple(wider), biases, heads)
    return tuple(value.reshape(*encoded.shape[:-1], value.shape[-1]) for value in found)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _trunk(settings: ReluSettings, encoded: Array, kernels: Any, biases: Any, heads: Any) -> tuple[Array, ...]:
    return _products(_layers(settings, encoded, kernels, biases)[-1], heads)


def _products(features: Array, heads: Any) -> tuple[Array, ...]:
    """Multiply features by each head."""
    found = []
    for head in heads:
        dtype = jnp.float32 if head.shape[1] <= MOST_OUTPUTS else features.dtype
        found.append(jnp.matmul(features, head.astype(features.dtype), preferred_element_type=dtype))
    return tuple(found)


def _layers(settings: ReluSettings, encoded: Array, kernels: Any, biases: Any) -> list[Array]:
    """Compute the results of all layers."""
    results: list[Array] = []
    reads_encoding = settings.reads_encoding and encoded.shape[-1] <= MOST_FEATURES
    for factors, bias in zip(kernels, biases, strict=True):
        inputs = [encoded, *results[-1:]] if len(factors) > 1 else [results[-1] if results else encoded]
        weights = [factor.astype(encoded.dtype) for factor in factors]
        if reads_encoding or inputs[0] is not encoded:
            one = [value[None] for value in (*inputs, *weights, bias)]
            [result] = _mapped(_forward if len(inputs) == 1 else _forward_of_two, settings)(*one)
        else:
            total = bias[None]
            for rows, weight in zip(inputs, weights, strict=True):
                total = total + jnp.matmul(rows, weight).astype(jnp.float32)
            result = jnp.maximum(total, 0).astype(encoded.dtype)
        results.append(result)
    return results


def _keep_results(
    settings: ReluSettings, encoded: Any, kernels: Any, biases: Any, heads: Any
) -> tuple[tuple[Array, ...], Any]:
    is_needed = encoded.perturbed
    encoded, kernels, biases, heads = jax.tree.map(lambda x: x.value, (encoded, kernels, biases, heads))
    results = _layers(settings, encoded, kernels, biases)
    return _products(results[-1], heads), (encoded, kernels, heads, results, (None,) if is_needed else ())


def _gradients(settings: ReluSettings, saved: Any, gradients: Any) -> tuple[Any, ...]:
    encoded, kernels, heads, results, needed = saved
    # All heads as one layer behind the last, filled up with columns of zeros.
    head = _side_by_side(heads, encoded.dtype)
    passed = _side_by_side([_as_array(gradient) for gradient in gradients], encoded.dtype, width=head.shape[1])
    behind = [*(factors[-1].astype(encoded.dtype) for factors in kernels[1:]), head]
    bias_gradients: list[Array] = []
    kernel_gradients: list[tuple[Array, ...]] = []
    encoded_gradient = jnp.zeros((), jnp.float32)
    of_kernels: list[Array] = []
    for place in reversed(range(len(kernels))):
        found = _mapped(_backward, settings)(passed[None], results[place][None], behind[place][None])
        [passed], [of_kernel], [of_bias] = found
        of_kernels.append(of_kernel)
        bias_gradients.append(of_bias)
        of_layer: tuple[Array, ...] = ()
        if place == 0 or len(kernels[place]) > 1:
            of_layer = (jnp.matmul(encoded.T, passed, preferred_element_type=jnp.float32),)
            if needed:
                of_rows = jnp.matmul(passed, kernels[place][0].astype(encoded.dtype).T)
                encoded_gradient += of_rows.astype(jnp.float32)
        kernel_gradients.append(of_layer)
    of_head, *of_features = of_kernels
    of_layers = [kernel_gradients[-1]]
    for of_encoding, of_kernel in zip(kernel_gradients[-2::-1], of_features[::-1], strict=True):
        of_layers.append((*of_encoding, of_kernel))
    of_encoded = encoded_gradient.astype(encoded.dtype) if needed else None
    return of_encoded, tuple(of_layers), tuple(bias_gradients[::-1]), _columns(of_head, heads)


_trunk.defvjp(_keep_results, _gradients, symbolic_zeros=True)


def _as_array(gradient: Any) -> Array:
    """Return a gradient, or zeros where there is none."""
    return jnp.zeros(gradient.shape, gradient.dtype) if isinstance(gradient, SymbolicZero) else gradient


def _side_by_side(parts: Sequence[Array], dtype: Any, width: int | None = None) -> Array:
    """Join columns, and fill up with zeros to a width, or to a square."""
    joined = jnp.concatenate([part.astype(dtype) for part in parts], axis=1)
    return jnp.pad(joined, ((0, 0), (0, (width or joined.shape[0]) - joined.shape[1])))


def _columns(joined: Array, parts: Sequence[Array]) -> tuple[Array, ...]:
    """Divide columns as the parts had them."""
    ends = list(itertools.accumulate(part.shape[1] for part in parts))
    return tuple(jnp.split(joined[:, : ends[-1]], ends[:-1], axis=1))


def _forward(settings: ReluSettings, rows: Array, kernel: Array, bias: Array) -> Float[Array, "f n w"]:
    return _forward_rows(settings, settings.forward, [rows], [kernel, bias])


def _forward_of_two(
    settings: ReluSettings, encoded: Array, rows: Array, encoded_kernel: Array, kernel: Array, bias: Array
) -> Float[Array, "f n w"]:
    return _forward_rows(settings, settings.forward_of_two, [encoded, rows], [encoded_kernel, kernel, bias])


def _forward_rows(
    settings: ReluSettings, tuning: Tuning, inputs: list[Array], weights: list[Array]
) -> Float[Array, "f n w"]:
    from models.fields.fused_relu.forward_kernel import forward_relu

    def compute(*arguments: Array) -> Array:
        rows = [fill_up(value, MULTIPLE, axis=1) for value in arguments[: len(inputs)]]
        *kernels, bias = arguments[len(inputs) :]
        result = forward_relu(rows, kernels, bias, tuning=tuning, machine=settings.machine)
        return result[:, : arguments[0].shape[1]]

    return compute_row_parts(compute, inputs, weights, adds_up=False)


def _backward(
    settings: ReluSettings, gradient: Array, rows: Array, kernel: Array
) -> tuple[Float[Array, "f n w"], Float[Array, "f w w"], Float[Array, "f w"]]:
    from models.fields.fused_relu.backward_kernel import backward_relu

    def compute(gradient: Array, rows: Array, kernel: Array) -> tuple[Array, ...]:
        both = (fill_up(gradient, MULTIPLE, axis=1), fill_up(rows, MULTIPLE, axis=1))
        passed, of_kernel, of_bias = backward_relu(*both, kernel, tuning=settings.backward, machine=settings.machine)
        return passed[:, : rows.shape[1]], jnp.sum(of_kernel, axis=1), jnp.sum(of_bias, axis=(1, 2))

    return compute_row_parts(compute, [gradient, rows], [kernel], adds_up=(False, True, True))


_NUM_ROW_ARGUMENTS: dict[Any, int] = {_forward: 1, _forward_of_two: 2, _backward: 2}
"""How many of a function's arguments are rows; the others are weights."""


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
