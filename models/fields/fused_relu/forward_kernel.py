"""Computes a dense layer with a ReLU of many fields in one kernel: sums never leave the chip.

Each program keeps the kernel of one field in shared memory and goes through tiles of rows. Its warpgroups work on tiles
of their own and never wait for each other, so one multiplies while others copy. A layer may have two inputs, each with
its own rows of the kernel.

f: fields, n: rows (a multiple of 64), k: features of an input, w: width, one: f, or 1 where all fields share their
weights.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
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

COLUMN_CHUNK = 128
"""Columns of a tile's result that a warpgroup computes at a time."""


def forward_relu(
    inputs: Sequence[Float[Array, "f n _"]],
    kernels: Sequence[Float[Array, "one _ w"]],
    bias: Float[Array, "one w"],
    *,
    tuning: Tuning,
    machine: Hopper,
) -> Float[Array, "f n w"]:
    """Compute the ReLU of the sum of all inputs * kernels, and the bias.

    Args:
        inputs: Their type is that of the products, whose sums are float32.
        kernels: One for each input, of its type.
        bias: In float32.
        tuning: How the work is divided. A warpgroup has one slot of memory for each input.
        machine: What runs it.
    """
    num_fields, num_rows, _ = inputs[0].shape
    dtype = inputs[0].dtype
    width = bias.shape[1]
    chunk = min(COLUMN_CHUNK, width)
    num_chunks = width // chunk
    programs = parts.num_programs(num_fields, num_rows // TILE_ROWS, tuning)
    tiles = [parts.matrix_memory((tuning.warpgroups, TILE_ROWS, rows.shape[2]), dtype) for rows in inputs]
    if inputs[-1].shape[2] != width:  # otherwise results are written where the last input's rows were
        tiles.append(parts.matrix_memory((tuning.warpgroups, TILE_ROWS, width), dtype))
    return plgpu.kernel(
        functools.partial(_body, len(inputs), tuning, machine, programs),
        out_type=jax.ShapeDtypeStruct((num_fields, num_rows, width), dtype),
        scratch_types=(
            [parts.matrix_memory((num_chunks, kernel.shape[1], chunk), dtype) for kernel in kernels],
            plgpu.SMEM((num_chunks, chunk), jnp.float32),
            tiles,
            plgpu.Barrier(num_arrivals=(len(kernels) + 1) * num_chunks),
            [plgpu.Barrier(num_barriers=tuning.warpgroups) for _ in inputs],
        ),
        grid=(num_fields, programs),
        grid_names=("field", "program"),
        num_threads=tuning.warpgroups,
        thread_name="warpgroup",
        compiler_params=parts.compiler_params(tuning),
        interpret=machine.interpret,
    )(*inputs, *kernels, bias)


def _body(num_inputs: int, tuning: Tuning, machine: Hopper, programs: int, *refs: Any) -> None:
    """Compute the tiles of one program."""
    inputs = refs[:num_inputs]
    outside = refs[num_inputs : 2 * num_inputs]
    bias_outside, out, kernels, bias, tiles, weights_barrier, tile_barriers = refs[2 * num_inputs :]
    machine.name_kernel("forward_relu_" + "_".join(str(rows.shape[-1]) for rows in (*inputs, out)))
    field = lax.axis_index("field")
    warpgroup = lax.axis_index("warpgroup")
    owner = parts.owner(bias_outside, field)

    @pl.when(warpgroup == 0)
    def _copy_weights() -> None:
        num_chunks, chunk = bias.shape
        for number in range(num_chunks):
            columns = pl.ds(number * chunk, chunk)
            for source, target in zip(outside, kernels, strict=True):
                plgpu.copy_gmem_to_smem(source.at[owner].at[:, columns], target.at[number], weights_barrier)
            plgpu.copy_gmem_to_smem(bias_outside.at[owner].at[columns], bias.at[number], weights_barrier)

    index = lax.axis_index("program") * tuning.warpgroups + warpgroup
    share = parts.Share(index, programs * tuning.warpgroups, out.shape[1] // TILE_ROWS)
    rings = [
        parts.TileRing(share, rows.at[field], memory, barriers, first_slot=warpgroup, slots=1)
        for rows, memory, barriers in zip(inputs, tiles, tile_barriers, strict=False)
    ]
    for ring in rings:
        ring.fetch_first()
    plgpu.barrier_wait(weights_barrier)
    result = tiles[-1].at[warpgroup]

    def compute_tile(number: jax.Array, carry: Any) -> Any:
        computed = _relu_chunks(machine, [ring.wait(number) for ring in rings], kernels, bias)
        # All products have read the rows, which may be overwritten.
        chunk = bias.shape[1]
        for place, columns in enumerate(computed):
            result.at[:, pl.ds(place * chunk, chunk)][...] = columns.astype(result.dtype)
        plgpu.commit_smem()
        plgpu.copy_smem_to_gmem(result, out.at[field, share.place(number)])
        plgpu.wait_smem_to_gmem(0, wait_read_only=True)
        for ring in rings:
            ring.fetch(number + 1)
        return carry

    machine.loop(share.count, compute_tile, 0)
    plgpu.wait_smem_to_gmem(0)


def _relu_chunks(machine: Hopper, rows: Sequence[Ref], kernels: Sequence[Ref], bias: Ref) -> list[jax.Array]:
    """Compute the result of one tile of rows, some columns at a time."""
    num_chunks, chunk = bias.shape
    computed = []
    for place in range(num_chunks):

        def multiply(totals: list[Ref], place: int = place) -> None:
            for tile, kernel in zip(rows, kernels, strict=True):
                machine.add(totals[0], tile, kernel.at[place])

        [total], _ = machine.sums([(TILE_ROWS, chunk)], multiply)
        total += machine.load_for_columns(bias.at[place], total.shape)
        computed.append(jnp.maximum(total, 0.0).astype(rows[0].dtype))
    return computed
