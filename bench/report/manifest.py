"""Decides whether a report's folder already holds what would be drawn again.

The folder keeps `manifest.json`: a digest of the contents that were drawn, and of each file that was written. The
digest of the contents covers every number, option and note, the files that pictures are drawn from, the source code of
the project and the versions of the packages that draw. An edited or missing file makes the folder outdated.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bench.import_paths import ROOT
from bench.report.report_contents import ReportContents
from tasks.data_dir.atomic_files import write_file

FILE = "manifest.json"

SOURCE_FOLDERS = ("bench", "tasks", "models")
"""Not `bench/report` alone: pictures load scenes, meshes query fields, and tables have words from all rooms."""

SOURCE_ENDS = (".py", ".j2", ".css", ".js", ".json", ".txt")

PACKAGES = ("jinja2", "matplotlib", "numpy", "pandas", "pillow", "scipy", "seaborn", "trimesh")
"""Packages that pages, figures, pictures and meshes are drawn with."""


def contents_digest(contents: ReportContents) -> str:
    """Compute a digest of everything that a report is drawn from: equal digests draw equal files."""
    digest = hashlib.sha256(project_digest().encode())
    for name, value in _plain_fields(contents).items():
        digest.update(f"\n{name}: ".encode())
        digest.update(json.dumps(value, default=_plain).encode())
    return digest.hexdigest()


def is_current(folder: pathlib.Path, digest: str) -> bool:
    """Tell whether a folder holds the report of these contents, with every file as it was written."""
    try:
        manifest = json.loads((folder / FILE).read_bytes())
        if manifest["contents"] != digest:
            return False
        return all(_file_digest((folder / name).read_bytes()) == known for name, known in manifest["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # no manifest, a damaged one, or a missing file
        return False


def write_manifest(folder: pathlib.Path, digest: str, files: Mapping[str, bytes]) -> None:
    """Write the manifest of a report that was just drawn.

    Args:
        folder: The report's folder.
        digest: Digest of the contents.
        files: All files of the report by path in the folder.
    """
    known = {name: _file_digest(content) for name, content in sorted(files.items())}
    write_file(folder / FILE, json.dumps({"contents": digest, "files": known}, indent=1) + "\n", sync=False)


def remove_manifest(folder: pathlib.Path) -> None:
    """Remove the manifest, so that the next report is drawn whatever it holds."""
    (folder / FILE).unlink(missing_ok=True)


@functools.cache
def project_digest() -> str:
    """Compute a digest of the project's source files and of the versions of the packages that draw."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        digest.update(f"{package} {importlib.metadata.version(package)}\n".encode())
    for folder in SOURCE_FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SOURCE_ENDS:
                digest.update(f"{path.relative_to(ROOT).as_posix()}\n".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _plain_fields(contents: ReportContents) -> dict[str, Any]:
    """List the fields of a report's contents as plain values.

    Records are sorted, because a report does not depend on their order.
    """
    fields = {field.name: getattr(contents, field.name) for field in dataclasses.fields(contents)}
    fields["frame"] = _frame_digest(contents.frame)
    fields["records"] = [vars(record) for record in sorted(contents.records, key=lambda record: record.trial_id)]
    return fields


def _frame_digest(frame: pd.DataFrame) -> str:
    """Compute a digest of a data frame's columns and rows."""
    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy(np.uint64)
    columns = ", ".join(f"{name} {dtype}" for name, dtype in frame.dtypes.items())
    return hashlib.sha256(columns.encode() + hashes.tobytes()).hexdigest()


def _plain(value: Any) -> Any:
    """Convert what JSON does not know: a dataclass becomes its fields, but what draws is not among them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        known = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {name: field for name, field in known.items() if not callable(field)}
    raise TypeError(f"manifest: expected plain values, got {type(value).__name__}; add it to the digest")


def _file_digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
