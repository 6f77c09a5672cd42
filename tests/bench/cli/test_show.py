import argparse
import json
import math

import pytest

from bench.cli import show
from bench.errors import UsageError
from bench.storage import record
from bench.storage.store import Store


def parsed(*words):
    parser = argparse.ArgumentParser()
    show.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def outcome(trial_id, **changes):
    fields = {
        "schema_version": record.SCHEMA_VERSION, "trial_id": trial_id, "status": "finished", "variant": "nerf",
        "task": "a__8v", "cluster": "a", "seed": 0, "budget": "smoke",
        "identity": {"method": {"type": "NeRF", "field": {"type": "MLP", "width": 16}}, "seed": 0},
        "environment": {"device": "cpu"}, "curves": {"step": [1.0, 20.0], "loss": [0.5, math.nan], "none": []},
        "timings": {"train_s": 1.25, "wall_s": 2.0}, "num_steps": 20, "num_parameters": 99, "pack_size": 4,
        "first_bad_step": None, "reason": None, "traceback": None,
    }  # fmt: skip
    scores = {
        "protocol": "std-v1", "version": "1", "view_ids": [0, 1],
        "per_view": {"psnr": [20.0, 22.0], "lpips": [None, None], "half": [None, 1.0]},
        "reasons": {"lpips": "no weights", "half": "empty"}, "context": {},
    }  # fmt: skip
    made = record.Record(**fields | changes)
    return record.Outcome(record=made, parameters={}, views={}, scores={} if made.reason else {"std-v1": scores})


@pytest.fixture
def root(tmp_path):
    trials = Store.open(tmp_path)
    trials.write(outcome("nerf__a__8v__s0__1"))
    trials.write(outcome("dietnerf__a__8v__s0__2", status="failed", reason="why", traceback="Traceback\n  line\n"))
    return tmp_path


def test_a_trial_that_was_tried_again_says_how_often(tmp_path, capsys):
    reasons = ["its worker died (SYSTEM_ERROR)", "OSError: gone"]
    Store.open(tmp_path).write(outcome("nerf__a__8v__s0__1", earlier_failures=reasons))
    assert show.main(parsed("nerf", "--results", tmp_path)) == 0
    said = capsys.readouterr().out
    assert (
        "  finished at attempt 3\n  attempt 1 failed: its worker died (SYSTEM_ERROR)\n  attempt 2 failed: OSErr" in said
    )


def test_all_that_is_known(root, capsys):
    assert show.main(parsed("nerf", "--results", root)) == 0
    assert (
        capsys.readouterr().out
        == """\
nerf__a__8v__s0__1
  finished
  nerf on a__8v (cluster a), seed 0, budget smoke
  20 steps, 99 parameters, in a pack of 4
  seconds: train 1.2, wall 2.0
  files: scores/std-v1.json, by SHA-256
scores under std-v1, means over 2 views
  psnr: 21.0000
  lpips: - (2 missing: no weights)
  half: 1.0000 (1 missing: empty)
curves, first and last point
  step: 1 .. 20
  loss: 0.5 .. not finite
  none: 
identity
  method
    type: NeRF
    field
      type: MLP
      width: 16
  seed: 0
environment
  device: cpu
"""
    )


def test_why_it_failed(root, capsys):
    assert show.main(parsed("dietnerf__a", "--results", root)) == 0
    out = capsys.readouterr().out
    assert "  failed: why\n" in out
    assert out.endswith("Traceback\n  line\n")


def test_json_holds_everything(root, capsys):
    assert show.main(parsed("nerf", "--results", root, "--json")) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["curves"]["loss"] == [0.5, None]
    assert said["scores"]["std-v1"]["per_view"]["psnr"] == [20.0, 22.0]


def test_an_unknown_trial_names_the_nearest(root):
    with pytest.raises(UsageError, match="got 'dietnref'; the nearest is 'dietnerf__a__8v__s0__2'"):
        show.main(parsed("dietnref", "--results", root))


def test_where_a_captured_scene_was_placed(root, capsys):
    Store.open(root).write(outcome("nerf__fox__8v__s0__3", scene={"world": "unbounded", "near": 0.25}))
    show.main(parsed("nerf__fox", "--results", root))
    said = capsys.readouterr().out
    assert "scene\n  world: unbounded\n  near: 0.25\n" in said
