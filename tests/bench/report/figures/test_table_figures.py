"""Each kind of table has its figures, with names of their own."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree

from bench.report.figures.svg import standalone_svg
from bench.report.figures.table_figures import draw_table_figures
from tests.fixtures.report_studies import contents_of

JUDGE = "embedded-judge-rn"


def drawn(made, **changes):
    contents = contents_of(made, **changes)
    return draw_table_figures(made.result, contents, contents.records)


def test_figures_of_captions(captioned):
    found = drawn(captioned, contexts={captioned.result.table: captioned.context})
    names = [figure.name.removeprefix("who-guides-") for figure in found.lines]
    assert names == [
        f"azimuth-rprec1-{JUDGE}",
        f"distractors-rprec1-{JUDGE}",
        "guides-by-judges",
        "confusions",
        "curves-loss",
        "curves-negative-cosine",
        "curves-transmittance",
        f"variance-margin-{JUDGE}",
    ]
    for figure in (*found.forests, *found.lines):
        ElementTree.fromstring(standalone_svg(figure.svg).encode())
        assert figure.rows and len({tuple(row) for row in figure.rows}) == 1, "rows have the same columns"


def test_figures_of_photographs(usual):
    known = {"timings": {"train_s": 2.0}, "environment": {"device": "card"}}
    found = drawn(usual, records=tuple(dataclasses.replace(record, **known) for record in usual.records))
    assert [figure.name for figure in found.forests] == [f"parts-forest-{m}" for m in ("psnr", "ssim", "lpips-vgg")]
    names = [figure.name.removeprefix("parts-") for figure in found.lines]
    assert names == ["angle-psnr", "curves-loss", "cost-psnr", "variance-psnr"]


def test_nothing_is_drawn_of_nothing(captioned):
    context = captioned.context._replace(confusions=())
    nothing = {"frame": captioned.frame.iloc[:0], "records": (), "contexts": {captioned.result.table: context}}
    assert drawn(captioned, **nothing).lines == ()
