"""Reads and writes the files of one trial: whole, checked against its record, and refused in one line each.

Whatever lies in a store may be cut, flipped, a pipe, a link, a copy or a stranger's file. A function here returns what
was written, or raises a `ValueError` that says in one line what is wrong.
"""

from __future__ import annotations

import os
import pathlib
import re
import stat
from typing import TYPE_CHECKING, Any

from bench.errors import DamagedFile
from bench.storage import checksums, json_values
from bench.storage.record import Outcome, Record
from bench.storage.stored_scores import parse_scores
from tasks.data_dir.guarded_files import MAX_TEXT_BYTES, MIB, read_plain_file

if TYPE_CHECKING:  # takes long to import, and listing trials does not need it
    import numpy

RECORD = "record.json"

ARRAYS = ("parameters", "views")
"""Names of the files of arrays, without their ending."""

DTYPES = ("float16", "float32", "int32")
"""What arrays are stored as."""

MAX_ARRAYS_BYTES = 16 * 1024 * MIB
"""Largest file of arrays: 200 views of 800 px take 1.3 GB."""

MAX_HEADER_BYTES = 16 * MIB
"""Largest header of a file of arrays: names, types and shapes."""


def is_trial_name(name: str) -> bool:
    """Tell whether a folder of that name is a trial's: no `.tmp-...`, `failed-1`, `x.unreadable-1`, `__pycache__`."""
    is_special = re.match(r"\.|__|failed-\d+$", name) or re.search(r"\.unreadable-\d+$", name)
    return "__" in name and "/" not in name and not is_special


def read_record(folder: pathlib.Path) -> Record:
    """Read the record of a trial's folder.

    Raises:
        UsageError: It has another schema version, or the machine fails.
        ValueError: It is no record of this trial, or damaged.
        FileNotFoundError: There is none.
    """
    path = folder / RECORD
    content = read_plain_file(path, MAX_TEXT_BYTES, below=folder.parent)
    return checksums.parse_record(content, str(path), folder.name)


def read_checked(folder: pathlib.Path, name: str, record: Record, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """Read a file of a trial, and compare it with its record.

    A file that does not match is compared once more with the record that lies there now: another process may have made
    its scores again.

    Raises:
        DamagedFile: It is missing, cannot be read, or does not match.
    """
    where = f"{folder.name}/{name}"
    try:
        content = read_plain_file(folder / name, max_bytes, below=folder.parent, where=where)
    except FileNotFoundError as error:
        raise DamagedFile(f"{where}: expected the file that its record names, got none") from error
    try:
        checksums.check_content(record, name, content, where)
    except DamagedFile:
        try:
            newer = read_record(folder)
        except (ValueError, OSError):
            newer = record
        checksums.check_content(newer, name, content, where)
    return content


def score_names(folder: pathlib.Path, record: Record) -> list[str]:
    """List the files of scores that are there or are in the record, as `scores/std-v1.json`."""
    found = {name for name in record.files if name.startswith("scores/")}
    try:
        with os.scandir(folder / "scores") as entries:
            found |= {f"scores/{entry.name}" for entry in entries if entry.name.endswith(".json")}
    except OSError:  # none, or no folder
        pass
    return sorted(name for name in found if not name.startswith("scores/."))


def read_trial_scores(folder: pathlib.Path, name: str, record: Record) -> dict[str, Any]:
    """Read the scores of one protocol.

    Raises:
        DamagedFile: They are missing or do not match the record, but may be whole.
        ValueError: They do not parse.
    """
    return parse_scores(read_checked(folder, name, record), f"{folder.name}/{name}")


def read_trial_arrays(folder: pathlib.Path, name: str, record: Record) -> dict[str, numpy.ndarray]:
    """Read the parameters or the views of a trial.

    Raises:
        DamagedFile: They are missing, cut or do not match.
    """
    import safetensors.numpy

    file = f"{name}.safetensors"
    content = read_checked(folder, file, record, MAX_ARRAYS_BYTES)
    try:
        # Read from memory, arrays come in no order that stays.
        return dict(sorted(safetensors.numpy.load(content).items()))
    except Exception as error:  # of safetensors, of numpy and of Python, as it comes
        raise DamagedFile(
            f"{folder.name}/{file}: expected arrays, got a damaged file ({type(error).__name__})"
        ) from error


def has_arrays(folder: pathlib.Path, name: str) -> bool:
    """Tell whether parameters or views are there and as long as their header says, without reading them."""
    path = folder / f"{name}.safetensors"
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return False
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 0 < size <= min(MAX_HEADER_BYTES, status.st_size - 8):
                return False
            header = json_values.from_bytes(file.read(size), str(path))
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        return status.st_size == 8 + size + max(ends, default=0)
    except (OSError, ValueError, AttributeError, TypeError, KeyError, IndexError):
        return False


def file_contents(outcome: Outcome) -> dict[str, bytes]:
    """Return the files that a trial leaves besides its record, by name."""
    trial_id = outcome.record.trial_id
    contents = {}
    for name, arrays in zip(ARRAYS, (outcome.parameters, outcome.views), strict=True):
        if arrays:
            contents[f"{name}.safetensors"] = _to_safetensors(arrays, f"{trial_id}, {name}")
    for protocol, scores in outcome.scores.items():
        contents[f"scores/{protocol}.json"] = json_values.to_bytes(scores, f"{trial_id}, {protocol}")
    return contents


def _to_safetensors(arrays: dict[str, numpy.ndarray], where: str) -> bytes:
    import numpy
    import safetensors.numpy

    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise ValueError(f"{where}, {name}: expected one of {', '.join(DTYPES)}, got {array.dtype}")
    # safetensors writes the memory as it lies, whatever the strides
    return safetensors.numpy.save({name: numpy.asarray(array, order="C") for name, array in arrays.items()})
