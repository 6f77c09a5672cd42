"""Tells whether the files of a cached folder are those that were written: by the SHA-256 of each, kept beside them.

Hashes of files that have not changed since are remembered, so that to look again costs little.
"""

from __future__ import annotations

import json
import os
import pathlib
import stat

from tasks.data_dir.atomic_files import write_file
from tasks.data_dir.content_hashes import sha256_of_all
from tasks.data_dir.guarded_files import read_plain_text

CHECKSUMS = "sha256.json"


def write_checksums(folder: pathlib.Path) -> None:
    """Write the SHA-256 of all files of a folder into it; its own folders are not looked into.

    Raises:
        OSError: A file cannot be read, or the folder not written.
    """
    names = _names(folder)
    hashes = sha256_of_all(folder / name for name in names)
    write_file(folder / CHECKSUMS, json.dumps(dict(zip(names, hashes, strict=True)), indent=1) + "\n")


def find_folder_damage(folder: pathlib.Path) -> str:
    """Say which files of a folder are not those that were written; empty where none is, or no checksums are kept.

    Raises:
        OSError: The disk fails.
    """
    try:
        known = json.loads(read_plain_text(folder / CHECKSUMS))
    except FileNotFoundError:  # an earlier version wrote it
        return ""
    except ValueError:
        return f"{CHECKSUMS} is damaged"
    if not isinstance(known, dict):
        return f"{CHECKSUMS} is damaged"
    there = _names(folder)
    gone = sorted(set(known) - set(there))
    if gone:
        return f"{', '.join(gone)} {'is' if len(gone) == 1 else 'are'} gone"
    names = [name for name in there if name in known]
    hashes = sha256_of_all(folder / name for name in names)
    damaged = [name for name, found in zip(names, hashes, strict=True) if known[name] != found]
    if not damaged:
        return ""
    return f"{', '.join(damaged)} {'is' if len(damaged) == 1 else 'are'} damaged"


def _names(folder: pathlib.Path) -> list[str]:
    """List the plain files of a folder that have a checksum."""
    names = sorted(name for name in os.listdir(folder) if name != CHECKSUMS and not name.startswith("."))
    return [name for name in names if stat.S_ISREG((folder / name).lstat().st_mode)]
