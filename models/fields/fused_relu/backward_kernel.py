"""Computes all gradients of a dense layer that follows a ReLU in one kernel, in parts that are summed afterwards.

A program has 128 of the layer's inputs and a share of the rows. For these inputs it computes the gradient of every
row, lets through what the ReLU before let through, and accumulates the gradients of the layer's kernel and of the bias
before the ReLU in registers. No two programs write to the same place: results are equal bit for bit in every run.

f: fields, n: rows (a multiple of 64), w: width, one: f, or 1 where all fields share their weights, p: programs that
share the rows of a field, t: rows of a tile.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
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

NUM_GROUPS = 2
"""Each has inputs of its own; both have all rows of the program."""

GROUP_INPUTS = 64
"""Inputs of a warpgroup."""

SLICE_INPUTS = NUM_GROUPS * GROUP_INPUTS


def backward_relu(
    gradient: Float[Array, "f n w"],
    rows: Float[Array, "f n w"],
    kernel: Float[Array, "one w w"],
    *,
    tuning: Tuning,
    machine: Hopper,
) -> tuple[Float[Array, "f n w"], Float[Array, "f p w w"], Float[Array, "f p t w"]]:
    """Compute the gradient before a ReLU, and parts of the gradients of the kernel behind it and the bias before it.

    Args:
        gradient: With respect to rows * kernel.
        rows: Results of the ReLU.
        kernel: Of the type of `rows`.
        tuning: How the work is divided.
        machine: What runs it.

    Returns:
        The gradient with respect to what the ReLU was given; parts of the gradients of `kernel` and of a bias that was
        added before the ReLU, in float32, to be summed over programs (and over the rows of a tile).
    """
    num_fields, num_rows, width = rows.shape
    num_slices = width // SLICE_INPUTS
    room = parts.MULTIPROCESSORS * tuning.programs_per_multiprocessor // (num_fields * num_slices)
    programs = max(1, min(room, num_rows // TILE_ROWS))
    return plgpu.kernel(
        functools.partial(_body, tuning, machine, programs),
        out_type=(
            jax.ShapeDtypeStruct(rows.shape, rows.dtype),
            jax.ShapeDtypeStruct((num_fields, programs, width, width), jnp.float32),
            jax.ShapeDtypeStruct((num_fields, programs, TILE_ROWS, width), jnp.float32),
        ),
        scratch_types=(
            parts.matrix_memory((SLICE_INPUTS, width), rows.dtype),
            parts.matrix_memory((tuning.slots, TILE_ROWS, width), rows.dtype),
            parts.matrix_memory((tuning.slots, TILE_ROWS, SLICE_INPUTS), rows.dtype),
            parts.matrix_memory((NUM_GROUPS, TILE_ROWS, GROUP_INPUTS), rows.dtype),
            plgpu.Barrier(),
            (plgpu.Barrier(num_barriers=tuning.slots), plgpu.Barrier(num_barriers=tuning.slots)),
            plgpu.Barrier(num_arrivals=NUM_GROUPS),
        ),
        grid=(num_fields, num_slices, programs),
        grid_names=("field", "slice", "program"),
        num_threads=NUM_GROUPS,
        thread_name="warpgroup",
        compiler_params=parts.compiler_params(tuning),
        interpret=machine.interpret,
    )(gradient, rows, kernel)


def _body(tuning: Tuning, machine: Hopper, programs: int, *refs: Any) -> None:
    """Compute the gradients of one program's inputs over its rows."""
    gradient, rows, kernel, out, kernel_gradient, bias_gradient, *memory = refs
    weights, gradient_tiles, row_tiles, out_tiles, weights_barrier, tile_barriers, step_barrier = memory
    machine.name_kernel(f"backward_relu_{rows.shape[-1]}")
    field = lax.axis_index("field")
    program = lax.axis_index("program")
    warpgroup = lax.axis_index("warpgroup")
    first_unit = lax.axis_index("slice") * SLICE_INPUTS
    units = pl.ds(first_unit, SLICE_INPUTS)
    own_units = pl.ds(first_unit + warpgroup * GROUP_INPUTS, GROUP_INPUTS)

    @pl.when(warpgroup == 0)
    def _copy_weights() -> None:
        plgpu.copy_gmem_to_smem(kernel.at[parts.owner(kernel, field), units], weights, weights_barrier)

    share = parts.Share(program, programs, rows.shape[1] // TILE_ROWS)
    sources = (gradient.at[field], rows.at[field].at[:, units])
    rings = [
        parts.TileRing(share, source, tiles, barriers, first_slot=0, slots=tuning.slots)
        for source, tiles, barriers in zip(sources, (gradient_tiles, row_tiles), tile_barriers, strict=True)
    ]

    @pl.when(warpgroup == 0)
    def _fetch_first() -> None:
        for ring in rings:
            ring.fetch_first()

    plgpu.barrier_wait(weights_barrier)
    own_place = pl.ds(warpgroup * GROUP_INPUTS, GROUP_INPUTS)
    factors = (weights.at[own_place], own_place, out_tiles.at[warpgroup])

    def put(number: jax.Array) -> Ref:
        return out.at[field, share.place(number)].at[:, own_units]

    fill = functools.partial(_accumulate, machine, share, rings, factors, put, step_barrier)
    [total], bias_sum = machine.sums([(GROUP_INPUTS, rows.shape[2])], fill)
    kernel_gradient.at[field, program, own_units][...] = total
    bias_gradient.at[field, program].at[:, own_units][...] = bias_sum
    plgpu.wait_smem_to_gmem(0)


def _accumulate(
    machine: Hopper,
    share: parts.Share,
    rings: list[parts.TileRing],
    factors: tuple[Ref, Any, Ref],
    put: Callable[[jax.Array], Ref],
    step_barrier: Ref,
    totals: list[Ref],
) -> jax.Array:
    """Compute the gradients of all tiles, and add those of the kernel to the total; return that of the bias."""
    own_weights, own_place, out_tile = factors
    warpgroup = lax.axis_index("warpgroup")

    def step(number: jax.Array, bias_sum: jax.Array) -> jax.Array:
        gradient_tile, row_tile = (ring.wait(number) for ring in rings)
        machine.finish_products()
        # Behind this barrier the slots of the step before are free.
        plgpu.barrier_arrive(step_barrier)
        plgpu.barrier_wait(step_barrier)

        @pl.when(warpgroup == 0)
        def _fetch_next() -> None:
            for ring in rings:
                ring.fetch(number + ring.slots - 1)

        own_rows = row_tile.at[:, own_place]
        through = machine.product(gradient_tile, machine.transposed(own_weights))
        machine.add(totals[0], machine.transposed(own_rows), gradient_tile)
        passed = jnp.where(machine.load(own_rows).astype(jnp.float32) > 0, through, 0.0)
        plgpu.wait_smem_to_gmem(0, wait_read_only=True)
        out_tile[...] = passed.astype(out_tile.dtype)
        plgpu.commit_smem()
        plgpu.copy_smem_to_gmem(out_tile, put(number))
        return bias_sum + passed

    return machine.loop(share.count, step, machine.zeros((TILE_ROWS, GROUP_INPUTS)), totals)
