"""Chooses the figures of a table, and draws those that its numbers allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bench.analysis.table_result import TableResult
from bench.report.figures.caption_retrieval import draw_by_azimuth, draw_by_distractors
from bench.report.figures.confusion_bars import draw_confusions
from bench.report.figures.error_by_angle import draw_error_by_angle
from bench.report.figures.figure import Figure
from bench.report.figures.forest import draw_forest
from bench.report.figures.guide_matrix import draw_guide_matrix
from bench.report.figures.quality_against_cost import draw_quality_against_cost
from bench.report.figures.training_curves import draw_training_curves
from bench.report.figures.variance_shares import draw_variance_shares
from bench.report.report_contents import ReportContents
from bench.report.tables.grids import NUM_PRIMARY
from bench.storage.record import Record

CURVES = ("loss", "negative_cosine", "transmittance")
"""Terms of the loss of Dream Fields that are drawn, where records have them."""


class TableFigures(NamedTuple):
    """Figures of one table.

    Attributes:
        forests: Differences to the baseline, one figure for each of the first metrics.
        lines: Wider figures, such as error against angle and learning curves.
    """

    forests: tuple[Figure, ...]
    lines: tuple[Figure, ...]


def draw_table_figures(result: TableResult, contents: ReportContents, records: Sequence[Record]) -> TableFigures:
    """Draw the figures of a table.

    Args:
        result: The table.
        contents: The report that it stands in.
        records: Records of the report, sorted by trial.
    """
    primary = result.metrics[:NUM_PRIMARY]
    compared = [metric for metric in primary if any(entry.difference is not None for entry in result.column(metric))]
    forests = tuple(draw_forest(result, metric) for metric in compared)
    if result.table in contents.contexts:
        drawn = draw_caption_figures(result, contents, records)
    else:
        drawn = draw_photo_figures(result, contents, records)
    metric = result.metrics[0]
    drawn.append(draw_quality_against_cost(result, metric, contents.cells, records))
    drawn.append(draw_variance_shares(contents.frame, contents.cells, result, metric))
    return TableFigures(forests, tuple(figure for figure in drawn if figure is not None))


def draw_caption_figures(
    result: TableResult, contents: ReportContents, records: Sequence[Record]
) -> list[Figure | None]:
    """Draw the figures of a table of captions; None for those that its numbers do not allow."""
    context = contents.contexts[result.table]
    return [
        draw_by_azimuth(contents.frame, contents.cells, result, context),
        draw_by_distractors(contents.frame, contents.cells, result, context),
        draw_guide_matrix(result, contents.cells, records),
        draw_confusions(result, context),
        *(draw_training_curves(records, contents.cells, result, term) for term in CURVES),
    ]


def draw_photo_figures(result: TableResult, contents: ReportContents, records: Sequence[Record]) -> list[Figure | None]:
    """Draw the figures of a table of photographs; None for those that its numbers do not allow."""
    return [
        draw_error_by_angle(contents.frame, contents.cells, result, result.metrics[0]),
        draw_training_curves(records, contents.cells, result),
    ]
