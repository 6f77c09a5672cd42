"""Reads trials that lie in a file of many: an archive, or a table of numbers."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from bench.errors import DamagedFile
from bench.storage import archive, checksums, number_tables
from bench.storage.record import Record
from bench.storage.stored_scores import parse_scores


def read_trials_file(path: pathlib.Path) -> Mapping[str, Mapping[str, bytes]]:
    """Return the files of each trial in a file of many.

    Raises:
        DamagedFile: It is no such file, cut, or not the one that a manifest beside it names.
    """
    return number_tables.read_numbers(path) if path.name.endswith(number_tables.END) else archive.read_archive(path)


def parse_archived_record(contents: Mapping[str, bytes], where: str, trial_id: str) -> Record:
    """Return the record of a trial in a file of many.

    Raises:
        UsageError: It has another schema version.
        DamagedFile: It is none.
    """
    try:
        return checksums.parse_record(contents.get("record.json", b""), where, trial_id)
    except ValueError as error:
        raise DamagedFile(f"{error}; bring the archive again") from error


def parse_archived_scores(
    contents: Mapping[str, bytes], record: Record, where: str, leave_out: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Return the scores of a trial in a file of many, by protocol.

    Args:
        contents: Files of the trial by name.
        record: Its record.
        where: Names the file in messages.
        leave_out: Is told of scores that are damaged, in a line each.
    """
    try:
        if isinstance(contents, number_tables.NumberFiles):
            return contents.scores()
    except DamagedFile as error:
        leave_out(str(error))
        return {}
    found = {}
    for name, content in contents.items():
        if name.startswith("scores/"):
            try:
                checksums.check_content(record, name, content, f"{where}, {name}")
                found[pathlib.PurePosixPath(name).stem] = parse_scores(content, f"{where}, {name}")
            except ValueError as error:
                leave_out(f"{error}; bring the archive again")
    return found
