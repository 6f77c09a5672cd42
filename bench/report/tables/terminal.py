"""Prints tables in a terminal or a log file. Names that a person wrote lose control characters."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any, Literal

from rich.console import Console, Group
from rich.table import Table as RichTable
from rich.text import Text

from bench.analysis.table_result import TableResult
from bench.metrics.registry import metric_named
from bench.report.tables import footers, grids
from bench.report.tables.cells import TableCell
from bench.report.tables.grids import TableGrid
from bench.report.tables.words import metric_direction, printable

LOG_WIDTH = 100
"""Columns of a log file."""

STYLES = {"": "", "better": "bold green", "worse": "bold red", "quiet": "dim"}

ASCII_RELATIVES = (("±", "+-"), ("–", "-"), ("×", "x"), (" · ", ", "))
"""Signs that an output of another encoding may not hold, and what is written in their place."""

Block = Text | RichTable


def print_tables(results: Sequence[TableResult], left_out: str = "") -> None:
    """Print every table in the terminal; notes that all of several tables share stand once, behind them.

    Args:
        results: The tables.
        left_out: What the budget leaves to larger ones, in a sentence that stands last; empty for nothing.
    """
    shared: list[str] = []
    if len(results) > 1:
        shared = [note for note in results[0].notes if all(note in result.notes for result in results)]
    for result in results:
        own = tuple(note for note in result.notes if note not in shared)
        print_result(dataclasses.replace(result, notes=own))
        print()
    for note in shared:
        print(f"all tables: {printable(note)}")
    if left_out:
        print(left_out)
    if shared or left_out:
        print()


def print_result(result: TableResult, metrics: Sequence[str] | None = None, file: Any = None) -> None:
    """Print a table: one block for each metric, then what it comes to and what was lost.

    Args:
        result: Table that `bench.analysis.paired_comparison.compare` made.
        metrics: Which; None for the first few.
        file: Where to, open for text; None for standard output. Colours only in a terminal, 100 columns in a file.
    """
    shown = tuple(metrics or result.metrics[: grids.NUM_PRIMARY])
    title = f"{result.table}: {result.question}" if result.question else result.table
    blocks: list[Block] = [
        to_text(title, "bold"),
        to_text(footers.table_caption(result), "dim"),
        to_text(footers.table_legend(result), "dim"),
    ]
    for metric in shown:
        has_losses = any(entry.num_missing for entry in result.column(metric))
        blocks += metric_blocks(result, metric, with_run=metric == shown[0] or has_losses)
    blocks.append(Text())
    blocks += [to_text(line, STYLES[tone]) for tone, line in footers.conclude(result)]
    blocks += [to_text(f"missing from {line}", "yellow") for line in footers.missing_number_lines(result)]
    blocks += [to_text(f"note: {note}", "dim") for note in result.notes]
    published = grids.published_grid(result)
    if published:
        blocks += [Text(), to_rich_table(published)]
    others = [metric_named(metric).title for metric in result.metrics if metric not in shown]
    if others:
        blocks.append(to_text(f"in the report also: {'; '.join(others)}", "dim"))
    print_blocks(make_console(file), blocks)


def metric_blocks(result: TableResult, metric: str, with_run: bool) -> list[Block]:
    """Set one metric: a heading, its numbers, and what could be resolved; of few scenes the differences of each."""
    blocks: list[Block] = [
        Text(),
        to_text(metric_direction(metric), "bold"),
        to_rich_table(grids.verdict_grid(result, metric, with_run=with_run)),
    ]
    if result.scene_differences:
        title = f"minus {result.baseline}, by {result.cluster_noun} ± over its views"
        return [*blocks, to_text(title, "dim"), to_rich_table(grids.scene_grid(result, metric))]
    if not result.has_baseline:
        return blocks
    return [*blocks, to_text(footers.resolution_summary(result, metric), "dim")]


def make_console(file: Any) -> Console:
    """Make a console as wide as the terminal, or of fixed width and without colours for a file."""
    target = file or sys.stdout
    return Console(file=target, highlight=False) if target.isatty() else make_plain_console(target)


def make_plain_console(file: Any) -> Console:
    """Make a console that writes text and nothing else, whatever the environment says of colours."""
    return Console(file=file, width=LOG_WIDTH, color_system=None, force_terminal=False, highlight=False)


def print_blocks(console: Console, blocks: Sequence[Block]) -> None:
    """Print blocks; where the output cannot hold `±` and its like, their nearest relatives."""
    encoding = getattr(console.file, "encoding", None) or "utf-8"
    try:
        "±–×~↑↓·".encode(encoding)
    except UnicodeEncodeError:
        with console.capture() as captured:
            console.print(Group(*blocks))
        text = captured.get()
        for sign, relative in ASCII_RELATIVES:
            text = text.replace(sign, relative)
        console.file.write(text.encode(encoding, "replace").decode(encoding))
        return
    console.print(Group(*blocks))


def to_text(line: str, style: str) -> Text:
    """Set a line, which may hold a person's words."""
    return Text(printable(line), style=style)


def to_rich_table(grid: TableGrid, gap: int = 2) -> RichTable:
    """Set a grid for the terminal.

    Args:
        grid: The table.
        gap: Spaces between columns.
    """
    table = RichTable(box=None, padding=(0, gap, 0, 0), header_style="dim", show_edge=False)
    for i, name in enumerate(grid.header):
        justify: Literal["left", "right"] = "left" if i in grid.left else "right"
        table.add_column(Text(printable(name)), justify=justify, overflow="fold", no_wrap=i not in grid.left)
    widths = [max(len(row[i].aside) for row in grid.rows) for i in range(len(grid.header))]
    for row in grid.rows:
        table.add_row(*(to_rich_cell(cell, width) for cell, width in zip(row, widths, strict=True)))
    return table


def to_rich_cell(cell: TableCell, width: int) -> Text:
    """Set a cell; asides of a column are of one width, so that numbers stand under each other."""
    text = Text(printable(cell.text), style="bold" if cell.strong else STYLES[cell.tone])
    if width and cell.is_number:
        text.append(" " + cell.aside.ljust(width), style="dim")
    return text
