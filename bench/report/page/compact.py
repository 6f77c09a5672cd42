"""A report that is small enough to be kept beside code: what is done differently in it.

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
"""Of lossy sheets, 100 at most: edges and colours of renders are as they were to the eye."""

NOTE = "A small copy of the report: pictures are lossy, long tables packed (gzip), figures files of their own."

PACKED = ".gz"


class ReportFormat(NamedTuple):
    """How a report is written.

    Attributes:
        is_small: Whether it is one of these.
        packed: By path as everybody knows it, the path of the file that is there.
    """

    is_small: bool
    packed: Mapping[str, str]

    def at(self, path: str) -> str:
        """Where a file is.

        Example:
            >>> ReportFormat(True, {"tables/a.csv": "tables/a.csv.gz"}).at("tables/a.csv")
            'tables/a.csv.gz'
        """
        return self.packed.get(path, path)


def form(plain: Mapping[str, str], is_small: bool) -> tuple[ReportFormat, dict[str, str | bytes]]:
    """How a report is written whose tables, figures and JSON are these, and its files by path."""
    contents: dict[str, str | bytes] = {}
    packed = {}
    for path, text in plain.items():
        if is_small and path.endswith((".csv", ".json")) and len(text) >= LONG:
            packed[path] = path + PACKED
            contents[packed[path]] = gzip.compress(text.encode(), 9, mtime=0)
        else:
            contents[path] = text
    return ReportFormat(is_small, packed), contents


def of_other_forms(paths: Iterable[str]) -> list[str]:
    """What another form of the same report would have written in place of these files.

    Example:
        >>> of_other_forms(["tables/a.csv.gz", "results.json", "sheets/a.webp", "figures/a.svg"])
        ['tables/a.csv', 'results.json.gz', 'sheets/a.png']
    """
    found = []
    for path in paths:
        if path.endswith(PACKED):
            found.append(path.removesuffix(PACKED))
        elif path.endswith((".csv", ".json")):
            found.append(path + PACKED)
        elif path.startswith("sheets/"):
            stem, _, end = path.rpartition(".")
            found.append(f"{stem}.{'png' if end == 'webp' else 'webp'}")
    return found


def lossy(image: Image.Image) -> bytes:
    """A picture as WebP, of the same bytes each time."""
    out = io.BytesIO()
    image.convert("RGB").save(out, "WEBP", quality=QUALITY, method=6)
    return out.getvalue()
