"""Writes a report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.page.sections import PictureFile, ReportHeader, TableSection
from bench.report.tables import contents as contents_module
from bench.report.tables import costs, formats


def markdown_page(
    head: ReportHeader,
    parts: Sequence[TableSection],
    pictures: Sequence[PictureFile],
    provenance: Sequence[tuple[str, str]],
    command: str,
) -> str:
    """The same in Markdown."""
    md = formats.md
    body = [f"# {md(head.title)}", md(head.question), md(head.summary), *map(md, head.notes)]
    for result, drawn, spent in parts:
        body += [f"## {md(result.table)}", formats.markdown(result).rstrip()]
        for metric in result.metrics[: formats.NUM_PRIMARY]:
            body += [f"**By {md(result.cluster_noun)}: {md(contents_module.direction(metric))}**",
                     formats.markdown_grid(contents_module.scenes_grid(result, metric))]  # fmt: skip
        body += [f"**What each arm took** ({md(costs.HOW_TIMED)})", formats.markdown_grid(costs.grid(spent))]
        body += [f"![{md(f.title)}](figures/{f.name}.svg)" for f in (*drawn.forests, *drawn.lines)]
    if pictures:
        body += ["## Pictures", *(f"{md(p.title)}\n\n![{md(p.title)}]({p.path})" for p in pictures)]
    body += ["## How it was made", "    " + formats.printable(command)]
    body += ["\n".join(f"- {md(name)}: {md(text)}" for name, text in provenance)]
    return "\n\n".join(filter(None, body)) + "\n"
