"""Drawings are small XML that says what it shows, with the same bytes each time."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import matplotlib
import pytest

from bench.report.figures import style
from bench.report.figures.error_by_angle import draw_error_by_angle
from bench.report.figures.forest import draw_forest
from bench.report.figures.svg import inline_svg, standalone_svg
from bench.report.figures.training_curves import draw_training_curves


def elements(svg):
    return list(ElementTree.fromstring(svg).iter())


def words(svg):
    return [element.text for element in elements(svg) if element.tag.endswith("}text")]


def test_the_same_numbers_give_the_same_bytes_whatever_the_users_settings(usual):
    first = draw_forest(usual.result, "psnr").svg
    with matplotlib.rc_context({"lines.linewidth": 9, "font.family": "serif", "savefig.dpi": 11, "axes.grid": True}):
        assert draw_forest(usual.result, "psnr").svg == first
    curves = draw_training_curves(usual.records, usual.cells, usual.result)
    assert draw_training_curves(usual.records[::-1], usual.cells, usual.result) == curves
    assert "<dc:date>" not in first and "Matplotlib" not in first


def test_drawing_leaves_the_users_settings_alone(usual):
    before = dict(matplotlib.rcParams)
    draw_forest(usual.result, "ssim")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("name", ["usual", "hostile"])
def test_drawings_are_xml_on_their_own_and_in_a_page(name, request):
    made = request.getfixturevalue(name)
    figures = (
        draw_forest(made.result, "psnr"),
        draw_error_by_angle(made.frame, made.cells, made.result, "psnr"),
    )
    for figure in figures:
        ElementTree.fromstring(standalone_svg(figure.svg).encode())
        inside = inline_svg(figure.svg, "a label")
        assert ElementTree.fromstring(inside).get("aria-label") == "a label"
        assert style.INK not in inside and "currentColor" in inside
        assert "<script" not in inside and "\x1b" not in inside
    ids = [{element.get("id") for element in elements(figure.svg)} - {None} for figure in figures]
    assert ids[0].isdisjoint(ids[1]), "several stand in one page"
    shown = " ".join(words(figures[0].svg))
    for arm in made.result.arms[1:]:  # words are words: they can be found, read aloud and edited
        assert style.escape_math(style.shorten(arm)).replace(r"\$", "$") in shown
    assert "font-family" not in figures[0].svg.partition(">")[2]
    attributes = [pair for element in elements(figures[0].svg) for pair in element.attrib.items()]
    used = {value[1:] for name, value in attributes if name.endswith("href")}
    assert used and used <= ids[0]


def test_names_that_look_like_parts_of_a_drawing_stay_as_they_are(make_study):
    name = 'lr id="a" x="0.1234" url(#b) href="#c"'
    figure = draw_forest(make_study(arms=("base", "better", name)).result, "psnr")
    assert style.shorten(name) in words(figure.svg)
