"""Tables read as they should in every format, and no name breaks out of one."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re

import pandas as pd
import pytest

from bench.analysis.table_result import TableResult
from bench.report import build
from bench.report.tables import contents, formats
from bench.suites.suite import Published, TrialSlot


def printed(result, **arguments):
    out = io.StringIO()
    formats.print_table(result, file=out, **arguments)
    return out.getvalue()


def block(text, title):
    """The lines of one metric's block, by their first word."""
    lines = text.split(title)[1].split("\n\n")[0].strip().splitlines()
    return {line.split("  ")[0]: line for line in lines}


def test_numbers_have_the_digits_of_their_metric(usual):
    entry = usual.result.entry("better", "psnr")
    lines = block(printed(usual.result), "PSNR [dB], higher is better")
    half = (entry.difference_high - entry.difference_low) / 2
    assert f"{entry.mean:.2f} ±{(entry.high - entry.low) / 2:.2f}" in lines["better"]
    assert f"+{entry.difference:.2f} ±{half:.2f}" in lines["better"]
    ssim = usual.result.entry("better", "ssim")
    assert f"{ssim.mean:.3f} ±" in block(printed(usual.result), "\nSSIM, higher is better")["better"]


def test_a_log_file_gets_a_hundred_columns_and_no_colours(usual, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    text = printed(usual.result)
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text


def test_the_paper_shaped_table_fits_without_folding(make_study):
    arms = ("DietNeRF", "NeRF, 100 views", "Simplified NeRF", "integrated encoding", "no view directions")
    text = printed(make_study(arms=arms).result)
    for arm in arms:
        assert sum(line.startswith(arm) for line in text.splitlines()) == 3, "a line in each of three blocks"


def test_what_it_says_of_the_study(usual):
    text = printed(usual.result)
    lines = block(text, "PSNR [dB], higher is better")
    assert re.search(r"baseline +16 +12\.0", lines["base"])
    assert re.search(r"better +16 +13\.0", lines["better"])
    assert re.search(r"not resolved, ~\d+ scenes +15 of 16 +14\.0", lines["same"])
    assert "protocol std-v1; budget quick; 8 scenes × 2 seeds an arm; 400 steps a trial" in text
    assert "8 scenes, 2 comparisons: the smallest possible p is 0.016" in text
    assert "Better than base: better\n" in text and "Not resolved: same\n" in text
    assert "missing: same, of 16 trials: 1 failed: the loss was not finite at step 7 (1)" in text
    assert "note: scores of an older protocol" in text


def test_a_design_that_can_resolve_nothing_says_so(make_study):
    text = printed(make_study(num_scenes=5).result)
    said = "5 scenes, 2 comparisons: the smallest possible p is 0.12, so nothing can be resolved; 7 scenes could"
    assert said in text and "Not resolved, nor could it be with so few scenes: better · same" in text
    few = printed(make_study(num_scenes=3).result)
    assert "too few: 3 of 5 scenes" in few and "no verdict with fewer than 5 scenes that both arms have" in few


def test_an_output_that_is_not_unicode_gets_relatives(usual):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    formats.print_table(usual.result, file=out)
    out.flush()
    text = out.buffer.getvalue().decode("ascii")
    assert re.search(r"\d+\.\d\d \+-\d\.\d\d", text) and "8 scenes x 2 seeds" in text


def test_more_metrics_than_fit_are_named(usual):
    assert "in the report also: SSIM; LPIPS, VGG" in printed(usual.result, metrics=("psnr",))


def test_a_terminal_gets_no_control_characters_of_a_name(hostile):
    text = printed(hostile.result)
    assert "\x1b" not in text and "[red]" in text


def test_by_scene(usual):
    out = io.StringIO()
    formats.print_scenes(usual.result, "psnr", file=out)
    header, *rows = out.getvalue().splitlines()[1:]
    assert header.split() == ["arm", *(f"scene{i}" for i in range(8)), "mean"]
    values = [f"{x:.2f}" for x in usual.result.by_cluster["psnr"]["better"].values()]
    assert rows[1].split() == ["better", *values, f"{usual.result.entry('better', 'psnr').mean:.2f}"]


@pytest.mark.parametrize("study", ["usual", "hostile"])
def test_markdown_tables_keep_their_columns(study, request):
    text = formats.markdown(request.getfixturevalue(study).result)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 3 * (2 + 3)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {9}
    assert "<script" not in text and "\x1b" not in text


def test_bold_only_where_resolved(usual, make_study):
    assert formats.markdown(usual.result).count("**2") == 1, "the better arm's PSNR"
    assert "mathbf" in formats.latex(usual.result)
    few = make_study(num_scenes=5).result
    assert "mathbf" not in formats.latex(few) and "**2" not in formats.markdown(few)
    assert [contents.best_arm(few, m) for m in few.metrics] == [None] * 3


def test_the_baseline_is_best_only_where_all_others_are_worse(make_study):
    # the second arm is better by 3 dB: with it as the baseline the other two are resolved to be worse
    made = make_study(arms=("low", "high", "low too"))
    from bench.analysis.paired_comparison import compare

    turned = compare(made.frame, made.cells, table="parts", baseline="high", protocol="std-v1", metrics=["psnr"])
    assert {e.verdict for e in turned.column("psnr")} == {"baseline", "worse"}
    assert contents.best_arm(turned, "psnr") == "high"
    assert contents.best_arm(made.result, "psnr") == "high"


def test_latex_is_escaped_and_rectangular(hostile):
    text = formats.latex(hostile.result)
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert len(body) == 3
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {8}
    assert r"50\% of \#1\_\{x\}\textasciitilde{}\textbackslash{}" in body[2]
    assert r"\$x\textasciicircum{}2\$ {[}red{]}" in body[1]
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    spec = re.search(r"\\begin{tabular}{(\w+)}", text)[1]
    assert len(spec) == 9 and r"\toprule" in text and "hline" not in text


def test_latex_stars_what_is_resolved(usual):
    rows = formats.latex(usual.result).split(r"\midrule")[1].splitlines()
    better = next(row for row in rows if row.startswith("better"))
    assert better.count("^{*}") == 3 and "^{*}" not in next(row for row in rows if row.startswith("same"))


def test_latex_counts_what_failed_in_a_footnote_at_its_arm(usual):
    text = formats.latex(usual.result)
    caption = re.search(r"\\caption{(.*)}", text)[1]
    assert caption == (
        r"Parts: What brings what? Protocol std-v1; budget quick; 8 scenes $\times$ 2 seeds an arm; 400 steps a trial."
    )
    rows = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert rows[2].startswith("same$^{a}$ & ") and "^{a}" not in "".join(rows[:2])
    notes = text.split(r"\end{tabular}")[1].splitlines()
    assert r"$^{a}$ same, of 16 trials: 1 failed: the loss was not finite at step 7 (1).\par" in notes
    assert any("bold: the best mean, where resolved as better than the baseline" in line for line in notes)
    assert any("not tested against the runner-up" in line for line in notes)
    assert any("the smallest resolvable difference about" in line for line in notes)
    assert r"Scores of an older protocol.\par" in notes


@pytest.fixture(scope="module")
def shares():
    """A table of a share near its end, and of a metric without a direction."""
    from bench.analysis.paired_comparison import compare

    cells, rows = [], []
    for arm, shift in (("base", 0.0), ("other", 0.07)):
        for i in range(8):
            cells.append(TrialSlot("t", arm, f"{arm}-{i}", f"scene{i}", 0))
            values = {"ssim": 1.0 - 0.4 * (i == 0) - shift * (i % 3 + 1), "repeats": 0.5 + shift + 0.01 * i}
            rows += [{"trial_id": f"{arm}-{i}", "metric": metric, "value": x} for metric, x in values.items()]
    frame = pd.DataFrame(rows).assign(view=0, status="finished", protocol="std-v1", reason=None, budget="quick")
    frame = frame.assign(num_steps=4, wall_s=1.0)
    how = {"table": "t", "baseline": "base", "protocol": "std-v1"}
    return compare(frame, cells, metrics=("ssim", "repeats"), **how)


def test_an_interval_that_is_cut_has_both_ends(shares):
    entry = shares.entry("base", "ssim")
    assert entry.high == 1.0
    aside = f"[{entry.low:.3f}, 1.000]"
    assert f"{entry.mean:.3f} {aside}" in block(printed(shares), "SSIM, higher is better")["base"]
    assert rf"$\mathbf{{0.950}}\,{aside}$" in formats.latex(shares)
    assert f"**0.950** {aside}" in formats.markdown(shares)
    assert all("±" in row[2].aside for row in contents.metric_grid(shares, "ssim").rows[1:]), "differences are even"
    assert "[low, high] one that is cut where the metric ends" in contents.legend(shares)


def test_a_legend_says_what_there_is_and_no_more(usual, shares):
    plain, both = contents.legend(usual.result), contents.legend(shares)
    assert "better and worse: p < 0.05" in plain and "higher and lower" not in plain and "[low, high]" not in plain
    assert "better and worse, higher and lower: p < 0.05" in both
    assert "higher and lower: where neither way is better" in both
    for said in (plain, both):
        assert "bold: the best mean, where resolved as better than the baseline" in said
    alone = dataclasses.replace(shares, metrics=("repeats",), entries=shares.column("repeats"))
    assert "; higher and lower: p < 0.05" in contents.legend(alone) and "bold" not in contents.legend(alone)


def test_without_a_direction_nothing_is_praised_in_any_format(shares):
    assert shares.entry("other", "repeats").verdict == "higher"
    assert contents.best_arm(shares, "repeats") is None
    assert [said for _, said in contents.conclusion(shares)] == ["Worse than base: other"]
    lines = block(printed(shares), "repeated faces, to be read beside that of true renders")
    assert re.search(r"\+0\.070 ±0\.000 +higher", lines["other"])
    row = formats.latex(shares, ("repeats",)).split(r"\midrule")[1].splitlines()[2]
    assert row.startswith("other & ") and "^{*}" in row and "mathbf" not in row
    rows = [r for r in csv.DictReader(io.StringIO(formats.csv_text(shares))) if r["metric"] == "repeats"]
    assert [(r["higher_is_better"], r["verdict"]) for r in rows] == [("", "baseline"), ("", "higher")]


def test_csv_holds_every_entry(hostile):
    result = hostile.result
    rows = list(csv.DictReader(io.StringIO(formats.csv_text(result))))
    assert len(rows) == len(result.entries) == 9
    for row, entry in zip(rows, result.entries, strict=True):
        assert (row["metric"], row["verdict"]) == (entry.metric, entry.verdict)
        assert int(row["num_trials"]) == entry.num_trials
        assert float(row["mean"]) == pytest.approx(entry.mean, rel=1e-5)
        assert row["difference"] == ("" if entry.difference is None else f"{entry.difference:.6g}")
    assert rows[2]["arm"] == result.arms[2], "quotes and backslashes come back"
    scenes = list(csv.DictReader(io.StringIO(formats.scenes_csv(result))))
    assert len(scenes) == 3 * 3 * 8


def test_steps_that_differ_get_a_column(make_study):
    made = make_study()
    from bench.analysis.paired_comparison import compare

    made.frame.loc[made.frame["trial_id"].str.startswith("v1"), "num_steps"] = 999
    result = compare(made.frame, made.cells, table="parts", baseline="base", protocol="std-v1", metrics=["psnr"])
    text = printed(result)
    assert "steps differ between arms" in text
    assert re.search(r"better .* 16 +999 +13\.0", text) and re.search(r"baseline +16 +400 +12\.0", text)


@pytest.mark.parametrize(
    ("clusters", "said"), [(9, "~9 scenes"), (84, "~84 scenes"), (161, "~170 scenes"), (None, ">10000 scenes")]
)
def test_needs_are_rough(usual, clusters, said):
    import dataclasses

    entry = dataclasses.replace(usual.result.entry("same", "psnr"), clusters_to_resolve=clusters)
    assert contents.clusters_needed(entry, "scene") == said


class TestPublished:
    @pytest.fixture
    def told(self, usual):
        rows = (
            Published("better", "PSNR", "23.1", "A paper", "yes"),
            Published("better", "SSIM", "0.8", "A paper", "yes"),
            Published("never released", "PSNR", "(9)", "A paper", "no: <nobody> has it"),
        )
        return dataclasses.replace(usual.result, published=rows)

    def test_rows_of_theirs_stand_apart_with_the_reason(self, told):
        grid = contents.published_grid(told)
        assert grid.header[:3] == ("as published", "PSNR", "SSIM")
        assert [cell.text for cell in grid.rows[1]] == ["never released", "(9)", "–", "A paper", "no: <nobody> has it"]
        assert "never released" in printed(told) and "no: &lt;nobody&gt; has it" in formats.markdown(told)

    def test_a_table_without_them_has_none(self, usual):
        assert contents.published_grid(usual.result) is None
        assert "as published" not in printed(usual.result)

    def test_they_survive_a_file(self, told):
        assert TableResult.from_json(json.loads(json.dumps(told.to_json()))).published == told.published


def test_notes_that_all_tables_share_are_printed_once(usual, capsys):

    first = dataclasses.replace(usual.result, notes=("one world", "its own"))
    second = dataclasses.replace(usual.result, notes=("one world",))
    build.print_tables([first, second])
    out = capsys.readouterr().out
    assert out.count("one world") == 1 and out.count("note: its own") == 1
    assert out.rstrip().endswith("all tables: one world")
    build.print_tables([first])
    assert "note: one world" in capsys.readouterr().out


def test_while_trials_run_each_number_says_of_how_many_it_is(usual, make_study):
    from bench.analysis.paired_comparison import compare

    made = make_study()
    frame = made.frame[~made.frame["trial_id"].str.match("v1__scene[0-4]__.*s1")]
    how = {"table": "parts", "baseline": "base", "protocol": "std-v1", "metrics": ["psnr", "ssim"]}
    result = compare(frame, made.cells, **how)
    for metric in ("psnr", "ssim"):
        of = {row[0].text: row for row in contents.summary_grid(result, ("psnr", "ssim")).rows}
        place = 1 + ("psnr", "ssim").index(metric)
        assert of["better"][place].below.endswith("better (11 of 16)")
        assert of["base"][place].below == "baseline" and "of 16" not in of["same"][place].below, "a failure is no wait"
        bare = contents.metric_grid(result, metric, with_run=False)
        assert bare.header[-1] == "trials" and [row[-1].text for row in bare.rows] == ["16", "11 of 16", "15 of 16"]
    assert "trials" not in contents.metric_grid(usual.result, "psnr", with_run=False).header
    text = printed(result)
    assert len(re.findall(r"better .* 11 of 16", text)) == 2, "in each block"
    assert formats.markdown(result).count("11 of 16") == 2
