"""Sentences around a table hold the facts: what was run, what could be resolved, what is missing."""

from __future__ import annotations

import dataclasses

import pandas as pd

from bench.analysis.paired_comparison import compare
from bench.analysis.table_result import ReferenceRow
from bench.metrics.registry import NOT_SINGLE
from bench.report.tables import footers
from bench.report.tables.words import column_heading
from bench.suites.suite import TrialSlot

JUDGE = "embedded-judge-rn"


def test_how_the_numbers_were_made(usual, captioned, make_study):
    caption = footers.table_caption(usual.result)
    for words in ("std-v1", "budget quick", "8 scenes × 2 seeds", "400 steps a trial"):
        assert words in caption
    assert "At most 6 captions × 1 seed" in footers.table_caption(captioned.result)
    made = make_study()
    made.frame.loc[made.frame["trial_id"].str.startswith("v1"), "num_steps"] = 999
    result = compare(made.frame, made.cells, table="parts", baseline="base", protocol="std-v1", metrics=["psnr"])
    assert "Steps differ" in footers.table_caption(result)


def test_of_which_nothing_ran(usual):
    result = compare(
        usual.frame.iloc[:0], usual.cells, table="parts", baseline="base", protocol="std-v1", metrics=["psnr"]
    )
    assert "nothing run yet" in footers.table_caption(result) and "teps" not in footers.table_caption(result)
    [line] = [line for line in footers.missing_number_lines(result) if line.startswith("better")]
    assert "16 not run" in line
    assert footers.conclude(result) == [("quiet", "No data: better · same")]


def test_what_could_be_resolved(usual, make_study):
    text = footers.resolution_summary(usual.result, "psnr")
    for words in ("8 scenes", "2 comparisons", "0.016", "smallest resolvable difference", "dB"):
        assert words in text
    hopeless = make_study(num_scenes=5).result
    text = footers.resolution_summary(hopeless, "psnr")
    for words in ("5 scenes", "0.12", "nothing can be resolved", "7 scenes"):
        assert words in text
    assert any("so few scenes: better · same" in line for _, line in footers.conclude(hopeless))
    assert "fewer than 5 scenes" in footers.resolution_summary(make_study(num_scenes=3).result, "psnr")


def test_a_legend_says_what_there_is_and_no_more(usual, shares):
    plain = footers.table_legend(usual.result)
    both = footers.table_legend(shares)
    alone = dataclasses.replace(shares, metrics=("repeats",), entries=shares.column("repeats"))
    neither = footers.table_legend(alone)
    assert "Better and worse mean" in plain and "igher and lower" not in plain and "[low, high]" not in plain
    assert "Better and worse, higher and lower mean" in both and "[low, high]" in both
    assert "Higher and lower mean" in neither and "etter and worse" not in neither and "Bold" not in neither
    assert "Bold" in plain and "Bold" in both
    assert "about so many" in plain and "about so many" not in footers.table_legend(usual.result, with_needs=False)
    assert "judge" not in plain


def test_a_legend_names_the_judge_that_columns_do_not(captioned):
    assert f"it is {JUDGE}" in footers.table_legend(captioned.result)


def test_what_is_missing_has_its_reason(usual, captioned):
    [line] = footers.missing_number_lines(usual.result)
    for words in ("same", "16 trials", "1 failed", "not finite at step 7 (1)"):
        assert words in line
    lines = footers.missing_number_lines(captioned.result)
    [line] = [line for line in lines if "in-loop (2)" in line]
    assert line.startswith("other guide, under R-Precision, by embedded-vit-16")


def test_losses_of_some_metrics_only(captioned):
    rprec = captioned.result.metrics[2]
    assert footers.losses_by_arm(captioned.result, captioned.result.metrics[:2]) == []
    [(arm, line)] = footers.losses_by_arm(captioned.result, [rprec])
    assert arm == "other guide" and "under" not in line, "it is under all that are asked for"


def test_views_without_a_number_are_counted(make_study):
    made = make_study()
    is_first = (made.frame["trial_id"] == made.cells[0].trial_id) & (made.frame["view"] == 0)
    frame = made.frame.assign(value=made.frame["value"].mask(is_first.fillna(False)))
    result = compare(frame, made.cells, table="parts", baseline="base", protocol="std-v1", metrics=["psnr"])
    assert "1 view without a number" in footers.missing_number_lines(result)[0]


def test_captions_that_a_metric_is_not_about_are_no_loss(usual):
    [entry, *_] = usual.result.entries
    told = {"num_failed": 0, "num_absent": 0, "num_missing": 3, "num_views_missing": 0}
    alone = dataclasses.replace(entry, **told, reasons={NOT_SINGLE: 3})
    assert footers.describe_loss(alone) == ""
    both = dataclasses.replace(entry, **told, reasons={NOT_SINGLE: 2, "it burnt": 1})
    assert footers.describe_loss(both) == "of 16 trials, 1 without a number. Reason: it burnt (1)."


def test_what_a_guide_says_of_its_own_concludes_nothing(captioned):
    assert captioned.result.entry("bare", "rprec1@guide").verdict == "not resolved"
    text = " ".join(line for _, line in footers.conclude(captioned.result))
    assert "in-loop" not in text and "guide" not in text.replace("other guide", "")
    assert JUDGE not in text and "by embedded-vit-16" in text, "the first judge is understood"


def test_neither_more_nor_less_opacity_is_praised(captioned, shares):
    assert captioned.result.entry("bare", "opacity").verdict == "higher"
    assert not any("opacity" in line for _, line in footers.conclude(captioned.result))
    assert column_heading("opacity") == "mean opacity"
    assert [line for _, line in footers.conclude(shares)] == ["Worse than base: other"]


def test_references_of_a_metric_on_a_line(captioned):
    rprec = f"rprec1@{JUDGE}"
    rows = (ReferenceRow("true renders", rprec, 0.992, 0.985, 0.999), ReferenceRow("chance", rprec, 1 / 128))
    result = dataclasses.replace(captioned.result, references=rows)
    assert footers.describe_references(result, rprec) == "true renders 0.992 ±0.007, chance 0.008"
    assert footers.describe_references(result, "opacity") == ""


def test_every_sentence_ends(usual, captioned, shares, hostile):
    """Footers are short sentences, not chains."""
    for result in (usual.result, captioned.result, shares, hostile.result):
        texts = [footers.table_caption(result), footers.table_legend(result), *footers.missing_number_lines(result)]
        texts += [footers.resolution_summary(result, metric) for metric in result.metrics]
        assert all(text.endswith(".") for text in texts)
        assert not any(";" in text for text in texts[:2])


def test_a_study_of_one_cluster_has_no_interval():
    frame = pd.DataFrame({"trial_id": ["a"], "view": [0], "value": [1.0]})
    frame = frame.assign(status="finished", protocol="std-v1", metric="psnr", reason=None, budget="quick")
    frame = frame.assign(num_steps=4, wall_s=1.0)
    cells = [TrialSlot("t", "base", "a", "scene0", 0)]
    result = compare(frame, cells, table="t", baseline="base", protocol="std-v1", metrics=["psnr"])
    assert "truncated" not in footers.table_legend(result) and "±" not in footers.table_legend(result)
