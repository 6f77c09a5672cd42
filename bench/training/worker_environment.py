"""Decides what workers on other hosts are given: our code, the user's plug-ins, variables, and whole paths.

Imports no Ray and no JAX.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import TypeAlias, TypeVar

from bench import import_paths
from bench.storage import environment
from bench.training.queue import QueuedPack

RuntimeEnv: TypeAlias = dict[str, str | list[str] | dict[str, str]]
"""What Ray calls a runtime environment."""

P = TypeVar("P", bound=QueuedPack)

NOT_SENT = ("/.[!.]*", "/results", "/reports", "/tests", "/build", "__pycache__", "*.egg-info")
"""Files of `ROOT` that workers on other hosts are not given. The first is for hidden files: `/.*` would match the root
itself, and nothing would be sent."""

PREFIXES = ("BENCH_", "HF_", "HUGGING_FACE_", "HUGGINGFACE_", "JAX_", "XLA_", "TFDS_")
"""Beginnings of the names of variables that workers get as the driver has them."""

NAMES = frozenset(
    {
        "XDG_CACHE_HOME", "LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE", "TF_FORCE_GPU_ALLOW_GROWTH", "SSL_CERT_FILE",
        "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy",
        "https_proxy", "no_proxy",
    }
)  # fmt: skip
"""Further variables that workers get."""

OF_ONE_PROCESS = (
    "BENCH_GIT_", "BENCH_SCALING_", "JAX_COORDINATOR_", "JAX_PROCESS_ID", "JAX_NUM_PROCESSES", "JAX_LOCAL_DEVICE_IDS",
    "JAX_CUDA_VISIBLE_DEVICES", "JAX_ROCM_VISIBLE_DEVICES",
)  # fmt: skip
"""Beginnings of the names of variables that say something of the driver alone."""

DATA_VARIABLES = ("BENCH_BLENDER_DIR", "BENCH_COCO_CAPTIONS")
"""Variables that name files or folders which workers read: without them a trial cannot be trained."""

PATH_VARIABLES = frozenset(
    {
        *DATA_VARIABLES, "BENCH_DATA_DIR", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE",
        "HF_ASSETS_CACHE", "HF_XET_CACHE", "HF_TOKEN_PATH", "JAX_COMPILATION_CACHE_DIR", "TFDS_DATA_DIR",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    }
)  # fmt: skip
"""Variables that name a file or a folder: workers stand in another folder, so they get the whole path."""


def worker_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that workers on other hosts get.

    Args:
        variables: Of the driver.

    Example:
        >>> worker_variables({"BENCH_DATA_DIR": "/data/", "JAX_PROCESS_ID": "0", "HOME": "/me", "HF_HUB_OFFLINE": "1"})
        {'BENCH_DATA_DIR': '/data', 'HF_HUB_OFFLINE': '1'}
    """
    sent = {}
    for name, value in variables.items():
        is_wanted = name in NAMES or name.startswith(PREFIXES)
        if is_wanted and value and not name.startswith(OF_ONE_PROCESS):
            sent[name] = whole_path(value) if name in PATH_VARIABLES else value
    return sent


def worker_runtime_env() -> RuntimeEnv:
    """Return the environment of workers on other hosts, without the fields that are empty: Ray refuses those."""
    asked: RuntimeEnv = {
        "working_dir": str(import_paths.ROOT),
        "excludes": list(NOT_SENT),
        "py_modules": import_paths.plugin_sources(),
        "env_vars": worker_variables(os.environ) | environment.commit_variables(),
    }
    return {name: value for name, value in asked.items() if value}


def with_whole_paths(pack: P) -> P:
    """Return a pack whose tasks name their folders by the whole path, which is no part of their identity."""
    changed = []
    for trial in pack.trials:
        task = getattr(trial, "task", None)
        folder = getattr(task, "folder", None)
        is_open = dataclasses.is_dataclass(trial) and dataclasses.is_dataclass(task)
        if is_open and isinstance(folder, str) and folder != whole_path(folder):
            trial = dataclasses.replace(trial, task=dataclasses.replace(task, folder=whole_path(folder)))  # type: ignore[type-var]
        changed.append(trial)
    if all(new is old for new, old in zip(changed, pack.trials, strict=True)):
        return pack
    return dataclasses.replace(pack, trials=tuple(changed))  # type: ignore[type-var]


def whole_path(path: str) -> str:
    """Return a path from the root, as it is seen from the driver's folder."""
    return os.path.abspath(os.path.expanduser(path))
