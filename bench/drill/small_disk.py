"""A small disk for results, and the ways to fill it: a real one where it may be mounted, else a limit on files.

A limit makes each write of the driver's fail, as a full disk does, with another number of the system's error.
"""

from __future__ import annotations

import contextlib
import pathlib
import resource
import subprocess
from typing import Literal, TypeAlias

DiskKind: TypeAlias = Literal["tmpfs", "limit"]

SIZE_MIB = 64

BLOCK_BYTES = 2**16

FILLER = "filler"


class SmallDisk:
    """A folder on a small disk of its own, if that may be mounted.

    Args:
        folder: The folder; made if it is missing.

    Attributes:
        kind: `tmpfs` for a disk of its own, `limit` where only the size of files is limited.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.limits: tuple[int, int] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.kind: DiskKind = "tmpfs" if _mount(folder) else "limit"

    def fill(self, pid: int) -> None:
        """Fill it up.

        Args:
            pid: The driver, which alone writes: where no disk could be mounted, its files are limited.
        """
        if self.kind == "limit":
            self.limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, self.limits[1]))
            return
        with contextlib.suppress(OSError), (self.folder / FILLER).open("ab", buffering=0) as file:
            while True:
                file.write(bytes(BLOCK_BYTES))

    def free(self) -> None:
        """Free it; a limit has ended with its driver."""
        (self.folder / FILLER).unlink(missing_ok=True)

    def close(self) -> None:
        """Take the disk away, with all that lies on it."""
        if self.kind == "tmpfs":
            subprocess.run(["umount", "-l", str(self.folder)], check=False, capture_output=True)


def _mount(folder: pathlib.Path) -> bool:
    """Mount a small disk; tell whether that is allowed here."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(folder)]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
