"""Where rendered data and compiled programs are kept between runs."""

from __future__ import annotations

import os
import pathlib
import sys


def folder() -> pathlib.Path:
    """`BENCH_DATA_DIR`, else the user's cache folder as the platform has it; not made here."""
    chosen = os.environ.get("BENCH_DATA_DIR")
    if chosen:
        return pathlib.Path(chosen).expanduser()
    if sys.platform == "darwin":
        return pathlib.Path.home() / "Library" / "Caches" / "nerf-bench"
    base = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    return pathlib.Path(base) / "nerf-bench"
