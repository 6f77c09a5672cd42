"""Writes files whole: under a temporary name that is then changed."""

from __future__ import annotations

import os
import pathlib


def write_file(path: pathlib.Path, content: str | bytes) -> None:
    """Writes a file, in one step for whoever reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(temporary, path)
