"""Only plain files of a bounded size are read; everything else is refused in one line."""

import errno
import os
import socket

import pytest

from bench.errors import DamagedFile, MachineFault
from tasks.data_dir.guarded_files import check_inside, decode_text, read_plain_file, read_plain_text


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def make_link(target):
    return lambda path: path.symlink_to(target)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (make_pipe, "got a pipe"),
        (lambda path: path.mkdir(), "got a folder"),
        (make_socket, "expected a file that can be read"),
        (make_link("/dev/zero"), "got a device"),
        (make_link("/dev/null"), "got a device"),
        (make_link("x"), "Too many levels"),
        (lambda path: path.write_bytes(bytes(101)), "at most 100 bytes, got 101"),
        (make_link("/proc/self/status"), "at most 100 bytes, got more"),
    ],
)
def test_what_is_no_plain_file(tmp_path, make, reason):
    make(tmp_path / "x")
    with pytest.raises(DamagedFile, match=reason) as caught:
        read_plain_file(tmp_path / "x", 100)
    assert "\n" not in str(caught.value)


def test_plain_files_are_read_whole(tmp_path):
    for size in (0, 1, 70_000, 100_000):
        (tmp_path / "x").write_bytes(os.urandom(size))
        assert read_plain_file(tmp_path / "x", 100_000) == (tmp_path / "x").read_bytes()
    with pytest.raises(FileNotFoundError):
        read_plain_file(tmp_path / "y")
    with pytest.raises(DamagedFile, match="expected the name of a file"):
        read_plain_file("a\0b")


def test_links_may_not_lead_out_of_a_folder(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    (tmp_path / "secret").write_text("x")
    (store / "plain").write_text("y")
    (store / "inside").symlink_to("plain")
    (store / "outside").symlink_to("../secret")
    (store / "folder").symlink_to(tmp_path)
    assert read_plain_text(store / "inside", below=store) == "y"
    for name in ("outside", "folder/secret"):
        with pytest.raises(DamagedFile, match="a link that leads out of it"):
            read_plain_file(store / name, below=store)
        assert read_plain_text(store / name) == "x", "the user's own links, which he names"
    check_inside(store, store, "itself")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_text_of_other_editors(encoding):
    text = "Vase, grün"
    mark = b"\xff\xfe" if encoding == "utf-16-le" else b""
    assert decode_text(mark + text.encode(encoding), "x") == text


def test_text_that_is_none():
    with pytest.raises(DamagedFile, match=r"a.json: expected text in UTF-8, got byte 0xfc at 2; save it as UTF-8"):
        decode_text("grün".encode("latin-1"), "a.json")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ENOSPC])
def test_a_fault_of_the_machine_is_no_damage(tmp_path, monkeypatch, number):
    (tmp_path / "x").write_text("x")

    def fail(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(MachineFault, match="the same command continues"):
        read_plain_file(tmp_path / "x")
