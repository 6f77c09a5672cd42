"""Templates escape what persons wrote, and print nothing that is not given."""

from __future__ import annotations

import jinja2
import pytest
from markupsafe import Markup

from bench.report.page import html
from bench.report.tables.cells import TableCell
from bench.report.tables.grids import TableGrid
from tests.fixtures.report_studies import HOSTILE


def rendered(template, **values):
    return html._environment().from_string(template).render(**values)


def table(grid, **options):
    template = '{% from "parts.html.j2" import table %}{{ table(grid, **options) }}'
    return rendered(template, grid=grid, options=options)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_persons_text_is_escaped_and_clean(name):
    text = rendered("<p title='{{ name }}'>{{ name }}</p>", name=name)
    for sign in ("<script", "'q", '"', "\x1b"):
        assert sign not in text.removeprefix("<p")
    assert rendered("{{ name }}", name="two\nlines") == "two lines"


def test_only_markup_is_printed_as_it_is():
    assert rendered("{{ text }}", text=Markup("<b>\n</b>")) == "<b>\n</b>"


def test_what_is_not_given_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="absent"):
        rendered("{{ absent }}")


def test_cells_are_marked_up_without_spaces():
    cells = (
        TableCell("<arm>"),
        TableCell("-1.5", "±0.2", below="-0.5 ±0.1 worse", tone="worse", strong=True, is_number=True),
        TableCell("no data", tone="quiet"),
    )
    text = table(TableGrid(("arm", "PSNR [dB] ↑", "verdict"), (cells,), left=(0, 2)), rows="arms")
    assert '<th scope="row">&lt;arm&gt;</th>' in text
    below = '<span class="below worse">\u22120.5 ±0.1 worse</span>'
    assert f'<td><strong>\u22121.5</strong><span class="aside">±0.2</span>{below}</td>' in text
    assert '<td class="left"><span class="quiet">no data</span></td>' in text
    assert '<table data-rows="arms">' in text and "PSNR [dB]&nbsp;↑</th>" in text


def test_a_row_that_others_are_read_beside_is_marked():
    text = table(TableGrid(("arm",), ((TableCell("chance", tone="quiet"),),)), is_small=True, are_trials=True)
    assert '<tr class="beside"><th scope="row">chance</th></tr>' in text
    assert '<table class="small-table" data-cells="trials">' in text


def test_a_page_refreshes_itself_only_where_it_is_asked_to():
    template = '{% extends "base.html.j2" %}{% block main %}{{ title }}{% endblock %}'
    quiet, busy = (rendered(template, title="<t>", refresh_s=seconds) for seconds in (None, 0.2))
    assert "refresh" not in quiet and '<meta http-equiv="refresh" content="1">' in busy
    assert html.without_auto_refresh(busy) == quiet == html.without_auto_refresh(quiet)
    assert "<script" not in quiet and "<title>&lt;t&gt;</title>" in quiet
