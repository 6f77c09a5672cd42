"""Downloads are checked, kept to HTTPS and a size, unpacked inside their folder, and done once."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import threading
import types
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

        def do_GET(self):  # noqa: N802
            if self.path == "/moved.zip":
                self.send_response(302)
                self.send_header("Location", "http://mirror.invalid/nerf.zip")
                self.end_headers()
            elif self.path == "/half.zip":
                content = (tmp_path / "served" / "nerf.zip").read_bytes()
                start = int(self.headers.get("Range", "bytes=0-")[6:-1])
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                self.wfile.write(content[start:] if start else content[:50])
                asked.append(start)
            elif self.path == "/broken.zip":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"x" * 10)
            else:
                super().do_GET()

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
        place = download.download_archive(url, sha256.upper(), tmp_path / "into")
        assert (place / "x" / "y.txt").read_text() == "hello"
    assert asked == ["/nerf.zip"]
    assert "downloading" in capfd.readouterr().err


def test_a_broken_download_goes_on_where_it_was(mirror, tmp_path):
    url, sha256, asked = mirror
    half = url.replace("nerf", "half")
    with pytest.raises(UsageError, match="broke off|IncompleteRead"):
        download.download_archive(half, sha256, tmp_path / "into")
    assert (tmp_path / "into" / f"{sha256[:16]}.part").stat().st_size == 50
    assert (download.download_archive(half, sha256, tmp_path / "into") / "x" / "y.txt").read_text() == "hello"
    assert [start for start in asked if isinstance(start, int)] == [0, 50]
    assert not list((tmp_path / "into").glob("*.part"))


@pytest.mark.parametrize("size", [1, 60, 5000])
def test_a_part_is_of_no_harm_where_the_server_sends_all(mirror, tmp_path, size):
    url, sha256, _ = mirror
    (tmp_path / "part").write_bytes(b"x" * size)
    assert download.download_file(url, tmp_path / "part", 10_000) == sha256


def test_a_damaged_part_is_given_up(mirror, tmp_path):
    url, sha256, _ = mirror
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / f"{sha256[:16]}.part").write_bytes(b"x" * 50)
    with pytest.raises(UsageError, match="expected a file with SHA-256"):
        download.download_archive(url.replace("nerf", "half"), sha256, tmp_path / "into")
    assert not list((tmp_path / "into").glob("*.part"))


def test_a_wrong_hash_leaves_nothing(mirror, tmp_path):
    url, sha256, _ = mirror
    wrong = "0" * 64
    with pytest.raises(UsageError, match=f"SHA-256 {wrong}, got {sha256}"):
        download.download_archive(url, wrong, tmp_path / "into")
    assert [p.name for p in (tmp_path / "into").iterdir()] == [".lock"]
    with pytest.raises(UsageError, match="64 hexadecimal digits, got 'abc'"):
        download.download_archive(url, "abc", tmp_path / "into")
    with pytest.raises(UsageError, match=r"none.zip: expected a file, got .*[Nn]ot found"):
        download.download_archive(url.replace("nerf", "none"), sha256, tmp_path / "into")
    with pytest.raises(UsageError, match="missing.zip: expected a file, got"):
        download.download_archive((tmp_path / "missing.zip").as_uri(), sha256, tmp_path / "into")


@pytest.mark.parametrize(
    "url",
    ["ftp://x/y.zip", "http://mirror.invalid/y.zip", "http://127.0.0.1.mirror.invalid/y.zip", "y.zip", "http://["],
)
def test_only_https_is_asked(tmp_path, url):
    with pytest.raises(UsageError, match="url: expected https://"):
        download.download_archive(url, "0" * 64, tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_a_redirection_away_from_https_is_not_followed(mirror, tmp_path):
    url, sha256, asked = mirror
    with pytest.raises(UsageError, match="url: expected https://.*'http://mirror.invalid/nerf.zip'"):
        download.download_archive(url.replace("nerf", "moved"), sha256, tmp_path / "into")
    assert asked == ["/moved.zip"]


def test_a_file_beyond_the_limit_is_refused(mirror, tmp_path):
    url, sha256, _ = mirror
    size = (tmp_path / "served" / "nerf.zip").stat().st_size
    with pytest.raises(UsageError, match=f"expected at most {size - 1} bytes, got {size}"):
        download.download_archive(url, sha256, tmp_path / "into", max_bytes=size - 1)
    assert [p.name for p in (tmp_path / "into").iterdir()] == [".lock"]
    assert download.download_archive(url, sha256, tmp_path / "into", max_bytes=size).exists()


def test_a_limit_holds_also_where_no_length_is_told(tmp_path, monkeypatch):
    (tmp_path / "long").write_bytes(b"x" * 10)
    monkeypatch.setattr(download, "BLOCK_BYTES", 4)
    answer = io.BytesIO(b"x" * 10)
    answer.headers = {}
    opener = types.SimpleNamespace(open=lambda url, timeout: answer)
    monkeypatch.setattr(download.urllib.request, "build_opener", lambda handler: opener)
    with pytest.raises(UsageError, match="expected at most 7 bytes, got 8"):
        download.download_file("https://x/y", tmp_path / "file", max_bytes=7)
    assert not (tmp_path / "file").exists()


def test_a_connection_that_breaks_off_is_told(mirror, tmp_path):
    url, _, _ = mirror
    with pytest.raises(UsageError, match="expected 1000 bytes, got 10|IncompleteRead"):
        download.download_file(url.replace("nerf", "broken"), tmp_path / "file", 10_000)


def test_a_file_may_be_the_mirror(tmp_path):
    sha256 = packed(tmp_path / "a.zip", {"x/y.txt": "hello"})
    place = download.download_archive((tmp_path / "a.zip").as_uri(), sha256, tmp_path / "into")
    assert (place / "x" / "y.txt").read_text() == "hello"
    (tmp_path / "a.zip").unlink()
    assert (
        download.download_archive((tmp_path / "a.zip").as_uri(), sha256, tmp_path / "into") == place
    )  # it is there already


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
    with pytest.raises(UsageError, match="a.zip: .*inside the archive's folder.*do not trust"):
        download.unzip(tmp_path / "a.zip", tmp_path / "deep" / "into")
    assert not list(tmp_path.rglob("*.txt"))  # not even the good file


def test_what_is_no_archive_is_told(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"<html>moved</html>")
    with pytest.raises(UsageError, match="a.zip: expected a zip file"):
        download.unzip(tmp_path / "a.zip", tmp_path / "into")
