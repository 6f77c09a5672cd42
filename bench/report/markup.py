"""HTML of grids, figures and pictures, and the look of a page. Everything that a person wrote is escaped here.

A page loads nothing from anywhere: styles and figures stand in it, pictures lie beside it. It has no script.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from bench.report import figures
from bench.report.figures import Figure
from bench.report.grids import Cell, Grid
from bench.report.tables import printable

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1c1e22; --quiet: #686e77; --line: #e3e5e9; --wash: #f6f7f9;
  --better: #1a7f4b; --worse: #b9382c; --link: #2458a6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16181c; --ink: #e4e6ea; --quiet: #989ea8; --line: #2d3138; --wash: #1e2126;
    --better: #58c48b; --worse: #ee8276; --link: #8db6f2;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink); -webkit-text-size-adjust: 100%;
  font: 16px/25px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1120px; margin: 0 auto; padding: 56px 28px 96px; }
h1 { font-size: 30px; line-height: 38px; letter-spacing: -0.01em; margin: 0 0 8px; font-weight: 650; }
h2 { font-size: 22px; line-height: 30px; margin: 0 0 4px; font-weight: 620; }
h3 { font-size: 15px; margin: 32px 0 8px; font-weight: 600; }
p { margin: 0 0 12px; max-width: 72ch; }
a { color: var(--link); text-decoration-thickness: 1px; text-underline-offset: 2px; overflow-wrap: anywhere; }
section { margin-top: 64px; padding-top: 32px; border-top: 1px solid var(--line); }
nav { display: flex; flex-wrap: wrap; gap: 4px 20px; margin-top: 20px; font-size: 15px; }
.question, .quiet { color: var(--quiet); }
.small { font-size: 13px; line-height: 20px; color: var(--quiet); max-width: 112ch; overflow-wrap: anywhere; }
.better { color: var(--better); } .worse { color: var(--worse); }
ul.plain { list-style: none; margin: 16px 0 20px; padding: 0; max-width: 84ch; }
ul.plain li { margin: 0 0 4px; padding-left: 16px; border-left: 3px solid var(--line); overflow-wrap: anywhere; }
ul.plain li.better { border-color: var(--better); color: inherit; }
ul.plain li.worse { border-color: var(--worse); color: inherit; }
ul.plain li.quiet { color: var(--quiet); }
.scroll { overflow-x: auto; margin: 16px 0 12px; }
table { border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums lining-nums; width: 100%; }
table { font-size: 15px; line-height: 23px; }
.small-table { font-size: 14px; line-height: 21px; width: auto; }
th { font-weight: 500; font-size: 13px; line-height: 20px; color: var(--quiet); vertical-align: bottom; }
th, td { padding: 9px 0 9px 28px; text-align: right; white-space: nowrap; }
td { vertical-align: top; }
.small-table th, .small-table td { padding: 6px 0 6px 22px; }
th.left, td.left { text-align: left; }
thead th { border-bottom: 1px solid var(--ink); white-space: normal; }
tbody tr + tr > * { border-top: 1px solid var(--line); }
tbody tr:last-child > * { border-bottom: 1px solid var(--ink); }
th:first-child {
  padding-left: 0; padding-right: 14px; text-align: left; white-space: normal; min-width: 8em; max-width: 16em;
  overflow-wrap: anywhere;
}
tbody th { font-size: inherit; line-height: inherit; color: inherit; font-weight: 500; vertical-align: top; }
.aside { color: var(--quiet); margin-left: 0.35em; font-size: 0.87em; }
.below { display: block; font-size: 13px; line-height: 20px; }
strong { font-weight: 680; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(320px, 100%), 1fr)); }
.figures { gap: 16px 32px; }
.figures.lines { grid-template-columns: repeat(auto-fill, minmax(min(440px, 100%), 1fr)); }
figure { margin: 24px 0 0; min-width: 0; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { font-size: 13px; color: var(--quiet); margin-top: 6px; }
.sheet { overflow-x: auto; background: #fff; border: 1px solid var(--line); border-radius: 6px; padding: 8px; }
.sheet img { display: block; height: auto; max-width: max(100%, 720px); }
details { margin: 20px 0 0; }
summary { cursor: pointer; color: var(--link); font-size: 15px; padding: 4px 0; }
dl { display: grid; grid-template-columns: minmax(90px, max-content) 1fr; gap: 6px 24px; margin: 16px 0; }
dl { font-size: 14px; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
code, pre { font: 13px/20px ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
pre { background: var(--wash); padding: 12px 16px; border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 960px) {
  th:first-child { position: sticky; left: 0; z-index: 1; background: var(--paper); background-clip: padding-box; }
  thead th:first-child { z-index: 2; }
}
@media (max-width: 640px) {
  main { padding: 32px 18px 64px; }
  h1 { font-size: 25px; } h2 { font-size: 20px; }
  section { margin-top: 44px; padding-top: 24px; }
  th, td { padding-left: 20px; }
  th:first-child { min-width: 6.5em; max-width: 8.5em; font-size: 14px; }
  dl { grid-template-columns: 1fr; gap: 0 0; } dd { margin-bottom: 8px; }
}
@media print { details > * { display: block; } nav { display: none; } section { break-inside: avoid; } }
"""


def escaped(text: str) -> str:
    """A person's text, safe between tags and in attributes.

    Example:
        >>> escaped('<b title="x">')
        '&lt;b title=&quot;x&quot;&gt;'
    """
    return html.escape(printable(text), quote=True)


def document(title: str, body: str) -> str:
    """A whole page."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'  # else browsers ask for one
        f"<title>{escaped(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n"
        "</html>\n"
    )


def table(grid: Grid, *, is_small: bool = False) -> str:
    """A grid, in a frame that scrolls where the window is narrow; the first column stays."""
    sides = [' class="left"' if i in grid.left else "" for i in range(len(grid.header))]
    head = "".join(f'<th scope="col"{side}>{escaped(name)}</th>' for name, side in zip(grid.header, sides, strict=True))
    rows = []
    for first, *others in grid.rows:
        cells = "".join(f"<td{side}>{cell_html(cell)}</td>" for cell, side in zip(others, sides[1:], strict=True))
        rows.append(f'<tr><th scope="row">{escaped(first.text)}</th>{cells}</tr>')
    kind = ' class="small-table"' if is_small else ""
    body = "\n".join(rows)
    # tabindex: so that one can scroll it with the keyboard
    return (
        f'<div class="scroll" tabindex="0"><table{kind}>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>'
        "</table></div>"
    )


def cell_html(cell: Cell) -> str:
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


def figure(drawn: Figure) -> str:
    """A drawing in the page, with its files named below."""
    svg = figures.in_page(drawn.svg, escaped(drawn.title))
    files = ", ".join(link(f"figures/{drawn.name}.{end}", end.upper()) for end in ("svg", "csv"))
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


def link(path: str, text: str) -> str:
    """A link."""
    return f'<a href="{escaped(path)}">{escaped(text)}</a>'
