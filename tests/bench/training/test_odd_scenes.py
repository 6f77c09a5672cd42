"""What `run` says of folders of photographs before it trains on them: a line for each doubt, once a scene."""

from __future__ import annotations

from bench.suites.trial import Trial
from bench.training.run_suite import warn_of_odd_scenes
from models.nerf import NERF
from tasks.budgets import BUDGETS, sized
from tasks.sparse_views.embedded import SparseViews
from tests.fixtures.captured_scenes import captured, write_transforms


def test_doubts_are_said_once_a_scene(tmp_path, capsys):
    odd = captured(write_transforms(tmp_path / "odd", top={"mask_folder": "x"}))
    plain = captured(write_transforms(tmp_path / "plain"))
    budget = BUDGETS["smoke"]
    method = sized(NERF, budget)
    tasks = (odd, odd, plain, sized(SparseViews(scene="kettle"), budget))
    trials = [
        Trial(task=task, method=method, budget=budget, seed=seed, variant="nerf") for seed, task in enumerate(tasks)
    ]
    warn_of_odd_scenes(trials)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"warning: {odd.place()}: the key 'mask_folder' is not known and not read")
