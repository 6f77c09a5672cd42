"""Decides where rendered data and compiled programs are kept between runs."""

from __future__ import annotations

import os
import pathlib
import sys


def folder() -> pathlib.Path:
    """Return the folder in `BENCH_DATA_DIR`, else one in the user's cache folder; it may not exist yet."""
    chosen = os.environ.get("BENCH_DATA_DIR")
    if chosen:
        return pathlib.Path(chosen).expanduser()
    if sys.platform == "darwin":
        return pathlib.Path.home() / "Library" / "Caches" / "nerf-bench"
    base = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    return pathlib.Path(base) / "nerf-bench"
