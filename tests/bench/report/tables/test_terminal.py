"""Tables in a terminal or a log file: digits, widths, and no control characters of a name."""

from __future__ import annotations

import dataclasses
import io
import re

import pytest

from bench.analysis.paired_comparison import compare
from bench.report.tables import terminal
from bench.suites.suite import Published


def printed(result, **arguments):
    out = io.StringIO()
    terminal.print_result(result, file=out, **arguments)
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


def test_without_the_baseline_there_are_means_and_a_sentence_that_says_why(without_baseline):
    text = printed(without_baseline.result)
    header = block(text, "PSNR [dB], higher is better")
    assert header["arm"].split() == ["arm", "mean", "trials", "s/trial"]
    assert f"{without_baseline.result.entry('better', 'psnr').mean:.2f} ±" in header["better"]
    said = " ".join(text.split())
    assert "There are no differences: base, the baseline, was not chosen; choose it too with --only" in said
    assert not re.search("verdict|sign flips|No data|smallest", text)


def test_a_truncated_interval_has_both_ends(shares):
    entry = shares.entry("base", "ssim")
    line = block(printed(shares), "SSIM, higher is better")["base"]
    assert f"{entry.mean:.3f} [{entry.low:.3f}, 1.000]" in line


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


def test_trials_and_seconds_stand_beside_verdicts(usual):
    text = printed(usual.result)
    lines = block(text, "PSNR [dB], higher is better")
    assert re.search(r"baseline +16 +12\.0", lines["base"])
    assert re.search(r"better +16 +13\.0", lines["better"])
    assert re.search(r"not resolved, ~\d+ scenes +15 of 16 +14\.0", lines["same"])
    for words in ("Better than base: better\n", "Not resolved: same\n", "note: scores of an older protocol"):
        assert words in text


def test_steps_that_differ_get_a_column(make_study):
    made = make_study()
    made.frame.loc[made.frame["trial_id"].str.startswith("v1"), "num_steps"] = 999
    result = compare(made.frame, made.cells, table="parts", baseline="base", protocol="std-v1", metrics=["psnr"])
    text = printed(result)
    assert re.search(r"better .* 16 +999 +13\.0", text) and re.search(r"baseline +16 +400 +12\.0", text)


def test_an_output_that_is_not_unicode_gets_relatives(usual):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    terminal.print_result(usual.result, file=out)
    out.flush()
    text = out.buffer.getvalue().decode("ascii")
    assert re.search(r"\d+\.\d\d \+-\d\.\d\d", text) and "8 scenes x 2 seeds" in text


def test_more_metrics_than_fit_are_named(usual):
    last = printed(usual.result, metrics=("psnr",)).strip().splitlines()[-1]
    assert "SSIM; LPIPS, VGG" in last


def test_a_name_steers_no_terminal(hostile):
    text = printed(hostile.result)
    assert "\x1b" not in text and "[red]" in text


def test_what_papers_print_stands_apart(usual):
    rows = (Published("never released", "PSNR", "(9)", "A paper", "no: <nobody> has it"),)
    assert "never released" in printed(dataclasses.replace(usual.result, published=rows))
    assert "as published" not in printed(usual.result)


def test_notes_that_all_tables_share_are_printed_once(usual, capsys):
    first = dataclasses.replace(usual.result, notes=("one world", "its own"))
    second = dataclasses.replace(usual.result, notes=("one world",))
    terminal.print_tables([first, second])
    out = capsys.readouterr().out
    assert out.count("one world") == 1 and out.count("note: its own") == 1
    assert out.rstrip().endswith("one world")
    terminal.print_tables([first], "More at standard.")
    out = capsys.readouterr().out
    assert "note: one world" in out and out.endswith("\nMore at standard.\n\n")


@pytest.mark.parametrize("metric", ["psnr", "ssim"])
def test_while_trials_run_each_block_counts_them(running, metric):
    title = {"psnr": "PSNR [dB], higher", "ssim": "\nSSIM, higher"}[metric]
    assert "11 of 16" in block(printed(running), title)["better"]
