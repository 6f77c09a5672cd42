"""A file is there whole, as it was or as it becomes, whatever happens while it is written."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

import pytest

from bench.import_paths import ROOT
from tasks.data_dir.atomic_files import write_file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", ["grün\n", b"\x00\xff"])
def test_content_is_written_whole_and_folders_are_made(tmp_path, content):
    path = tmp_path / "a" / "b" / "file.bin"
    write_file(path, "before")
    write_file(path, content)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert names(path.parent) == ["file.bin"]


def test_the_file_has_the_mode_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    write_file(tmp_path / "made", "")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "made")]
    assert modes[0] == modes[1]


def test_the_content_is_on_the_disk_before_the_name_is_given(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", lambda file: calls.append(("fsync", os.fstat(file).st_size)))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append(("replace", 0)), replace(*paths)))
    write_file(tmp_path / "file", "12345")
    assert calls == [("fsync", 5), ("replace", 0)]
    write_file(tmp_path / "file", "", sync=False)
    assert calls[2:] == [("replace", 0)]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch, function):
    path = tmp_path / "file"
    write_file(path, "before")

    def refuse(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(os, function, refuse)
    with pytest.raises(OSError, match="no space left"):
        write_file(path, "after")
    assert path.read_text() == "before" and names(tmp_path) == ["file"]


KILLED = """
import os, pathlib, signal, sys
from tasks.data_dir.atomic_files import write_file
os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
write_file(pathlib.Path(sys.argv[1]), "after")
"""


def test_a_killed_write_leaves_the_old_file_and_a_hidden_one(tmp_path):
    write_file(tmp_path / "file", "before")
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "file")], env=variables, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "file").read_text() == "before"
    [left] = [name for name in names(tmp_path) if name != "file"]
    assert left.startswith(".file.") and left.endswith(".tmp")


def test_the_caller_may_choose_the_temporary_name(tmp_path, monkeypatch):
    renamed = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *paths: (renamed.append(paths), replace(*paths)))
    write_file(tmp_path / "a" / "file", "x", temporary=tmp_path / ".mine")
    assert renamed == [(tmp_path / ".mine", tmp_path / "a" / "file")]
