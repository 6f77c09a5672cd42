"""Compiles programs once, and keeps them on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, TypeAlias, TypeVar

import jax
from jaxtyping import PyTree

from bench.programs import kept_programs, program_names
from bench.programs.shared_results import make_once
from bench.suites.identity import Static
from bench.training import device_mesh
from tasks.data_dir import location

T = TypeVar("T")

CompiledProgram: TypeAlias = jax.stages.Compiled | kept_programs.CompiledKeptProgram
"""What is called with the arrays that a program was compiled for."""

_PROGRAMS: dict[Any, Future[CompiledProgram]] = {}


def use_compilation_cache() -> None:
    """Keep compiled programs on disk, so that the next process does not compile them again.

    To be called before the first array is made: what is compiled before is compiled by every process anew. Small
    programs are kept too, as preparing a pack compiles dozens of them, and a GPU takes a fifth of a second for each.
    """
    jax.config.update("jax_compilation_cache_dir", str(location.folder() / "programs"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # Programs are kept for this version of JAX alone, so that they need no forms that older ones understand.
    jax.config.update("jax_export_ignore_forward_compatibility", True)


def compile_once(
    function: Callable[..., PyTree], static: tuple[Any, ...], dynamic: tuple[PyTree, ...], donate: tuple[int, ...] = ()
) -> CompiledProgram:
    """Compile `function(*static, *dynamic)`, to be called with `*dynamic`.

    The program is kept for as long as the process lives, so that the next pack of it does not compile again. Threads
    that ask for the same program wait for the first of them. Under another setting of JAX it is another program.

    Args:
        function: Traced once; all its results have a leading trial axis.
        static: Leading arguments that are not traced (a method, sizes); told apart as `bench.suites.identity` does.
        dynamic: Arrays as they will be passed, or their `jax.ShapeDtypeStruct`: only shapes, types and places count.
        donate: Places in `dynamic` whose memory the results may take over.
    """
    # By what the method is, not by `==` alone: two of a user's may be equal and compute different things.
    program = (function, Static(static), program_names.collect_shapes(dynamic), donate)
    key = (program, program_names.collect_settings())

    def compile_program() -> CompiledProgram:
        kept = kept_programs.compile_kept(function, static, dynamic, donate)
        if kept is not None:
            return kept
        return device_mesh.lower(lambda *arrays: function(*static, *arrays), dynamic, donate).compile()

    return make_once(_PROGRAMS, key, compile_program)


@contextlib.contextmanager
def leave_to_workers() -> Iterator[None]:
    """Start no accelerator in this process for a while, nor later if it started JAX meanwhile: workers have them.

    JAX takes three quarters of the memory of each that it sees as soon as it makes an array. A process in which it has
    started before keeps what it has.
    """
    before = jax.config.values["jax_platforms"]
    jax.config.update("jax_platforms", "cpu")
    try:
        yield
    finally:
        jax.config.update("jax_platforms", before)


def memory_bytes(program: Callable[..., PyTree]) -> int | None:
    """Return the bytes of each device that a compiled program takes, as its compiler plans; None if it does not say.

    Arguments, results and all that lies between; what results take over from arguments counts once.
    """
    planned = getattr(program, "memory_analysis", lambda: None)()
    if planned is None:
        return None
    sizes = planned.argument_size_in_bytes + planned.output_size_in_bytes + planned.temp_size_in_bytes
    return int(sizes - planned.alias_size_in_bytes)


def num_compiled() -> int:
    """Count the programs that this process keeps."""
    return len(_PROGRAMS)


def abstract_arrays(tree: PyTree) -> PyTree:
    """Return the shapes, types and places of arrays, which is all that `compile_once` needs of them."""

    def abstract_array(x: jax.Array) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding, weak_type=program_names.is_weak(x))

    return jax.tree.map(abstract_array, tree)


def map_trials(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """Map a function of one trial over the leading axis of all its arguments.

    An accelerator takes all trials at once (`jax.vmap`). A core takes one after the other (`lax.map`): batched
    products of small matrices gain nothing there, and its cache holds one trial's activations but not a pack's.
    """
    if not is_cpu():
        return jax.vmap(function)
    return lambda *arguments: jax.lax.map(lambda one: function(*one), arguments)


def is_cpu() -> bool:
    """Tell whether programs run on the host's own cores."""
    return jax.default_backend() == "cpu"


def choose_for_device(choices: Mapping[str, T]) -> T:
    """Choose what is meant for this process's devices, of a value for a "cpu" and one for an "accelerator"."""
    return choices["cpu" if is_cpu() else "accelerator"]


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error says that a device has too little memory."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
