"""Computes the gradient of the residual block with respect to its weights, in parts that are summed afterwards.

A program has 128 hidden units of one field and a share of its rows. It accumulates the gradients of these units'
weights in registers, and works on transposes (hidden units by rows), so that the hidden units that it computes again
are left factors of the next products without leaving registers. No two programs write to the same place: results are
equal bit for bit in every run.

f: fields, n: rows (a multiple of 128), w: width, h: hidden units, one: f, or 1 where all fields share their weights,
p: programs that share the rows of a field.
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

WARPGROUPS = 2
"""Each normalises one tile of rows for both, and has hidden units of its own."""

UNITS = 64
"""Hidden units of a warpgroup: the rows of a matrix instruction."""

PROGRAM_UNITS = WARPGROUPS * UNITS

STEP_ROWS = WARPGROUPS * TILE_ROWS
"""Rows that a program computes at a time; the number of all rows is a multiple of it."""


def weight_gradient(
    rows: Float[Array, "f n w"],
    gradient: Float[Array, "f n w"],
    up: Float[Array, "one h w"],
    up_bias: Float[Array, "one h"],
    down: Float[Array, "one h w"],
    *,
    tuning: Tuning,
    machine: Hopper,
) -> tuple[Float[Array, "f p h w"], Float[Array, "f p h"], Float[Array, "f p h w"]]:
    """Compute parts of the gradients with respect to `up` (transposed), `up_bias` and `down`, in float32.

    Args:
        rows: As in the forward kernel.
        gradient: With respect to the block's result.
        up: Transposed, unlike in the other kernels.
        up_bias: In float32.
        down: As in the forward kernel.
        tuning: How the work is divided.
        machine: What runs it.
    """
    num_fields, num_rows, width = rows.shape
    hidden = up.shape[1]
    programs = _num_programs(num_fields, hidden // PROGRAM_UNITS, num_rows // STEP_ROWS, tuning)
    matrix = jax.ShapeDtypeStruct((num_fields, programs, hidden, width), jnp.float32)
    tiles = parts.matrix_memory((tuning.slots, WARPGROUPS, TILE_ROWS, width), rows.dtype)
    # Fields and tiles share an axis, because a copy has at most five: the layout in shared memory splits the last two.
    rows, gradient = (value.reshape(-1, TILE_ROWS, width) for value in (rows, gradient))
    return plgpu.kernel(
        functools.partial(_body, tuning, machine, programs),
        out_type=(matrix, jax.ShapeDtypeStruct(matrix.shape[:3], jnp.float32), matrix),
        scratch_types=(
            (
                parts.matrix_memory((PROGRAM_UNITS, width), rows.dtype),
                plgpu.SMEM((PROGRAM_UNITS,), jnp.float32),
                parts.matrix_memory((PROGRAM_UNITS, width), rows.dtype),
            ),
            tiles,
            tiles,
            plgpu.Barrier(num_arrivals=3),
            (plgpu.Barrier(num_barriers=tuning.slots), plgpu.Barrier(num_barriers=tuning.slots)),
            plgpu.Barrier(num_arrivals=WARPGROUPS),
        ),
        grid=(num_fields, hidden // PROGRAM_UNITS, programs),
        grid_names=("field", "slice", "program"),
        num_threads=WARPGROUPS,
        thread_name="warpgroup",
        compiler_params=parts.compiler_params(tuning),
        interpret=machine.interpret,
    )(rows, gradient, up, up_bias, down)


def _num_programs(num_fields: int, num_slices: int, num_steps: int, tuning: Tuning) -> int:
    """Return the programs that share the rows of one field, such that all programs run at the same time."""
    room = parts.MULTIPROCESSORS * tuning.programs_per_multiprocessor // (num_fields * num_slices)
    return max(1, min(room, num_steps))


def _body(tuning: Tuning, machine: Hopper, programs: int, *refs: Any) -> None:
    """Accumulate the gradients of one program's hidden units over its rows."""
    rows, gradient, *weights_outside, up_gradient, bias_gradient, down_gradient, weights, tiles, gradient_tiles = refs[
        :-3
    ]
    weights_barrier, tile_barriers, normal_barrier = refs[-3:]
    machine.name_kernel(f"weight_gradient_{rows.shape[-1]}")
    field = lax.axis_index("field")
    program = lax.axis_index("program")
    warpgroup = lax.axis_index("warpgroup")
    first_unit = lax.axis_index("slice") * PROGRAM_UNITS
    owner = parts.owner(weights_outside[0], field)
    units = pl.ds(first_unit, PROGRAM_UNITS)

    @pl.when(warpgroup == 0)
    def _copy_weights() -> None:
        for source, target in zip(weights_outside, weights, strict=True):
            plgpu.copy_gmem_to_smem(source.at[owner, units], target, weights_barrier)

    field_tiles = rows.shape[0] // up_gradient.shape[0]
    of_field = pl.ds(field * field_tiles, field_tiles)
    share = parts.Share(program, programs, field_tiles // WARPGROUPS, WARPGROUPS)
    rings = [
        parts.TileRing(share, source.at[of_field], memory, barriers, first_slot=0, slots=tuning.slots)
        for source, memory, barriers in zip((rows, gradient), (tiles, gradient_tiles), tile_barriers, strict=True)
    ]

    @pl.when(warpgroup == 0)
    def _fetch_first() -> None:
        for ring in rings:
            ring.fetch_first()

    plgpu.barrier_wait(weights_barrier)
    fill = functools.partial(_accumulate, tuning, machine, share.count, rings, weights, normal_barrier)
    sums, bias_sum = machine.sums([(UNITS, rows.shape[2])] * 2, fill)
    own_units = pl.ds(first_unit + warpgroup * UNITS, UNITS)
    for target, value in ((up_gradient, sums[0]), (bias_gradient, bias_sum), (down_gradient, sums[1])):
        target.at[field, program, own_units][...] = value


def _accumulate(
    tuning: Tuning,
    machine: Hopper,
    count: jax.Array,
    rings: list[parts.TileRing],
    weights: tuple[Ref, ...],
    normal_barrier: Ref,
    totals: list[Ref],
) -> jax.Array:
    """Add the gradients of all tiles to the totals; return that of the bias."""
    warpgroup = lax.axis_index("warpgroup")
    own_weights = tuple(ref.at[pl.ds(warpgroup * UNITS, UNITS)] for ref in weights)

    def step(number: jax.Array, bias_gradient: jax.Array) -> jax.Array:
        tile, gradient_tile = (ring.wait(number) for ring in rings)
        own_rows = tile.at[warpgroup]
        normal, _ = parts.normalize(machine.load(own_rows).astype(jnp.float32))
        own_rows[...] = normal.astype(own_rows.dtype)
        plgpu.commit_smem()
        machine.finish_products()
        # Behind this barrier the other warpgroup's rows are normalised, and the slots of the step before are free.
        plgpu.barrier_arrive(normal_barrier)
        plgpu.barrier_wait(normal_barrier)

        @pl.when(warpgroup == 0)
        def _fetch_next() -> None:
            for ring in rings:
                ring.fetch(number + tuning.slots - 1)

        def add_tile(index: jax.Array, bias_gradient: jax.Array) -> jax.Array:
            tiles = (tile.at[index], gradient_tile.at[index])
            return bias_gradient + _add_tile(machine, totals, tiles, own_weights)

        return machine.loop(WARPGROUPS, add_tile, bias_gradient, totals)

    return machine.loop(count, step, machine.zeros_for_rows(UNITS), totals)


def _add_tile(machine: Hopper, totals: list[Ref], tiles: tuple[Ref, Ref], weights: tuple[Ref, ...]) -> jax.Array:
    """Add the gradients of one tile of normalised rows; return that of the bias."""
    normal, gradient = tiles
    up, up_bias, down = weights
    shape = (UNITS, normal.shape[0])

    def multiply(products: list[Ref]) -> None:
        machine.add(products[0], up, machine.transposed(normal))
        machine.add(products[1], down, machine.transposed(gradient))

    (half, active_gradient), _ = machine.sums([shape] * 2, multiply)
    half += machine.load_for_rows(up_bias, shape)
    tanh = jnp.tanh(half)
    half_gradient = active_gradient * parts.activation_slope(half, tanh)
    active = half + half * tanh
    machine.add(totals[0], half_gradient.astype(normal.dtype), normal)
    machine.add(totals[1], active.astype(normal.dtype), gradient)
    return jnp.sum(half_gradient, axis=1)
