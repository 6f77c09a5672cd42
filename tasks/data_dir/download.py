"""Downloads files from the web: by HTTPS only, with a limit on their size, and complete or not at all."""

from __future__ import annotations

import hashlib
import http
import http.client
import pathlib
import re
import shutil
import stat
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator
from typing import Any

from bench.errors import UsageError
from tasks.data_dir.locking import folder_lock, unwritable

MAX_ARCHIVE_BYTES = 16 * 2**30
"""Largest archive that is downloaded; NeRF Realistic Synthetic has 1.5 GB."""

THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
"""Hosts that may be reached by HTTP, without encryption."""

MAX_UNPACKED_BYTES = 4 * MAX_ARCHIVE_BYTES
"""Largest sum of the files in an archive."""

MAX_MEMBERS = 10**6
"""Most files in an archive."""

BLOCK_BYTES = 2**20

PART_END = ".part"
"""Of a file that is downloaded in part."""


def download_archive(url: str, sha256: str, into: pathlib.Path, max_bytes: int = MAX_ARCHIVE_BYTES) -> pathlib.Path:
    """Return the folder that a zip file was unpacked to; download and unpack it first if necessary.

    Args:
        url: Address that begins with https or file.
        sha256: SHA-256 of the file: 64 hexadecimal digits.
        into: Folder in which the archive gets a folder named after its hash.
        max_bytes: Largest size that is accepted.

    Raises:
        UsageError: The URL does not answer, the hash differs, the file is too large, or a path in the archive leads
            out of its folder.
    """
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"sha256: expected 64 hexadecimal digits, got {sha256!r:.80}; sha256sum FILE prints them")
    check_url(url)
    sha256 = sha256.lower()
    place = into / sha256[:16]
    if place.exists():  # perhaps another user's, in a folder that may only be read
        return place
    with folder_lock(into, f"downloading {url}"):
        if place.exists():
            return place
        file = into / f"{sha256[:16]}{PART_END}"  # stays where a connection breaks off: the next call goes on from it
        got = download_file(url, file, max_bytes)
        try:
            if got != sha256:
                raise UsageError(f"{url}: expected a file with SHA-256 {sha256}, got {got}; try another mirror")
            # On the same disk as its place, so that it can be renamed.
            with tempfile.TemporaryDirectory(dir=into, prefix="incomplete.") as temporary:
                unpacked = pathlib.Path(temporary) / "unpacked"
                unzip(file, unpacked)
                unpacked.rename(place)
        finally:
            file.unlink(missing_ok=True)
    return place


def download_file(url: str, file: pathlib.Path, max_bytes: int) -> str:
    """Download a URL to a file, with a progress bar; return its SHA-256.

    An interruption leaves a part of the file, from which the next call goes on where the server can send the rest. So
    pass a temporary name, check the hash, then rename the file.

    Args:
        url: Address that begins with https or file.
        file: Path of the new file.
        max_bytes: Largest size that is accepted.

    Raises:
        UsageError: The URL does not answer, the download is too large, or the file cannot be written.
    """
    check_url(url)
    try:
        with file.open("ab") as kept:
            for start, block in _blocks(url, max_bytes, kept.tell()):
                if start < kept.tell():  # the server sends all of it again
                    kept.truncate(start)
                kept.write(block)
    except _TooLarge as error:
        file.unlink(missing_ok=True)
        raise UsageError(str(error)) from error
    except OSError as error:
        raise unwritable(file.parent, error) from error
    with file.open("rb") as kept:
        return hashlib.file_digest(kept, "sha256").hexdigest()


def check_url(url: str) -> None:
    """Check that a URL is https or a local file.

    Raises:
        UsageError: It is neither.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        is_local = parts.scheme == "http" and parts.hostname in THIS_MACHINE
    except ValueError as error:
        raise UsageError(f"url: expected https://..., got {url!r} ({error}); correct it") from error
    if parts.scheme not in ("https", "file") and not is_local:
        raise UsageError(f"url: expected https:// or file://, got {url!r}; for a local file write file:///...")


class _CheckedRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but not away from HTTPS."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        """Check the new address before it is opened."""
        check_url(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _TooLarge(Exception):
    """A download that is larger than is accepted."""


def _blocks(url: str, max_bytes: int, start: int) -> Iterator[tuple[int, bytes]]:
    """Yield the content of a URL in blocks, each after its place, with a progress bar.

    Args:
        url: The address.
        max_bytes: Largest size that is accepted.
        start: Bytes that are there already; where the server cannot leave them out, places begin with 0.
    """
    import rich.console
    import rich.progress as bars

    columns = (bars.TextColumn("downloading"), bars.BarColumn(), bars.DownloadColumn(), bars.TimeRemainingColumn())
    asked: Any = url
    if start and url.startswith("http"):
        asked = urllib.request.Request(url, headers={"Range": f"bytes={start}-"})
    try:
        with (
            _open_url(asked, url) as answer,
            bars.Progress(*columns, console=rich.console.Console(stderr=True)) as progress,
        ):
            length = answer.headers.get("Content-Length")
            num_bytes = start if getattr(answer, "status", None) == http.HTTPStatus.PARTIAL_CONTENT else 0
            total = num_bytes + int(length) if length else None
            _check_size(url, total or 0, max_bytes)
            bar = progress.add_task("", total=total, completed=num_bytes)
            while block := answer.read(BLOCK_BYTES):
                _check_size(url, num_bytes + len(block), max_bytes)
                yield num_bytes, block
                num_bytes += len(block)
                progress.advance(bar, len(block))
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise UsageError(f"{url}: expected a file, got {str(why)!r}; check the address and the connection") from error
    if total is not None and num_bytes != total:
        raise UsageError(f"{url}: expected {total} bytes, got {num_bytes}; the connection broke off, try again")


def _open_url(asked: Any, url: str) -> Any:
    """Open an address; where what is there already is all there is or does not fit, ask for the whole."""
    opener = urllib.request.build_opener(_CheckedRedirects)
    try:
        return opener.open(asked, timeout=60)
    except urllib.error.HTTPError as error:
        if asked is url or error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        error.close()
        return opener.open(url, timeout=60)


def _check_size(url: str, num_bytes: int, max_bytes: int) -> None:
    if num_bytes > max_bytes:
        raise _TooLarge(f"{url}: expected at most {max_bytes} bytes, got {num_bytes} or more; check the address")


def unzip(file: pathlib.Path, into: pathlib.Path) -> None:
    """Check every name in a zip file, then unpack it.

    Raises:
        UsageError: It is not a zip file, or holds a link or a path that leads out of the folder.
    """
    try:
        with zipfile.ZipFile(file) as packed:
            members = packed.infolist()
            num_bytes = sum(member.file_size for member in members)
            if len(members) > MAX_MEMBERS or num_bytes > MAX_UNPACKED_BYTES:
                raise UsageError(
                    f"{file.name}: expected at most {MAX_MEMBERS} files and {MAX_UNPACKED_BYTES >> 30} GiB, got more; "
                    "do not trust this file"
                )
            for member in members:
                _check_member(member, file)
            packed.extractall(into)
    except zipfile.BadZipFile as error:
        raise UsageError(f"{file.name}: expected a zip file, got {error}; check the address") from error
    except OSError as error:
        shutil.rmtree(into, ignore_errors=True)
        raise unwritable(into.parent, error) from error


def _check_member(member: zipfile.ZipInfo, file: pathlib.Path) -> None:
    path = pathlib.PurePosixPath(member.filename.replace("\\", "/"))
    leaves = path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", member.filename)
    if leaves or stat.S_ISLNK(member.external_attr >> 16):
        raise UsageError(
            f"{file.name}: expected paths inside the archive's folder, got {member.filename!r}; do not trust this file"
        )
