"""Splits the rays of a step over several devices, where a program is compiled for that.

A method names the arrays whose first axis is rays (or crops, or images) with `split_rays`. In a program that is
compiled in the context of `ray_mesh` every device then computes its part of them, and XLA adds what has to be added up:
gradients, sums and means. Every other program is left as it is. Random numbers are drawn as on one device, so that
results differ by the order of sums only.

r: rays, n: rows of a layer, f: fields.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, PartitionSpec
from jaxtyping import Array

AXIS = "ray"
"""Name of the axis of devices over which rays are split."""

Tree = TypeVar("Tree")


def ray_mesh(devices: Sequence[jax.Device]) -> Mesh:
    """Return a row of devices that share the rays of every step: compile in the context `jax.set_mesh` of it."""
    return Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,))


def current_mesh() -> AbstractMesh | None:
    """Return the devices that share the rays of the program that is traced now; None if one computes them all."""
    mesh = jax.sharding.get_abstract_mesh()
    return mesh if AXIS in mesh.axis_names else None


def split_rays(tree: Tree) -> Tree:
    """Let every device compute its part of the first axis of all arrays in a tree."""
    if current_mesh() is None:
        return tree
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, PartitionSpec(AXIS)), tree)


def join_rays(tree: Tree) -> Tree:
    """Give every device a whole copy of all arrays in a tree."""
    if current_mesh() is None:
        return tree
    return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, PartitionSpec()), tree)


def compute_row_parts(
    function: Callable[..., Any], rows: Sequence[Array], weights: Sequence[Array], *, adds_up: bool | tuple[bool, ...]
) -> Any:
    """Compute a function of rows, which XLA cannot split by itself, on each device's part of the rows.

    Args:
        function: Of all `rows` and all `weights`.
        rows: Arrays with axes of fields, rows and columns.
        weights: Needed whole by every device.
        adds_up: Whether the results are sums over rows, or else have rows as their second axis. One value for each
            result, if they differ.
    """
    mesh = current_mesh()
    if mesh is None:
        return function(*rows, *weights)
    num_rows = rows[0].shape[1]
    missing = -num_rows % mesh.size
    if missing:
        rows = [jnp.pad(value, ((0, 0), (0, missing), (0, 0))) for value in rows]
    part = PartitionSpec(None, AXIS)

    def finish(result: Any, is_sum: bool) -> Any:
        return jax.lax.psum(result, AXIS) if is_sum else result

    def cut(result: Any, is_sum: bool) -> Any:
        return result if is_sum or not missing else jax.tree.map(lambda x: x[:, :num_rows], result)

    def each(change: Callable[[Any, bool], Any], result: Any) -> Any:
        if isinstance(adds_up, bool):
            return change(result, adds_up)
        return tuple(change(*pair) for pair in zip(result, adds_up, strict=True))

    specs = (part,) * len(rows) + (PartitionSpec(),) * len(weights)
    results = jax.tree.map(lambda is_sum: PartitionSpec() if is_sum else part, adds_up)
    compute_part = jax.shard_map(
        lambda *arguments: each(finish, function(*arguments)),
        mesh=mesh,
        in_specs=specs,
        out_specs=results,
        check_vma=False,
    )
    return each(cut, compute_part(*rows, *weights))
