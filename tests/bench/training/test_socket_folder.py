"""Paths of Ray's sockets stay short, whatever the folder of temporary files."""

from __future__ import annotations

import os

import pytest

from bench.errors import UsageError
from bench.training import socket_folder

LONG = "/scratch/" + "x" * 100


@pytest.mark.parametrize(
    ("variables", "is_usual"),
    [
        ({"TMPDIR": "/tmp"}, True),
        ({"TMPDIR": LONG}, False),
        ({"TMPDIR": LONG, "RAY_TMPDIR": "/tmp"}, True),
        ({"RAY_TMPDIR": LONG}, False),
        ({"TMPDIR": "/" + "\u00e4" * 21}, False),  # bytes count, not letters
        ({"TMPDIR": "/dev/null"}, False),
        ({"TMPDIR": "/dev/null/x"}, False),
        ({"TMPDIR": "/proc/none/x"}, False),
        ({"TMPDIR": "relative"}, False),  # a worker has another folder to start from
    ],
)
def test_a_short_folder_is_found(variables, is_usual, monkeypatch, tmp_path):
    for name in ("TMPDIR", "RAY_TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(socket_folder, "SHORT_FOLDERS", (str(tmp_path / "none"), str(tmp_path)))
    found = socket_folder.choose_socket_folder()
    assert found == (None if is_usual else f"{tmp_path}/ray-{os.getuid()}")


def test_a_short_folder_that_is_not_there_is_made(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr(socket_folder, "MAX_FOLDER_BYTES", 1000)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "not" / "yet"))
    assert socket_folder.choose_socket_folder() is None
    assert (tmp_path / "not" / "yet").is_dir()


def test_without_any_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_TMPDIR", LONG)
    monkeypatch.setattr(socket_folder, "SHORT_FOLDERS", (str(tmp_path / "none"),))
    with pytest.raises(UsageError, match="TMPDIR: expected a folder of at most 40 bytes that .*, got '/scratch"):
        socket_folder.choose_socket_folder()
