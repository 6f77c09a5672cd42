"""Reads archives of strangers: as many members and bytes as are allowed, plain files alone, never unpacked to disk.

A small archive can hold a million members, a file of terabytes, links to one large file again and again, headers of
gigabytes, or ask its reader for gigabytes of memory. So what is unpacked is counted as it comes, before it is kept.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pathlib
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from bench.errors import MACHINE_ERRORS, DamagedFile, machine_fault
from tasks.data_dir.guarded_files import MIB, OF_ONE_FILE, open_plain_file

MAX_UNPACKER_BYTES = 128 * MIB
"""Memory that unpacking xz may take; the highest preset takes 65 MiB."""

BLOCK_BYTES = 2**16

TAR_BLOCK_BYTES = 512

MAX_DIRECTORY_BYTES = 200
"""Bytes of a zip file's table of contents for each member that is allowed; names take most of them."""


UNPACKING_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    MemoryError,
)
"""Raised by Python's readers of archives about what is damaged."""


class ArchiveLimits(NamedTuple):
    """The most that is read of an archive.

    Attributes:
        members: Files and folders.
        num_bytes: Bytes of all files together, unpacked.
    """

    members: int
    num_bytes: int


class ArchiveMember(NamedTuple):
    """A plain file in an archive.

    Attributes:
        name: Its path, as it stands there.
        read: Returns its content; to be called before the next member is taken.
    """

    name: str
    read: Callable[[], bytes]


def read_tar(path: pathlib.Path, limits: ArchiveLimits) -> Iterator[ArchiveMember]:
    """Yield the plain files of a tar archive, packed by gzip, bzip2, xz or not at all.

    Args:
        path: The archive.
        limits: The most that is read.

    Raises:
        FileNotFoundError: There is nothing.
        DamagedFile: It is no such archive, is cut, too large, or holds a link or a device.
        MachineFault: The disk or the system fails.
    """
    try:
        with open_plain_file(path) as packed:
            counted = _CountedReader(
                _unpack(packed), path, limits.num_bytes + (limits.members + 20) * 4 * TAR_BLOCK_BYTES
            )
            with tarfile.open(fileobj=counted, mode="r|") as archive:  # type: ignore[call-overload]
                yield from _members(archive, path, limits)
    except DamagedFile:
        raise
    except UNPACKING_ERRORS as error:
        raise _refusal(path, error) from error


def _members(archive: tarfile.TarFile, path: pathlib.Path, limits: ArchiveLimits) -> Iterator[ArchiveMember]:
    num_members = 0
    num_bytes = 0
    for member in archive:
        archive.members = []  # type: ignore[attr-defined]  # it keeps each one that it has seen
        num_members += 1
        num_bytes += max(member.size, 0)
        check_totals(path, num_members, num_bytes, limits)
        if member.isdir():
            continue
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.sparse is not None:
            raise DamagedFile(
                f"{path}: expected plain files, got a link or a device, {member.name!r}; pack it again without"
            )
        file = archive.extractfile(member)
        assert file is not None
        yield ArchiveMember(member.name, _guard(path, file.read))


def check_totals(path: pathlib.Path, num_members: int, num_bytes: int, limits: ArchiveLimits) -> None:
    """Refuse an archive of more members or bytes than are allowed.

    Raises:
        DamagedFile: It has more.
    """
    if num_members > limits.members or num_bytes > limits.num_bytes:
        raise DamagedFile(
            f"{path}: expected at most {limits.members} files and {limits.num_bytes >> 20} MiB, got more; split it"
        )


def read_zip(path: pathlib.Path, limits: ArchiveLimits) -> Iterator[ArchiveMember]:
    """Yield the plain files of a zip archive; arguments and errors as of `read_tar`."""
    try:
        with open_plain_file(path) as packed:
            _check_directory(packed, path, limits)
            with zipfile.ZipFile(packed) as archive:
                members = archive.infolist()
                check_totals(path, len(members), sum(member.file_size for member in members), limits)
                for member in members:
                    _check_zip_member(member, path)
                for member in members:
                    if not member.is_dir():
                        yield ArchiveMember(member.filename, _reader(path, archive, member))
    except DamagedFile:
        raise
    except UNPACKING_ERRORS as error:
        raise _refusal(path, error) from error


def _reader(path: pathlib.Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], bytes]:
    """Return a function that reads a member, and no more of it than its size that was counted."""

    def read() -> bytes:
        with archive.open(member) as file:
            return file.read(member.file_size + 1)

    return _guard(path, read)


def _guard(path: pathlib.Path, read: Callable[[], bytes]) -> Callable[[], bytes]:
    """Return a function whose errors are refusals in one line."""

    def guarded() -> bytes:
        try:
            return read()
        except DamagedFile:
            raise
        except UNPACKING_ERRORS as error:
            raise _refusal(path, error) from error

    return guarded


def _check_zip_member(member: zipfile.ZipInfo, path: pathlib.Path) -> None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DamagedFile(
            f"{path}: expected plain files, got a link or a device, {member.filename!r}; pack it again without"
        )
    if member.flag_bits & 1:
        raise DamagedFile(f"{path}: expected an archive without a password, got one with; pack it again")


def _check_directory(packed: io.BufferedReader, path: pathlib.Path, limits: ArchiveLimits) -> None:
    """Refuse a table of contents that is far too long before `zipfile` reads all of it."""
    size = packed.seek(0, os.SEEK_END)
    packed.seek(max(0, size - 2**16 - 22))
    tail = packed.read()
    place = tail.rfind(b"PK\5\6")
    if place < 0 or len(tail) < place + 22:
        raise DamagedFile(f"{path}: expected a whole archive, got one that is no zip file or is cut; bring it again")
    (directory_bytes,) = struct.unpack("<L", tail[place + 12 : place + 16])
    if directory_bytes == 0xFFFFFFFF:
        large = tail.rfind(b"PK\6\6", 0, place)
        directory_bytes = struct.unpack("<Q", tail[large + 40 : large + 48])[0] if large >= 0 else size
    if directory_bytes > limits.members * MAX_DIRECTORY_BYTES:
        check_totals(path, limits.members + 1, 0, limits)


def _unpack(packed: io.BufferedReader) -> Any:
    """Return a reader of what a file holds, by its first bytes; unpacking takes a bounded memory."""
    start = packed.peek(6)[:6]
    if start.startswith(b"\xfd7zXZ\0"):
        return _XzReader(packed)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=packed)
    if start.startswith(b"BZh"):
        return bz2.BZ2File(packed)
    return packed


class _XzReader:
    """Unpacks xz, as `lzma.open` does, but never with more memory than `MAX_UNPACKER_BYTES`."""

    def __init__(self, packed: io.BufferedReader) -> None:
        self._packed = packed
        self._decoder = self._fresh()

    @staticmethod
    def _fresh() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_UNPACKER_BYTES)

    def read(self, size: int) -> bytes:
        """Return at most so many bytes; none at the end."""
        while True:
            if self._decoder.eof:
                rest = self._decoder.unused_data.lstrip(b"\0") or self._packed.read(BLOCK_BYTES).lstrip(b"\0")
                if not rest:
                    return b""
                self._decoder = self._fresh()
            else:
                rest = self._packed.read(BLOCK_BYTES) if self._decoder.needs_input else b""
                if self._decoder.needs_input and not rest:
                    raise EOFError("it is cut: compressed data ended before the end of the stream")
            found = self._decoder.decompress(rest, size)
            if found:
                return found


class _CountedReader:
    """Passes on what an unpacker yields, up to a number of bytes."""

    def __init__(self, unpacked: Any, path: pathlib.Path, max_bytes: int) -> None:
        self._unpacked = unpacked
        self._path = path
        self._left = max_bytes

    def read(self, size: int) -> bytes:
        """Return at most so many bytes; none at the end."""
        found = self._unpacked.read(min(size, MIB))
        self._left -= len(found)
        if self._left < 0:
            raise DamagedFile(f"{self._path}: expected a small archive, got one that unpacks without end; split it")
        return found


def _refusal(path: pathlib.Path, error: BaseException) -> Exception:
    if isinstance(error, FileNotFoundError):
        return error
    if isinstance(error, OSError) and error.errno in MACHINE_ERRORS - OF_ONE_FILE:
        return machine_fault(error, path)
    reason = " ".join(str(error).split()) or type(error).__name__
    return DamagedFile(f"{path}: expected a whole archive, got {reason!r}; bring it again")
