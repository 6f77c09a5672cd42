"""Tables as rows of cells, before any format."""

from __future__ import annotations

import dataclasses
import json

import pytest

from bench.analysis.paired_comparison import compare
from bench.analysis.table_result import ReferenceRow, TableResult
from bench.report.tables import grids
from bench.report.tables.cells import DASH, clusters_needed
from bench.suites.suite import Published

JUDGE = "embedded-judge-rn"
RPREC = f"rprec1@{JUDGE}"


def test_the_best_arm_is_resolved_as_better(usual, make_study):
    assert grids.best_arm(usual.result, "psnr") == "better"
    few = make_study(num_scenes=5).result
    assert [grids.best_arm(few, metric) for metric in few.metrics] == [None] * 3


def test_the_baseline_is_best_only_where_all_others_are_worse(make_study):
    # The second arm is better by 3 dB: with it as the baseline the other two are resolved to be worse.
    made = make_study(arms=("low", "high", "low too"))
    turned = compare(made.frame, made.cells, table="parts", baseline="high", protocol="std-v1", metrics=["psnr"])
    assert {entry.verdict for entry in turned.column("psnr")} == {"baseline", "worse"}
    assert grids.best_arm(turned, "psnr") == "high"
    assert grids.best_arm(made.result, "psnr") == "high"


def test_no_arm_is_best_where_neither_way_is_better(shares, captioned):
    assert shares.entry("other", "repeats").verdict == "higher"
    assert grids.best_arm(shares, "repeats") is None
    row = grids.verdict_grid(captioned.result, "opacity").rows[1]
    assert (row[3].text, row[3].tone) == ("higher", "quiet")


def test_differences_are_never_truncated(shares):
    assert shares.entry("base", "ssim").high == 1.0
    assert all("±" in row[2].aside for row in grids.verdict_grid(shares, "ssim").rows[1:])


@pytest.mark.parametrize(
    ("clusters", "said"), [(9, "~9 scenes"), (84, "~84 scenes"), (161, "~170 scenes"), (None, ">10000 scenes")]
)
def test_needs_are_rough(usual, clusters, said):
    entry = dataclasses.replace(usual.result.entry("same", "psnr"), clusters_to_resolve=clusters)
    assert clusters_needed(entry, "scene") == said


def test_few_scenes_have_no_verdict(make_study):
    grid = grids.verdict_grid(make_study(num_scenes=3).result, "psnr")
    assert "3 scenes, 5 needed" in grid.rows[1][3].text


def test_scenes_are_columns(usual):
    grid = grids.cluster_grid(usual.result, "psnr")
    assert grid.header == ("arm", *(f"scene{i}" for i in range(8)), "mean")
    values = [f"{x:.2f}" for x in usual.result.by_cluster["psnr"]["better"].values()]
    mean = f"{usual.result.entry('better', 'psnr').mean:.2f}"
    assert [cell.text for cell in grid.rows[1]] == ["better", *values, mean]


def test_captions_are_rows(captioned):
    grid = grids.cluster_grid(captioned.result, RPREC)
    assert grid.header == ("caption", "full", "bare", "other guide") and len(grid.rows) == 7
    assert [cell.text for cell in grid.rows[0]] == ["a red thing number 0", "0.500", "0.375", "0.250"]
    assert grid.rows[3][3].text == DASH and grid.rows[-1][0].text == "mean"


def test_a_metric_that_nobody_has_is_a_dash(captioned):
    grid = grids.verdict_grid(captioned.result, f"cosine@{JUDGE}")
    assert [row[1].text for row in grid.rows] == [DASH] * 3


@pytest.fixture
def with_references(captioned):
    rows = (ReferenceRow("true renders", RPREC, 0.992, 0.985, 0.999), ReferenceRow("chance", RPREC, 1 / 128))
    return dataclasses.replace(captioned.result, references=rows)


def test_references_stand_below_the_arms_of_their_metric(with_references):
    grid = grids.verdict_grid(with_references, RPREC)
    assert [row[0].text for row in grid.rows[-3:]] == ["other guide", "true renders", "chance"]
    assert [row[1][:2] for row in grid.rows[-2:]] == [("0.992", "±0.007"), ("0.008", "")]
    assert {len(row) for row in grid.rows} == {len(grid.header)}
    assert len(grids.verdict_grid(with_references, "opacity").rows) == 3
    summary = grids.summary_grid(with_references, ("opacity", RPREC))
    assert [cell.text for cell in summary.rows[-1]][:3] == ["chance", "", "0.008"]
    assert {len(row) for row in summary.rows} == {len(summary.header)}


def test_references_survive_a_file(with_references):
    assert TableResult.from_json(json.loads(json.dumps(with_references.to_json()))) == with_references


class TestPublished:
    @pytest.fixture
    def told(self, usual):
        rows = (
            Published("better", "PSNR", "23.1", "A paper", "yes"),
            Published("better", "SSIM", "0.8", "A paper", "yes"),
            Published("never released", "PSNR", "(9)", "A paper", "no: nobody has it"),
        )
        return dataclasses.replace(usual.result, published=rows)

    def test_rows_of_theirs_stand_apart_with_the_reason(self, told):
        grid = grids.published_grid(told)
        assert grid.header[:3] == ("as published", "PSNR", "SSIM")
        assert [cell.text for cell in grid.rows[1]] == ["never released", "(9)", DASH, "A paper", "no: nobody has it"]

    def test_a_table_without_them_has_none(self, usual):
        assert grids.published_grid(usual.result) is None

    def test_they_survive_a_file(self, told):
        assert TableResult.from_json(json.loads(json.dumps(told.to_json()))).published == told.published


def test_while_trials_run_each_number_says_of_how_many_it_is(running, usual):
    summary = {row[0].text: row for row in grids.summary_grid(running, ("psnr", "ssim")).rows}
    for column, metric in ((1, "psnr"), (2, "ssim")):
        assert summary["better"][column].below.endswith("better (11 of 16)")
        assert summary["base"][column].below == "baseline"
        assert "of 16" not in summary["same"][column].below, "a failure is no wait"
        bare = grids.verdict_grid(running, metric, with_run=False)
        assert bare.header[-1] == "trials" and [row[-1].text for row in bare.rows] == ["16", "11 of 16", "15 of 16"]
    assert "trials" not in grids.verdict_grid(usual.result, "psnr", with_run=False).header
