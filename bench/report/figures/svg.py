"""Writes figures as SVG: small, with the same bytes for the same numbers, on their own and inside a page.

There are no dates, and ids are fixed. Letters stay letters. The background is left out and ink is one colour, so that
a page may put its own there.
"""

from __future__ import annotations

import io
import re
from collections.abc import Container
from typing import TYPE_CHECKING

from bench.report.figures.style import COLORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

FONT = "font-family: 'DejaVu Sans'; "
"""As matplotlib writes it at every word; a drawing says it once."""

FAMILIES = "DejaVu Sans, Verdana, sans-serif"
"""Where matplotlib's font is missing, one of the same widths or a narrower one stands in."""

NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def to_svg(figure: MatplotlibFigure, prefix: str) -> str:
    """Write a figure as SVG, with the same bytes each time.

    Words stay words, so that they can be searched, read aloud and edited.

    Args:
        figure: The drawing.
        prefix: What its ids begin with, so that several drawings may stand in one page.
    """
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata=NO_METADATA)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>|\s*<!--.*?-->", "", text, flags=re.DOTALL)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    text = re.sub(r"<[^>]*>", lambda tag: shorten_tag(tag[0], prefix, used), text)  # never the words between tags
    return re.sub(r">\s+<", ">\n<", text).replace("<svg ", f'<svg font-family="{FAMILIES}" ', 1)


def shorten_tag(tag: str, prefix: str, used: Container[str]) -> str:
    """Shorten a tag: lengths to a hundredth of a point, and no ids that nothing refers to.

    Args:
        tag: From `<` to `>`.
        prefix: What ids begin with.
        used: Ids that are referred to.
    """
    tag = re.sub(r' (?:d|x|y|x1|y1|x2|y2|width|height|points|transform)="[^"]*"', round_lengths, tag)
    tag = re.sub(r' id="([^"]*)"', lambda found: f' id="{prefix}-{found[1]}"' if found[1] in used else "", tag)
    return re.sub(r'(href="|url\()#', rf"\1#{prefix}-", tag).replace(FONT, "")


def round_lengths(attribute: re.Match[str]) -> str:
    """Round the lengths of an attribute to a hundredth, on one line; drop a rotation by nothing."""
    if attribute[0].startswith(' transform="rotate(-0 '):
        return ""
    return re.sub(r"(\.\d\d)\d+", r"\1", re.sub(r"\s+", " ", attribute[0])).replace(' "', '"')


def standalone_svg(svg: str) -> str:
    """Make a drawing a file of its own, on white."""
    head, _, rest = svg.partition(">")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{head}>\n<rect width="100%" height="100%" fill="#ffffff"/>{rest}'


def inline_svg(svg: str, label: str) -> str:
    """Make a drawing a part of a page: ink takes the page's colour.

    Args:
        svg: The drawing.
        label: What a screen reader says; escaped already.
    """
    head, _, rest = svg.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    text = f'{head} role="img" aria-label="{label}">{rest}'
    for tone, color in COLORS.items():
        text = text.replace(color, f"var(--{tone})" if tone else "currentColor")
    return text
