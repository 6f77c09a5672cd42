"""Keeps what `python -m bench doctor` last found here, and gives reports and archives its stamp.

The stamp lies in the cache folder, so that each machine has its own. It counts only for the versions of packages and
the kind of device that were examined: after `pip install` the doctor has not run.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any, NamedTuple, TypedDict

from bench.storage import environment, json_values
from tasks.data_dir import location
from tasks.data_dir.atomic_files import write_file

FILE = "doctor.json"

NOT_RUN = "not run"


class Stamp(NamedTuple):
    """Sums up an examination by the doctor.

    Attributes:
        digest: Eight hexadecimal digits over all that was measured.
        verdict: "ok", "3 warnings" or "2 failed".
        date: Day, as in 2026-11-27.
        is_quick: Whether `--quick` left the longer checks out.
        packages: Versions of the packages that numbers depend on.
    """

    digest: str
    verdict: str
    date: str
    is_quick: bool
    packages: dict[str, str]

    def describe(self) -> str:
        """Describe it for a report.

        Example:
            >>> Stamp("3f9c1a2b", "2 warnings", "2026-11-27", True, {}).describe()
            '3f9c1a2b, 2 warnings, 2026-11-27, quick'
        """
        return ", ".join([self.digest, self.verdict, self.date, *(["quick"] if self.is_quick else [])])


class _StampFields(TypedDict):
    digest: str
    verdict: str
    date: str
    is_quick: bool
    packages: dict[str, str]


def write_stamp(stamp: Stamp) -> pathlib.Path:
    """Keep the stamp on this machine, in place of the last one; return where it lies."""
    path = location.folder() / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, (json.dumps(stamp._asdict(), indent=1) + "\n").encode())
    return path


def describe_stamp() -> str:
    """Describe the stamp of this install for reports and archives; `NOT_RUN` where there is none that counts."""
    path = location.folder() / FILE
    try:
        found: Any = json_values.from_bytes(path.read_bytes(), str(path))
        stamp = Stamp(**json_values.convert(found, _StampFields, str(path)))
    except (OSError, ValueError):
        return NOT_RUN
    if stamp.packages != environment.installed_packages():
        return f"{NOT_RUN} with these versions"
    return stamp.describe()
