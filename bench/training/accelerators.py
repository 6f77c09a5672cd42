"""Says what this machine has to run programs on, without starting it.

Imports no JAX: `generate` asks before it imports JAX, so that a device is started as early as it can be.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import re


def is_told_cpu() -> bool:
    """Tell whether the environment tells JAX to do without accelerators, here and on the hosts of a cluster."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    return bool(platforms) and set(platforms.split(",")) <= {"cpu"}


def num_accelerators() -> int:
    """Count the accelerators that JAX could use here, without starting one: a driver would take its memory."""
    if is_told_cpu():
        return 0
    has_cuda = any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13))
    if has_cuda:
        shown = os.environ.get("CUDA_VISIBLE_DEVICES")
        devices = [path for path in glob.glob("/dev/nvidia*") if re.fullmatch(r"/dev/nvidia\d+", path)]
        return len(devices) if shown is None else len([x for x in shown.split(",") if x.strip() not in ("", "-1")])
    if importlib.util.find_spec("libtpu"):
        return len(glob.glob("/dev/accel*")) + len(glob.glob("/dev/vfio/[0-9]*"))
    return 0
