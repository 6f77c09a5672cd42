"""Computes the gradient of the residual block with respect to its rows; hidden units are computed again.

It is divided like the forward kernel: a program keeps the weights of one field, and its warpgroups go through tiles of
rows.

f: fields, n: rows (a multiple of 64), w: width, h: hidden units, one: f, or 1 where all fields share their weights.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxtyping import Array, Float

from models.fields.fused_block import kernel_parts as parts
from models.fields.fused_block.kernel_parts import TILE_ROWS, Tuning
from models.fields.fused_block.machine import Hopper, Ref


def input_gradient(
    rows: Float[Array, "f n w"],
    gradient: Float[Array, "f n w"],
    up: Float[Array, "one w h"],
    up_bias: Float[Array, "one h"],
    down: Float[Array, "one h w"],
    *,
    tuning: Tuning,
    machine: Hopper,
) -> Float[Array, "f n w"]:
    """Compute the gradient with respect to `rows` of the sum of `gradient` times the block's result."""
    num_fields, num_rows, width = rows.shape
    hidden = up.shape[2]
    programs = parts.num_programs(num_fields, num_rows // TILE_ROWS, tuning)
    tiles = tuning.warpgroups * tuning.slots
    return plgpu.kernel(
        functools.partial(_body, tuning, machine, programs),
        out_type=jax.ShapeDtypeStruct(rows.shape, rows.dtype),
        scratch_types=(
            parts.Weights.memory(width, hidden, tuning.hidden_chunk, rows.dtype),
            parts.matrix_memory((tiles, TILE_ROWS, width), rows.dtype),
            parts.matrix_memory((tuning.warpgroups, TILE_ROWS, width), rows.dtype),
            plgpu.Barrier(num_arrivals=parts.Weights.num_copies(hidden, tuning.hidden_chunk)),
            plgpu.Barrier(num_barriers=tiles),
            plgpu.Barrier(num_barriers=tuning.warpgroups),
        ),
        grid=(num_fields, programs),
        grid_names=("field", "program"),
        num_threads=tuning.warpgroups,
        thread_name="warpgroup",
        compiler_params=parts.compiler_params(tuning),
        interpret=machine.interpret,
    )(rows, gradient, up, up_bias, down)


def _body(tuning: Tuning, machine: Hopper, programs: int, *refs: Any) -> None:
    """Compute the tiles of one program."""
    rows, gradient, up, up_bias, down, out, memory, tiles, gradient_tiles = refs[:-3]
    weights_barrier, tile_barriers, gradient_barriers = refs[-3:]
    machine.name_kernel(f"input_gradient_{rows.shape[-1]}")
    field = lax.axis_index("field")
    warpgroup = lax.axis_index("warpgroup")
    owner = parts.owner(up, field)
    weights = parts.Weights(*memory)
    weights.copy(up.at[owner], up_bias.at[owner], down.at[owner], weights_barrier)
    index = lax.axis_index("program") * tuning.warpgroups + warpgroup
    share = parts.Share(index, programs * tuning.warpgroups, rows.shape[1] // TILE_ROWS)
    first_slot = warpgroup * tuning.slots
    ring = parts.TileRing(share, rows.at[field], tiles, tile_barriers, first_slot=first_slot, slots=tuning.slots)
    # Of gradients, one slot is enough: they are copied while the rows are normalised.
    gradients = parts.TileRing(
        share, gradient.at[field], gradient_tiles, gradient_barriers, first_slot=warpgroup, slots=1
    )
    ring.fetch_first()
    gradients.fetch_first()
    plgpu.barrier_wait(weights_barrier)

    def compute_tile(number: jax.Array, carry: Any) -> Any:
        # Results are written where the rows were, so the slot of the tile before is free once it is copied out.
        plgpu.wait_smem_to_gmem(0, wait_read_only=True)
        ring.fetch(number + tuning.slots - 1)
        tile = ring.wait(number)
        normal, factor = parts.normalize(machine.load(tile).astype(jnp.float32))
        tile[...] = normal.astype(tile.dtype)
        plgpu.commit_smem()
        gradient_tile = gradients.wait(number)
        of_normal = _normal_gradient(machine, tile, gradient_tile, weights)
        through_norm = _through_norm(of_normal, machine.load(tile), factor)
        tile[...] = (machine.load(gradient_tile).astype(jnp.float32) + through_norm).astype(tile.dtype)
        plgpu.commit_smem()
        plgpu.copy_smem_to_gmem(tile, out.at[field, share.place(number)])
        gradients.fetch(number + 1)
        return carry

    machine.loop(share.count, compute_tile, 0)
    plgpu.wait_smem_to_gmem(0)


def _normal_gradient(machine: Hopper, normal: Ref, gradient: Ref, weights: parts.Weights) -> jax.Array:
    """Compute the gradient with respect to one tile of normalised rows, a chunk of hidden units at a time."""
    num_chunks, width, chunk = weights.up.shape

    def fill(totals: list[Ref]) -> None:
        def add_chunk(number: jax.Array, carry: Any) -> Any:
            def multiply(products: list[Ref]) -> None:
                machine.add(products[0], normal, weights.up.at[number])
                machine.add(products[1], gradient, machine.transposed(weights.down.at[number]))

            (half, of_active), _ = machine.sums([(TILE_ROWS, chunk)] * 2, multiply)
            half += machine.load_for_columns(weights.up_bias.at[number], half.shape)
            of_half = of_active * parts.activation_slope(half, jnp.tanh(half))
            machine.add(totals[0], of_half.astype(gradient.dtype), machine.transposed(weights.up.at[number]))
            return carry

        machine.loop(num_chunks, add_chunk, 0, totals)

    (total,), _ = machine.sums([(TILE_ROWS, width)], fill)
    return total


def _through_norm(of_normal: jax.Array, normal: jax.Array, factor: jax.Array) -> jax.Array:
    """Turn the gradient with respect to normalised rows into that with respect to rows."""
    shape = of_normal.shape
    # In the products' type, in which the normalised rows stayed in registers.
    normal = normal.astype(jnp.float32)
    mean = jnp.sum(of_normal, axis=1) * (1 / shape[1])
    along = jnp.sum(of_normal * normal, axis=1) * (1 / shape[1])
    rest = of_normal - parts.over_columns(mean, shape) - normal * parts.over_columns(along, shape)
    return rest * parts.over_columns(factor, shape)
