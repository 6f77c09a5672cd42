"""Keeps traced programs on disk, so that the next process neither traces nor lowers a model.

JAX's own cache saves compiling only: to ask it, a process must trace the program and write it down for the compiler,
which takes seconds of Python. Here the program is kept as it is written down (`bench.programs.traced_programs`), under
the name that `bench.programs.program_names` gives it. A process that finds it hands it to the compiler, and JAX's cache
answers. It may be loaded before it is asked for (`bench.programs.loading_ahead`). The first process compiles what it
has written down too, so that both compile the same program.

Whatever is wrong with a file, or cannot be kept, the program is traced as if there were none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from bench.programs import loading_ahead, program_names, traced_programs
from bench.programs.shared_results import make_once
from models.fields import kernel_probe


class CompiledKeptProgram:
    """A kept program, compiled: called with trees of arrays, as the function that it was made of.

    Args:
        compiled: Takes and gives flat arrays.
        arguments: Structure of the arguments.
        results: Structure of the results.
    """

    def __init__(self, compiled: jax.stages.Compiled, arguments: Any, results: Any) -> None:
        self.compiled = compiled
        self.arguments = arguments
        self.results = results

    def __call__(self, *arrays: PyTree) -> PyTree:
        """Run it.

        Raises:
            TypeError: The arrays are not those that it was compiled for.
        """
        leaves, structure = jax.tree.flatten(arrays)
        if structure != self.arguments:
            raise TypeError(f"expected arguments of the structure {self.arguments}, got {structure}")
        return jax.tree.unflatten(self.results, self.compiled(*leaves))

    def memory_analysis(self) -> Any:
        """Return the memory that its compiler plans, as `jax.stages.Compiled` does."""
        return self.compiled.memory_analysis()


class KeptFunction:
    """Calls a function of arrays as `jax.jit` does, and keeps what was traced for the next process.

    Args:
        function: A function of a module. Of a small one the next process gains nothing.
    """

    def __init__(self, function: Callable[..., PyTree]) -> None:
        functools.update_wrapper(self, function)
        self.__wrapped__ = function
        self.traced = jax.jit(function)
        self.programs: dict[Any, Future[Callable[..., PyTree]]] = {}

    def __call__(self, *arrays: PyTree) -> PyTree:
        """Call it; threads that need the same program wait for the first of them."""
        arrays = jax.tree.map(lambda x: jax.device_put(x) if isinstance(x, np.ndarray) else x, arrays)
        leaves = jax.tree.leaves(arrays)
        if not all(isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer) for x in leaves):
            return self.traced(*arrays)
        try:
            settings = program_names.tell_settings()
        except Exception:  # noqa: BLE001  whatever it is, `jax.jit` does without
            return self.traced(*arrays)
        key = (program_names.collect_shapes(arrays), settings)

        def compile_program() -> Callable[..., PyTree]:
            compiled = compile_kept(self.__wrapped__, (), arrays, ())
            return self.traced if compiled is None else compiled

        return make_once(self.programs, key, compile_program)(*arrays)


def compile_kept(
    function: Callable[..., PyTree], static: tuple[Any, ...], dynamic: tuple[PyTree, ...], donate: tuple[int, ...]
) -> CompiledKeptProgram | None:
    """Compile a program that an earlier process traced, or trace and keep it; None if it cannot be kept.

    Args:
        function: What is traced, called with `*static, *dynamic`.
        static: Leading arguments that are not traced.
        dynamic: Arrays, or their shapes.
        donate: Places in `dynamic` whose memory the results may take over.
    """
    if not traced_programs.can_keep():
        return None
    if kernel_probe.has_failed():  # here layers compute what kernels compute in a program that is kept
        return None
    name = program_names.name_program(function, static, dynamic, donate)
    if name is None:
        return None
    loaded = loading_ahead.take_program(name)
    try:
        if loaded is None:
            kept = traced_programs.load_program(name)
            if kept is None:
                kept = traced_programs.export_program(function, static, dynamic, donate)
                program_names.tell_sources()  # raises if one was written meanwhile
                traced_programs.keep_program(name, kept)
            lowered = traced_programs.lower_program(kept)
        else:
            kept = loaded.kept
        results = jax.tree.structure(traced_programs.read_tree(kept.results))
    except Exception:  # noqa: BLE001  traced without it, the program works, or says what is wrong
        return None
    compiled = lowered.compile() if loaded is None else loaded.compiled
    return CompiledKeptProgram(compiled, jax.tree.structure(dynamic), results)
