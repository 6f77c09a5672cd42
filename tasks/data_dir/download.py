"""How an archive is brought from a mirror: its hash is checked, and it is there whole or not at all."""

from __future__ import annotations

import hashlib
import http.client
import pathlib
import re
import shutil
import stat
import tempfile
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator

from bench.errors import UsageError
from tasks.data_dir.locking import folder_lock, unwritable


def archive(url: str, sha256: str, into: pathlib.Path) -> pathlib.Path:
    """The folder that a zip file was unpacked to; downloads it if that was not done.

    Args:
        url: http, https or file.
        sha256: What the file's hash must be: 64 hexadecimal digits.
        into: A folder; the archive gets one of its own in it, named after its hash.

    Raises:
        UsageError: The URL does not answer, the hash is another one, or the archive holds paths that leave its folder.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"sha256: expected 64 hexadecimal digits, got {sha256!r:.80}; sha256sum FILE prints them")
    if urllib.parse.urlsplit(url).scheme not in ("http", "https", "file"):
        raise UsageError(f"url: expected http://, https:// or file://, got {url!r}; for a local file write file:///...")
    sha256 = sha256.lower()
    place = into / sha256[:16]
    with folder_lock(into, f"downloading {url}"):
        if place.exists():
            return place
        # On the same disk as its place, so that it can be renamed.
        with tempfile.TemporaryDirectory(dir=into, prefix="incomplete.") as temporary:
            file, unpacked = pathlib.Path(temporary) / "archive.zip", pathlib.Path(temporary) / "unpacked"
            got = _download(url, file)
            if got != sha256:
                raise UsageError(f"{url}: expected a file with SHA-256 {sha256}, got {got}; try another mirror")
            unzip(file, unpacked)
            unpacked.rename(place)
    return place


def _download(url: str, file: pathlib.Path) -> str:
    """Writes what a URL gives to a file; returns its SHA-256."""
    summed = hashlib.sha256()
    try:
        with file.open("wb") as kept:
            for block in _blocks(url):
                kept.write(block)
                summed.update(block)
    except OSError as error:
        raise unwritable(file.parent, error) from error
    return summed.hexdigest()


def _blocks(url: str) -> Iterator[bytes]:
    """What a URL gives, with a progress bar."""
    import rich.console
    import rich.progress as bars

    columns = (bars.TextColumn("downloading"), bars.BarColumn(), bars.DownloadColumn(), bars.TimeRemainingColumn())
    try:
        with (
            urllib.request.urlopen(url, timeout=60) as answer,
            bars.Progress(*columns, console=rich.console.Console(stderr=True)) as progress,
        ):
            length = answer.headers.get("Content-Length")
            bar = progress.add_task("", total=int(length) if length else None)
            while block := answer.read(1 << 20):
                yield block
                progress.advance(bar, len(block))
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise UsageError(f"{url}: expected a file, got {str(why)!r}; check the address and the connection") from error


def unzip(file: pathlib.Path, into: pathlib.Path) -> None:
    """Unpacks a zip file, after every name in it was looked at.

    Raises:
        UsageError: Not a zip file, or it holds a link or a path that leaves the folder.
    """
    try:
        with zipfile.ZipFile(file) as packed:
            for member in packed.infolist():
                path = pathlib.PurePosixPath(member.filename.replace("\\", "/"))
                leaves = path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", member.filename)
                if leaves or stat.S_ISLNK(member.external_attr >> 16):
                    raise UsageError(
                        f"{file.name}: expected paths inside the archive's folder, got {member.filename!r}; "
                        "do not trust this file"
                    )
            packed.extractall(into)
    except zipfile.BadZipFile as error:
        raise UsageError(f"{file.name}: expected a zip file, got {error}; check the address") from error
    except OSError as error:
        shutil.rmtree(into, ignore_errors=True)
        raise unwritable(into.parent, error) from error
