"""Decides where rendered data and compiled programs are kept between runs."""

from __future__ import annotations

import os
import pathlib
import sys

from bench.errors import UsageError


def folder() -> pathlib.Path:
    """Return the folder in `BENCH_DATA_DIR`, else one in the user's cache folder; it may not exist yet."""
    chosen = os.environ.get("BENCH_DATA_DIR")
    if chosen:
        return pathlib.Path(chosen).expanduser()
    try:
        return _user_cache() / "nerf-bench"
    except RuntimeError as error:  # a user without a home, as in some containers
        raise UsageError(
            "cache folder: expected a home folder for it, got none; name a folder with BENCH_DATA_DIR"
        ) from error


def _user_cache() -> pathlib.Path:
    """Return the folder that the user's programs keep their caches in."""
    if sys.platform == "darwin":
        return pathlib.Path.home() / "Library" / "Caches"
    base = os.environ.get("XDG_CACHE_HOME")
    return pathlib.Path(base) if base else pathlib.Path.home() / ".cache"
