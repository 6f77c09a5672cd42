"""Writes a report as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.analysis.paired_comparison import TableResult
from bench.report import caption_context
from bench.report.figures.standard import slug
from bench.report.images.interactive_media import InteractiveMedia
from bench.report.page import html
from bench.report.page.compact import ReportFormat
from bench.report.page.sections import PictureFile, ReportHeader, TableSection
from bench.report.tables import contents as contents_module
from bench.report.tables import costs, formats
from bench.report.tables.costs import ArmCost


def html_page(
    head: ReportHeader,
    parts: Sequence[TableSection],
    pictures: Sequence[PictureFile],
    made: Sequence[tuple[str, str]],
    exhibits: InteractiveMedia,
    given: Mapping[str, Any],
    form: ReportFormat,
) -> str:
    """The page; `given` is what its script gets."""
    anchors = [(f"table-{slug(part.result.table)}", part.result.table) for part in parts]
    # what only the script can fill is hidden until it has
    look, vote = (
        html.link(f"#{name}", text, hidden=True) for name, text in (("look", "side by side"), ("vote", "blind vote"))
    )
    links = "".join(html.link(f"#{anchor}", text) for anchor, text in anchors)
    links = look + links + vote + (html.link("#objects", "meshes") if exhibits.viewers else "")
    links += html.link("#pictures", "pictures") if pictures else ""
    links += html.link("#made", "how it was made")
    body = [
        f"<header>\n<h1>{html.escaped(head.title)}</h1>",
        f'<p class="question">{html.escaped(head.question)}</p>' if head.question else "",
        f'<p class="small">{html.escaped(head.summary)}</p>',
        "".join(f"<p>{html.escaped(note)}</p>" for note in head.notes),
        f"<nav>{links}</nav>\n</header>",
        LOOK,
        *(html_table(part, i, form) for i, part in enumerate(parts)),
        VOTE,
        html_objects(exhibits),
    ]
    if pictures:
        sheets = "\n".join(html.picture(p.path, p.title, *p.size) for p in pictures)
        body.append(f'<section id="pictures">\n<h2>Pictures</h2>\n{sheets}\n</section>')
    rows = "".join(
        f"<dt>{html.escaped(name)}</dt><dd>{html.escaped(text)}</dd>" for name, text in made if name != "command"
    )
    body.append(
        '<section id="made">\n<h2>How it was made</h2>\n<p class="quiet">This makes it again; trials that are there '
        f"are not trained again.</p>\n<pre>{html.escaped(dict(made)['command'])}</pre>\n<dl>{rows}</dl>\n"
        f'<p class="small">Files: {html.link(form.at("results.json"), "all that was found (JSON)")}.</p>\n</section>'
    )
    return html.document(head.title, "\n".join(filter(None, body)), given)


LOOK = (
    '<section id="look" hidden>\n<h2>Side by side</h2>\n<p class="small">The same cameras for all; of the first seed, '
    "none chosen for its looks. One slider turns them together.</p>\n</section>"
)


VOTE = (
    '<section id="vote" hidden>\n<h2>Blind vote</h2>\n<p class="small">Two arms on random sides, without their names. '
    "<code>python -m bench votes FILE</code> turns saved votes into strengths with intervals.</p>\n</section>"
)


def html_objects(exhibits: InteractiveMedia) -> str:
    """Meshes, each with links to its viewer and its file; empty where there are none."""
    if not exhibits.viewers:
        return ""
    parts = []
    for viewer in exhibits.viewers:
        page, model = viewer.contents
        parts.append(
            f'<figure data-trial="{html.escaped(viewer.trial_id)}"><figcaption>{html.escaped(viewer.name)}, by '
            f"{html.escaped(viewer.arm)} ({html.link(page, 'viewer')}, {html.link(model, 'GLB')})<br>"
            f'<span class="quiet">{html.escaped(formats.sentence(viewer.about))}</span></figcaption></figure>'
        )
    return (
        '<section id="objects">\n<h2>Meshes</h2>\n<p class="small">Drag to turn, scroll to come nearer; or arrow keys, '
        f'+ and \u2212.</p>\n<div class="objects">{"".join(parts)}</div>\n</section>'
    )


def html_table(part: TableSection, place: int, form: ReportFormat) -> str:
    """A table's section: what it comes to, the numbers, the figures, and what only some will open."""
    result, drawn, spent = part
    stem, noun = f"tables/{slug(result.table)}", result.cluster_noun
    primary = result.metrics[: formats.NUM_PRIMARY]
    files = ((".csv", "all numbers (CSV)"), ("-scenes.csv", f"by {noun} (CSV)"), (".tex", "for a paper (LaTeX)"))
    links = ", ".join(html.link(form.at(stem + end), text) for end, text in files)
    missing = [("worse", f"Missing: {line}") for line in contents_module.missing_number_lines(result)]
    feet = [
        contents_module.caption(result),
        contents_module.legend(result, with_needs=False),
        f"{contents_module.named(primary[0])}: {contents_module.resolution(result, primary[0])}",
    ]
    # what a person wrote stays as it is; our own lines become sentences
    feet = [*map(formats.sentence, feet), *result.notes]
    foot = "<br>".join(map(html.escaped, feet))
    in_full = "\n".join(
        f"<h3>{html.escaped(contents_module.direction(metric))}</h3>"
        f"{html.table(contents_module.metric_grid(result, metric, with_p=True, with_run=False), is_small=True, rows='arms')}"
        f'<p class="small">{html.escaped(contents_module.resolution(result, metric))}</p>'
        for metric in result.metrics
    )
    rows = "clusters" if noun == "caption" else "arms"
    by_scene = "\n".join(
        f"<h3>{html.escaped(contents_module.direction(metric))}</h3>"
        f"{html.table(contents_module.scenes_grid(result, metric), is_small=True, rows=rows, are_trials=True)}"
        # of many captions by many arms a page holds the first metrics, the file all
        for metric in (primary if caption_context.is_of_captions(result) else result.metrics)
    )
    published = contents_module.published_grid(result)
    return "\n".join(
        [
            f'<section id="table-{slug(result.table)}" data-table="{place}">\n<h2>{html.escaped(result.table)}</h2>',
            f'<p class="question">{html.escaped(result.question)}</p>' if result.question else "",
            html.items(contents_module.conclusion(result)),
            html.table(contents_module.summary_grid(result, primary), rows="arms"),
            html.items(missing) if missing else "",
            f'<p class="small">{foot}<br>Files: {links}.</p>',
            *(
                f'<div class="figures{kind}">{"".join(html.figure(each, form) for each in some)}</div>'
                for kind, some in (("", drawn.forests), (" lines", drawn.lines)) if some
            ),
            html_arms(result),
            html.details("As published", html.table(published, is_small=True)) if published else "",
            html.details("Every metric: tests and verdicts", in_full),
            html.details(f"Every {noun}", by_scene),
            html_costs(spent),
            "</section>",
        ]
    )  # fmt: skip


def html_arms(result: TableResult) -> str:
    """How arms differ from the baseline, folded away; empty where nothing is said of them."""
    said: list[tuple[str, str]] = [("", f"{arm}: {note}") for arm, note in result.arm_notes.items() if note]
    return html.details(f"How arms differ from {result.baseline}", html.items(said)) if said else ""


def html_costs(spent: Sequence[ArmCost]) -> str:
    """What each arm took, folded away."""
    rows = html.table(costs.grid(spent), is_small=True, rows="arms")
    how = html.escaped(formats.sentence(costs.HOW_TIMED))
    return html.details("What each arm took", f'{rows}<p class="small">{how}</p>')
