"""A report that is small enough to be kept beside code: what is done differently in it.

Figures stand beside the page and not in it, sheets are lossy, and long tables are gzip, which pandas reads as it is.
Every number of the page is the same.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from typing import NamedTuple

from PIL import Image

LONG = 24 << 10
"""Bytes from which on a table or JSON is packed: nobody reads so much of it."""

QUALITY = 75
"""Of lossy sheets, 100 at most: edges and colours of renders are as they were to the eye."""

NOTE = (
    "A small copy of the report: its sheets are lossy, its long tables packed (gzip), its figures files of their own."
)


class Form(NamedTuple):
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
            >>> Form(True, {"tables/a.csv": "tables/a.csv.gz"}).at("tables/a.csv")
            'tables/a.csv.gz'
        """
        return self.packed.get(path, path)


def form(plain: Mapping[str, str], is_small: bool) -> tuple[Form, dict[str, str | bytes]]:
    """How a report is written whose tables, figures and JSON are these, and its files by path."""
    contents: dict[str, str | bytes] = {}
    packed = {}
    for path, text in plain.items():
        if is_small and path.endswith((".csv", ".json")) and len(text) >= LONG:
            packed[path] = path + ".gz"
            contents[packed[path]] = gzip.compress(text.encode(), 9, mtime=0)
        else:
            contents[path] = text
    return Form(is_small, packed), contents


def lossy(image: Image.Image) -> bytes:
    """A picture as WebP, of the same bytes each time."""
    out = io.BytesIO()
    image.convert("RGB").save(out, "WEBP", quality=QUALITY, method=6)
    return out.getvalue()
