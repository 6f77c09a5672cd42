"""Computes the residual block of many fields in one kernel: hidden units never leave the chip.

Each program keeps the weights of one field in shared memory and goes through tiles of rows. Its warpgroups work on
tiles of their own and never wait for each other, so one multiplies while another normalises.

f: fields, n: rows (a multiple of 64), w: width, h: hidden units, one: f, or 1 where all fields share their weights.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu
from jaxtyping import Array, Float

from models.fields.fused_block import kernel_parts as parts
from models.fields.fused_block.kernel_parts import TILE_ROWS, Tuning
from models.fields.fused_block.machine import Hopper, Ref


def forward(
    rows: Float[Array, "f n w"],
    up: Float[Array, "one w h"],
    up_bias: Float[Array, "one h"],
    down: Float[Array, "one h w"],
    down_bias: Float[Array, "one w"],
    *,
    tuning: Tuning,
    machine: Hopper,
) -> Float[Array, "f n w"]:
    """Compute rows + down * (h + h tanh h) + down_bias, where h = up * normalised rows + up_bias.

    Args:
        rows: Its type is that of all products, whose sums are float32.
        up: Of the type of `rows`.
        up_bias: In float32.
        down: Of the type of `rows`.
        down_bias: In float32.
        tuning: How the work is divided.
        machine: What runs it.
    """
    num_fields, num_rows, width = rows.shape
    hidden = up.shape[2]
    programs = parts.num_programs(num_fields, num_rows // TILE_ROWS, tuning)
    tiles = tuning.warpgroups * tuning.slots
    return plgpu.kernel(
        functools.partial(_body, tuning, machine, programs),
        out_type=jax.ShapeDtypeStruct(rows.shape, rows.dtype),
        scratch_types=(
            parts.Weights.memory(width, hidden, tuning.hidden_chunk, rows.dtype),
            plgpu.SMEM((width,), jnp.float32),
            parts.matrix_memory((tiles, TILE_ROWS, width), rows.dtype),
            plgpu.Barrier(num_arrivals=1 + parts.Weights.num_copies(hidden, tuning.hidden_chunk)),
            plgpu.Barrier(num_barriers=tiles),
        ),
        grid=(num_fields, programs),
        grid_names=("field", "program"),
        num_threads=tuning.warpgroups,
        thread_name="warpgroup",
        compiler_params=parts.compiler_params(tuning),
        interpret=machine.interpret,
    )(rows, up, up_bias, down, down_bias)


def _body(tuning: Tuning, machine: Hopper, programs: int, *refs: Any) -> None:
    """Compute the tiles of one program."""
    rows, up, up_bias, down, down_bias_outside, out, memory, down_bias, tiles, weights_barrier, tile_barriers = refs
    machine.name_kernel(f"forward_{rows.shape[-1]}")
    field = lax.axis_index("field")
    warpgroup = lax.axis_index("warpgroup")
    owner = parts.owner(up, field)
    weights = parts.Weights(*memory)
    weights.copy(up.at[owner], up_bias.at[owner], down.at[owner], weights_barrier)

    @pl.when(warpgroup == 0)
    def _copy_last_bias() -> None:
        plgpu.copy_gmem_to_smem(down_bias_outside.at[owner], down_bias, weights_barrier)

    index = lax.axis_index("program") * tuning.warpgroups + warpgroup
    share = parts.Share(index, programs * tuning.warpgroups, rows.shape[1] // TILE_ROWS)
    first_slot = warpgroup * tuning.slots
    ring = parts.TileRing(share, rows.at[field], tiles, tile_barriers, first_slot=first_slot, slots=tuning.slots)
    ring.fetch_first()
    plgpu.barrier_wait(weights_barrier)

    def compute_tile(number: jax.Array, carry: Any) -> Any:
        # Results are written where the rows were, so the slot of the tile before is free once it is copied out.
        plgpu.wait_smem_to_gmem(0, wait_read_only=True)
        ring.fetch(number + tuning.slots - 1)
        tile = ring.wait(number)
        tile[...] = _block(machine, tile, weights, down_bias).astype(tile.dtype)
        plgpu.commit_smem()
        plgpu.copy_smem_to_gmem(tile, out.at[field, share.place(number)])
        return carry

    machine.loop(share.count, compute_tile, 0)
    plgpu.wait_smem_to_gmem(0)


def _block(machine: Hopper, tile: Ref, weights: parts.Weights, down_bias: Ref) -> jax.Array:
    """Compute the block of one tile of rows, a chunk of hidden units at a time."""
    num_chunks, width, chunk = weights.up.shape
    normal, _ = parts.normalize(machine.load(tile).astype(jnp.float32))
    normal = normal.astype(tile.dtype)

    def fill(totals: list[Ref]) -> None:
        def add_chunk(number: jax.Array, carry: Any) -> Any:
            half = machine.product(normal, weights.up.at[number])
            half += machine.load_for_columns(weights.up_bias.at[number], half.shape)
            active = half + half * jnp.tanh(half)
            machine.add(totals[0], active.astype(tile.dtype), weights.down.at[number])
            return carry

        machine.loop(num_chunks, add_chunk, 0, totals)

    (total,), _ = machine.sums([(TILE_ROWS, width)], fill)
    # The rows are read a second time, because registers are scarcer than the traffic of shared memory.
    return machine.load(tile).astype(jnp.float32) + total + machine.load_for_columns(down_bias, total.shape)
