"""Writes files so that a reader finds the old content or the new one, never a part of either."""

from __future__ import annotations

import os
import pathlib


def write_file(
    path: pathlib.Path, content: str | bytes, *, temporary: pathlib.Path | None = None, sync: bool = True
) -> None:
    """Write a whole file under a temporary name, wait for the disk, and rename it.

    An existing file is replaced. If writing fails, the old file stays and the temporary one is removed.

    Args:
        path: Path of the file; its folder is created if it is missing.
        content: Whole content; text is written as UTF-8.
        temporary: Temporary name on the same disk; None chooses a hidden one beside the file, ending in `.tmp`.
        sync: Whether to wait for the disk, so that the content survives a power failure.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if temporary is None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    data = content.encode() if isinstance(content, str) else content
    try:
        with temporary.open("xb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
