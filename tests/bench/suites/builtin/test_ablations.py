"""What a newcomer's study holds: arms that two cores can resolve, photographs first, stored trials unmoved."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest

from bench.analysis import statistics
from bench.import_paths import ROOT
from bench.suites import registry
from bench.training import packing
from bench.training.queue import Queue
from tasks.budgets import budget_named
from tasks.task import SceneTask

QUICK = budget_named("quick")

REFERENCE = ROOT / "results" / "reference" / "ablations-quick.parquet"


@pytest.fixture(scope="module")
def suite():
    return registry.suite("ablations")


@pytest.fixture(scope="module")
def trials(suite):
    found, _ = suite.expand(QUICK)
    return found


def test_each_quick_table_has_enough_clusters_for_its_verdicts(suite):
    for table in suite.tables_at(QUICK):
        fewest = min(len(table.tasks[: arm.num_tasks]) for arm in table.arms.values())
        assert fewest >= statistics.clusters_for_any(len(table.arms) - 1), table.name
        assert len(table.arms) > 1, table.name


def test_two_workers_begin_with_photographs(trials):
    queue = Queue(packing.make_packs(trials, packing.default_pack_size("cpu")))
    workers = [set(), set()]
    taken = []
    while queue.trial_ids():
        worker = workers[len(taken) % 2]
        others = workers[1 - len(taken) % 2]
        attempt = queue.take(worker, others)
        worker.add(attempt.program)
        taken.append(attempt.pack.trials[0])
    assert [trial.variant for trial in taken[:2]] == ["nerf", "simplified_nerf"], "baseline, and what is done soonest"
    assert all(isinstance(trial.task, SceneTask) for trial in taken[:5])


def test_trials_of_arms_that_remain_are_those_of_the_reference_study(trials):
    stored = set(pd.read_parquet(REFERENCE, columns=["trial_id"]).trial_id)
    kept = {trial.id for trial in trials if trial.variant in ("dream_fields", "dream_fields_plain")}
    assert len(kept) == 16 and kept <= stored


def test_what_quick_leaves_to_standard_is_named(suite):
    left_out = suite.left_out_at(QUICK)
    kept = {table.name for table in suite.tables_at(QUICK)}
    for table in suite.tables_at(budget_named("standard")):
        if table.name not in kept:
            assert table.name in left_out
    assert "--budget standard" in left_out and not suite.left_out_at(budget_named("standard"))


def test_a_budget_that_is_changed_leaves_out_as_much(suite):
    changed = dataclasses.replace(QUICK, name="quick+num_steps=9", num_steps=9)
    assert suite.left_out_at(changed) == suite.left_out_at(QUICK)
