"""Tables as CSV hold every number, and names come back as they were."""

from __future__ import annotations

import csv
import io

import pytest

from bench.report.tables import csv_files


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_every_entry_is_there(hostile):
    result = hostile.result
    rows = read(csv_files.entries_csv(result))
    assert len(rows) == len(result.entries) == 9
    for row, entry in zip(rows, result.entries, strict=True):
        assert (row["metric"], row["verdict"]) == (entry.metric, entry.verdict)
        assert int(row["num_trials"]) == entry.num_trials
        assert float(row["mean"]) == pytest.approx(entry.mean, rel=1e-5)
        assert row["difference"] == ("" if entry.difference is None else f"{entry.difference:.6g}")
    assert rows[2]["arm"] == result.arms[2], "quotes and backslashes come back"


def test_every_cluster_is_there(hostile):
    rows = read(csv_files.clusters_csv(hostile.result))
    assert len(rows) == 3 * 3 * 8
    values = hostile.result.by_cluster["psnr"][hostile.result.arms[1]]
    mine = {row["cluster"]: float(row["value"]) for row in rows if row["metric"] == "psnr" and "script" in row["arm"]}
    assert mine == pytest.approx(values, rel=1e-5)


def test_a_metric_without_a_direction_has_no_better_side(shares):
    rows = [row for row in read(csv_files.entries_csv(shares)) if row["metric"] == "repeats"]
    assert [(row["higher_is_better"], row["verdict"]) for row in rows] == [("", "baseline"), ("", "higher")]
