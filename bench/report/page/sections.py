"""Draws the parts of a page: of each table its figures and costs, and all pictures as files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image

from bench.analysis.table_result import TableResult
from bench.report.figures import captions, cost_and_variance, standard
from bench.report.figures.standard import Figure, slug
from bench.report.images import image_grid
from bench.report.page import compact
from bench.report.report_contents import ReportContents
from bench.report.tables import costs, formats
from bench.report.tables.costs import ArmCost
from bench.storage.record import Record


class TableFigures(NamedTuple):
    """The figures of one table.

    Attributes:
        forests: A metric each, the primary ones.
        lines: Error against angle, learning curves and the like: what could be drawn of them.
    """

    forests: tuple[Figure, ...]
    lines: tuple[Figure, ...]


class TableSection(NamedTuple):
    """One table of a report.

    Attributes:
        result: Its numbers.
        drawn: Its figures.
        spent: Costs of each arm.
    """

    result: TableResult
    drawn: TableFigures
    spent: Sequence[ArmCost]


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
    """Head of a report."""

    title: str
    question: str
    notes: tuple[str, ...]
    summary: str


def draw_sections(contents: ReportContents, records: Sequence[Record]) -> list[TableSection]:
    """Draws the figures of each table, and adds up what its arms took.

    Args:
        contents: What the report holds.
        records: Its records, sorted by trial.
    """
    by_id = {record.trial_id: record for record in records}
    sections = []
    for result in contents.results:
        cells = [cell for cell in contents.cells if cell.table == result.table]
        figures = draw_figures(result, contents, records)
        sections.append(TableSection(result, figures, costs.of_arms(cells, by_id)))
    return sections


def draw_figures(result: TableResult, contents: ReportContents, records: Sequence[Record]) -> TableFigures:
    """Draws the figures that a table's numbers allow."""
    frame = contents.frame
    cells = contents.cells
    context = contents.contexts.get(result.table)
    primary = result.metrics[: formats.NUM_PRIMARY]
    compared = [metric for metric in primary if any(e.difference is not None for e in result.column(metric))]
    forests = tuple(standard.forest(result, metric) for metric in compared)
    lines: list[Figure | None]
    if context is not None:
        lines = [*captions.lines(result, frame, cells, records, context)]
    else:
        lines = [standard.by_angle(frame, cells, result, primary[0]), standard.curves(records, cells, result)]
    lines += cost_and_variance.of_table(result, frame, cells, records)
    return TableFigures(forests=forests, lines=tuple(figure for figure in lines if figure is not None))


def draw_picture_files(contents: ReportContents) -> list[PictureFile]:
    """Draws the pictures of a report; those of which the store keeps no view are left out."""
    pictures = []
    for title, sheet in contents.sheets.items():
        image = sheet.draw()
        if image is not None:
            pictures.append(encode_picture(title, image, contents.is_small))
    return pictures


def encode_picture(title: str, image: Image.Image, is_small: bool) -> PictureFile:
    """Encodes a picture as PNG, or as lossy WebP in the small form."""
    if is_small:
        return PictureFile(title, f"sheets/{slug(title)}.webp", compact.lossy(image), image.size)
    return PictureFile(title, f"sheets/{slug(title)}.png", image_grid.png(image), image.size)


def table_files(section: TableSection) -> Iterator[tuple[str, str]]:
    """Writes a table's files and those of its figures: pairs of a path in the folder and a text."""
    stem = f"tables/{slug(section.result.table)}"
    yield f"{stem}.csv", formats.csv_text(section.result)
    yield f"{stem}.tex", formats.latex(section.result)
    yield f"{stem}-scenes.csv", formats.scenes_csv(section.result)
    for figure in (*section.drawn.forests, *section.drawn.lines):
        yield f"figures/{figure.name}.svg", standard.standalone(figure.svg)
        yield f"figures/{figure.name}.csv", formats.csv_rows(figure.rows)
