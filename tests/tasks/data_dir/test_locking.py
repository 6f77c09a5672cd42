"""A lock is held by one, waited for by others, and never left behind by the dead."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time

import pytest

from bench.errors import UsageError
from bench.import_paths import ROOT
from tasks.data_dir.locking import check_writable, file_lock, folder_lock

HOLDS = """
import pathlib, sys, time
from tasks.data_dir.locking import folder_lock
with folder_lock(pathlib.Path(sys.argv[1]), "the test"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds tmp_path."""
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], env=variables, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def refuse():
    raise RuntimeError("busy")


def test_a_lock_of_another_process_is_seen_and_that_of_a_dead_one_is_not(tmp_path, holder):
    path = tmp_path / ".lock"
    with pytest.raises(RuntimeError, match="busy"), file_lock(path, refuse):
        pass
    holder.kill()
    holder.wait()
    assert path.exists()
    with file_lock(path, refuse):
        pass


def test_who_waits_says_so_and_goes_on_when_the_holder_dies(tmp_path, holder, capsys):
    order = []

    def wait():
        with folder_lock(tmp_path, "the test") as is_held:
            order.append(is_held)

    thread = threading.Thread(target=wait)
    thread.start()
    while "waiting for another process" not in (words := capsys.readouterr().err):
        time.sleep(0.01)
    assert str(tmp_path) in words and "the test" in words and order == []
    holder.kill()
    thread.join(timeout=30)
    assert order == [True]


def test_the_lock_is_free_again_after_an_error(tmp_path):
    with pytest.raises(KeyError), folder_lock(tmp_path, "the test"):
        raise KeyError
    with file_lock(tmp_path / ".lock", refuse):
        pass


def test_the_content_of_a_lock_file_stays(tmp_path):
    path = tmp_path / ".lock"
    path.write_text("7")
    with file_lock(path, refuse):
        assert path.read_text() == "7"
        with pytest.raises(RuntimeError), file_lock(path, refuse):
            pass
    assert path.read_text() == "7"


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UsageError, match="file/a: .*can be written.*BENCH_DATA_DIR"),
        folder_lock(tmp_path / "file/a", "x"),
    ):
        pass


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_told(tmp_path, monkeypatch, number):
    open_file = os.open

    def refuse_lock(path, *arguments, **options):
        if str(path).endswith(".lock"):
            raise OSError(number, os.strerror(number))
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse_lock)
    message = f"{tmp_path}: .*can be written, got '{os.strerror(number)}'.*BENCH_DATA_DIR"
    with pytest.raises(UsageError, match=message), folder_lock(tmp_path, "x"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def test_where_there_are_no_locks_work_goes_on_without(tmp_path, monkeypatch, number):
    def refuse_lock(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse_lock)
    with folder_lock(tmp_path, "x") as is_held:
        assert not is_held


def test_a_lock_of_another_user_holds_too(tmp_path, monkeypatch):
    """Its file may be read, and not written."""
    path = tmp_path / ".lock"
    path.touch()
    open_file = os.open

    def refuse_writing(name, flags, *arguments, **options):
        if str(name) == str(path) and flags & (os.O_RDWR | os.O_WRONLY):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return open_file(name, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse_writing)
    with file_lock(path, refuse), pytest.raises(RuntimeError, match="busy"), file_lock(path, refuse):
        pass
    path.unlink()
    with pytest.raises(PermissionError, match="Permission denied"), file_lock(path, refuse):
        pass


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_is_tried_before_anything_is_made_for_it(tmp_path, monkeypatch, number):
    check_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []

    def refuse_folder(path, *arguments):
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(os, "mkdir", refuse_folder)
    with pytest.raises(UsageError, match=f"can be written, got '{os.strerror(number)}'.*BENCH_DATA_DIR"):
        check_writable(tmp_path / "new")


def test_errors_of_the_work_itself_are_not_taken_for_a_locks(tmp_path):
    with pytest.raises(OSError, match="disk full"), folder_lock(tmp_path, "x"):
        raise OSError(errno.ENOLCK, "disk full")


def test_threads_of_one_process_wait_for_each_other(tmp_path, capsys):
    order = []

    def second():
        with folder_lock(tmp_path, "the test"):
            order.append("second")

    with folder_lock(tmp_path, "the test") as held:
        assert held
        thread = threading.Thread(target=second)
        thread.start()
        while "waiting" not in (said := capsys.readouterr().err):
            time.sleep(0.01)
        assert f"waiting for another process that fills {tmp_path}: the test" in said
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
