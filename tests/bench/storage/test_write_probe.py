"""What results cannot be stored on is told before anything is trained."""

from __future__ import annotations

import errno
import os
import pathlib

import pytest

from bench.storage import write_probe
from bench.storage.write_probe import probe_folder


def test_it_leaves_nothing(tmp_path):
    probe_folder(tmp_path / "new", ["nerf__a__s0__1", "nerf__longer__s0__1"])
    assert list((tmp_path / "new").iterdir()) == []


def test_a_name_that_is_too_long_for_the_disk(tmp_path):
    with pytest.raises(OSError) as refused:
        probe_folder(tmp_path, ["nerf", "x" * 300])
    assert refused.value.errno == errno.ENAMETOOLONG and list(tmp_path.iterdir()) == []


def test_a_path_that_is_too_long(tmp_path):
    deep = tmp_path
    while len(str(deep)) < 3800:
        deep = deep / ("d" * 200)
    with pytest.raises(OSError) as refused:
        for _ in range(3):
            deep = deep / ("e" * 100)
            probe_folder(deep, ["x" * 140])
    assert refused.value.errno == errno.ENAMETOOLONG


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_disk_that_is_full_or_cannot_be_written(number, tmp_path, monkeypatch):
    def refuse(handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(write_probe.os, "fsync", refuse)
    with pytest.raises(OSError, match=os.strerror(number)):
        probe_folder(tmp_path)
    assert list(pathlib.Path(tmp_path).iterdir()) == []
