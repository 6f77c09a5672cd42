"""Guides are judged by others; what they say of their own objects stands in brackets."""

from __future__ import annotations

import dataclasses

from bench.report.figures.guide_matrix import draw_guide_matrix

JUDGE = "embedded-judge-rn"


def test_a_guide_judges_in_brackets_only(captioned):
    figure = draw_guide_matrix(captioned.result, captioned.cells, captioned.records)
    found = {(row["arm"], row["judge"]): (row["mean"], row["in_loop"]) for row in figure.rows}
    assert found["other guide", "embedded-vit-16"] == (1.0, True), "its number as a guide: as a judge it has none"
    assert found["full", "embedded-vit-16"] == (0.5, False) and found["full", "guide"] == (1.0, True)
    assert ("other guide", "guide") not in found and found["full", JUDGE][1] is False
    assert "(1.00)" in figure.svg and "its own guide" in figure.svg


def test_no_matrix_of_one_guide_or_of_no_records(captioned, make_caption_study):
    made = make_caption_study(guides={"full": "embedded-vit-8", "bare": "embedded-vit-8"})
    assert draw_guide_matrix(made.result, made.cells, made.records) is None
    assert draw_guide_matrix(captioned.result, captioned.cells, []) is None
    recognized = dataclasses.replace(captioned.result, metrics=("kind@embedded-judge-rn",))
    assert draw_guide_matrix(recognized, captioned.cells, captioned.records) is None
