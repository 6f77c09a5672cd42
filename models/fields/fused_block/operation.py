"""Computes a residual block, x + reduce(swish(expand(norm(x)))), in plain JAX or in fused kernels.

The fused kernels keep hidden units on the chip and store nothing for the backward pass but the rows. Scale and shift of
the normalisation are folded into the first layer, and so is the half of swish(2 h) = h + h tanh(h); gradients of all
parameters follow from those of the folded weights.

*b: any leading axes of rows, n: rows, w: width, h: hidden units, f: fields, whose rows share weights.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

from models.fields.fused_block.kernel_parts import Tuning
from models.fields.fused_block.machine import Hopper
from models.fields.relu_layers import fill_up
from models.ray_split import compute_row_parts

ROW_MULTIPLE = 128
"""Rows are filled up with zeros to a multiple of this."""


class BlockParameters(NamedTuple):
    """Holds the parameters of a block, named as Flax's layers name them.

    Attributes:
        scale: Of the layer normalisation.
        shift: Of the layer normalisation.
        up: Kernel of the first layer.
        up_bias: Its bias.
        down: Kernel of the second layer.
        down_bias: Its bias.
    """

    scale: Float[Array, " w"]
    shift: Float[Array, " w"]
    up: Float[Array, "w h"]
    up_bias: Float[Array, " h"]
    down: Float[Array, "h w"]
    down_bias: Float[Array, " w"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Says what runs the fused kernels, and with which tunings."""

    machine: Hopper = Hopper()
    forward: Tuning = Tuning()
    input_gradient: Tuning = Tuning()
    weight_gradient: Tuning = Tuning()


def settings_for(width: int) -> Settings:
    """Return the settings for a width: as many warpgroups as their registers allow."""
    if width == 64:
        return Settings(
            forward=Tuning(warpgroups=4),
            input_gradient=Tuning(warpgroups=3),
        )
    return Settings(forward=Tuning(hidden_chunk=128))


def plain_block(rows: Float[Array, "*b w"], parameters: BlockParameters) -> Float[Array, "*b w"]:
    """Compute the block with Flax's layers, in the type of `rows`."""
    dtype = rows.dtype
    hidden, width = parameters.down.shape
    norm = {"scale": parameters.scale, "bias": parameters.shift}
    expand = {"kernel": parameters.up, "bias": parameters.up_bias}
    reduce = {"kernel": parameters.down, "bias": parameters.down_bias}
    inside: Any = nn.LayerNorm(dtype=dtype).apply({"params": norm}, rows)
    inside = nn.Dense(hidden, dtype=dtype).apply({"params": expand}, inside)
    inside = nn.Dense(width, dtype=dtype).apply({"params": reduce}, nn.swish(inside))
    return rows + inside


def fused_block(rows: Float[Array, "*b w"], parameters: BlockParameters, settings: Settings) -> Float[Array, "*b w"]:
    """Compute the block in the fused kernels; products are in the type of `rows`, with float32 sums."""
    if rows.size == 0:
        return plain_block(rows, parameters)
    scale, shift, up, up_bias, down, down_bias = (jnp.asarray(value, jnp.float32) for value in parameters)
    half_up = 0.5 * scale[:, None] * up
    half_bias = 0.5 * (up_bias + jnp.sum(shift[:, None] * up, axis=0))
    flat = rows.reshape(-1, rows.shape[-1])
    return _folded_block(settings, flat, half_up, half_bias, down, down_bias).reshape(rows.shape)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _folded_block(
    settings: Settings,
    rows: Float[Array, "n w"],
    up: Float[Array, "w h"],
    up_bias: Float[Array, " h"],
    down: Float[Array, "h w"],
    down_bias: Float[Array, " w"],
) -> Float[Array, "n w"]:
    """Compute rows + down_bias + down * (half + half tanh(half)), where half = up_bias + up * normalised rows."""
    [result] = _mapped(_forward, settings)(
        rows[None],
        up.astype(rows.dtype)[None],
        up_bias[None],
        down.astype(rows.dtype)[None],
        down_bias[None],
    )
    return result


def _keep_inputs(settings: Settings, rows: Array, *weights: Array) -> tuple[Array, tuple[Array, ...]]:
    return _folded_block(settings, rows, *weights), (rows, *weights[:3])


def _gradients(settings: Settings, saved: tuple[Array, ...], gradient: Float[Array, "n w"]) -> tuple[Array, ...]:
    rows, up, up_bias, down = saved
    up = up.astype(rows.dtype)[None]
    down = down.astype(rows.dtype)[None]
    both = (rows[None], gradient.astype(rows.dtype)[None])
    [of_rows] = _mapped(_input_gradient, settings)(*both, up, up_bias[None], down)
    of_weights = _mapped(_weight_gradient, settings)(*both, up, up_bias[None], down)
    of_up, of_up_bias, of_down = (value[0] for value in of_weights)
    return of_rows, of_up, of_up_bias, of_down, jnp.sum(gradient, axis=0, dtype=jnp.float32)


_folded_block.defvjp(_keep_inputs, _gradients)


def _forward(settings: Settings, rows: Array, *weights: Array) -> Float[Array, "f n w"]:
    from models.fields.fused_block.forward_kernel import forward

    def compute(rows: Array, *weights: Array) -> Array:
        result = forward(
            fill_up(rows, ROW_MULTIPLE, axis=1), *weights, tuning=settings.forward, machine=settings.machine
        )
        return result[:, : rows.shape[1]]

    return compute_row_parts(compute, [rows], weights, adds_up=False)


def _input_gradient(settings: Settings, rows: Array, gradient: Array, *weights: Array) -> Float[Array, "f n w"]:
    from models.fields.fused_block.input_gradient_kernel import input_gradient

    def compute(rows: Array, gradient: Array, *weights: Array) -> Array:
        both = (fill_up(rows, ROW_MULTIPLE, axis=1), fill_up(gradient, ROW_MULTIPLE, axis=1))
        result = input_gradient(*both, *weights, tuning=settings.input_gradient, machine=settings.machine)
        return result[:, : rows.shape[1]]

    return compute_row_parts(compute, [rows, gradient], weights, adds_up=False)


def _weight_gradient(
    settings: Settings, rows: Array, gradient: Array, up: Array, up_bias: Array, down: Array
) -> tuple[Float[Array, "f w h"], Float[Array, "f h"], Float[Array, "f h w"]]:
    from models.fields.fused_block.weight_gradient_kernel import weight_gradient

    def compute(rows: Array, gradient: Array, *weights: Array) -> tuple[Array, ...]:
        both = (fill_up(rows, ROW_MULTIPLE, axis=1), fill_up(gradient, ROW_MULTIPLE, axis=1))
        parts = weight_gradient(*both, *weights, tuning=settings.weight_gradient, machine=settings.machine)
        return tuple(jnp.sum(part, axis=1) for part in parts)

    weights = (jnp.swapaxes(up, 1, 2), up_bias, down)
    of_up, of_up_bias, of_down = compute_row_parts(compute, [rows, gradient], weights, adds_up=True)
    return jnp.swapaxes(of_up, 1, 2), of_up_bias, of_down


_ROW_ARGUMENTS: dict[Any, int] = {_forward: 1, _input_gradient: 2, _weight_gradient: 2}
"""How many of a function's arguments are rows; the others are weights."""


@functools.cache
def _mapped(function: Callable[..., Any], settings: Settings) -> Callable[..., Any]:
    """Give a function of many fields its rule under `jax.vmap`: the new axis becomes one of fields, or of rows."""
    num_rows = _ROW_ARGUMENTS[function]
    wrapped = custom_vmap(functools.partial(function, settings))

    @wrapped.def_vmap
    def _add_axis(size: int, is_mapped: list[bool], *arguments: Array) -> tuple[Any, Any]:
        def repeated(value: Array, has_axis: bool) -> Array:
            return value if has_axis else jnp.broadcast_to(value, (size, *value.shape))

        rows = [repeated(*pair) for pair in zip(arguments[:num_rows], is_mapped[:num_rows], strict=True)]
        weights = list(arguments[num_rows:])
        num_fields = rows[0].shape[1]
        shares_weights = not any(is_mapped[num_rows:])
        if shares_weights and num_fields == 1 and function is not _weight_gradient:
            merged = [value.reshape(1, -1, value.shape[-1]) for value in rows]
            result = wrapped(*merged, *weights).reshape(rows[0].shape)
            return result, True
        if not (shares_weights and weights[0].shape[0] == 1):
            weights = [repeated(*pair) for pair in zip(weights, is_mapped[num_rows:], strict=True)]
            weights = [jnp.broadcast_to(value, (size, num_fields, *value.shape[2:])) for value in weights]
            weights = [value.reshape(-1, *value.shape[2:]) for value in weights]
        merged = [value.reshape(-1, *value.shape[2:]) for value in rows]
        result = wrapped(*merged, *weights)
        result = jax.tree.map(lambda value: value.reshape(size, num_fields, *value.shape[1:]), result)
        return result, jax.tree.map(lambda _: True, result)

    return wrapped
