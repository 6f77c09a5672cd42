"""Holds what the three kernels of the residual block share: their tuning, their memory, their arithmetic.

f: fields, n: rows, w: width, h: hidden units.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu

from models.fields.fused_block.machine import Ref

TILE_ROWS = 64
"""Rows that one warpgroup computes at a time: the rows of a Hopper matrix instruction."""

NORM_EPSILON = 1e-6
"""Added to the variance of a row, as Flax's LayerNorm does."""

MULTIPROCESSORS = 132
"""Of an H100. On another chip the kernels are right all the same, but may leave some of it idle."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tuning:
    """Choices of a kernel that change its speed, not its result.

    Attributes:
        warpgroups: Groups of 128 threads in a program, each with rows of its own. The kernel of the weights' gradient
            always has two.
        hidden_chunk: Hidden units that a warpgroup holds in registers at a time. In the kernel of the weights' gradient
            it always holds the same 64.
        slots: Tiles of rows that a warpgroup keeps in shared memory: one is computed while the others are copied.
        programs_per_multiprocessor: Programs that are resident together, if their memory allows it.
        semantics: Which of Mosaic's two compilers lowers the kernel.
    """

    warpgroups: int = 2
    hidden_chunk: int = 64
    slots: int = 2
    programs_per_multiprocessor: int = 1
    semantics: Literal["lane", "warpgroup"] = "lane"


def compiler_params(tuning: Tuning) -> plgpu.CompilerParams:
    """Return the options of Mosaic for a tuning."""
    semantics = {
        "lane": plgpu.LoweringSemantics.Lane,
        "warpgroup": plgpu.LoweringSemantics.Warpgroup,
    }
    # No sum runs across warps, and the kernel of width 128 needs every byte of shared memory.
    return plgpu.CompilerParams(
        approx_math=True, reduction_scratch_bytes=0, lowering_semantics=semantics[tuning.semantics]
    )


def matrix_memory(shape: tuple[int, ...], dtype: Any) -> Any:
    """Describe shared memory in the layout from which matrix instructions read without conflicts of banks."""
    columns = 128 // jnp.dtype(dtype).itemsize
    return plgpu.SMEM(shape, dtype, transforms=(plgpu.TilingTransform((8, columns)), plgpu.SwizzleTransform(128)))


def over_columns(values: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Repeat numbers of rows over all columns."""
    return lax.broadcast_in_dim(values, shape, [0])


def normalize(rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Subtract from each row its mean and divide it by its deviation.

    Returns:
        The normalised rows, and the factor by which each was multiplied.
    """
    width = rows.shape[1]
    mean = jnp.sum(rows, axis=1) * (1 / width)
    centered = rows - over_columns(mean, rows.shape)
    variance = jnp.sum(centered * centered, axis=1) * (1 / width)
    factor = lax.rsqrt(variance + NORM_EPSILON)
    return centered * over_columns(factor, rows.shape), factor


def activation_slope(half: jax.Array, tanh: jax.Array) -> jax.Array:
    """Compute the derivative of half + half tanh(half), which is swish(2 half)."""
    return (1 + tanh) * (1 + half * (1 - tanh))


def num_programs(num_fields: int, num_tiles: int, tuning: Tuning) -> int:
    """Return the programs that share the tiles of one field, such that all programs run at the same time."""
    room = MULTIPROCESSORS * tuning.programs_per_multiprocessor // num_fields
    needed = -(-num_tiles // tuning.warpgroups)
    return max(1, min(room, needed))


class Share:
    """Tells which tiles of rows a warpgroup computes: one in every so many, so that all have equally much to do.

    Attributes:
        count: Number of tiles.
    """

    def __init__(self, index: jax.Array, num_sharing: int, num_tiles: int, tile_size: int = TILE_ROWS) -> None:
        self._index = index
        self._num_sharing = num_sharing
        self._tile_size = tile_size
        self.count = lax.div(num_tiles - index + num_sharing - 1, jnp.int32(num_sharing))

    def place(self, number: jax.Array) -> Any:
        """Return the rows of one of its tiles."""
        return pl.ds((self._index + number * self._num_sharing) * self._tile_size, self._tile_size)


class TileRing:
    """Copies tiles of rows into a few slots of shared memory, ahead of their use.

    Attributes:
        slots: Number of slots.
    """

    def __init__(self, share: Share, source: Ref, memory: Ref, barriers: Ref, *, first_slot: Any, slots: int) -> None:
        self._share = share
        self._source = source
        self._memory = memory
        self._barriers = barriers
        self._first_slot = first_slot
        self.slots = slots

    def _slot(self, number: jax.Array) -> jax.Array:
        return self._first_slot + (lax.rem(number, jnp.int32(self.slots)) if self.slots > 1 else 0)

    def fetch(self, number: jax.Array) -> None:
        """Begin to copy a tile, if there is one of that number."""

        @pl.when(number < self._share.count)
        def _copy() -> None:
            slot = self._slot(number)
            source = self._source.at[self._share.place(number)]
            plgpu.copy_gmem_to_smem(source, self._memory.at[slot], self._barriers.at[slot])

    def fetch_first(self) -> None:
        """Begin to copy all tiles that have a slot before the first is used, but one."""
        for number in range(max(1, self.slots - 1)):
            self.fetch(jnp.int32(number))

    def wait(self, number: jax.Array) -> Ref:
        """Wait until a tile has come, and return where it is."""
        slot = self._slot(number)
        plgpu.barrier_wait(self._barriers.at[slot])
        return self._memory.at[slot]


@dataclasses.dataclass(frozen=True)
class Weights:
    """Holds the weights of a block in shared memory, in chunks of hidden units.

    A loop over chunks, unlike code for each of them, leaves registers to the sums: the compiler keeps the address of
    every factor in two of them, for as long as the kernel runs.
    """

    up: Ref
    up_bias: Ref
    down: Ref

    @staticmethod
    def memory(width: int, hidden: int, chunk: int, dtype: Any) -> tuple[Any, ...]:
        """Describe the memory, in the order of the attributes."""
        num_chunks = hidden // chunk
        return (
            matrix_memory((num_chunks, width, chunk), dtype),
            plgpu.SMEM((num_chunks, chunk), jnp.float32),
            matrix_memory((num_chunks, chunk, width), dtype),
        )

    @staticmethod
    def num_copies(hidden: int, chunk: int) -> int:
        """Return the number of copies that a barrier has to wait for."""
        return 3 * (hidden // chunk)

    def copy(self, up: Ref, up_bias: Ref, down: Ref, barrier: Ref) -> None:
        """Let the first warpgroup of a program begin to copy weights into shared memory."""
        num_chunks, _, chunk = self.up.shape

        @pl.when(lax.axis_index("warpgroup") == 0)
        def _copy() -> None:
            for number in range(num_chunks):
                units = pl.ds(number * chunk, chunk)
                plgpu.copy_gmem_to_smem(up.at[:, units], self.up.at[number], barrier)
                plgpu.copy_gmem_to_smem(up_bias.at[units], self.up_bias.at[number], barrier)
                plgpu.copy_gmem_to_smem(down.at[units], self.down.at[number], barrier)


def owner(weights: Ref, field: jax.Array) -> jax.Array | int:
    """Return the index of a field's weights, which is 0 if all fields share them."""
    return field if weights.shape[0] > 1 else 0
