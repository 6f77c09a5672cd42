"""Where cached data lies, also for a user without a home."""

from __future__ import annotations

import pathlib
import sys

import pytest

from bench.errors import UsageError
from tasks.data_dir import location


def no_home():
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.skipif(sys.platform == "darwin", reason="it has a folder of its own there")
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"BENCH_DATA_DIR": "/data", "XDG_CACHE_HOME": "/xdg"}, "/data"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/nerf-bench"),
        ({"XDG_CACHE_HOME": ""}, None),
        ({}, None),
    ],
)
def test_without_a_home(variables, expected, monkeypatch):
    for name in ("BENCH_DATA_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(pathlib.Path, "home", no_home)
    if expected is not None:
        assert location.folder() == pathlib.Path(expected)
        return
    with pytest.raises(UsageError, match="cache folder: expected a home folder for it, got none; name a folder with B"):
        location.folder()
