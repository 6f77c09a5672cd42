"""Files that killed writers left are removed, and nothing else."""

import json
import os
import signal
import subprocess
import time

import pytest

from bench.storage import files
from bench.storage.store import Store
from tests.fixtures.stored_trials import listing, python, some_outcome, some_record

KILLED = """
import json, os, signal, sys
import numpy as np
from bench.storage import record
from bench.storage.store import Store
os.FUNCTION = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
made = record.Record.from_json(json.loads(sys.argv[2]))
arrays = {"a": np.zeros(9, np.float32)}
Store.open(sys.argv[1]).write(record.Outcome(record=made, parameters=arrays, views=arrays, scores={}))
"""


@pytest.mark.parametrize("function", ["rename", "fsync"])
def test_a_killed_write_leaves_a_temporary_folder_that_is_swept_up(tmp_path, function):
    root = tmp_path / "runs"
    writer = python(KILLED.replace("FUNCTION", function), str(root), json.dumps(some_record().to_json()))
    assert writer.wait() == -signal.SIGKILL
    [left] = root.iterdir()
    assert left.name.startswith(f".tmp-{files.host_mark()}-{writer.pid}-")
    trials = Store.open(root)
    assert trials.ids() == [] and trials.set_aside == []
    assert listing(root) == []
    trials.write(some_outcome())  # and the trial can be run again


def test_only_what_dead_writers_left_is_swept_up(tmp_path):
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        live = tmp_path / f".tmp-{files.host_mark()}-{sleeper.pid}-a"
        young = tmp_path / f".tmp-ffffffff-{sleeper.pid}-b"
        old = tmp_path / f".tmp-ffffffff-{sleeper.pid}-c"
        own = tmp_path / f".tmp-{files.host_mark()}-{os.getpid()}-d"  # of an earlier process of the same number
        for folder in (live, young, old):
            folder.mkdir()
        own.write_text("a file is swept up like a folder")
        long_ago = time.time() - 2 * files.ABANDONED_S
        os.utime(old, (long_ago, long_ago))
        Store.open(tmp_path)
        assert set(tmp_path.iterdir()) == {live, young}
    finally:
        sleeper.kill()
        sleeper.wait()


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_cannot_be_removed_is_left(tmp_path, monkeypatch, is_folder):
    left = tmp_path / f".tmp-{files.host_mark()}-{os.getpid()}-a"
    if is_folder:
        (left / "scores").mkdir(parents=True)
    else:
        left.write_text("")

    def refuse(*arguments, **options):
        raise PermissionError("read-only")

    for name in ("unlink", "rmdir"):
        monkeypatch.setattr(os, name, refuse)
    assert Store.open(tmp_path).ids() == [] and left.exists()


@pytest.mark.parametrize("name", [".tmp-", ".tmp-other", ".tmp-ffffffff-x-y"])
def test_names_that_are_not_ours_are_left(tmp_path, name):
    (tmp_path / name).mkdir()
    assert Store.open(tmp_path).ids() == [] and (tmp_path / name).exists()
