"""Gives the kernels their vocabulary: memory, loads, products and sums, on a Hopper GPU or interpreted on a CPU.

JAX can interpret a kernel of Mosaic GPU on a CPU, with its threads, copies and barriers. It cannot interpret a product
whose left operand is in registers, nor casts of layouts: `Interpreted` computes these with ordinary arrays, so that the
rest of a kernel is tested as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import mosaic_gpu as plgpu
from jax.extend.mlir import ir

Ref: TypeAlias = Any
"""A reference to memory of the GPU, which JAX gives no public type."""

Shape: TypeAlias = tuple[int, ...]

_NAME_OF_FILES = "mosaic_gpu.dump_basename"
"""Attribute of a kernel in which Mosaic finds the name for files with its machine code."""


class Hopper:
    """Runs on the tensor cores of a Hopper GPU (compute capability 9.0)."""

    interpret: Any = None

    def name_kernel(self, name: str) -> None:
        """Name the kernel that is traced, so that JAX's compilation cache finds its programs again.

        JAX 0.11 otherwise numbers all kernels that a process has lowered, for the names of files with their machine
        code. These names become part of the program, and so of its key in the cache. JAX 0.12 leaves them out.
        """

        @plgpu.inline_mgpu()
        def set_name(context: Any) -> None:
            context.module.operation.attributes[_NAME_OF_FILES] = ir.StringAttr.get(name)

        set_name()

    def load(self, ref: Ref) -> jax.Array:
        """Load a matrix, spread over threads as matrix instructions want it."""
        return plgpu.layout_cast(ref[...], plgpu.Layout.WGMMA)

    def load_for_columns(self, ref: Ref, shape: Shape) -> jax.Array:
        """Load one number for each column and repeat it over all rows."""
        return lax.broadcast_in_dim(plgpu.layout_cast(ref[...], plgpu.Layout.WGMMA.reduce(0)), shape, [1])

    def load_for_rows(self, ref: Ref, shape: Shape) -> jax.Array:
        """Load one number for each row and repeat it over all columns."""
        return lax.broadcast_in_dim(plgpu.layout_cast(ref[...], plgpu.Layout.WGMMA.reduce(1)), shape, [0])

    def zeros(self, shape: Shape) -> jax.Array:
        """Make a matrix of zeros, spread over threads as matrix instructions want it."""
        return plgpu.layout_cast(jnp.zeros(shape, jnp.float32), plgpu.Layout.WGMMA)

    def zeros_for_rows(self, num_rows: int) -> jax.Array:
        """Make a zero for each row of a matrix."""
        return plgpu.layout_cast(jnp.zeros((num_rows,), jnp.float32), plgpu.Layout.WGMMA.reduce(1))

    def transposed(self, ref: Ref) -> Ref:
        """Return the transpose of a matrix in shared memory, for a product."""
        return ref.transpose((1, 0))

    def product(self, left: Any, right: Ref) -> jax.Array:
        """Multiply; the left factor is in registers or in shared memory, the right one in shared memory."""

        def multiply(sum_ref: Ref) -> jax.Array:
            plgpu.wgmma(sum_ref, left, right)
            return sum_ref[...]

        return pl.run_scoped(multiply, plgpu.ACC((left.shape[0], right.shape[1]), jnp.float32))

    def sums(self, shapes: Sequence[Shape], fill: Callable[[list[Ref]], Any]) -> tuple[list[jax.Array], Any]:
        """Let a function fill sums of products with `add`.

        Returns:
            The sums, and what the function returns.
        """

        def scope(*refs: Ref) -> tuple[list[jax.Array], Any]:
            result = fill(list(refs))
            return [ref[...] for ref in refs], result

        return pl.run_scoped(scope, *(plgpu.ACC((rows, columns), jnp.float32) for rows, columns in shapes))

    def add(self, total: Ref, left: Any, right: Ref) -> None:
        """Add a product to a sum."""
        plgpu.wgmma(total, left, right)

    def finish_products(self) -> None:
        """Wait until all products have read their factors."""
        plgpu.wgmma_wait(0)

    def loop(self, count: Any, step: Callable[[Any, Any], Any], carry: Any, totals: Sequence[Ref] = ()) -> Any:
        """Call a function with 0, 1, ..., count - 1 and what it returned before; it may add to sums."""
        del totals
        return lax.fori_loop(0, count, step, carry)


class _Total:
    """Holds a sum while a kernel is interpreted."""

    def __init__(self, shape: Shape) -> None:
        self.value = jnp.zeros(shape, jnp.float32)


class Interpreted(Hopper):
    """Runs on a CPU, for tests.

    Attributes:
        interpret: Parameters of Mosaic's interpreter.
    """

    def __init__(self, interpret: Any) -> None:
        self.interpret = interpret

    def name_kernel(self, name: str) -> None:
        """Do nothing: interpreted kernels are ordinary programs."""

    def load(self, ref: Ref) -> jax.Array:
        """Load a matrix."""
        return ref[...]

    def load_for_columns(self, ref: Ref, shape: Shape) -> jax.Array:
        """Load one number for each column and repeat it over all rows."""
        return lax.broadcast_in_dim(ref[...], shape, [1])

    def load_for_rows(self, ref: Ref, shape: Shape) -> jax.Array:
        """Load one number for each row and repeat it over all columns."""
        return lax.broadcast_in_dim(ref[...], shape, [0])

    def zeros(self, shape: Shape) -> jax.Array:
        """Make a matrix of zeros."""
        return jnp.zeros(shape, jnp.float32)

    def zeros_for_rows(self, num_rows: int) -> jax.Array:
        """Make a zero for each row of a matrix."""
        return jnp.zeros((num_rows,), jnp.float32)

    def transposed(self, ref: Ref) -> Ref:
        """Return the transpose of a matrix, for a product."""
        return ref[...].T

    def product(self, left: Any, right: Any) -> jax.Array:
        """Multiply in float32."""
        return jnp.matmul(left[...], right[...], precision="highest", preferred_element_type=jnp.float32)

    def sums(self, shapes: Sequence[Shape], fill: Callable[[list[Ref]], Any]) -> tuple[list[jax.Array], Any]:
        """Let a function fill sums of products with `add`."""
        totals = [_Total(shape) for shape in shapes]
        result = fill(totals)
        return [total.value for total in totals], result

    def add(self, total: _Total, left: Any, right: Any) -> None:
        """Add a product to a sum."""
        total.value = total.value + self.product(left, right)

    def finish_products(self) -> None:
        """Do nothing: products are finished at once."""

    def loop(self, count: Any, step: Callable[[Any, Any], Any], carry: Any, totals: Sequence[_Total] = ()) -> Any:
        """Call a function with 0, 1, ..., count - 1 and what it returned before; it may add to sums."""

        def whole_step(index: Any, state: tuple[Any, list[jax.Array]]) -> tuple[Any, list[jax.Array]]:
            before, values = state
            for total, value in zip(totals, values, strict=True):
                total.value = value
            after = step(index, before)
            return after, [total.value for total in totals]

        carry, values = lax.fori_loop(0, count, whole_step, (carry, [total.value for total in totals]))
        for total, value in zip(totals, values, strict=True):
            total.value = value
        return carry


def interpreted(*, detect_races: bool = False) -> Interpreted:
    """Return the machine for tests on a CPU."""
    # JAX 0.11 names this class publicly, 0.10 does not.
    from jax._src.pallas.mosaic_gpu.interpret.params import InterpretGPUParams

    parameters = InterpretGPUParams(detect_races=detect_races)
    return Interpreted(parameters)
