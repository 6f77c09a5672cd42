"""Gathers the parts of a page: figures and pictures as files, tables with their notes."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pandas as pd
from PIL import Image

from bench.analysis.paired_comparison import TableResult
from bench.report.caption_context import CaptionTableContext
from bench.report.figures import captions, cost_and_variance, standard
from bench.report.figures.standard import Figure, slug
from bench.report.images import image_grid
from bench.report.page import compact
from bench.report.tables import formats
from bench.report.tables.costs import ArmCost
from bench.storage.record import Record
from bench.suites.suite import TrialSlot


class TableFigures(NamedTuple):
    """The figures of one table.

    Attributes:
        forests: A metric each, the primary ones.
        lines: Error against angle, learning curves and the like: what could be drawn of them.
    """

    forests: tuple[Figure, ...]
    lines: tuple[Figure, ...]


class TableSection(NamedTuple):
    """What a report says of one table.

    Attributes:
        result: Its numbers.
        drawn: Its figures.
        spent: What each arm took.
    """

    result: TableResult
    drawn: TableFigures
    spent: Sequence[ArmCost]


class PictureFile(NamedTuple):
    """A picture's file.

    Attributes:
        title: What it shows.
        path: In the report's folder.
        content: Of the PNG, or of the WebP of a small report.
        size: Width and height in pixels.
    """

    title: str
    path: str
    content: bytes
    size: tuple[int, int]


class ReportHeader(NamedTuple):
    """How a report begins."""

    title: str
    question: str
    notes: tuple[str, ...]
    summary: str


def draw(
    result: TableResult,
    frame: pd.DataFrame,
    cells: Sequence[TrialSlot],
    records: Sequence[Record],
    judged: CaptionTableContext | None = None,
) -> TableFigures:
    """The figures that a table's numbers allow."""
    primary = result.metrics[: formats.NUM_PRIMARY]
    compared = [m for m in primary if any(e.difference is not None for e in result.column(m))]
    forests = tuple(standard.forest(result, metric) for metric in compared)
    more = cost_and_variance.of_table(result, frame, cells, records)
    if judged is not None:
        return TableFigures(forests=forests, lines=(*captions.lines(result, frame, cells, records, judged), *more))
    lines = (standard.by_angle(frame, cells, result, primary[0]), standard.curves(records, cells, result))
    return TableFigures(forests=forests, lines=(*(figure for figure in lines if figure is not None), *more))


def load_sheet(title: str, image: Image.Image | pathlib.Path, is_small: bool = False) -> PictureFile:
    """A picture for the folder, whether it is drawn yet or lies on disk."""
    content = image_grid.png(image) if isinstance(image, Image.Image) else image.read_bytes()
    with Image.open(io.BytesIO(content)) as opened:
        packed = compact.lossy(opened) if is_small else content
        return PictureFile(title, f"sheets/{slug(title)}.{'webp' if is_small else 'png'}", packed, opened.size)


def files(part: TableSection) -> Iterator[tuple[str, str]]:
    """A table's files, and those of its figures: their paths in the folder, and what stands in them."""
    stem = f"tables/{slug(part.result.table)}"
    yield f"{stem}.csv", formats.csv_text(part.result)
    yield f"{stem}.tex", formats.latex(part.result)
    yield f"{stem}-scenes.csv", formats.scenes_csv(part.result)
    for figure in (*part.drawn.forests, *part.drawn.lines):
        yield f"figures/{figure.name}.svg", standard.standalone(figure.svg)
        yield f"figures/{figure.name}.csv", formats.csv_rows(figure.rows)
