"""Keeps traced programs on disk, so that the next process neither traces nor lowers a model.

JAX's own cache saves compiling only: to ask it, a process must trace the program and write it down for the compiler,
which takes seconds of Python. Here the program is kept as it is written down (StableHLO, by `jax.export`), under the
name that `bench.programs.program_names` gives it. A process that finds it hands it to the compiler, and JAX's cache
answers. The first process goes the same way, so that both compile the same program.

Files hold no pickles and no machine code: a hash, a header in JSON, and the program. Whatever is wrong with one, or
cannot be kept, the program is traced as if there were none.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import pathlib
import re
import time
import zlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from bench.programs import program_names
from bench.programs.process_code import Untold
from bench.programs.shared_results import make_once
from models.fields import kernel_probe
from tasks.data_dir import location
from tasks.data_dir.atomic_files import write_file

VARIABLE = "BENCH_KEEP_PROGRAMS"
"""Environment variable: 0, or anything but 1, keeps no programs and reads none."""

CUSTOM_CALLS = ("mosaic_gpu", "mosaic_gpu_v2", "__gpu$xla.gpu.triton")
"""Kernels that JAX calls unstable from version to version: a name holds the versions."""

MAX_AGE_DAYS = 30
"""A program that was not used for so long is removed."""

OWN_NAME = re.compile(r"\.?[0-9a-f]{64}(\..*\.tmp)?")
"""Names of the files that are removed: programs, and what a process that was killed left of one."""

HASH_BYTES = 32


class KeptProgram(NamedTuple):
    """A program as it is kept.

    Attributes:
        results: The tree of its results, as `tell_tree` describes it.
        exported: What `jax.export` wrote.
    """

    results: Any
    exported: bytes


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
            lowered = lower_kept(self.__wrapped__, (), arrays, ())
            return self.traced if lowered is None else lowered.compile()

        return make_once(self.programs, key, compile_program)(*arrays)


def lower_kept(
    function: Callable[..., PyTree], static: tuple[Any, ...], dynamic: tuple[PyTree, ...], donate: tuple[int, ...]
) -> jax.stages.Lowered | None:
    """Lower a program that an earlier process traced, or trace and keep it; None if it cannot be kept.

    Args:
        function: What is traced, called with `*static, *dynamic`.
        static: Leading arguments that are not traced.
        dynamic: Arrays, or their shapes.
        donate: Places in `dynamic` whose memory the results may take over.
    """
    if os.environ.get(VARIABLE) not in (None, "", "1") or importlib.util.find_spec("flatbuffers") is None:
        return None
    if kernel_probe.has_failed():  # here layers compute what kernels compute in a program that is kept
        return None
    name = program_names.name_program(function, static, dynamic, donate)
    if name is None:
        return None
    try:
        kept = load_program(name)
        if kept is None:
            kept = export_program(function, static, dynamic)
            program_names.tell_sources()  # raises if one was written meanwhile
            keep_program(name, kept)
        return lower_program(function.__name__, kept, dynamic, donate)
    except Exception:  # noqa: BLE001  traced without it, the program works, or says what is wrong
        return None


def export_program(
    function: Callable[..., PyTree], static: tuple[Any, ...], dynamic: tuple[PyTree, ...]
) -> KeptProgram:
    """Trace a program and write it down; arguments and results are flat in it.

    Raises:
        Untold: Its results cannot be described.
    """
    leaves, arguments = jax.tree.flatten(dynamic)
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype, weak_type=program_names.is_weak(x)) for x in leaves]
    structures: list[Any] = []

    def call_flat(*leaves: Any) -> list[Any]:
        results, structure = jax.tree.flatten(function(*static, *jax.tree.unflatten(arguments, leaves)))
        structures.append(structure)
        return results

    allowed = [jax.export.DisabledSafetyCheck.custom_call(name) for name in CUSTOM_CALLS]
    exported = jax.export.export(jax.jit(call_flat), disabled_checks=allowed)(*shapes)
    if any(getattr(result, "weak_type", False) for result in exported.out_avals):
        raise Untold("results of weak types, which are not written down")
    structure = structures[0]
    told = tell_tree(jax.tree.unflatten(structure, range(structure.num_leaves)))
    if jax.tree.structure(read_tree(told)) != structure:
        raise Untold(str(structure))
    return KeptProgram(told, bytes(exported.serialize()))


def lower_program(
    name: str, kept: KeptProgram, dynamic: tuple[PyTree, ...], donate: tuple[int, ...]
) -> jax.stages.Lowered:
    """Lower a kept program for its arguments.

    Args:
        name: Of the function, for profiles.
        kept: What was kept.
        dynamic: Arrays, or their shapes.
        donate: Places in `dynamic` whose memory the results may take over.
    """
    exported = jax.export.deserialize(bytearray(kept.exported))
    if b"mosaic_gpu" in exported.mlir_module_serialized:
        importlib.import_module("jax.experimental.mosaic.gpu")  # says where the runtime of its kernels lies
    structure = jax.tree.structure(read_tree(kept.results))

    def call_kept(*arrays: PyTree) -> PyTree:
        return jax.tree.unflatten(structure, exported.call(*jax.tree.leaves(arrays)))

    call_kept.__name__ = name
    return jax.jit(call_kept, donate_argnums=donate).lower(*dynamic)


def program_file(name: str) -> pathlib.Path:
    """Return the file of a program."""
    return location.folder() / "programs" / "traced" / name


def load_program(name: str) -> KeptProgram | None:
    """Read a program; None if it is not kept, or its file is damaged."""
    path = program_file(name)
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        content = path.read_bytes()
        if hashlib.sha256(content[HASH_BYTES:]).digest() != content[:HASH_BYTES]:
            return None
        header, _, exported = content[HASH_BYTES:].partition(b"\n")
        told = json.loads(header)
        if told["name"] != name:
            return None
        kept = KeptProgram(told["results"], zlib.decompress(exported))
    except (OSError, ValueError, KeyError, TypeError, zlib.error):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return kept


def keep_program(name: str, kept: KeptProgram) -> None:
    """Keep a program that was traced here and now, and remove those that are too old; no error if it cannot be."""
    if kernel_probe.has_failed():  # it may be for want of memory, and layers compute what kernels should
        return
    header = json.dumps({"name": name, "results": kept.results}).encode()
    content = header + b"\n" + zlib.compress(kept.exported, 1)
    path = program_file(name)
    with contextlib.suppress(OSError):
        write_file(path, hashlib.sha256(content).digest() + content, sync=False)
        for other in path.parent.iterdir():
            is_ours = OWN_NAME.fullmatch(other.name) is not None and not other.is_symlink()
            if is_ours and time.time() - other.stat().st_mtime > MAX_AGE_DAYS * 86400:
                other.unlink(missing_ok=True)


def tell_tree(tree: PyTree) -> Any:
    """Describe a tree whose leaves are integers as JSON.

    Raises:
        Untold: A node of it is of an unknown type.

    Example:
        >>> tell_tree({"a": (0, None)})
        {'dict': [['a', {'tuple': [0, None]}]]}
    """
    kind = type(tree)
    if tree is None or kind is int:
        return tree
    if kind is dict and all(type(key) is str for key in tree):
        return {"dict": [[key, tell_tree(each)] for key, each in tree.items()]}
    if kind in (tuple, list):
        return {kind.__name__: [tell_tree(each) for each in tree]}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return {"named": program_names.tell_object(kind), "of": [tell_tree(each) for each in tree]}
    raise Untold(f"{kind.__module__}:{kind.__qualname__}")


def read_tree(told: Any) -> PyTree:
    """Build the tree that `tell_tree` described; nothing is imported for it.

    Raises:
        Untold: A type of it is not here, or is no named tuple of ours or of a library of ours.
    """
    if told is None or type(told) is int:
        return told
    if "dict" in told:
        return {key: read_tree(each) for key, each in told["dict"]}
    if "list" in told:
        return [read_tree(each) for each in told["list"]]
    if "tuple" in told:
        return tuple(read_tree(each) for each in told["tuple"])
    kind = program_names.find_object(told["named"])
    if not isinstance(kind, type) or not issubclass(kind, tuple):
        raise Untold(told["named"])
    return kind(*(read_tree(each) for each in told["of"]))
