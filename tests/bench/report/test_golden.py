"""The words of a report, reviewed as a diff: `golden/index.md` is the page of a toy study.

After changing words on purpose: `python -m pytest tests/bench/report/test_golden.py --make-golden`, and read the diff.
"""

from __future__ import annotations

import dataclasses
import pathlib

import pandas as pd
import pytest

from bench.analysis.table_result import ReferenceRow
from bench.report.page import report_files
from bench.report.tables.costs import DevicePrice
from bench.suites.suite import Published
from tests.fixtures.report_studies import contents_of, study

GOLDEN = pathlib.Path(__file__).with_name("golden") / "index.md"


@pytest.fixture(scope="module")
def contents(captioned):
    """A table of photographs with what papers print, and one of captions with ceiling and chance."""
    photos = study(arm_notes={"same": "Changes nothing."}, notes=("Scores of an older protocol.",))
    published = (Published("better", "PSNR", "23.1", "A paper, table 2", "other photographs"),)
    references = (
        ReferenceRow("true renders", captioned.result.metrics[1], 0.99, 0.98, 1.0),
        ReferenceRow("chance", captioned.result.metrics[1], 0.125),
    )
    results = (
        dataclasses.replace(photos.result, published=published),
        dataclasses.replace(captioned.result, references=references),
    )
    captions = contents_of(captioned)
    return contents_of(
        photos,
        results=results,
        frame=pd.concat([photos.frame, captions.frame], ignore_index=True),
        cells=(*photos.cells, *captions.cells),
        records=(*photos.records, *captions.records),
        contexts={captioned.result.table: captioned.context},
        price=DevicePrice(2.5),
    )


def test_the_page_of_a_toy_study_reads_as_it_was_reviewed(contents, pytestconfig):
    page = report_files.draw_files(contents)["index.md"].decode()
    if pytestconfig.getoption("make_golden"):
        GOLDEN.write_text(page)
    assert page == GOLDEN.read_text(), "words changed: if on purpose, run again with --make-golden, and read the diff"
