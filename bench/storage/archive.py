"""Decides how finished trials are kept in one small file, to be committed beside the code: a `.tar.xz` in a store.

    python -m bench archive --suite ablations --budget standard --out results/reference

Records and scores are whole, so that tables come out the same to the last digit. The trials of a study repeat each
other, so that they compress to little more than their differences. Arrays are left out. A few views are kept as
pictures, see `bench.storage.archived_pictures`.

    <trial_id>/record.json  <trial_id>/scores/<protocol>.json
    <trial_id>/views-<id>-<id>.webp      views side by side
    <trial_id>/strip-<step>-<step>.webp  renders over training side by side

The same trials give the same bytes.
"""

from __future__ import annotations

import io
import pathlib
from collections.abc import Mapping

from bench.errors import DamagedFile
from tasks.data_dir.atomic_files import write_file

END = ".tar.xz"

MAX_BYTES = 256 * 2**20
"""Size of an unpacked archive beyond which it is refused before it is read."""

MAX_MEMBERS = 100_000
"""Files of an archive beyond which it is refused: a trial has about four."""


def read_archive(path: pathlib.Path) -> dict[str, dict[str, bytes]]:
    """Return the files of an archive's trials, by trial id and name.

    Raises:
        DamagedFile: It is no such archive, is damaged, or is far too large.
    """
    from tasks.data_dir.bounded_archives import ArchiveLimits, read_tar

    found: dict[str, dict[str, bytes]] = {}
    try:
        for member in read_tar(path, ArchiveLimits(MAX_MEMBERS, MAX_BYTES)):
            trial_id, _, name = member.name.partition("/")
            if not name:
                raise DamagedFile(f"{path}: expected files in folders of trials, got {member.name!r}; write it anew")
            found.setdefault(trial_id, {})[name] = member.read()
    except FileNotFoundError as error:
        raise DamagedFile(f"{path}: expected a whole {END} of records, got none; bring it again") from error
    return found


def write_archive(path: pathlib.Path, trials: Mapping[str, Mapping[str, bytes]]) -> None:
    """Write an archive, in one step for whoever reads it.

    Args:
        path: The archive; replaced if it is there.
        trials: Files by trial id and name.
    """
    import lzma
    import tarfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        # files of one kind beside each other: they are alike
        names = [(name, trial_id) for trial_id, files in trials.items() for name in files]
        for name, trial_id in sorted(names):
            entry = tarfile.TarInfo(f"{trial_id}/{name}")
            entry.size = len(trials[trial_id][name])
            archive.addfile(entry, io.BytesIO(trials[trial_id][name]))
    write_file(path, lzma.compress(packed.getvalue(), preset=9))
