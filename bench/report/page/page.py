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

import json
import pathlib
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd
from PIL import Image

from bench.analysis.paired_comparison import TableResult
from bench.errors import UsageError
from bench.metrics import caption_protocols
from bench.metrics.protocols import PROTOCOLS
from bench.report import alive, caption_context
from bench.report.caption_context import CaptionTableContext
from bench.report.figures.standard import slug
from bench.report.page import compact, script_data
from bench.report.page.html_page import html_page
from bench.report.page.markdown_page import markdown_page
from bench.report.page.parts import ReportHeader, TableSection, draw, files, load_sheet
from bench.report.page.script_data import InteractiveMedia
from bench.report.tables import contents as contents_module
from bench.report.tables import costs
from bench.report.tables.costs import DevicePrice
from bench.storage.record import Record
from bench.storage.timings import own_seconds
from bench.suites.suite import TrialSlot
from tasks.data_dir.atomic_files import write_file

UNKNOWN = "unknown"
"""What a trial whose record does not say it was made by; it stands last, with how many there are."""


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
        write_file(out / name, content, sync=False)  # a page can be drawn again
    return out / "index.html"


# --- what stands in it ------------------------------------------------------------------------------------------------


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
        (result.protocol, caption_context.is_of_captions(result)) for result in results
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


# --- Markdown ---------------------------------------------------------------------------------------------------------


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
