"""Draws the parts of a page: of each table its figures and costs, and all pictures as files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image

from bench.analysis.table_result import TableResult
from bench.report.figures.figure import slugify
from bench.report.figures.svg import standalone_svg
from bench.report.figures.table_figures import TableFigures, draw_table_figures
from bench.report.images import image_grid
from bench.report.page import compact
from bench.report.report_contents import ReportContents
from bench.report.tables import csv_files, latex
from bench.report.tables.costs import ArmCost, costs_by_arm
from bench.storage.record import Record


class TableSection(NamedTuple):
    """One table of a report.

    Attributes:
        result: Its numbers.
        figures: Its figures.
        costs: Costs of each arm.
    """

    result: TableResult
    figures: TableFigures
    costs: Sequence[ArmCost]


class PictureFile(NamedTuple):
    """A picture as a file.

    Attributes:
        title: Sentence on what it shows.
        path: Path in the report's folder.
        content: Bytes of a PNG, or of a WebP in the small form.
        size: Width and height in pixels.
    """

    title: str
    path: str
    content: bytes
    size: tuple[int, int]


class ReportHeader(NamedTuple):
    """Head of a report.

    Attributes:
        title: Name of the suite.
        question: The suite's question; empty for none.
        notes: Sentences that a reader must know first.
        summary: Line on how much was run.
    """

    title: str
    question: str
    notes: tuple[str, ...]
    summary: str


def draw_sections(contents: ReportContents, records: Sequence[Record]) -> list[TableSection]:
    """Draw the figures of each table, and add up what its arms took.

    Args:
        contents: What the report holds.
        records: Its records, sorted by trial.
    """
    by_id = {record.trial_id: record for record in records}
    sections = []
    for result in contents.results:
        cells = [cell for cell in contents.cells if cell.table == result.table]
        figures = draw_table_figures(result, contents, records)
        sections.append(TableSection(result, figures, costs_by_arm(cells, by_id)))
    return sections


def draw_picture_files(contents: ReportContents) -> list[PictureFile]:
    """Draw the pictures of a report; those of which the store keeps no view are left out."""
    pictures = []
    for title, sheet in contents.sheets.items():
        image = sheet.draw()
        if image is not None:
            pictures.append(encode_picture(title, image, contents.is_small))
    return pictures


def encode_picture(title: str, image: Image.Image, is_small: bool) -> PictureFile:
    """Encode a picture as PNG, or as lossy WebP in the small form."""
    if is_small:
        return PictureFile(title, f"sheets/{slugify(title)}.webp", compact.encode_lossy(image), image.size)
    return PictureFile(title, f"sheets/{slugify(title)}.png", image_grid.encode_png(image), image.size)


def table_files(section: TableSection) -> Iterator[tuple[str, str]]:
    """Write a table's files and those of its figures: pairs of a path in the folder and a text."""
    stem = f"tables/{slugify(section.result.table)}"
    yield f"{stem}.csv", csv_files.entries_csv(section.result)
    yield f"{stem}.tex", latex.table_latex(section.result)
    yield f"{stem}-scenes.csv", csv_files.clusters_csv(section.result)
    if section.result.scene_differences:
        yield f"{stem}-views.csv", csv_files.views_csv(section.result)
    for figure in (*section.figures.forests, *section.figures.lines):
        yield f"figures/{figure.name}.svg", standalone_svg(figure.svg)
        yield f"figures/{figure.name}.csv", csv_files.rows_csv(figure.rows)
