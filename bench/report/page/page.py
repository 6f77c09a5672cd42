"""Writes a study's report: a folder with a page, the same as Markdown, and every table, figure and picture as a file.

    index.html   opens from disk, needs no network; without its script it can be read as well
    index.md     for reading where code is read
    tables/      <table>.csv, <table>.tex, <table>-scenes.csv
    figures/     <name>.svg with <name>.csv
    sheets/      <name>.png
    media/       <trial_id>.webp, frames that turn in the page; objects/ <trial_id>.glb and .html, meshes
    results.json what `bench.analysis.paired_comparison` found

A small one, to be kept beside code, has lossy sheets and gzip in place of long tables, see `bench.report.page.compact`.
The same inputs give the same bytes. Files are written under a temporary name, then renamed.
"""

from __future__ import annotations

import io
import json
import os
import pathlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from PIL import Image

from bench.analysis.paired_comparison import TableResult
from bench.errors import UsageError
from bench.metrics import caption_protocols
from bench.metrics.protocols import PROTOCOLS
from bench.report import alive, caption_results
from bench.report.caption_results import CaptionTableContext
from bench.report.figures import cost_and_variance, standard
from bench.report.figures.standard import Figure, slug
from bench.report.images import image_grid
from bench.report.page import compact, html, script_data
from bench.report.page.compact import ReportFormat
from bench.report.page.script_data import InteractiveMedia
from bench.report.tables import contents as contents_module
from bench.report.tables import costs, formats
from bench.report.tables.costs import ArmCost, DevicePrice
from bench.storage.record import Record
from bench.storage.timings import own_seconds
from bench.suites.suite import TrialSlot

UNKNOWN = "unknown"
"""What a trial whose record does not say it was made by; it stands last, with how many there are."""


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


def write(
    suite_name: str,
    results: Sequence[TableResult],
    *,
    frame: pd.DataFrame,
    cells: Sequence[TrialSlot],
    records: Sequence[Record],
    sheets: Mapping[str, Image.Image | pathlib.Path],
    command: str,
    out: pathlib.Path,
    question: str = "",
    notes: Sequence[str] = (),
    judged: Mapping[str, CaptionTableContext] | None = None,
    price: DevicePrice | None = None,
    every_s: float | None = None,
    exhibits: InteractiveMedia | None = None,
    is_small: bool = False,
) -> pathlib.Path:
    """Writes the report of a suite.

    Args:
        suite_name: Its title.
        results: Its tables.
        frame: What they were made of, for the figures.
        cells: Places of trials in tables, for the figures.
        records: Of the trials, for curves, costs and where they ran; in any order.
        sheets: Pictures by title: images, or paths of PNG files.
        command: What makes this again.
        out: Folder, made if it is missing. Files of the same names are replaced, others left, but for those that stand
            in the other form (`is_small` or not) for the same.
        question: What the suite asks.
        notes: What a reader must know first, such as that the scenes are the embedded ones.
        judged: By table of captions, what its figures are made of beside the numbers.
        price: Of an hour of a device; None to say hours only.
        every_s: Seconds after which the page loads itself again, while trials run; None for one that rests.
        exhibits: Turntables and meshes; None for a page without them.
        is_small: To be kept beside code.

    Returns:
        Path of `index.html`.

    Raises:
        UsageError: Two tables' names make the same file name.
    """
    check_names([result.table for result in results])
    records = sorted(records, key=lambda record: record.trial_id)
    drawn = [draw(result, frame, cells, records, (judged or {}).get(result.table)) for result in results]
    pictures = [load_sheet(title, image, is_small) for title, image in sheets.items()]
    check_names([picture.title for picture in pictures])
    made = [*provenance_rows(results, records, command), *costs.rows(records, price)]
    head, exhibits = (
        ReportHeader(suite_name, question, tuple(notes), summary_line(results, records)),
        exhibits or InteractiveMedia(),
    )
    given = script_data.data(suite_name, results, frame=frame, cells=cells, records=records, exhibits=exhibits)
    by_id = {record.trial_id: record for record in records}
    parts = [
        TableSection(result, its, costs.of_arms([cell for cell in cells if cell.table == result.table], by_id))
        for result, its in zip(results, drawn, strict=True)
    ]
    plain = {path: content for part in parts for path, content in files(part)}
    plain["results.json"] = json.dumps([result.to_json() for result in results], indent=1, allow_nan=False) + "\n"
    form, contents = compact.form(plain, is_small)
    contents |= {
        "index.html": html_page(head, parts, pictures, made, exhibits, given, form),
        "index.md": markdown_page(head, parts, pictures, made),
    }
    contents |= {picture.path: picture.content for picture in pictures} | exhibits.contents()
    if every_s is not None:
        contents["index.html"] = alive.refreshing(str(contents["index.html"]), every_s)
    for name in compact.of_other_forms(contents):
        (out / name).unlink(missing_ok=True)
    for name, content in contents.items():
        write_file(out / name, content)
    return out / "index.html"


class ReportHeader(NamedTuple):
    """How a report begins."""

    title: str
    question: str
    notes: tuple[str, ...]
    summary: str


# --- what stands in it ------------------------------------------------------------------------------------------------


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
        return TableFigures(
            forests=forests, lines=(*caption_results.lines(result, frame, cells, records, judged), *more)
        )
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


def summary_line(results: Sequence[TableResult], records: Sequence[Record]) -> str:
    """How much was done, on one line."""
    num_failed = sum(record.status == "failed" for record in records)
    parts = [
        contents_module.counted(len(results), "table"),
        contents_module.counted(len(records), "trial") + (f", {num_failed} failed" if num_failed else ""),
        cost(records),
    ]
    return " · ".join(filter(None, parts))


def cost(records: Sequence[Record]) -> str:
    """What the trials took, all together and each; a pack's seconds are shared among its trials."""
    seconds = [s for record in records if (s := own_seconds(record.timings)) == s]
    if not seconds:
        return ""
    total = sum(seconds)
    told = f"{total / 3600:.1f} hours" if total >= 3600 else f"{total / 60:.1f} minutes"
    return f"{told} of training and scoring, {total / len(seconds):.1f} s a trial"


def provenance_rows(results: Sequence[TableResult], records: Sequence[Record], command: str) -> list[tuple[str, str]]:
    """Where the numbers come from: the command, definitions, devices, versions, commit."""
    rows = [("command", command)]
    for name, of_captions in dict.fromkeys(
        (result.protocol, caption_results.is_of_captions(result)) for result in results
    ):
        known = (caption_protocols.PROTOCOLS if of_captions else PROTOCOLS).get(name)
        kind = " of captions" if of_captions else ""
        rows.append(("protocol" + kind, f"{name} {known.version}: {known.about}" if known else name))
    rows.append(
        ("budget", ", ".join(dict.fromkeys(b for result in results for b in result.budgets)) or contents_module.DASH)
    )
    environments = [record.environment for record in records]
    commits = [
        f"{str(e['git_commit'])[:12]}{' with local changes' if e.get('git_dirty') else ''}"
        if e.get("git_commit")
        else UNKNOWN
        for e in environments
    ]
    rows += [("commit", count_values(commits))] if commits else []
    for name in ("device", "num_devices", "platform", "python"):
        found = [str(e[name]) for e in environments if e.get(name) is not None]
        rows += [(name.replace("num_devices", "devices a host"), count_values(found))] if found else []
    packages: dict[str, list[str]] = {}
    for environment in environments:
        for package, version in environment.get("packages", {}).items():
            packages.setdefault(package, []).append(version)
    if packages:
        rows.append(("packages", ", ".join(f"{name} {count_values(packages[name])}" for name in sorted(packages))))
    return rows


def count_values(values: Sequence[str]) -> str:
    """Each value once; where they differ, with how many trials have it."""
    found = Counter(values)
    num_unknown = found.pop(UNKNOWN, 0)
    if len(found) == 1 and not num_unknown:
        return values[0]
    told = [f"{value} ({contents_module.counted(num, 'trial')})" for value, num in sorted(found.items())]
    return " | ".join(
        [*told, *([f"{UNKNOWN}: {contents_module.counted(num_unknown, 'trial')}"] if num_unknown else [])]
    )


# --- HTML -------------------------------------------------------------------------------------------------------------


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
        for metric in (primary if caption_results.is_of_captions(result) else result.metrics)
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


# --- Markdown ---------------------------------------------------------------------------------------------------------


def markdown_page(
    head: ReportHeader, parts: Sequence[TableSection], pictures: Sequence[PictureFile], made: Sequence[tuple[str, str]]
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
    fenced = formats.printable(dict(made)["command"])
    body += ["## How it was made", "    " + fenced]
    body += ["\n".join(f"- {md(name)}: {md(text)}" for name, text in made if name != "command")]
    return "\n\n".join(filter(None, body)) + "\n"


# --- files ------------------------------------------------------------------------------------------------------------


def check_names(names: Sequence[str]) -> None:
    """UsageError where two names would be one file."""
    seen: dict[str, str] = {}
    for name in names:
        if slug(name) in seen:
            raise UsageError(
                f"report: expected names that differ in their letters and digits, got {seen[slug(name)]!r} and "
                f"{name!r}; rename one"
            )
        seen[slug(name)] = name


def write_file(path: pathlib.Path, content: str | bytes) -> None:
    """Writes a file, in one step for whoever reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(temporary, path)
