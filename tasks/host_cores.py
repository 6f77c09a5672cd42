"""Counts the CPU cores of this host that a process may use."""

from __future__ import annotations

import os


def num_cores() -> int:
    """Count the CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
