"""Decides how several local devices share the work of a pack: each trains some of its trials, or some of its rays.

Where a pack has a trial or more for every device, each device runs the whole program on its own trials, and nothing is
sent between them. Where it has fewer, and a step is large enough, the devices share the rays of every trial, and add
their gradients up. A small step stays on as many devices as there are trials: to add up gradients would take longer
than it saves.

k: trials, one a row of every array, filled up with copies of the last so that each device has equally many.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from bench.errors import UsageError
from bench.programs.program_names import is_weak
from models import ray_split

TRIALS = "trial"
"""Name of the axis of devices over which trials are spread."""

VARIABLE = "BENCH_SPLIT_RAYS"
"""Environment variable: 0 never splits the rays of a step, 1 always does where a pack is smaller than the devices."""

MIN_POINTS = 1 << 15
"""Least points of a step and device for which rays are split: fewer take a device less time than the sums do."""

_limit: contextvars.ContextVar[int | None] = contextvars.ContextVar("limit", default=None)


@contextlib.contextmanager
def only_first_devices(count: int | None) -> Iterator[None]:
    """Use only the first of the local devices, for example to compare; None for all.

    Raises:
        UsageError: There are not that many.
    """
    if count is not None and count > jax.local_device_count():
        raise UsageError(
            f"devices: expected up to {jax.local_device_count()}, which this process sees, got {count}; "
            "see CUDA_VISIBLE_DEVICES"
        )
    token = _limit.set(count)
    try:
        yield
    finally:
        _limit.reset(token)


def used_devices() -> list[jax.Device]:
    """List the local devices that packs are trained on."""
    return jax.local_devices()[: _limit.get()]


def choose_mesh(num_trials: int, points_per_trial: float | None) -> Mesh:
    """Choose the devices of a pack, and what they share.

    Args:
        num_trials: Of the pack.
        points_per_trial: Points at which a trial evaluates its field in a step; None if it is not known.
    """
    devices = used_devices()
    if splits_rays(num_trials, points_per_trial, len(devices)):
        return ray_split.ray_mesh(devices)
    return _trial_mesh(tuple(devices[: count_used(num_trials, len(devices))]))


def splits_rays(num_trials: int, points_per_trial: float | None, num_devices: int) -> bool:
    """Decide whether devices share the rays of every trial, instead of having trials of their own.

    Raises:
        UsageError: The environment variable that decides it is neither 0 nor 1.
    """
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "0", "1"):
        raise UsageError(f"{VARIABLE}: expected 0 or 1, got {asked!r}; leave it out to split the rays of large steps")
    if num_trials >= num_devices or asked == "0":
        return False
    points = (points_per_trial or 0) * num_trials / num_devices
    return asked == "1" or points >= MIN_POINTS


def count_used(num_trials: int, num_devices: int) -> int:
    """Count the devices that trials are spread over: as few as take no longer.

    Example:
        >>> [count_used(num_trials, 4) for num_trials in (1, 3, 4, 5, 6, 7, 8, 9)]
        [1, 3, 4, 3, 3, 4, 4, 3]
    """
    rows_each = math.ceil(num_trials / num_devices)
    return math.ceil(num_trials / rows_each)


@functools.cache
def _trial_mesh(devices: tuple[jax.Device, ...]) -> Mesh:
    return Mesh(np.asarray(devices), (TRIALS,), axis_types=(AxisType.Auto,))


def mesh_of(tree: PyTree) -> Mesh | None:
    """Return the devices on which arrays, or their shapes, were placed; None if that is one alone."""
    for leaf in jax.tree.leaves(tree):
        sharding = getattr(leaf, "sharding", None)
        if isinstance(sharding, NamedSharding) and isinstance(sharding.mesh, Mesh) and sharding.mesh.size > 1:
            return sharding.mesh
    return None


def place_trials(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Place arrays with a leading trial axis: filled up and spread over the devices, or a whole copy on each.

    Args:
        tree: Of arrays.
        mesh: The devices; None for the first alone.
    """
    if mesh is None or mesh.size == 1 or mesh.axis_names != (TRIALS,):
        return replicate(tree, mesh)
    sharding = NamedSharding(mesh, PartitionSpec(TRIALS))
    return jax.tree.map(lambda x: jax.device_put(_fill_up(x, mesh.size), sharding), tree)


def _fill_up(x: Array | np.ndarray, multiple: int) -> Array | np.ndarray:
    """Repeat the last row until there is a multiple of so many."""
    missing = -x.shape[0] % multiple
    return x if not missing else x[np.minimum(np.arange(x.shape[0] + missing), x.shape[0] - 1)]


def replicate(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Put a whole copy on every device; on the first alone where there is no mesh."""
    if mesh is None:
        return jax.device_put(tree, jax.local_devices()[0])
    if mesh.size == 1:
        return jax.device_put(tree, mesh.devices.flat[0])
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def rows_per_device(rows: Array | jax.ShapeDtypeStruct) -> int:
    """Count the trials of an array that each device computes, all or some of their rays."""
    sharding: Any = rows.sharding
    return rows.shape[0] if sharding is None else sharding.shard_shape(rows.shape)[0]


def num_ray_parts(tree: PyTree) -> int:
    """Count the devices that share the rays of the trials of some arrays; 1 if none are shared."""
    mesh = mesh_of(tree)
    return mesh.size if mesh is not None and mesh.axis_names == (ray_split.AXIS,) else 1


def lower(
    function: Callable[..., PyTree], arguments: tuple[PyTree, ...], donate: tuple[int, ...] = ()
) -> jax.stages.Lowered:
    """Lower a function of a pack for the devices on which its arguments are.

    Args:
        function: All its results have a leading trial axis.
        arguments: Arrays, or their shapes, types and places.
        donate: Places of arguments whose memory the results may take over.
    """
    mesh = mesh_of(arguments)
    if mesh is None:
        return jax.jit(function, donate_argnums=donate).lower(*arguments)
    shapes = jax.tree.map(_shape_on_mesh, arguments)
    if mesh.axis_names == (TRIALS,):
        # Not left to XLA, which cannot split kernels of our own, and might send what need not be sent.
        specs = jax.tree.map(lambda x: PartitionSpec() if x.sharding is None else x.sharding.spec, shapes)
        function = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(TRIALS), check_vma=False)
        return jax.jit(function, donate_argnums=donate).lower(*shapes)
    with jax.set_mesh(mesh):
        whole = NamedSharding(mesh, PartitionSpec())
        return jax.jit(function, donate_argnums=donate, out_shardings=whole).lower(*shapes)


def _shape_on_mesh(x: Array | jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """Describe an array by its shape and type, and its place on several devices."""
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=_on_mesh(x), weak_type=is_weak(x))


def _on_mesh(x: Array | jax.ShapeDtypeStruct) -> NamedSharding | None:
    """Return how an array is placed on several devices; None for a number that any device may be given."""
    return x.sharding if isinstance(x.sharding, NamedSharding) else None
