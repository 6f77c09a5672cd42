"""A folder is drawn again where anything that a report is made of changed, and only there."""

from __future__ import annotations

import dataclasses

import pytest

from bench.report import build, manifest
from bench.report.page import report_files
from bench.report.report_contents import DeferredDrawing, ReportContents
from bench.report.tables.costs import DevicePrice
from tests.fixtures.bare_pages import leave_out_figures
from tests.fixtures.report_studies import contents_of, picture


def changed_values(made):
    """Another value for each field of the contents."""
    record = made.records[3]
    longer = dataclasses.replace(record, timings={"wall_s": 12.5})
    score = made.frame["value"].where(made.frame.index != 5, 1.0)
    return {
        "title": "another",
        "question": "Which?",
        "notes": ("Another note.",),
        "command": "another",
        "results": (dataclasses.replace(made.result, notes=("a new note",)),),
        "frame": made.frame.assign(value=score),
        "cells": (made.cells[0]._replace(seed=7), *made.cells[1:]),
        "records": tuple(longer if each is record else each for each in made.records),
        "contexts": {"parts": ("another judge",)},
        "sheets": {"Renders & errors": DeferredDrawing("other files", picture)},
        "media": DeferredDrawing("other files", lambda: None),
        "price": DevicePrice(2.0),
        "refresh_s": 3.0,
        "doctor": "another",
        "is_small": True,
    }


FIELDS = [field.name for field in dataclasses.fields(ReportContents)]


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_counts(usual, field):
    contents = contents_of(usual)
    other = dict(vars(contents)) | {field: changed_values(usual)[field]}
    changed = object.__new__(ReportContents)  # a stand-in of another type is enough: nothing is drawn
    for name, value in other.items():
        object.__setattr__(changed, name, value)
    assert manifest.contents_digest(changed) != manifest.contents_digest(contents)


def test_equal_contents_have_one_digest_whatever_draws_them(usual):
    contents = contents_of(usual)
    again = contents_of(usual, records=contents.records[::-1], frame=usual.frame.copy())
    sheets = {"Renders & errors": DeferredDrawing("grey", lambda: picture(3))}
    assert manifest.contents_digest(contents) == manifest.contents_digest(again)
    assert manifest.contents_digest(dataclasses.replace(contents, sheets=sheets)) == manifest.contents_digest(contents)


def test_other_code_is_another_digest(usual, tmp_path, monkeypatch):
    source = tmp_path / "bench" / "report" / "page.css"
    source.parent.mkdir(parents=True)
    source.write_text("p {}")
    monkeypatch.setattr(manifest, "ROOT", tmp_path)
    found = []
    for text in ("p {}", "q {}", "p {}"):
        source.write_text(text)
        manifest.project_digest.cache_clear()
        found.append(manifest.project_digest())
    manifest.project_digest.cache_clear()
    assert found[0] == found[2] != found[1]


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(TypeError, match="plain values"):
        manifest._plain(object())


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    """Tables' files are enough to see what is drawn again; test_report_files.py sees that figures are files too."""
    leave_out_figures(monkeypatch)


@pytest.fixture
def drawings(monkeypatch):
    """Counts how often a report was drawn."""
    found = []
    real = report_files.draw_files
    monkeypatch.setattr(report_files, "draw_files", lambda contents: found.append(contents) or real(contents))
    return found


def test_an_unchanged_report_is_not_drawn_again(usual, tmp_path, drawings):
    contents = contents_of(usual, sheets={})
    first = build.draw_report(contents, tmp_path)
    assert first == (tmp_path / "index.html", False) and first.describe() == str(first.page)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    again = build.draw_report(contents, tmp_path)
    assert again.is_unchanged and again.describe().endswith("index.html (unchanged)")
    assert len(drawings) == 1 and before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert not build.draw_report(dataclasses.replace(contents, title="another"), tmp_path).is_unchanged


@pytest.mark.parametrize("name", ["index.html", "tables/parts.csv", "manifest.json"])
@pytest.mark.parametrize("is_missing", [True, False], ids=["missing", "edited"])
def test_a_missing_or_edited_file_is_drawn_again(usual, tmp_path, name, is_missing):
    contents = contents_of(usual, sheets={}, results=(dataclasses.replace(usual.result, metrics=("psnr",)),))
    build.draw_report(contents, tmp_path)
    path = tmp_path / name
    before = path.read_bytes()
    if is_missing:
        path.unlink()
    else:
        path.write_bytes(before + b" ")
        if name == "manifest.json":
            path.write_bytes(b"{")
    assert not build.draw_report(contents, tmp_path).is_unchanged
    assert path.read_bytes() == before
    assert build.draw_report(contents, tmp_path).is_unchanged


def test_the_small_form_is_kept_beside_code_and_has_no_manifest(usual, tmp_path, drawings):
    contents = contents_of(usual, sheets={})
    build.draw_report(contents, tmp_path)
    small = dataclasses.replace(contents, is_small=True)
    for _ in range(2):
        assert not build.draw_report(small, tmp_path).is_unchanged
    assert not (tmp_path / "manifest.json").exists() and len(drawings) == 3


def test_a_report_that_was_cut_short_is_drawn_again(usual, tmp_path, monkeypatch):
    contents = contents_of(usual, sheets={})
    build.draw_report(contents, tmp_path)
    other = dataclasses.replace(contents, title="another")
    with monkeypatch.context() as patch:
        patch.setattr(report_files, "write_file", lambda path, content, sync: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build.draw_report(other, tmp_path)
    assert not build.draw_report(contents, tmp_path).is_unchanged
