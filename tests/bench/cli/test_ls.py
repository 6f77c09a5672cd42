import argparse
import dataclasses
import json
import math

import pytest

from bench.cli import ls
from bench.storage import record
from bench.storage.store import Store


def parsed(*words):
    parser = argparse.ArgumentParser()
    ls.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def outcome(trial_id, scores, reason=None, wall_s=1.25):
    made = record.Record(
        schema_version=record.SCHEMA_VERSION, trial_id=trial_id, status="failed" if reason else "finished",
        variant="nerf", task="a__8v", cluster="a", seed=0, budget="smoke", identity={}, environment={}, curves={},
        timings={"wall_s": wall_s}, num_steps=400, num_parameters=1, pack_size=1, first_bad_step=None, reason=reason,
        traceback=None,
    )  # fmt: skip
    return record.Outcome(record=made, parameters={}, views={}, scores=scores)


def scores(*psnr):
    return {
        "protocol": "any",
        "version": "1",
        "view_ids": list(range(len(psnr))),
        "per_view": {"psnr": list(psnr)},
        "reasons": {},
        "context": {},
    }


@pytest.fixture
def root(tmp_path):
    trials = Store.open(tmp_path)
    trials.write(outcome("nerf__a__8v__s0__1", {"std-v1": scores(20.0, 22.0), "nerf-2020": scores(1.0, 2.0)}))
    trials.write(outcome("nerf__b__8v__s0__2", {"nerf-2020": scores(30.0, 33.0)}))
    trials.write(outcome("nerf__c__8v__s0__3", {"std-v1": scores(30.0, None)}, wall_s=math.nan))
    trials.write(outcome("dietnerf__a__8v__s0__4", {}, reason="the loss was not finite"))
    return tmp_path


def test_a_line_a_trial(root, capsys):
    assert ls.main(parsed("--results", root)) == 0
    # 21 is the mean of 20 and 22: PSNR of each view, then their mean
    assert capsys.readouterr().out.splitlines() == [
        "trial                   status      psnr    steps    wall_s",
        "dietnerf__a__8v__s0__4  failed         -      400       1.2  the loss was not finite",
        "nerf__a__8v__s0__1      finished   21.00      400       1.2",
        "nerf__b__8v__s0__2      finished   31.50      400       1.2",
        "nerf__c__8v__s0__3      finished       -      400         -",
        f"4 of 4 trials in {root}",
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["__a__"], ["4", "1"]),
        (["nerf__*"], ["1", "2", "3"]),
        (["nothing"], []),
        (["--failed"], ["4"]),
        (["nerf__*", "--failed"], []),
    ],
)
def test_only_some(root, capsys, words, expected):
    ls.main(parsed("--results", root, "--json", *words))
    assert [row["trial_id"][-1] for row in json.loads(capsys.readouterr().out)] == expected


def test_json(root, capsys):
    assert ls.main(parsed("--results", root, "--json", "nerf__c")) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "trial_id": "nerf__c__8v__s0__3", "status": "finished", "psnr": None, "num_steps": 400, "wall_s": None,
            "reason": None, "num_attempts": 1,
        }
    ]  # fmt: skip


def test_attempts(tmp_path, capsys):
    made = outcome("nerf__a__8v__s0__1", {}, reason="its worker died 3 times")
    tried = dataclasses.replace(made.record, earlier_failures=["its worker died (killed)"] * 2)
    Store.open(tmp_path).write(dataclasses.replace(made, record=tried))
    assert ls.main(parsed("--results", tmp_path, "--failed")) == 0
    assert "its worker died 3 times  (attempt 3)\n" in capsys.readouterr().out


def test_nothing_stored(tmp_path, capsys):
    assert ls.main(parsed("--results", tmp_path)) == 0
    assert capsys.readouterr().out == f"0 of 0 trials in {tmp_path}\n"


def test_what_did_not_parse_is_said(root, capsys):
    (root / "nerf__broken").mkdir()
    ls.main(parsed("--results", root, "--json"))
    captured = capsys.readouterr()
    json.loads(captured.out)
    assert "set aside, it did not parse: nerf__broken.unreadable-1: " in captured.err
