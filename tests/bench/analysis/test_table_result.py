"""What a paired table holds: entries by row and column, text around the numbers, and a file that gives it back."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from bench.analysis.paired_comparison import compare
from bench.analysis.table_result import ReferenceRow, TableResult
from bench.suites.suite import TrialSlot


@pytest.fixture
def result():
    slots = [TrialSlot("t", arm, f"{arm}-{i}", f"scene {i}", 0) for arm in ("base", "arm") for i in range(6)]
    frame = pd.DataFrame({"trial_id": [slot.trial_id for slot in slots], "value": np.linspace(20, 31, 12)})
    frame = frame.assign(view=0, status="finished", protocol="std-v1", metric="psnr", reason=None, budget="quick")
    frame = frame.assign(num_steps=4, wall_s=1.0)
    return compare(frame, slots, table="t", baseline="base", protocol="std-v1", metrics=["psnr"])


def test_entries_are_found_by_arm_and_metric(result):
    assert [entry.arm for entry in result.column("psnr")] == ["base", "arm"]
    assert result.entry("arm", "psnr").mean == pytest.approx(28.5)
    assert result.num_tests("psnr") == 1 and result.column("ssim") == ()


def test_text_stands_before_the_notes_of_the_comparison(result):
    noted = dataclasses.replace(result, notes=("2 failed trials",))
    found = noted.with_text(question="Why?", cluster_noun="caption", arm_notes={"arm": "new", "base": ""}, notes=("a",))
    assert (found.question, found.cluster_noun, found.notes) == ("Why?", "caption", ("a", "2 failed trials"))
    assert found.arm_notes == {"arm": "new"}
    assert found.entries == result.entries


def test_a_table_survives_a_file(result):
    whole = dataclasses.replace(result, references=(ReferenceRow("chance", "psnr", 1.0),), tests_beside={"psnr": 2})
    assert TableResult.from_json(json.loads(json.dumps(whole.to_json(), allow_nan=False))) == whole
    assert whole.num_tests("psnr") == 3
