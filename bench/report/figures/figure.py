"""Defines a drawn figure: a drawing as SVG, and the numbers that it shows."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

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


def slugify(name: str) -> str:
    """Make a file name: lower case, letters, digits and dashes.

    Example:
        >>> slugify("CLIP backbones"), slugify("../../etc"), slugify("lpips_vgg")
        ('clip-backbones', 'etc', 'lpips-vgg')
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "table"
