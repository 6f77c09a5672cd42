"""A metric that no scene of a table can have leaves it, with one line; one that trials lost stays."""

import pandas as pd
import pytest

from bench.analysis.absent_metrics import leave_out_absent_metrics
from bench.analysis.paired_comparison import compare
from bench.metrics.registry import NO_BACKGROUND
from bench.suites.suite import TrialSlot


def compared(values, reasons, metrics=("psnr", "psnr_fg"), failed=()):
    """Compare two arms on one scene; `values` and `reasons` are of the foreground, arm by arm."""
    slots = [TrialSlot("t", arm, arm, "fox", 0) for arm in ("base", "other")]
    rows = []
    for slot, value, reason in zip(slots, values, reasons, strict=True):
        status = "failed" if slot.arm in failed else "finished"
        numbers = {"psnr": (None if failed else 20.0, None), "psnr_fg": (value, reason)}
        rows += [(slot.trial_id, 0, metric, *numbers[metric], status) for metric in metrics]
    frame = pd.DataFrame(rows, columns=["trial_id", "view", "metric", "value", "reason", "status"])
    frame = frame.astype({"value": float}).assign(protocol="std-v1", budget="quick", num_steps=400, wall_s=9.0)
    return compare(frame, slots, table="t", baseline="base", protocol="std-v1", metrics=metrics)


def test_without_alpha_there_is_no_foreground_and_one_line():
    result = leave_out_absent_metrics(compared((None, None), (NO_BACKGROUND, NO_BACKGROUND)))
    assert result.metrics == ("psnr",) and set(result.by_cluster) == {"psnr"}
    assert {entry.metric for entry in result.entries} == {"psnr"}
    assert result.notes == (f"PSNR, foreground: left out, {NO_BACKGROUND}",)


@pytest.mark.parametrize(
    ("values", "reasons", "options"),
    [
        ((20.0, None), (None, NO_BACKGROUND), {}),  # some scene has it
        ((None, None), (NO_BACKGROUND, "no foreground in 1 of 1 views"), {}),  # lost for another reason
        ((None, None), (NO_BACKGROUND, NO_BACKGROUND), {"metrics": ("psnr_fg",)}),  # there is no other
        ((None, None), ("not finite", "not finite"), {"failed": ("base", "other")}),
    ],
)
def test_what_trials_lost_stays(values, reasons, options):
    result = compared(values, reasons, **options)
    assert leave_out_absent_metrics(result) is result
