"""What stands beside a table of captions is right: ceiling, chance, confusions, and brackets round what is in-loop."""

from __future__ import annotations

import dataclasses
import itertools
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from bench.analysis.table_result import ReferenceRow, TableResult
from bench.report import caption_context, caption_results
from bench.report.figures import captions, standard
from bench.report.page import report_files
from bench.report.tables import contents, formats
from bench.suites.suite import TrialSlot
from tasks.captions.caption_sets import caption_set
from tests.fixtures.report_studies import contents_of

JUDGE = "embedded-judge-rn"


def lines(made, **changes):
    arguments = {"frame": made.frame, "cells": made.cells, "records": made.records, "judged": made.judged} | changes
    return {figure.name.removeprefix("who-guides-"): figure for figure in captions.lines(made.result, **arguments)}


def test_all_figures_are_there_and_are_xml(captioned):
    drawn = lines(captioned)
    assert list(drawn) == [
        f"azimuth-rprec1-{JUDGE}",
        f"distractors-rprec1-{JUDGE}",
        "guides-by-judges",
        "confusions",
        "curves-loss",
        "curves-negative-cosine",
        "curves-transmittance",
    ]
    for figure in drawn.values():
        ElementTree.fromstring(standard.standalone(figure.svg).encode())
        ElementTree.fromstring(standard.in_page(figure.svg, "a label"))
        assert figure.rows and len({tuple(row) for row in figure.rows}) == 1


def test_the_same_numbers_give_the_same_bytes(captioned):
    mixed = {"frame": captioned.frame.sample(frac=1, random_state=0), "records": captioned.records[::-1]}
    assert lines(captioned, **mixed) == lines(captioned)


def test_precision_round_the_object_by_loops(captioned):
    """The baseline is found at every even view, so at 0, 90, 180 and 270 degrees and nowhere else."""
    rows = lines(captioned)[f"azimuth-rprec1-{JUDGE}"].rows
    mine = {row["azimuth_deg"]: row for row in rows if row["arm"] == "full"}
    assert [mine[45.0 * i]["mean"] for i in range(8)] == [1, 0] * 4
    assert {row["chance"] for row in rows} == {1 / 8}
    assert {(row["arm"], row["num_clusters"]) for row in rows} == {("full", 6), ("bare", 6), ("other guide", 2)}
    assert all(0 <= row["low"] <= row["high"] <= 1 for row in rows)


def test_precision_among_fewer_captions_is_that_of_all_choices(captioned):
    rows = lines(captioned)[f"distractors-rprec1-{JUDGE}"].rows
    assert [row["num_distractors"] for row in rows if row["arm"] == "full"] == [1, 3, 7]
    of_arm = captioned.frame[captioned.frame["trial_id"].str.startswith("v1__")]
    ranks = of_arm.loc[of_arm["metric"] == f"rank@{JUDGE}", "value"]
    before = [set(range(int(rank) - 1)) for rank in ranks]  # wrong captions that come before the right one
    choices = [set(choice) for choice in itertools.combinations(range(7), 3)]
    expected = np.mean([not choice & some for some in before for choice in choices])
    row = next(row for row in rows if (row["arm"], row["num_distractors"]) == ("bare", 3))
    assert row["mean"] == pytest.approx(expected) and row["chance"] == 0.25
    whole = next(row for row in rows if (row["arm"], row["num_distractors"]) == ("bare", 7))
    assert whole["mean"] == pytest.approx(captioned.result.entry("bare", f"rprec1@{JUDGE}").mean)


def test_a_guide_judges_in_brackets_only(captioned):
    drawn = lines(captioned)["guides-by-judges"]
    found = {(row["arm"], row["judge"]): (row["mean"], row["in_loop"]) for row in drawn.rows}
    assert found["other guide", "embedded-vit-16"] == (1.0, True)  # its number as a guide, for as a judge it has none
    assert found["full", "embedded-vit-16"] == (0.5, False) and found["full", "guide"] == (1.0, True)
    assert ("other guide", "guide") not in found and found["full", JUDGE][1] is False


def test_no_matrix_of_one_guide(make_caption_study):
    made = make_caption_study(guides={"full": "embedded-vit-8", "bare": "embedded-vit-8"})
    assert "guides-by-judges" not in lines(made)


def test_confusions_are_counted(captioned):
    rows = [row for row in captioned.judged.confusions if row["arm"] == "full" and row["caption"].endswith("0")]
    found = {row["wrong"][-1]: (row["num_first"], row["num_nearest"], row["num_views"]) for row in rows}
    assert found == {"2": (8, 8, 16), "1": (0, 8, 16)}  # even views are found, their nearest wrong one is the next
    assert list(lines(captioned)["confusions"].rows) == list(captioned.judged.confusions)


def test_empty_fields_confuse_nobody(captioned):
    scores = {name: found | {"field_state": "empty"} for name, found in captioned.scores.items()}
    assert caption_results.confused(captioned.cells, scores, JUDGE, captioned.judged.captions) == []
    assert captions.confusions(captioned.result, captioned.judged._replace(confusions=())) is None


def test_nothing_is_drawn_of_nothing(captioned):
    nothing = {"frame": captioned.frame.iloc[:0], "records": [], "judged": captioned.judged._replace(confusions=())}
    assert lines(captioned, **nothing) == {}


def test_ceiling_and_chance_stand_beside_numbers():
    known = caption_context.CaptionTableContext(caption_set("closed-world"), JUDGE)
    clusters = ["a blue dotted guitar", "an orange metallic snowman", "a pink windmill"]
    metrics = (f"rprec1@{JUDGE}", f"margin@{JUDGE}", "rprec1@guide", "opacity")
    first, embedded = caption_results.notes(known, metrics, clusters)
    assert first.startswith("retrieval among the 128 captions of closed-world, SHA-256 5230974a1fc6")
    assert embedded == caption_results.EMBEDDED
    found = {(bound.name, bound.metric): bound for bound in caption_results.bounds(known, metrics, clusters)}
    assert list(found) == [*((caption_context.TRUTH, metrics[i]) for i in (0, 1, 3)),
                           *(("chance", metrics[i]) for i in (0, 2))]  # fmt: skip
    assert 0.8 < found[caption_context.TRUTH, metrics[0]].low <= found[caption_context.TRUTH, metrics[0]].mean <= 1
    assert found["chance", metrics[0]] == ("chance", metrics[0], 1 / 128, None, None)
    assert (
        caption_results.notes(known, metrics, [*clusters, "no such thing"])[2] == "true renders: of 3 of the 4 captions"
    )


def test_what_a_guide_says_of_its_own_concludes_nothing(captioned):
    found = contents.conclusion(captioned.result)
    assert captioned.result.entry("bare", "rprec1@guide").verdict == "not resolved"
    said = " ".join(text for _, text in found)
    assert "in-loop" not in said and "guide" not in said.replace("other guide", "")
    assert JUDGE not in said and "by embedded-vit-16" in said  # the first judge is understood


def test_rows_below_the_arms_in_every_format(captioned):
    rprec = f"rprec1@{JUDGE}"
    beside = (ReferenceRow(caption_context.TRUTH, rprec, 0.992, 0.985, 0.999), ReferenceRow("chance", rprec, 1 / 128))
    result = dataclasses.replace(captioned.result, bounds=beside)
    assert TableResult.from_json(json.loads(json.dumps(result.to_json()))) == result
    grid = contents.metric_grid(result, rprec)
    assert [row[0].text for row in grid.rows[-3:]] == ["other guide", caption_context.TRUTH, "chance"]
    assert [row[1][:2] for row in grid.rows[-2:]] == [("0.992", "±0.007"), ("0.008", "")]
    assert {len(row) for row in grid.rows} == {len(grid.header)}
    assert len(contents.metric_grid(result, "opacity").rows) == 3
    summary = contents.summary_grid(result, ("opacity", rprec))
    assert [cell.text for cell in summary.rows[-1]][:3] == ["chance", "", "0.008"]
    assert {len(row) for row in summary.rows} == {len(summary.header)}
    assert "| true renders | 0.992 ±0.007 |" in formats.markdown(result)
    rows = formats.latex(result, ("opacity", rprec)).split(r"\midrule")[2].splitlines()[1:3]
    assert rows[0].startswith("true renders &  & & $0.992\\pm 0.007$ &") and rows[1].startswith("chance & ")
    assert len({row.count("&") for row in formats.latex(result).splitlines() if row.endswith(r"\\")}) == 2  # and heads
    assert contents.bounds_text(result, rprec) == "true renders 0.992 ±0.007; chance 0.008"
    assert contents.bounds_text(result, "opacity") == ""


def test_other_sets_have_chance_alone_and_no_path(captioned):
    said = captioned.result.notes
    assert said[0] == "retrieval among the 8 captions of a file of yours, SHA-256 abababababab"
    assert caption_results.bounds(captioned.judged, [f"rprec1@{JUDGE}"], []) == (
        ("chance", f"rprec1@{JUDGE}", 0.125, None, None),
    )
    assert "departs from the protocol: views of 16 px" in said
    assert not any("true renders" in line or "embedded world" in line for line in said)


def test_empty_fields_are_said_where_there_are_any_and_a_margin():
    known = caption_context.CaptionTableContext(caption_set("closed-world"), JUDGE, num_empty=1, num_finished=9)
    said = caption_results.notes(known, (f"rprec1@{JUDGE}", f"margin@{JUDGE}"), ["a pink windmill"])
    assert caption_results.EMPTY_MARGIN in said and "empty fields: 1 of 9 trials" in said
    without = caption_results.notes(known, (f"rprec1@{JUDGE}",), ["a pink windmill"])
    none = caption_results.notes(known._replace(num_empty=0), (f"margin@{JUDGE}",), ["a pink windmill"])
    assert not any("empty field" in line for line in (*without, *none))


def test_the_gap_between_guide_and_judge_is_said(captioned):
    said = caption_results.guide_judge_gap(captioned.result, JUDGE)
    assert said is not None and "full +0.50; bare +0.62" in said
    assert caption_results.guide_judge_gap(captioned.result, "openai-vit-b-32") is None


def test_fewer_captions_and_seeds_are_said():
    cells = [TrialSlot("t", "a", f"a{c}{s}", c, s) for c in "xyz" for s in (0, 1)] + [TrialSlot("t", "b", "b", "x", 0)]
    said = caption_results.arms_with_fewer_trials(cells, "caption")
    assert said == {"b": "on 1 of 3 captions, on 1 of 2 seeds: read its difference, which is paired, not its mean"}


def test_a_metric_that_nobody_has_is_a_dash(captioned):
    grid = contents.metric_grid(captioned.result, f"cosine@{JUDGE}")
    assert [row[1].text for row in grid.rows] == [contents.DASH] * 3
    for text in (formats.markdown(captioned.result), formats.latex(captioned.result, captioned.result.metrics)):
        assert contents.DASH in text or "--" in text


def test_neither_more_nor_less_opacity_is_praised(captioned):
    assert captioned.result.entry("bare", "opacity").verdict == "higher"
    assert not any("opacity" in said for _, said in contents.conclusion(captioned.result))
    row = contents.metric_grid(captioned.result, "opacity").rows[1]
    assert row[3].text == "higher" and row[3].tone == "quiet"
    assert contents.heading("opacity") == "mean opacity" and contents.best_arm(captioned.result, "opacity") is None


def test_captions_are_rows_where_scenes_are_columns(captioned):
    grid = contents.scenes_grid(captioned.result, f"rprec1@{JUDGE}")
    assert grid.header == ("caption", "full", "bare", "other guide") and len(grid.rows) == 7
    assert [cell.text for cell in grid.rows[0]] == ["a red thing number 0", "0.500", "0.375", "0.250"]
    assert grid.rows[3][3].text == contents.DASH and grid.rows[-1][0].text == "mean"


def test_a_page_of_hostile_captions(make_caption_study, tmp_path):
    hostile = ("<script>alert(1)</script> & $x^2$", '<img src=x onerror="a()">', *(f"b|*{i}_$\\" for i in range(6)))
    made = make_caption_study(names=hostile)
    shown = contents_of(made, contexts={made.result.table: made.judged}, sheets={})
    written = [report_files.write_report(shown, tmp_path / side) for side in "ab"]
    text, markdown = (written[0][name].decode() for name in ("index.html", "index.md"))
    assert "<script>alert" not in text and "<img src=x" not in text and "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script" not in markdown and "<img" not in markdown
    assert "at most 6 captions × 1 seed an arm" in text and "protocol of captions" in text
    assert "8 azimuths at elevations of 15 and 45 degrees" in text and "floats clipped" not in text
    assert "in-loop: by its own guide" in text and not list((tmp_path / "a" / "figures").glob("*-angle-*"))
    assert written[0] == written[1]


def test_heads_of_long_names_stand_on_two_lines_in_a_paper(captioned):
    text = formats.latex(captioned.result)
    assert rf"\shortstack{{margin\\by {JUDGE} $\uparrow$}}" in text
