"""Prepares what `templates/report.html.j2` prints, and renders a report's page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from bench.analysis.table_result import TableResult
from bench.metrics.task_kinds import kind_named
from bench.report.figures.figure import Figure, slugify
from bench.report.figures.svg import inline_svg
from bench.report.images.interactive_media import InteractiveMedia
from bench.report.page import html, script_data
from bench.report.page.compact import ReportFormat
from bench.report.page.sections import PictureFile, ReportHeader, TableSection
from bench.report.tables import costs, footers, grids
from bench.report.tables.grids import TableGrid
from bench.report.tables.words import metric_direction, metric_title, to_sentence


class MetricView(NamedTuple):
    """One metric of a table, as the page prints it.

    Attributes:
        title: Name of the metric, and which way is better.
        grid: Its numbers.
        resolution: Sentence on what the design could resolve; empty in tables by cluster.
    """

    title: str
    grid: TableGrid
    resolution: str = ""


def render_report_page(
    head: ReportHeader,
    sections: Sequence[TableSection],
    pictures: Sequence[PictureFile],
    provenance: Sequence[tuple[str, str]],
    media: InteractiveMedia,
    form: ReportFormat,
    *,
    command: str,
    data: Mapping[str, Any],
    refresh_s: float | None = None,
) -> str:
    """Render the page of a report.

    Args:
        head: Title, question and notes.
        sections: Tables.
        pictures: Sheets.
        provenance: Names and texts of where the numbers come from.
        media: Turntables and meshes.
        form: Whether figures stand in the page, and where packed files lie.
        command: Command line that makes the report again.
        data: Input of the page's script, see `bench.report.page.script_data`.
        refresh_s: Seconds after which the page loads itself again; None for a page that does not.
    """
    return html.render_template(
        "report.html.j2",
        title=head.title,
        head=head,
        sections=[prepare_section(section, place, form) for place, section in enumerate(sections)],
        pictures=pictures,
        viewers=list(prepare_viewers(media)),
        provenance=provenance,
        command=command,
        results_path=form.at("results.json"),
        data=Markup(script_data.dump_json(data)),
        refresh_s=refresh_s,
    )


def prepare_section(section: TableSection, place: int, form: ReportFormat) -> dict[str, Any]:
    """Prepare what the page prints of one table.

    Args:
        section: The table with its figures and costs.
        place: Number of the table in the report, from 0 on; the script finds it by that.
        form: Whether figures stand in the page, and where packed files lie.
    """
    result = section.result
    primary = result.metrics[: grids.NUM_PRIMARY]
    # Many captions by many arms: the page holds the first metrics, the file all.
    has_many_clusters = kind_named(result.cluster_noun).has_many_clusters
    metrics_by_cluster = primary if has_many_clusters else result.metrics
    by_cluster = [view_clusters(result, metric) for metric in metrics_by_cluster]
    by_metric = [view_metric(result, metric) for metric in result.metrics]
    by_scene = [view_scenes(result, metric) for metric in primary] if result.scene_differences else []
    missing = [("worse", f"Missing from {line}") for line in footers.missing_number_lines(result)]
    arm_notes = [("", f"{arm}: {note}") for arm, note in result.arm_notes.items() if note]
    return {
        "anchor": f"table-{slugify(result.table)}",
        "place": place,
        "title": result.table,
        "question": result.question,
        "baseline": result.baseline,
        "noun": result.cluster_noun,
        "conclusion": footers.conclude(result),
        "summary": grids.summary_grid(result, primary),
        "missing": missing,
        "footer": footer_lines(result),
        "files": list_files(result, form),
        "figures": prepare_figure_groups(section, form),
        "arm_notes": arm_notes,
        "published": grids.published_grid(result),
        "by_metric": by_metric,
        "by_cluster": by_cluster,
        "by_scene": by_scene,
        "by_view": list(view_views(result)),
        "about_scenes": footers.ABOUT_SCENES.format(result.cluster_noun),
        "cluster_rows": "clusters" if has_many_clusters else "arms",
        "costs": costs.cost_grid(section.costs),
        "cost_note": costs.HOW_TIMED,
    }


def footer_lines(result: TableResult) -> list[str]:
    """Write the lines below a table: our own as sentences, notes as a person wrote them."""
    metric = result.metrics[0]
    lines = [footers.table_caption(result), footers.table_legend(result, with_needs=False)]
    if result.has_baseline:
        lines.append(f"{metric_title(metric)}: {footers.resolution_summary(result, metric)}")
    return [*map(to_sentence, lines), *result.notes]


def list_files(result: TableResult, form: ReportFormat) -> list[tuple[str, str]]:
    """List paths and names of a table's files."""
    stem = f"tables/{slugify(result.table)}"
    by_view = [(form.at(f"{stem}-views.csv"), "by view (CSV)")] if result.scene_differences else []
    return [
        (form.at(f"{stem}.csv"), "all numbers (CSV)"),
        (form.at(f"{stem}-scenes.csv"), f"by {result.cluster_noun} (CSV)"),
        *by_view,
        (form.at(f"{stem}.tex"), "for a paper (LaTeX)"),
    ]


def view_metric(result: TableResult, metric: str) -> MetricView:
    """Prepare the tests and verdicts of one metric."""
    return MetricView(
        metric_direction(metric),
        grids.verdict_grid(result, metric, with_p=True, with_run=False),
        footers.resolution_summary(result, metric),
    )


def view_clusters(result: TableResult, metric: str) -> MetricView:
    """Prepare one metric cluster by cluster."""
    return MetricView(metric_direction(metric), grids.cluster_grid(result, metric))


def view_scenes(result: TableResult, metric: str) -> MetricView:
    """Prepare the differences of each scene by itself."""
    return MetricView(metric_direction(metric), grids.scene_grid(result, metric))


def view_views(result: TableResult) -> Iterator[MetricView]:
    """Prepare the differences in each view of a scene, by the first metric."""
    metric = result.metrics[0]
    for cluster in dict.fromkeys(each.cluster for each in result.scene_differences if each.metric == metric):
        yield MetricView(f"{cluster}: {metric_direction(metric)}", grids.view_grid(result, metric, cluster))


def prepare_figure_groups(section: TableSection, form: ReportFormat) -> list[tuple[str, list[dict[str, Any]]]]:
    """Prepare a table's figures: differences side by side, wider ones below."""
    groups = [("figures", section.figures.forests), ("figures lines", section.figures.lines)]
    return [(kind, [prepare_figure(figure, form) for figure in figures]) for kind, figures in groups if figures]


def prepare_figure(figure: Figure, form: ReportFormat) -> dict[str, Any]:
    """Prepare a figure: its drawing, or the size of the file beside a page of the small form."""
    path = f"figures/{figure.name}.svg"
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', figure.svg)
    assert size is not None
    svg = None if form.is_small else Markup(inline_svg(figure.svg, html.escape_text(figure.title)))
    return {
        "title": figure.title,
        "path": path,
        "svg": svg,
        "width": size[1],
        "height": size[2],
        "files": [(form.at(path), "SVG"), (form.at(f"figures/{figure.name}.csv"), "CSV")],
    }


def prepare_viewers(media: InteractiveMedia) -> Iterator[dict[str, str]]:
    """Prepare the list of meshes."""
    for viewer in media.viewers:
        page, model = viewer.contents
        yield {
            "trial_id": viewer.trial_id,
            "name": viewer.name,
            "arm": viewer.arm,
            "about": to_sentence(viewer.about),
            "page": page,
            "model": model,
        }
