"""Training curves are medians of what is finite, with the targets of their terms."""

from __future__ import annotations

import dataclasses

import pytest

from bench.report.figures.training_curves import draw_training_curves


def test_curves_are_medians_with_the_middle_half(usual):
    figure = draw_training_curves(usual.records, usual.cells, usual.result)
    values = sorted(r.curves["loss"][2] for r in usual.records if r.variant == "v1")
    row = next(r for r in figure.rows if r["arm"] == "better" and r["step"] == 240)
    assert row["median"] == pytest.approx((values[7] + values[8]) / 2) and len(values) == 16
    assert values[3] <= row["low"] <= values[4] and values[11] <= row["high"] <= values[12]


def test_what_is_not_finite_is_left_out(usual):
    broken = [dataclasses.replace(r, curves={"step": [1.0, 2.0], "loss": [0.5, float("nan")]}) for r in usual.records]
    figure = draw_training_curves(broken, usual.cells, usual.result)
    assert {(row["step"], row["median"], row["num_trials"]) for row in figure.rows} == {(1, 0.5, 16)}


def test_no_figure_where_no_record_has_the_curve(usual):
    assert draw_training_curves([], usual.cells, usual.result) is None
    assert draw_training_curves(usual.records, usual.cells, usual.result, term="no such term") is None


def test_a_target_is_drawn_once_where_arms_share_it(captioned):
    targets = {"full": [0.3, 0.8], "other guide": [0.3, 0.8], "bare": None}
    arms = {cell.trial_id: cell.arm for cell in captioned.cells}
    records = []
    for record in captioned.records:
        target = targets[arms[record.trial_id]]
        curves = record.curves | {"transmittance_target": target} if target else record.curves
        records.append(dataclasses.replace(record, curves=curves))
    figure = draw_training_curves(records, captioned.cells, captioned.result, "transmittance")
    expected = {}
    for arm, target in targets.items():
        for i, step in enumerate((20.0, 40.0)):
            expected[arm, step] = None if target is None else target[i]
    assert {(row["arm"], row["step"]): row["target"] for row in figure.rows} == expected
    dashed = [line for line in figure.svg.splitlines() if "stroke-dasharray" in line]
    assert len(dashed) == 2, "the line and its place in the legend"


def test_a_term_without_a_target_has_no_dashed_line(captioned):
    figure = draw_training_curves(captioned.records, captioned.cells, captioned.result, "negative_cosine")
    assert "target" not in figure.rows[0] and "stroke-dasharray" not in figure.svg
    assert "negative cosine" in figure.title
