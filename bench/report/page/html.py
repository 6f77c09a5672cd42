"""HTML of grids, figures and pictures, and the look of a page. Everything that a person wrote is escaped here.

A page loads nothing from anywhere: styles, figures and its script stand in it, pictures lie beside it. Without the
script it can be read as well; no other script than that one may run in it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bench.report.figures import standard
from bench.report.figures.standard import Figure
from bench.report.page import script_data
from bench.report.page.compact import ReportFormat
from bench.report.tables.contents import TableCell, TableGrid
from bench.report.tables.formats import printable

ASSETS = pathlib.Path(__file__).with_name("assets")

SCRIPTS = ("common.js", "tables.js", "trials.js", "pictures.js")
"""Parts of the page's script, in the order in which they stand."""


def escaped(text: str) -> str:
    """A person's text, safe between tags and in attributes.

    Example:
        >>> escaped('<b title="x">')
        '&lt;b title=&quot;x&quot;&gt;'
    """
    return html.escape(printable(text), quote=True)


def document(title: str, body: str, data: Mapping[str, Any] | None = None) -> str:
    """A whole page.

    Args:
        title: What it is called.
        body: Its HTML.
        data: What the script is given, see `bench.report.page.script_data`; None for a page without a script.
    """
    policy = scripts = ""
    if data is not None:
        digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
        allowed = f"script-src 'sha256-{digest}'; object-src 'none'"
        policy = f'<meta http-equiv="Content-Security-Policy" content="{allowed}">\n'
        scripts = f'<script type="application/json" id="data">{script_data.dumps(data)}</script>\n<script>{script()}</script>\n'
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'{policy}<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'  # else browsers ask for one
        f"<title>{escaped(title)}</title>\n<style>\n{asset('page.css')}</style>\n</head>\n<body>\n<main>\n{body}\n"
        f"</main>\n{scripts}</body>\n</html>\n"
    )


@functools.cache
def asset(name: str) -> str:
    """A file of the page's look or script."""
    return (ASSETS / name).read_text("utf-8")


@functools.cache
def script() -> str:
    """The page's script, all parts of it in one scope of its own."""
    return '(() => {\n"use strict";\n' + "".join(map(asset, SCRIPTS)) + "})();\n"


def table(grid: TableGrid, *, is_small: bool = False, rows: str = "", are_trials: bool = False) -> str:
    """A grid, in a frame that scrolls where the window is narrow; the first column stays.

    Args:
        grid: What stands in it.
        is_small: In smaller letters, no wider than need be.
        rows: What its rows are, "arms" or "clusters", so that the script can lead to their trials; empty for others.
        are_trials: Whether columns are the clusters of the arms, or the arms of the clusters.
    """
    sides = [' class="left"' if i in grid.left else "" for i in range(len(grid.header))]
    heads = list(map(head_html, grid.header))
    head = "".join(f'<th scope="col"{side}>{name}</th>' for name, side in zip(heads, sides, strict=True))
    lines = []
    for first, *others in grid.rows:
        cells = "".join(f"<td{side}>{cell_html(cell)}</td>" for cell, side in zip(others, sides[1:], strict=True))
        kind = ' class="beside"' if first.tone == "quiet" else ""
        lines.append(f'<tr{kind}><th scope="row">{escaped(first.text)}</th>{cells}</tr>')
    kind = ' class="small-table"' if is_small else ""
    kind += f' data-rows="{rows}"' if rows else ""
    kind += ' data-cells="trials"' if are_trials else ""
    body = "\n".join(lines)
    # tabindex: so that one can scroll it with the keyboard
    return (
        f'<div class="scroll" tabindex="0"><table{kind}>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>'
        "</table></div>"
    )


def head_html(name: str) -> str:
    """A column's head: no arrow stands alone on a line, and who judged is not broken."""
    text = escaped(name).replace(" ↑", "&nbsp;↑").replace(" ↓", "&nbsp;↓")
    what, comma, by = text.partition(", by ")
    return f'{what}, <span class="by">by {by}</span>' if comma else text


def cell_html(cell: TableCell) -> str:
    """A cell: the number, its interval in a quieter voice, and a second line."""
    text = with_minus(escaped(cell.text)) if cell.is_number else escaped(cell.text)
    text = f"<strong>{text}</strong>" if cell.strong else text
    if not cell.below and cell.tone:
        text = f'<span class="{cell.tone}">{text}</span>'
    text += f'<span class="aside">{escaped(cell.aside)}</span>' if cell.aside else ""
    return text + (f'<span class="below {cell.tone}">{with_minus(escaped(cell.below))}</span>' if cell.below else "")


def with_minus(text: str) -> str:
    """A number's leading hyphen as a minus, which is as wide as a plus."""
    return "\u2212" + text[1:] if text.startswith("-") and text[1:2].isdigit() else text


def figure(drawn: Figure, form: ReportFormat) -> str:
    """A drawing in the page, or beside a small one, with its files named below."""
    path = f"figures/{drawn.name}.svg"
    svg = standard.in_page(drawn.svg, escaped(drawn.title))
    if form.is_small:
        size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn.svg)
        assert size is not None
        sides = f'width="{size[1]}" height="{size[2]}"'
        svg = f'<img class="drawing" src="{escaped(path)}" loading="lazy" {sides} alt="{escaped(drawn.title)}">'
    files = ", ".join(link(form.at(f"figures/{drawn.name}.{end}"), end.upper()) for end in ("svg", "csv"))
    return f"<figure>{svg}<figcaption>{escaped(drawn.title)} ({files})</figcaption></figure>"


def picture(path: str, title: str, width_px: int, height_px: int) -> str:
    """A picture beside the page, loaded when it comes into sight; its size is given, so that nothing jumps."""
    return (
        f'<figure><div class="sheet" tabindex="0"><a href="{escaped(path)}"><img src="{escaped(path)}" loading="lazy" '
        f'width="{width_px}" height="{height_px}" alt="{escaped(title)}"></a></div>'
        f"<figcaption>{escaped(title)}</figcaption></figure>"
    )


def details(title: str, body: str) -> str:
    """What only some will open."""
    return f"<details><summary>{escaped(title)}</summary>\n{body}\n</details>"


def items(lines: Sequence[tuple[str, str]]) -> str:
    """A list of sentences, each with its tone."""
    return '<ul class="plain">' + "".join(f'<li class="{how}">{escaped(said)}</li>' for how, said in lines) + "</ul>"


def link(path: str, text: str, *, hidden: bool = False) -> str:
    """A link; a hidden one is for the script to show."""
    return f'<a href="{escaped(path)}"{" hidden" if hidden else ""}>{escaped(text)}</a>'
