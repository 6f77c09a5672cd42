"""Writes a report as one page of Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.report.page.sections import PictureFile, ReportHeader, TableSection
from bench.report.tables import costs, grids
from bench.report.tables.markdown import escape_markdown, grid_markdown, list_markdown, table_markdown
from bench.report.tables.words import metric_direction, printable


def write_markdown_page(
    head: ReportHeader,
    sections: Sequence[TableSection],
    pictures: Sequence[PictureFile],
    provenance: Sequence[tuple[str, str]],
    command: str,
) -> str:
    """Write the page.

    Args:
        head: Title, question and notes.
        sections: Tables.
        pictures: Sheets.
        provenance: Names and texts of where the numbers come from.
        command: Command line that makes the report again.
    """
    blocks = [f"# {escape_markdown(head.title)}"]
    blocks += [escape_markdown(line) for line in (head.question, head.summary, *head.notes)]
    for section in sections:
        blocks += section_blocks(section)
    if pictures:
        blocks.append("## Pictures")
        blocks += [picture_block(picture) for picture in pictures]
    blocks.append("## How it was made")
    blocks.append("    " + printable(command))
    blocks.append(list_markdown([f"{name}: {text}" for name, text in provenance]))
    return "\n\n".join(block for block in blocks if block) + "\n"


def section_blocks(section: TableSection) -> Iterator[str]:
    """Write one table: its numbers, its first metrics by cluster, its costs and figures."""
    result = section.result
    yield f"## {escape_markdown(result.table)}"
    yield table_markdown(result).rstrip()
    for metric in result.metrics[: grids.NUM_PRIMARY]:
        yield f"**By {escape_markdown(result.cluster_noun)}: {escape_markdown(metric_direction(metric))}**"
        yield grid_markdown(grids.cluster_grid(result, metric))
        if result.scene_differences:
            yield f"**Minus {escape_markdown(result.baseline)}, ± over the views of each {result.cluster_noun}**"
            yield grid_markdown(grids.scene_grid(result, metric))
    yield "**What each arm took**"
    yield grid_markdown(costs.cost_grid(section.costs))
    yield escape_markdown(costs.HOW_TIMED)
    for figure in (*section.figures.forests, *section.figures.lines):
        yield f"![{escape_markdown(figure.title)}](figures/{figure.name}.svg)"


def picture_block(picture: PictureFile) -> str:
    """Write a picture under its title."""
    title = escape_markdown(picture.title)
    return f"{title}\n\n![{title}]({picture.path})"
