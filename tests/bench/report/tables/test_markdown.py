"""Tables as Markdown: every row has its columns, and names stay names."""

from __future__ import annotations

import dataclasses
import re

import pytest

from bench.analysis.table_result import ReferenceRow
from bench.report.tables.markdown import table_markdown
from bench.suites.suite import Published


@pytest.mark.parametrize("study", ["usual", "hostile"])
def test_tables_keep_their_columns(study, request):
    text = table_markdown(request.getfixturevalue(study).result)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 3 * (2 + 3)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {9}
    assert "<script" not in text and "\x1b" not in text


def test_bold_only_where_resolved(usual, make_study):
    assert table_markdown(usual.result).count("**2") == 1, "the better arm's PSNR"
    assert "**2" not in table_markdown(make_study(num_scenes=5).result)


def test_a_truncated_interval_has_both_ends(shares):
    entry = shares.entry("base", "ssim")
    assert f"**0.950** [{entry.low:.3f}, 1.000]" in table_markdown(shares)


def test_references_stand_below_the_arms(captioned):
    row = ReferenceRow("true renders", captioned.result.metrics[1], 0.992, 0.985, 0.999)
    text = table_markdown(dataclasses.replace(captioned.result, references=(row,)))
    assert "| true renders | 0.992 ±0.007 |" in text


def test_what_papers_print_is_escaped(usual):
    rows = (Published("<row>", "PSNR", "(9)", "A paper", "no: <nobody> has it"),)
    text = table_markdown(dataclasses.replace(usual.result, published=rows))
    assert "&lt;row&gt;" in text and "no: &lt;nobody&gt; has it" in text


def test_while_trials_run_each_metric_counts_them(running):
    assert table_markdown(running).count("11 of 16") == 2
