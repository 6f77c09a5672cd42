"""Reads files that others may have put there: whole, plain, of a bounded size, or not at all.

A pipe would be waited for, a device never ends, a link may lead anywhere, and a file of gigabytes fills the memory. So
a file is opened without waiting, looked at, and then read up to a limit.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import pathlib
import stat

from bench.errors import MACHINE_ERRORS, DamagedFile, machine_fault

MIB = 2**20

MAX_TEXT_BYTES = 64 * MIB
"""Largest file of text or JSON that is read."""

OF_ONE_FILE = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}
"""Faults of the machine that say something of one file alone: the rest can be read."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFLNK: "a link",
}

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_plain_file(
    path: str | os.PathLike[str],
    max_bytes: int = MAX_TEXT_BYTES,
    *,
    below: pathlib.Path | None = None,
    where: str | None = None,
) -> bytes:
    """Return the content of a plain file.

    Args:
        path: The file.
        max_bytes: Largest size that is read.
        below: Folder that links may not lead out of; None where the user named the file, and links are his own.
        where: Names the file in messages; None for its path.

    Raises:
        FileNotFoundError: There is nothing.
        DamagedFile: It is no plain file, lies outside, is too large, or may not be read; in one line.
        MachineFault: The disk or the system fails.
    """
    where = where or str(path)
    try:
        if below is not None:
            check_inside(pathlib.Path(path), below, where)
        with open_plain_file(path, where) as opened:
            return _read_opened(opened.fileno(), max_bytes, where)
    except (FileNotFoundError, DamagedFile):
        raise
    except OSError as error:
        raise _refusal(error, where) from error
    except ValueError as error:  # a null character in the name
        raise DamagedFile(f"{where}: expected the name of a file, got {error}; correct it") from error


def read_plain_text(
    path: str | os.PathLike[str],
    max_bytes: int = MAX_TEXT_BYTES,
    *,
    below: pathlib.Path | None = None,
    where: str | None = None,
) -> str:
    """Return the text of a plain file, as `decode_text` reads it; arguments and errors as of `read_plain_file`."""
    return decode_text(read_plain_file(path, max_bytes, below=below, where=where), where or str(path))


def open_plain_file(path: str | os.PathLike[str], where: str | None = None) -> io.BufferedReader:
    """Open a plain file, and nothing that would be waited for.

    Args:
        path: The file.
        where: Names the file in messages; None for its path.

    Raises:
        FileNotFoundError: There is nothing.
        DamagedFile: It is no plain file.
    """
    # O_NONBLOCK: a pipe without a writer would be waited for
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    mode = os.fstat(number).st_mode
    if not stat.S_ISREG(mode):
        os.close(number)
        raise DamagedFile(f"{where or path}: expected a plain file, got {describe_kind(mode)}; remove it")
    return os.fdopen(number, "rb")


def decode_text(content: bytes, where: str) -> str:
    r"""Decode UTF-8, or what the mark at its start says: editors on Windows write UTF-8 and UTF-16 with a mark.

    Raises:
        DamagedFile: It is neither.

    Example:
        >>> decode_text("vase".encode("utf-16"), "a.json"), decode_text(b"\xef\xbb\xbfvase", "a.json")
        ('vase', 'vase')
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DamagedFile(
            f"{where}: expected text in UTF-8, got byte {content[error.start]:#04x} at {error.start}; save it as UTF-8"
        ) from error


def check_inside(path: pathlib.Path, below: pathlib.Path, where: str) -> None:
    """Refuse a path that a link leads out of a folder.

    Raises:
        DamagedFile: It leads out.
    """
    folder = os.path.realpath(below)
    found = os.path.realpath(path)
    if found != folder and not found.startswith(folder.rstrip(os.sep) + os.sep):
        raise DamagedFile(f"{where}: expected a file of this folder, got a link that leads out of it; remove it")


def describe_kind(mode: int) -> str:
    """Say what lies under a name, from the mode that the system gives: a file, a pipe, a folder."""
    return _KINDS.get(stat.S_IFMT(mode), "a file")


def _read_opened(number: int, max_bytes: int, where: str) -> bytes:
    status = os.fstat(number)
    if status.st_size > max_bytes:
        raise DamagedFile(f"{where}: expected at most {_mib(max_bytes)}, got {_mib(status.st_size)}; remove it")
    blocks = []
    left = max_bytes + 1
    while left and (block := os.read(number, min(left, max(status.st_size + 1, 2**16)))):
        blocks.append(block)
        left -= len(block)
    if not left:  # it grows, or says that it has no size, as files of /proc do
        raise DamagedFile(f"{where}: expected at most {_mib(max_bytes)}, got more; remove it")
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def _refusal(error: OSError, where: str) -> DamagedFile:
    if error.errno in MACHINE_ERRORS - OF_ONE_FILE:
        raise machine_fault(error, where) from error
    why = error.strerror or type(error).__name__
    return DamagedFile(f"{where}: expected a file that can be read, got {why!r}; mend or remove it")


def _mib(num_bytes: int) -> str:
    return f"{num_bytes / MIB:.0f} MiB" if num_bytes >= MIB else f"{num_bytes} bytes"
