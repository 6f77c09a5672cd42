"""A metric without a direction is told in the conclusion, and decides nothing."""

from __future__ import annotations

import pandas as pd
import pytest

from bench.analysis import findings
from bench.analysis.paired_comparison import compare
from bench.suites.suite import TrialSlot


@pytest.mark.parametrize(("shift", "word"), [(0.1, "higher"), (-0.1, "lower")])
def test_higher_and_lower_are_told_and_are_no_reason_to_fail(shift, word, monkeypatch):
    cells, rows = [], []
    for arm, by in (("mine", shift), ("base", 0.0)):
        for i in range(8):
            cells.append(TrialSlot("t", arm, f"{arm}-{i}", f"scene{i}", 0))
            values = {"psnr": 20.0 + 30 * abs(by) + i * (1 + by), "repeats": 0.5 + by * (1 + 0.01 * i)}
            rows += [{"trial_id": f"{arm}-{i}", "metric": metric, "value": x} for metric, x in values.items()]
    frame = pd.DataFrame(rows).assign(view=0, status="finished", protocol="std-v1", reason=None, budget="quick")
    frame = frame.assign(num_steps=4, wall_s=1.0)
    how = {"table": "t", "baseline": "base", "protocol": "std-v1"}
    result = compare(frame, cells, metrics=("psnr", "repeats"), **how)
    found = findings.collect_differences([result], frame, cells, "mine")
    said = findings.conclusion(found, "mine", "scene")
    assert said == f"mine: PSNR better than base. repeated faces {word} than base"
    assert not findings.is_worse(found) and findings.is_better(found)
    assert findings.secondary_findings(found, "scene") == []
    monkeypatch.setattr(findings, "NUM_PRIMARY", 1)
    assert findings.secondary_findings(found, "scene") == [f"in the report also: repeated faces, {word} than base"]
    assert not findings.is_worse(found[1:]) and not findings.is_better(found[1:])
