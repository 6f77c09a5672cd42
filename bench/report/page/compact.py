"""Decides what is different in the small form of a report, which is kept beside code.

Figures stand beside the page and not in it, sheets are lossy, and long tables are gzip, which pandas reads as it is.
Every number of the page is the same.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from PIL import Image

LONG = 24 << 10
"""Bytes from which on a table or JSON is packed: nobody reads so much of it."""

QUALITY = 75
"""Quality of lossy sheets, 100 at most: edges and colours of renders are as they were to the eye."""

NOTE = "A small copy of the report: pictures are lossy, long tables packed (gzip), figures files of their own."

PACKED = ".gz"

TABLE_ENDS = (".csv", ".json")


class ReportFormat(NamedTuple):
    """The form that a report is written in.

    Attributes:
        is_small: Whether it has the small form.
        packed: Path of each packed file, by its path in the other form.
    """

    is_small: bool
    packed: Mapping[str, str]

    def at(self, path: str) -> str:
        """Return the path of a file in this form.

        Example:
            >>> ReportFormat(True, {"tables/a.csv": "tables/a.csv.gz"}).at("tables/a.csv")
            'tables/a.csv.gz'
        """
        return self.packed.get(path, path)


def pack_files(plain: Mapping[str, str], is_small: bool) -> tuple[ReportFormat, dict[str, str | bytes]]:
    """Pack the long tables of a small report.

    Args:
        plain: Tables, figures and JSON by path.
        is_small: Whether to pack any.

    Returns:
        The form, and the files by path.
    """
    files: dict[str, str | bytes] = {}
    packed = {}
    for path, text in plain.items():
        if is_small and path.endswith(TABLE_ENDS) and len(text) >= LONG:
            packed[path] = path + PACKED
            files[packed[path]] = gzip.compress(text.encode(), 9, mtime=0)
        else:
            files[path] = text
    return ReportFormat(is_small, packed), files


def paths_of_other_form(paths: Iterable[str]) -> list[str]:
    """List what the other form of the same report would have written in place of these files.

    Example:
        >>> paths_of_other_form(["tables/a.csv.gz", "results.json", "sheets/a.webp", "figures/a.svg"])
        ['tables/a.csv', 'results.json.gz', 'sheets/a.png']
    """
    found = []
    for path in paths:
        if path.endswith(PACKED):
            found.append(path.removesuffix(PACKED))
        elif path.endswith(TABLE_ENDS):
            found.append(path + PACKED)
        elif path.startswith("sheets/"):
            stem, _, end = path.rpartition(".")
            found.append(f"{stem}.{'png' if end == 'webp' else 'webp'}")
    return found


def encode_lossy(image: Image.Image) -> bytes:
    """Encode a picture as WebP, with the same bytes each time."""
    out = io.BytesIO()
    image.convert("RGB").save(out, "WEBP", quality=QUALITY, method=6)
    return out.getvalue()
