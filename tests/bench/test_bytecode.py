"""Compiled modules are kept in a folder of one's own, only where each process would compile them again."""

from __future__ import annotations

import os
import sys

import pytest

from bench import bytecode


@pytest.fixture
def told_to_write_none(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "")
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    monkeypatch.setattr(bytecode, "has_bytecode", lambda package: False)
    return tmp_path / "data" / "bytecode"


def test_a_folder_of_ones_own(told_to_write_none):
    bytecode.keep_bytecode()
    assert sys.pycache_prefix == os.environ["PYTHONPYCACHEPREFIX"] == str(told_to_write_none)
    assert not sys.dont_write_bytecode and "PYTHONDONTWRITEBYTECODE" not in os.environ
    assert told_to_write_none.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("why", ["not told", "-B", "off", "a prefix", "installed with it", "others write", "no folder"])
def test_nothing_is_changed(told_to_write_none, why, monkeypatch):
    told_to_write_none.parent.mkdir()
    if why in ("not told", "-B"):
        monkeypatch.delenv("PYTHONDONTWRITEBYTECODE")
    if why == "not told":
        monkeypatch.setattr(sys, "dont_write_bytecode", False)
    elif why == "off":
        monkeypatch.setenv(bytecode.VARIABLE, "0")
    elif why == "a prefix":
        monkeypatch.setattr(sys, "pycache_prefix", "/mine")
    elif why == "installed with it":
        monkeypatch.setattr(bytecode, "has_bytecode", lambda package: True)
    elif why == "others write":
        told_to_write_none.mkdir()
        told_to_write_none.chmod(0o777)
    elif why == "no folder":
        told_to_write_none.write_text("a file")
    before = (sys.pycache_prefix, sys.dont_write_bytecode, os.environ["PYTHONPYCACHEPREFIX"])
    bytecode.keep_bytecode()
    assert (sys.pycache_prefix, sys.dont_write_bytecode, os.environ["PYTHONPYCACHEPREFIX"]) == before


def test_how_a_package_was_installed(tmp_path, monkeypatch):
    (tmp_path / "bare_package.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "pycache_prefix", None)
    assert not bytecode.has_bytecode("bare_package") and bytecode.has_bytecode("no_such_package")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / f"bare_package.{sys.implementation.cache_tag}.pyc").write_text("")
    assert bytecode.has_bytecode("bare_package")
