"""Writes files so that a reader finds the old content or the new one, never a part of either."""

from __future__ import annotations

import os
import pathlib


def write_file(
    path: pathlib.Path, content: str | bytes, *, temporary: pathlib.Path | None = None, sync: bool = True
) -> None:
    """Write a whole file under a temporary name, brings it to the disk, and renames it.

    A file that is there is replaced. If writing fails, the old file stays and the temporary one is removed.

    Args:
        path: The file; its folder is made if it is missing.
        content: The whole content; text is written as UTF-8.
        temporary: A name on the same disk to write under; None takes a hidden one beside the file, ending in `.tmp`.
        sync: Whether to wait for the disk, so that the content outlives a power failure.
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
