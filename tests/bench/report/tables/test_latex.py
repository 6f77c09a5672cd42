"""Tables for papers: rectangular, escaped, and with a note for each mark."""

from __future__ import annotations

import dataclasses
import re

import pytest

from bench.analysis.table_result import ReferenceRow
from bench.report.tables.latex import table_latex

JUDGE = "embedded-judge-rn"


def body(text):
    return text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()


def test_names_are_escaped_and_rows_have_their_columns(hostile):
    text = table_latex(hostile.result)
    rows = body(text)
    assert len(rows) == 3
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {8}
    assert r"50\% of \#1\_\{x\}\textasciitilde{}\textbackslash{}" in rows[2]
    assert r"\$x\textasciicircum{}2\$ {[}red{]}" in rows[1]
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    spec = re.search(r"\\begin{tabular}{(\w+)}", text)[1]
    assert len(spec) == 9 and r"\toprule" in text and "hline" not in text


def test_what_is_resolved_has_a_star(usual):
    better, same = body(table_latex(usual.result))[1:]
    assert better.count("^{*}") == 3 and "^{*}" not in same


def test_bold_only_where_resolved(usual, make_study):
    assert "mathbf" in table_latex(usual.result)
    assert "mathbf" not in table_latex(make_study(num_scenes=5).result)


def test_a_truncated_interval_has_both_ends(shares):
    entry = shares.entry("base", "ssim")
    assert rf"$\mathbf{{0.950}}\,[{entry.low:.3f}, 1.000]$" in table_latex(shares)


def test_what_failed_is_a_footnote_at_its_arm(usual):
    text = table_latex(usual.result)
    rows = body(text)
    assert rows[2].startswith("same$^{a}$ & ") and "^{a}" not in "".join(rows[:2])
    notes = text.split(r"\end{tabular}")[1].splitlines()
    [mark] = [note for note in notes if note.startswith("$^{a}$ same")]
    assert "1 failed" in mark and "not finite at step 7" in mark and mark.endswith(r".\par")
    assert any("runner-up" in note for note in notes) and any("older protocol" in note for note in notes)


def test_the_caption_asks_and_says_how_numbers_were_made(usual):
    caption = re.search(r"\\caption{(.*)}", table_latex(usual.result))[1]
    for words in ("Parts: What brings what?", "std-v1", r"8 scenes $\times$ 2 seeds", "400 steps"):
        assert words in caption


def test_a_metric_without_a_direction_is_never_bold(shares):
    row = body(table_latex(shares, ("repeats",)))[1]
    assert row.startswith("other & ") and "^{*}" in row and "mathbf" not in row


def test_heads_of_long_names_stand_on_two_lines(captioned):
    assert rf"\shortstack{{margin\\by {JUDGE} $\uparrow$}}" in table_latex(captioned.result)


@pytest.mark.parametrize("with_references", [False, True])
def test_references_stand_below_the_arms(captioned, with_references):
    rprec = f"rprec1@{JUDGE}"
    rows = (ReferenceRow("true renders", rprec, 0.992, 0.985, 0.999), ReferenceRow("chance", rprec, 1 / 128))
    result = dataclasses.replace(captioned.result, references=rows if with_references else ())
    text = table_latex(result, ("opacity", rprec))
    below = text.split(r"\midrule")[2:]
    assert len(below) == with_references
    if with_references:
        lines = below[0].splitlines()[1:3]
        assert lines[0].startswith("true renders &  &  & $0.992\\pm 0.007$ &") and lines[1].startswith("chance & ")
    assert len({row.count("&") for row in text.splitlines() if row.endswith(r"\\")}) == 2, "and the metrics' heads"
