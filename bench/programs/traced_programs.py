"""Writes traced programs to files, reads them again, and lowers them for the compiler.

A program is kept as it is written down for the compiler (StableHLO, by `jax.export`). Files hold no pickles and no
machine code: a hash, a header in JSON, and the program.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import json
import os
import pathlib
import re
import time
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jaxtyping import PyTree

from bench.programs import program_names
from bench.programs.process_code import Untold
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
    """A program as it is kept: all that is needed to compile it, without the function that it was made of.

    Attributes:
        function: Name of the function, for profiles.
        donated: Places among its flat arguments whose memory the results may take over.
        results: The tree of its results, as `tell_tree` describes it.
        exported: What `jax.export` wrote.
    """

    function: str
    donated: tuple[int, ...]
    results: Any
    exported: bytes


def can_keep() -> bool:
    """Tell whether programs are kept here: the user may not want it, and `jax.export` needs flatbuffers."""
    return os.environ.get(VARIABLE) in (None, "", "1") and importlib.util.find_spec("flatbuffers") is not None


def export_program(
    function: Callable[..., PyTree], static: tuple[Any, ...], dynamic: tuple[PyTree, ...], donate: tuple[int, ...]
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
    return KeptProgram(function.__name__, flat_places(dynamic, donate), told, bytes(exported.serialize()))


def flat_places(trees: tuple[PyTree, ...], chosen: tuple[int, ...]) -> tuple[int, ...]:
    """Find the leaves of some trees among the leaves of all.

    Example:
        >>> flat_places(({"a": 1, "b": 2}, 3, (4, 5)), (0, 2))
        (0, 1, 3, 4)
    """
    counts = [len(jax.tree.leaves(tree)) for tree in trees]
    return tuple(place for i in chosen for place in range(sum(counts[:i]), sum(counts[: i + 1])))


def lower_program(kept: KeptProgram) -> jax.stages.Lowered:
    """Lower a kept program, for the shapes that it was traced for; arguments and results are flat."""
    exported = jax.export.deserialize(bytearray(kept.exported))
    if b"mosaic_gpu" in exported.mlir_module_serialized:
        importlib.import_module("jax.experimental.mosaic.gpu")  # says where the runtime of its kernels lies

    def call_kept(*leaves: Any) -> Any:
        return exported.call(*leaves)

    call_kept.__name__ = kept.function
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in exported.in_avals]
    return jax.jit(call_kept, donate_argnums=kept.donated).lower(*shapes)


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
        donated = tuple(int(place) for place in told["donated"])
        kept = KeptProgram(str(told["function"]), donated, told["results"], zlib.decompress(exported))
    except (OSError, ValueError, KeyError, TypeError, zlib.error):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return kept


def keep_program(name: str, kept: KeptProgram) -> None:
    """Keep a program that was traced here and now, and remove those that are too old; no error if it cannot be."""
    if kernel_probe.has_failed():  # it may be for want of memory, and layers compute what kernels should
        return
    told = {"name": name, "function": kept.function, "donated": kept.donated, "results": kept.results}
    header = json.dumps(told).encode()
    content = header + b"\n" + zlib.compress(kept.exported, 1)
    path = program_file(name)
    with contextlib.suppress(OSError):
        write_file(path, hashlib.sha256(content).digest() + content, sync=False)
        remove_old(path.parent)


def remove_old(folder: pathlib.Path) -> None:
    """Remove the programs of a folder, or lists of them, that nobody used for `MAX_AGE_DAYS`.

    Raises:
        OSError: The folder cannot be read, or changed.
    """
    for path in folder.iterdir():
        is_ours = OWN_NAME.fullmatch(path.name.removesuffix(".json")) is not None and not path.is_symlink()
        if is_ours and time.time() - path.stat().st_mtime > MAX_AGE_DAYS * 86400:
            path.unlink(missing_ok=True)


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
