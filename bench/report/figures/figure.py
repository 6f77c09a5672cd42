"""Defines a drawn figure: a drawing as SVG, and the numbers that it shows."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from bench.suites.variant_names import shorten_name

Row = dict[str, Any]
"""Numbers of a figure, by column of the CSV beside it."""


class Figure(NamedTuple):
    """A drawn figure.

    Attributes:
        name: Name of its files: letters, digits and dashes.
        title: Sentence on what it shows.
        svg: The drawing, without a background.
        rows: The numbers in it.
    """

    name: str
    title: str
    svg: str
    rows: tuple[Row, ...]


MAX_SLUG = 90
"""Letters of a part of a file's name; some names have two of them."""

DEVICES_OF_WINDOWS = frozenset(
    ["con", "prn", "aux", "nul", *(f"{kind}{number}" for kind in ("com", "lpt") for number in range(1, 10))]
)
"""Names that are no files there."""


def slugify(name: str) -> str:
    """Make a file name: lower case, letters, digits and dashes; a long one is cut and ends in a hash.

    Example:
        >>> slugify("CLIP backbones"), slugify("../../etc"), slugify("lpips_vgg")
        ('clip-backbones', 'etc', 'lpips-vgg')
    """
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "table"
    return shorten_name(f"{slug}-name" if slug in DEVICES_OF_WINDOWS else slug, MAX_SLUG)
