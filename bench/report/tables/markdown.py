"""Writes tables as Markdown. Names that a person wrote are escaped."""

from __future__ import annotations

from bench.analysis.table_result import TableResult
from bench.report.tables import footers, grids
from bench.report.tables.cells import TableCell
from bench.report.tables.grids import TableGrid
from bench.report.tables.words import metric_direction, printable

SPECIAL = "\\`*_{}[]#|~$!"
"""Characters that mean something to Markdown."""


def table_markdown(result: TableResult) -> str:
    """Write a whole table: a section a metric."""
    parts = [
        f"*{escape_markdown(result.question)}*" if result.question else "",
        escape_markdown(footers.table_caption(result)),
        list_markdown([line for _, line in footers.conclude(result)]),
    ]
    for metric in result.metrics:
        parts.append(f"**{escape_markdown(metric_direction(metric))}**")
        parts.append(grid_markdown(grids.verdict_grid(result, metric, with_p=True)))
        parts.append(escape_markdown(footers.resolution_summary(result, metric)))
    arm_notes = [f"{arm}: {note}" for arm, note in result.arm_notes.items()]
    parts.append(list_markdown([*footers.missing_number_lines(result), *arm_notes, *result.notes]))
    parts.append(f"<sub>{escape_markdown(footers.table_legend(result))}</sub>")
    published = grids.published_grid(result)
    if published:
        parts.append(grid_markdown(published))
    return "\n\n".join(part for part in parts if part) + "\n"


def list_markdown(lines: list[str]) -> str:
    """Write a list, an item a line."""
    return "\n".join(f"- {escape_markdown(line)}" for line in lines)


def grid_markdown(grid: TableGrid) -> str:
    """Write a grid."""
    head = [escape_markdown(name) for name in grid.header]
    rule = ["---" if i in grid.left else "---:" for i in range(len(head))]
    rows = [[cell_markdown(cell) for cell in row] for row in grid.rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def cell_markdown(cell: TableCell) -> str:
    """Write a cell; bold only where it is the best and resolved."""
    text = escape_markdown(cell.text)
    if cell.strong:
        text = f"**{text}**"
    return f"{text} {cell.aside}" if cell.aside else text


def escape_markdown(text: str) -> str:
    """Escape a person's text, so that Markdown shows it as it is."""
    text = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join("\\" + character if character in SPECIAL else character for character in text)
