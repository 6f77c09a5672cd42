"""A drill as a user holds it, with few faults; and what its report says."""

import json

import pytest

from bench.__main__ import main
from bench.drill.drill import DrillReport, hold_drill
from bench.drill.drill_round import MadeFault
from bench.drill.faults import plan_faults
from bench.drill.verdict import RULES, BrokenRule
from bench.errors import UsageError


@pytest.mark.slow
def test_ten_faults_change_nothing(tmp_path):
    lines = []
    report = hold_drill(tmp_path / "drill", 10, seed=0, say=lines.append)
    assert report.broken == (), "\n".join(lines)
    assert len(report.made) == 10 and max(report.counts.values()) == 1


def report(*broken):
    made = [MadeFault(fault=fault, what="hit", at_s=1.0) for fault in plan_faults(50, 0)]
    return DrillReport(
        made=tuple(made), num_rounds=4, num_trials=96, disk="tmpfs", num_nodes=1, wall_s=600.0, broken=broken
    )


def test_a_report_counts_and_judges():
    lines = report().to_lines()
    assert lines[-1] == "drill: 50 faults, 96 trials in 4 rounds, 600 s: every rule holds"
    assert sum(line.startswith("holds") for line in lines) == len(RULES)
    assert "disk: a small tmpfs; 1 node of Ray" in lines
    assert sum(report().to_json()["counts"].values()) == 50
    assert json.loads(json.dumps(report().to_json(), allow_nan=False))["is_sound"]


def test_a_report_names_what_is_broken():
    found = report(BrokenRule("once", "nerf__a was stored 2 times, 1 at most are right"))
    assert f"broken  {RULES['once']}" in found.to_lines()
    assert "        nerf__a was stored 2 times, 1 at most are right" in found.to_lines()
    assert found.to_lines()[-1].endswith("1 findings against the rules")
    assert not found.to_json()["is_sound"]


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "mine").touch()
    with pytest.raises(UsageError, match="--results: expected an empty folder or none, got .*; name another"):
        hold_drill(tmp_path, 1, seed=0)


def test_an_unknown_kind_is_refused(capsys):
    assert main(["drill", "--kinds", "worker-kiled"]) == 2
    assert "--kinds: expected one of worker-killed, " in capsys.readouterr().err
