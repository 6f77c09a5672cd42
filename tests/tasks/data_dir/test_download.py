"""The mirror: what it sends is checked, unpacked inside its folder, and kept."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
import zipfile

import pytest

from bench.errors import UsageError
from tasks.data_dir import download


def packed(file, members):
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def mirror(tmp_path):
    """A zip file on a server of this machine."""
    (tmp_path / "served").mkdir()
    sha256 = packed(tmp_path / "served" / "nerf.zip", {"x/y.txt": "hello"})
    asked = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/nerf.zip", sha256, asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_mirror_is_asked_once(mirror, tmp_path, capfd):
    url, sha256, asked = mirror
    for _ in range(2):
        place = download.archive(url, sha256.upper(), tmp_path / "into")
        assert (place / "x" / "y.txt").read_text() == "hello"
    assert asked == ["/nerf.zip"]
    assert "downloading" in capfd.readouterr().err


def test_a_wrong_hash_leaves_nothing(mirror, tmp_path):
    url, sha256, _ = mirror
    wrong = "0" * 64
    with pytest.raises(UsageError, match=f"expected a file with SHA-256 {wrong}, got {sha256}; try another mirror"):
        download.archive(url, wrong, tmp_path / "into")
    assert [p.name for p in (tmp_path / "into").iterdir()] == [".lock"]
    with pytest.raises(UsageError, match="expected 64 hexadecimal digits, got 'abc'; sha256sum FILE prints them"):
        download.archive(url, "abc", tmp_path / "into")
    with pytest.raises(UsageError, match=r"none.zip: expected a file, got .*[Nn]ot found"):
        download.archive(url.replace("nerf", "none"), sha256, tmp_path / "into")
    with pytest.raises(UsageError, match="expected http://, https:// or file://, got 'ftp://x/y.zip'"):
        download.archive("ftp://x/y.zip", sha256, tmp_path / "into")
    with pytest.raises(UsageError, match="missing.zip: expected a file, got"):
        download.archive((tmp_path / "missing.zip").as_uri(), sha256, tmp_path / "into")


def test_a_file_may_be_the_mirror(tmp_path):
    sha256 = packed(tmp_path / "a.zip", {"x/y.txt": "hello"})
    place = download.archive((tmp_path / "a.zip").as_uri(), sha256, tmp_path / "into")
    assert (place / "x" / "y.txt").read_text() == "hello"
    (tmp_path / "a.zip").unlink()
    assert download.archive((tmp_path / "a.zip").as_uri(), sha256, tmp_path / "into") == place  # it is there already


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:\\evil.txt", "link"]
)
def test_archives_that_leave_their_folder_are_refused(tmp_path, name):
    member = zipfile.ZipInfo("link" if name == "link" else "x")
    member.filename = name
    if name == "link":
        member.external_attr = 0o120777 << 16  # a symbolic link
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("good.txt", "good")
        archive.writestr(member, "/etc")
    with pytest.raises(UsageError, match="a.zip: expected paths inside the archive's folder, got .*; do not trust"):
        download.unzip(tmp_path / "a.zip", tmp_path / "deep" / "into")
    assert not list(tmp_path.rglob("*.txt"))  # not even the good file


def test_what_is_no_archive_is_told(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"<html>moved</html>")
    with pytest.raises(UsageError, match="a.zip: expected a zip file, got File is not a zip file; check the address"):
        download.unzip(tmp_path / "a.zip", tmp_path / "into")
