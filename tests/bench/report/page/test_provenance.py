"""Devices, versions and commits are counted over all records."""

from __future__ import annotations

from bench.report.page import provenance
from bench.report.page.provenance import UNKNOWN, count_values


def test_commits_that_nobody_knows_are_counted():
    assert count_values(["a", "a"]) == "a"
    assert count_values(["b", UNKNOWN, "a", "b"]) == "a (1 trial) | b (2 trials) | unknown: 1 trial"
    assert count_values([UNKNOWN, UNKNOWN]) == "unknown: 2 trials"


def test_where_the_numbers_come_from(usual, captioned):
    rows = dict(provenance.provenance_rows([usual.result, captioned.result], usual.records))
    assert rows["protocol"].startswith("std-v1 ") and rows["protocol of captions"].startswith("std-v1 ")
    assert rows["protocol"] != rows["protocol of captions"]
    assert rows["commit"] == "aaaaaaaaaaaa (24 trials) | aaaaaaaaaaaa with local changes (24 trials)"
    assert (rows["python"], rows["device"], rows["packages"]) == ("3.11.9", "cpu", "jax 0.10.2")


def test_without_records_only_definitions_are_known(usual):
    assert [name for name, _ in provenance.provenance_rows([usual.result], [])] == ["protocol", "budget"]


def test_how_much_was_run(usual):
    line = provenance.summary_line([usual.result], usual.records)
    for words in ("1 table", "48 trials, 1 failed", "10.4 minutes of training and scoring, all workers added up"):
        assert words in line
    assert provenance.summary_line([usual.result], []) == "1 table · 0 trials"
