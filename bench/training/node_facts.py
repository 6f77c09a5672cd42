"""Says what a worker would find on a host, and what ended one there. Imports no JAX and no Ray: it runs on the host.

An answer is a value of plain types, because the versions on two hosts may differ.
"""

from __future__ import annotations

import glob
import importlib
import importlib.metadata
import os
import pathlib
import platform
import re
from collections.abc import Sequence
from typing import NamedTuple

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")
"""Packages that must be the same on all hosts: trials of one table would come from several versions."""

OOM_COUNTERS = (
    ("/proc/vmstat", r"^oom_kill (\d+)"),
    ("/sys/fs/cgroup/memory.events", r"^oom_kill (\d+)"),
    ("/sys/fs/cgroup/memory/memory.oom_control", r"^oom_kill (\d+)"),
)
"""Files in which the kernel counts the processes that it killed for their memory, of the host or of the container."""

CRASHES = re.compile(r"Fatal Python error: (.+)|\*\*\* (SIG(?:SEGV|ABRT|BUS|FPE|ILL)) received|terminate called (.+)")

LOG_BYTES = 64 * 2**10


class Needs(NamedTuple):
    """Lists the files, folders and modules that a run needs on each host.

    Attributes:
        paths: Files and folders that workers read, by the name to tell the user.
        writable: Folders in which workers keep what they make: these, or their parents, must let them.
        modules: Names of the plug-ins' modules.
        accelerator: `GPU`, `TPU`, or empty where workers train on cores.
    """

    paths: dict[str, str] = {}
    writable: dict[str, str] = {}
    modules: Sequence[str] = ()
    accelerator: str = ""


class NodeFacts(NamedTuple):
    """Describes a host: versions, devices, and missing needs.

    Attributes:
        python: Version.
        versions: Of `PACKAGES`.
        problems: What is missing of a run's needs, a line each.
        num_accelerators: Those that its JAX could use.
    """

    python: str
    versions: dict[str, str]
    problems: tuple[str, ...]
    num_accelerators: int


def look_around(needs: Needs) -> NodeFacts:
    """Look for all that a run needs, on the host where this runs; nothing is started on a device."""
    problems = [f"{name}: {path} is not there" for name, path in needs.paths.items() if not os.path.exists(path)]
    problems += [f"{name}: {path} cannot be written" for name, path in needs.writable.items() if not may_write(path)]
    for module in needs.modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            problems.append(f"plug-in {module}: {type(error).__name__}: {' '.join(str(error).split())}")
    num = 0
    if needs.accelerator and find_versions()["jax"] != "none":
        from bench.training import accelerators

        os.environ.pop("CUDA_VISIBLE_DEVICES", None)  # Ray hides GPUs from what asks for none
        num = accelerators.num_accelerators()
    return NodeFacts(platform.python_version(), find_versions(), tuple(problems), num)


def find_versions() -> dict[str, str]:
    """Return the versions of `PACKAGES`; `none` for one that is not installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def may_write(path: str) -> bool:
    """Tell whether a folder may be written, or be made."""
    place = pathlib.Path(path)
    while not place.exists() and place != place.parent:
        place = place.parent
    return place.is_dir() and os.access(place, os.W_OK)


def count_oom_kills() -> int | None:
    """Count the processes that the kernel killed for their memory; None where it does not say."""
    counts = []
    for path, pattern in OOM_COUNTERS:
        try:
            text = pathlib.Path(path).read_text()
        except OSError:
            continue
        found = re.search(pattern, text, re.MULTILINE)
        if found:
            counts.append(int(found.group(1)))
    return sum(counts) if counts else None


def find_crash(folder: str, pid: int) -> str | None:
    """Return what a worker's log says of the crash that ended it; None where it says nothing.

    Args:
        folder: Of Ray's logs on this host.
        pid: Process of the worker.
    """
    for path in glob.glob(f"{glob.escape(folder)}/worker-*-{pid}.err"):
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - LOG_BYTES))
            text = file.read().decode(errors="replace")
        found = CRASHES.search(text)
        if found:
            return next(filter(None, found.groups())).strip()
    return None
