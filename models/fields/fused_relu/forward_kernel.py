"""Computes a dense layer with a ReLU of many fields in one kernel: sums never leave the chip.

Each program keeps the kernel of one field in shared memory and goes through tiles of rows. Its warpgroups work on tiles
of their own and never wait for each other, so one multiplies while others copy.

f: fields, n: rows (a multiple of 64), k: inputs, w: width, one: f, or 1 where all fields share their weights.
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
from models.fields.fused_block.machine import Hopper

COLUMN_CHUNK = 128
"""Columns of a tile's result that a warpgroup computes at a time."""


def forward_relu(
    rows: Float[Array, "f n k"],
    kernel: Float[Array, "one k w"],
    bias: Float[Array, "one w"],
    *,
    tuning: Tuning,
    machine: Hopper,
) -> Float[Array, "f n w"]:
    """Compute max(rows * kernel + bias, 0).

    Args:
        rows: Its type is that of the product, whose sums are float32.
        kernel: Of the type of `rows`.
        bias: In float32.
        tuning: How the work is divided. A warpgroup has one slot of memory.
        machine: What runs it.
    """
    num_fields, num_rows, num_inputs = rows.shape
    width = kernel.shape[2]
    chunk = min(COLUMN_CHUNK, width)
    programs = parts.num_programs(num_fields, num_rows // TILE_ROWS, tuning)
    return plgpu.kernel(
        functools.partial(_body, tuning, machine, programs),
        out_type=jax.ShapeDtypeStruct((num_fields, num_rows, width), rows.dtype),
        scratch_types=(
            parts.matrix_memory((width // chunk, num_inputs, chunk), rows.dtype),
            plgpu.SMEM((width // chunk, chunk), jnp.float32),
            parts.matrix_memory((tuning.warpgroups, TILE_ROWS, num_inputs), rows.dtype),
            # Results of as many columns are written where the rows were.
            () if num_inputs == width else parts.matrix_memory((tuning.warpgroups, TILE_ROWS, width), rows.dtype),
            plgpu.Barrier(num_arrivals=2 * (width // chunk)),
            plgpu.Barrier(num_barriers=tuning.warpgroups),
        ),
        grid=(num_fields, programs),
        grid_names=("field", "program"),
        num_threads=tuning.warpgroups,
        thread_name="warpgroup",
        compiler_params=parts.compiler_params(tuning),
        interpret=machine.interpret,
    )(rows, kernel, bias)


def _body(tuning: Tuning, machine: Hopper, programs: int, *refs: Any) -> None:
    """Compute the tiles of one program."""
    rows, kernel_outside, bias_outside, out, kernel, bias, tiles, results, *barriers = refs
    weights_barrier, tile_barriers = barriers
    machine.name_kernel(f"forward_relu_{rows.shape[-1]}_{out.shape[-1]}")
    num_chunks, _, chunk = kernel.shape
    field = lax.axis_index("field")
    warpgroup = lax.axis_index("warpgroup")
    owner = parts.owner(kernel_outside, field)

    @pl.when(warpgroup == 0)
    def _copy_weights() -> None:
        for number in range(num_chunks):
            columns = pl.ds(number * chunk, chunk)
            plgpu.copy_gmem_to_smem(kernel_outside.at[owner].at[:, columns], kernel.at[number], weights_barrier)
            plgpu.copy_gmem_to_smem(bias_outside.at[owner].at[columns], bias.at[number], weights_barrier)

    index = lax.axis_index("program") * tuning.warpgroups + warpgroup
    share = parts.Share(index, programs * tuning.warpgroups, rows.shape[1] // TILE_ROWS)
    ring = parts.TileRing(share, rows.at[field], tiles, tile_barriers, first_slot=warpgroup, slots=1)
    ring.fetch_first()
    plgpu.barrier_wait(weights_barrier)

    def compute_tile(number: jax.Array, carry: Any) -> Any:
        tile = ring.wait(number)
        result = results.at[warpgroup] if results else tile
        computed = []
        for place in range(num_chunks):
            total = machine.product(tile, kernel.at[place])
            total += machine.load_for_columns(bias.at[place], total.shape)
            computed.append(jnp.maximum(total, 0.0).astype(tile.dtype))
        # All products have read the rows, which may be overwritten.
        for place, columns in enumerate(computed):
            result.at[:, pl.ds(place * chunk, chunk)][...] = columns
        plgpu.commit_smem()
        plgpu.copy_smem_to_gmem(result, out.at[field, share.place(number)])
        plgpu.wait_smem_to_gmem(0, wait_read_only=True)
        ring.fetch(number + 1)
        return carry

    machine.loop(share.count, compute_tile, 0)
    plgpu.wait_smem_to_gmem(0)
