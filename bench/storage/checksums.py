"""Decides how a stored trial is told from a damaged one: by the SHA-256 of all its files.

The record names the SHA-256 of each other file of its folder. Its own stands in its last line, and is that of all lines
before it:

    {
    "schema_version": 2,
    ...
    "files": {"scores/std-v1.json": "5e88...", "views.safetensors": "7c21..."},
    "sha256": "90ab..."
    }

What an earlier version stored has neither, and is read unchecked. Scores are replaced when they are made again: first
their file, then the record. Whoever is killed in between leaves scores that do not match, which are made again.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

from bench.errors import DamagedFile
from bench.storage import json_values
from bench.storage.record import Record

_SEAL = b',\n"sha256": "'

_END = b'"\n}\n'


class MistakenRecord(ValueError):
    """A whole record, in the place of another trial's."""


def hash_bytes(content: bytes) -> str:
    """Return the SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def seal_record(record: Record, contents: Mapping[str, bytes]) -> tuple[Record, bytes]:
    """Put the checksums of a trial's other files into its record; return it, and its file.

    Args:
        record: The record.
        contents: The other files by name.
    """
    return sealed(dataclasses.replace(record, files={name: hash_bytes(found) for name, found in contents.items()}))


def sealed(record: Record) -> tuple[Record, bytes]:
    """Return a record that names its files, and its file with its own checksum in the last line."""
    body = record.to_text().encode().removesuffix(b"\n}\n")
    return record, body + _SEAL + hash_bytes(body).encode() + _END


def parse_record(content: bytes, where: str, trial_id: str) -> Record:
    """Read the file of a record.

    Args:
        content: The file.
        where: Names it in messages.
        trial_id: The trial whose record it must be.

    Raises:
        UsageError: It has another schema version.
        MistakenRecord: It is another trial's.
        ValueError: It is no record, or damaged; in one line.
    """
    plain = json_values.from_bytes(content, where)
    if isinstance(plain, dict) and "sha256" in plain:
        known = plain.pop("sha256")
        body, _, end = content.rpartition(_SEAL)
        if not body or end != str(known).encode() + _END or hash_bytes(body) != known:
            raise ValueError(f"{where}: expected the SHA-256 in its last line, got another: the file is damaged")
    record = Record.from_json(plain, where=where)
    if record.trial_id != trial_id:
        raise MistakenRecord(f"{where}: expected the record of {trial_id}, got that of {record.trial_id}")
    return record


def is_checked(record: Record) -> bool:
    """Tell whether a record names the checksums of its files; one that an earlier version stored does not."""
    return bool(record.files)


def check_content(record: Record, name: str, content: bytes, where: str) -> None:
    """Compare a file of a trial with its record; a record without checksums says nothing.

    Args:
        record: The trial's.
        name: Name of the file in the trial's folder.
        content: The file.
        where: Names it in messages.

    Raises:
        DamagedFile: It is another, or the record names none of that name.
    """
    if is_checked(record):
        check_hash(record, name, hash_bytes(content), where)


def check_hash(record: Record, name: str, found: str, where: str) -> None:
    """Compare the SHA-256 of a file with a record that names checksums.

    Raises:
        DamagedFile: It is another, or the record names none of that name.
    """
    if name not in record.files:
        raise DamagedFile(f"{where}: expected a file that its record names, got a stray one; remove it")
    if record.files[name] != found:
        raise DamagedFile(f"{where}: expected the SHA-256 in its record, got another: the file is damaged")
