"""Draws a report's files and writes its folder: a page, the same in Markdown, and each table, figure and picture.

    index.html    opens from disk, needs no network; without its script it can be read as well
    index.md      for reading where code is read
    tables/       <table>.csv, <table>.tex, <table>-scenes.csv
    figures/      <name>.svg with <name>.csv
    sheets/       <name>.png
    media/        <trial_id>.webp, frames that turn in the page
    objects/      <trial_id>.glb and <trial_id>.html, meshes
    results.json  the compared tables of `bench.analysis.paired_comparison`

The small form, which is kept beside code, has lossy sheets and gzip in place of long tables, see
`bench.report.page.compact`. The same contents give the same bytes. Files are written under a temporary name, then
renamed.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence

from bench.errors import UsageError
from bench.report.figures.figure import slugify
from bench.report.page import compact, provenance, script_data
from bench.report.page.html_page import render_report_page
from bench.report.page.markdown_page import write_markdown_page
from bench.report.page.sections import ReportHeader, draw_picture_files, draw_sections, table_files
from bench.report.report_contents import ReportContents
from bench.report.tables import costs
from tasks.data_dir.atomic_files import write_file

PAGE = "index.html"


def write_report(contents: ReportContents, folder: pathlib.Path) -> dict[str, bytes]:
    """Draw a report and write its files.

    Args:
        contents: What it holds.
        folder: Where it lies; made if it is missing. Files of the same names are replaced. Files of the other form
            (small or not) are removed, all others left.

    Returns:
        The files by path in the folder.

    Raises:
        UsageError: Names of two tables or pictures make the same file name.
    """
    files = draw_files(contents)
    for name in compact.paths_of_other_form(files):
        (folder / name).unlink(missing_ok=True)
    for name, content in files.items():
        write_file(folder / name, content, sync=False)  # a page can be drawn again
    return files


def draw_files(contents: ReportContents) -> dict[str, bytes]:
    """Draw all files of a report, by path in its folder."""
    check_file_names([result.table for result in contents.results])
    check_file_names(list(contents.sheets))
    records = sorted(contents.records, key=lambda record: record.trial_id)
    sections = draw_sections(contents, records)
    pictures = draw_picture_files(contents)
    media = contents.media.draw()
    provenance_rows = [
        *provenance.provenance_rows(contents.results, records),
        ("doctor, here", contents.doctor),
        *costs.cost_rows(records, contents.price),
    ]
    head = ReportHeader(
        contents.title, contents.question, contents.notes, provenance.summary_line(contents.results, records)
    )
    data = script_data.make_script_data(contents, records, media)
    plain = {path: content for section in sections for path, content in table_files(section)}
    results = [result.to_json() for result in contents.results]
    plain["results.json"] = json.dumps(results, indent=1, allow_nan=False) + "\n"
    form, files = compact.pack_files(plain, contents.is_small)
    files[PAGE] = render_report_page(
        head,
        sections,
        pictures,
        provenance_rows,
        media,
        form,
        command=contents.command,
        data=data,
        refresh_s=contents.refresh_s,
    )
    files["index.md"] = write_markdown_page(head, sections, pictures, provenance_rows, contents.command)
    for picture in pictures:
        files[picture.path] = picture.content
    files |= media.contents()
    return encode_texts(files)


def encode_texts(files: Mapping[str, str | bytes]) -> dict[str, bytes]:
    """Encode texts among files as UTF-8."""
    return {name: content.encode() if isinstance(content, str) else content for name, content in files.items()}


def check_file_names(names: Sequence[str]) -> None:
    """Refuse two names that would be one file.

    Raises:
        UsageError: There are two such names.
    """
    seen: dict[str, str] = {}
    for name in names:
        if slugify(name) in seen:
            raise UsageError(
                f"report: expected names that differ in their letters and digits, got {seen[slugify(name)]!r} and "
                f"{name!r}; rename one"
            )
        seen[slugify(name)] = name
