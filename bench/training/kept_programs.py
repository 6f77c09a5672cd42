"""Keeps compiled programs on disk so that the next process neither traces nor lowers them.

JAX's own cache saves compiling only: a process still traces the program and writes it down for the compiler, which
takes seconds of Python. A file here is found without that, by all that makes the program what it is:

- the function, its static arguments, and shapes, types and structure of its arrays;
- the sources of `models`, `tasks` and this folder, and the versions of the packages that programs are made with;
- the device, its driver, the settings of JAX and of XLA.

What cannot be told for certain is not kept: a user's code, several devices, an encoder of another package. Whatever is
wrong with a file, the program is traced as if there were none. The files are pickles, as JAX writes programs, and hold
machine code: it is off unless `BENCH_KEEP_PROGRAMS=1` asks for it, and the cache folder must be writable by the user
alone.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import pathlib
import pickle
import platform
import re
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.experimental import serialize_executable
from jaxtyping import PyTree

from bench.import_paths import ROOT
from bench.suites import identity
from bench.suites.registered_types import is_ours
from models.clip.encoder import Encoder, LinenTowers
from models.fields import kernel_probe
from tasks.data_dir import location
from tasks.data_dir.atomic_files import write_file

VARIABLE = "BENCH_KEEP_PROGRAMS"
"""Environment variable: 1 keeps programs and reads them. Their files are pickles, for a cache folder of one's own."""

SOURCES = ("models", "tasks", "bench/training")
"""Folders whose code may be a part of a program."""

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "jax-cuda12-plugin", "jax-cuda13-plugin", "libtpu")
"""Packages whose version may change a program."""

SETTINGS = re.compile("JAX|XLA|TF_|NVIDIA_|CUDA_|NPROC|OMP_|BENCH_SPLIT|LIBTPU")
"""Beginnings of environment variables that may change a program."""

PLACES = re.compile("cache_dir|dump_to|CUDA_VISIBLE|MEM_FRACTION|PREALLOCATE|log|LOG")
"""Settings that change none."""

_HITS = threading.local()


class NotTold(Exception):
    """A part of a program cannot be told for certain."""


def name_program(
    function: Callable[..., PyTree], static: tuple[Any, ...], dynamic: tuple[PyTree, ...], donate: tuple[int, ...]
) -> str | None:
    """Return a name that only the same program has, as `devices.compile_once` is asked for it; None if it has none."""
    if os.environ.get(VARIABLE) != "1" or jax.process_count() > 1:
        return None
    try:
        described = repr((tell_function(function), tell_static(static), tell_tree(dynamic), donate))
    except Exception:  # noqa: BLE001  whatever it is, the program is traced
        return None
    return hashlib.sha256(f"{described} {tell_machine()}".encode()).hexdigest()


def tell_function(function: Callable[..., PyTree]) -> str:
    """Name a function of ours."""
    name = f"{function.__module__}:{function.__qualname__}"
    if "<" in name or not is_ours(function.__module__):
        raise NotTold(name)
    return name


def tell_static(static: tuple[Any, ...]) -> str:
    """Describe static arguments: what a trial's identity leaves out counts here, so all fields are written too."""
    written = repr(static)
    if " at 0x" in written or identity.code_digest(static) is not None:
        raise NotTold(written)
    return identity.digest(identity.describe(static), 64) + written


def tell_tree(tree: PyTree) -> Any:
    """Describe the structure of arrays, with shapes, types and devices."""
    if tree is None:
        return None
    if isinstance(tree, Encoder):
        if type(tree.towers) is not LinenTowers:
            raise NotTold(tree.name)
        return (tree.name, tree.sha256, tree.mean, tree.std, repr(tree.towers), tell_tree(tree.params))
    if isinstance(tree, dict):
        return {str(key): tell_tree(value) for key, value in sorted(tree.items())}
    if isinstance(tree, tuple | list):
        kind = type(tree)
        return (kind.__module__, kind.__qualname__, [tell_tree(value) for value in tree])
    if not isinstance(tree, jax.Array | jax.ShapeDtypeStruct):
        raise NotTold(repr(tree))
    is_here = tree.sharding is None or tree.sharding.device_set == {jax.local_devices()[0]}
    if not is_here:
        raise NotTold(repr(tree.sharding))
    return (tree.shape, str(tree.dtype), bool(getattr(tree, "weak_type", False)))


@functools.cache
def tell_sources() -> str:
    """Digest the code that programs are made of."""
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(ROOT)} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


@functools.cache
def tell_packages() -> list[str]:
    """List the versions of the packages that programs are made with."""
    found = [sys.version]
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name} {importlib.metadata.version(name)}")
    return found


@functools.cache
def tell_processor() -> str:
    """Describe the host's processor, for which programs of the CPU are made."""
    with contextlib.suppress(OSError):
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return "\n".join(dict.fromkeys(line for line in lines if line.startswith(("model name", "flags", "Features"))))
    return platform.processor() + platform.node()


def tell_machine() -> str:
    """Describe what compiles and runs programs here: code, versions, device, settings."""
    device = jax.local_devices()[0]
    settings = {name: value for name, value in os.environ.items() if SETTINGS.match(name) and not PLACES.search(name)}
    values = {name: value for name, value in jax.config.values.items() if not PLACES.search(name)}
    described: list[Any] = [tell_sources(), tell_packages(), device.device_kind, device.client.platform_version]
    if device.platform == "cpu":
        described += [tell_processor(), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0]
    return repr([*described, sorted(settings.items()), sorted(values.items(), key=str)])


def program_file(name: str) -> pathlib.Path:
    """Return the file of a program."""
    return location.folder() / "programs" / "traced" / name


def load_program(name: str, dynamic: tuple[PyTree, ...]) -> jax.stages.Compiled | None:
    """Load a program; None if it is not kept, or cannot be loaded."""
    try:
        content = program_file(name).read_bytes()
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            return None
        program, results = pickle.loads(content[32:])  # as trusted as the machine code that it holds
        arguments = jax.tree.structure((dynamic, {}))
        return serialize_executable.deserialize_and_load(
            program, arguments, results, execution_devices=jax.local_devices()[:1]
        )
    except Exception:  # noqa: BLE001  whatever it is, tracing mends it
        return None


def keep_program(name: str, program: jax.stages.Compiled) -> None:
    """Keep a program that was compiled here and now; no error if it cannot be."""
    if kernel_probe.has_failed():  # it may be for want of memory, and layers compute what kernels should
        return
    with contextlib.suppress(Exception):
        serialized, _, results = serialize_executable.serialize(program)
        content = pickle.dumps((serialized, results))
        write_file(program_file(name), hashlib.sha256(content).digest() + content, sync=False)


@contextlib.contextmanager
def count_hits() -> Iterator[list[str]]:
    """List what this thread takes out of JAX's own cache: such a program cannot be kept, as it may be incomplete.

    On a CPU a program that came out of a cache is written without its machine code.
    """
    listen_once()
    found: list[str] = []
    _HITS.found = found
    try:
        yield found
    finally:
        _HITS.found = None


@functools.cache
def listen_once() -> None:
    """Let JAX say what it takes out of its cache."""

    def note(event: str, **_: Any) -> None:
        found = getattr(_HITS, "found", None)
        if found is not None and event.endswith("cache_hits"):
            found.append(event)

    jax.monitoring.register_event_listener(note)
