"""Computes dense layers with a ReLU in few passes over memory, from the parameters of `flax.linen.Dense`.

A layer as it is usually written writes its inputs joined into one array, its result, and where it is above zero, and
reads a bias of every ray again for every sample. Here

- parts of the input stay apart: each is multiplied by its own rows of the kernel;
- the backward pass finds where the ReLU let through from its result, which it needs anyway;
- what is added may be one value for all samples of a ray, and its gradient is summed in float32;
- gradients of kernels leave their products in float32.

*b: any leading axes of rows, k: features of an input, f: features of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

MULTIPLE = 8
"""Features that rows are filled up to a multiple of: products of other sizes take a slow way through an accelerator."""


class DenseParameters(nn.Module):
    """Holds the kernel and the bias of a dense layer, with the names and the first values of `flax.linen.Dense`.

    Attributes:
        inputs: Features of the input.
        features: Features of the result.
        kernel_init: Draws the kernel.
    """

    inputs: int
    features: int
    kernel_init: Any

    @nn.compact
    def __call__(self) -> tuple[Float[Array, "k f"], Float[Array, " f"]]:
        """Return the kernel and the bias, in float32."""
        kernel = self.param("kernel", self.kernel_init, (self.inputs, self.features), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,), jnp.float32)
        return kernel, bias


def fill_up(rows: Float[Array, "..."], multiple: int = MULTIPLE, axis: int = -1) -> Float[Array, "..."]:
    """Append zeros along an axis, up to a multiple that products or kernels like; the last axis holds features."""
    missing = -rows.shape[axis] % multiple
    widths = [(0, 0)] * rows.ndim
    widths[axis] = (0, missing)
    return jnp.pad(rows, widths) if missing else rows


def for_all(bias: Float[Array, " f"], ndim: int) -> Float[Array, "*ones f"]:
    """Give a bias as many axes as rows have, because rank promotion is an error in this project."""
    return bias.reshape(*(1,) * (ndim - 1), -1)


def relu_layer(
    inputs: Sequence[Float[Array, "*b _"]], kernels: Sequence[Float[Array, "_ f"]], shift: Float[Array, "*#b f"]
) -> Float[Array, "*b f"]:
    """Compute the ReLU of the sum of products and a shift.

    Args:
        inputs: Their type is that of the products and of the result.
        kernels: One for each input, in float32; of fewer rows than its input has features where that is filled up.
        shift: In float32, with as many axes as the inputs; one value along an axis where it is the same for all.
    """
    factors = []
    for rows, kernel in zip(inputs, kernels, strict=True):
        missing = rows.shape[-1] - kernel.shape[0]
        factors.append(jnp.pad(kernel, [(0, missing), (0, 0)]))
    return _relu_of_products(tuple(inputs), tuple(factors), shift)


@jax.custom_vjp
def _relu_of_products(inputs: tuple[Array, ...], kernels: tuple[Array, ...], shift: Array) -> Array:
    total = shift
    for rows, kernel in zip(inputs, kernels, strict=True):
        # What is one array is rounded once where the products stand alone, and not at all where they are fused.
        total = total + jnp.matmul(rows, kernel.astype(rows.dtype)).astype(jnp.float32)
    return nn.relu(total).astype(inputs[0].dtype)


def _forward(inputs: Any, kernels: Any, shift: Any) -> tuple[Array, Any]:
    needed = tuple(rows.perturbed for rows in inputs)
    inputs = tuple(rows.value for rows in inputs)
    kernels = tuple(kernel.value for kernel in kernels)
    result = _relu_of_products(inputs, kernels, shift.value)
    return result, (inputs, kernels, result, _Static((needed, _repeated_axes(result, shift.value))))


def _backward(saved: Any, gradient: Any) -> tuple[Any, ...]:
    inputs, kernels, result, static = saved
    needed, places = static.value
    if isinstance(gradient, SymbolicZero):
        gradient = jnp.zeros(gradient.shape, gradient.dtype)
    passed = jnp.where(result > 0, gradient, jnp.zeros((), gradient.dtype))
    flat = passed.reshape(-1, passed.shape[-1])
    input_gradients = []
    kernel_gradients = []
    for rows, kernel, is_needed in zip(inputs, kernels, needed, strict=True):
        input_gradients.append(jnp.matmul(passed, kernel.astype(rows.dtype).T) if is_needed else None)
        flat_rows = rows.reshape(-1, rows.shape[-1])
        kernel_gradients.append(_kernel_gradient(flat_rows, flat))
    shift_gradient = jnp.sum(passed, axis=places, keepdims=True, dtype=jnp.float32)
    return tuple(input_gradients), tuple(kernel_gradients), shift_gradient


def _kernel_gradient(rows: Array, gradient: Array) -> Array:
    """Multiply a layer's inputs by the gradients of its sums, and keep float32."""
    return jnp.matmul(rows.T, gradient, preferred_element_type=jnp.float32)


@jax.custom_vjp
def relu_of_sum(rows: Float[Array, "*b f"], shift: Float[Array, "*#b f"]) -> Float[Array, "*b f"]:
    """Compute the ReLU of rows and a shift, as `relu_layer` takes it."""
    return nn.relu(rows.astype(jnp.float32) + shift).astype(rows.dtype)


def _sum_forward(rows: Array, shift: Array) -> tuple[Array, Any]:
    result = relu_of_sum(rows, shift)
    return result, (result, _Static(_repeated_axes(result, shift)))


def _sum_backward(saved: Any, gradient: Array) -> tuple[Array, Array]:
    result, places = saved
    passed = jnp.where(result > 0, gradient, jnp.zeros((), gradient.dtype))
    return passed, jnp.sum(passed, axis=places.value, keepdims=True, dtype=jnp.float32)


relu_of_sum.defvjp(_sum_forward, _sum_backward)


def _repeated_axes(result: Array, shift: Array) -> tuple[int, ...]:
    """Return the axes along which a shift is the same for all."""
    return tuple(axis for axis in range(result.ndim) if shift.shape[axis] == 1 != result.shape[axis])


@jax.tree_util.register_static
class _Static:
    """Carries what is no array from the forward to the backward pass."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Static) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


_relu_of_products.defvjp(_forward, _backward, symbolic_zeros=True)
