"""The hashing of before gives the ids that stores of before hold."""

import dataclasses
import json

import pytest

from bench.import_paths import ROOT
from bench.suites import legacy_identity, registry
from bench.suites.trial import Trial
from models.nerf import NERF
from tasks.budgets import BUDGETS
from tests.tasks.sparse_views.test_nerf_synthetic import small

FIXTURES = ROOT / "tests" / "fixtures"


@pytest.mark.parametrize(("suite", "budget"), [("sparse-views", "quick"), ("text-to-3d", "quick")])
def test_ids_of_the_reference(suite, budget):
    trials, _ = registry.suite(suite).expand(BUDGETS[budget])
    found = {legacy_identity.id_v1(trial) for trial in trials}
    written = (FIXTURES / f"ids_v1_{suite}_{budget}.json").read_text()
    assert found >= set(json.loads(written)), "the hashing of before must stay as it was"


def test_photographs_by_names_and_sizes(tmp_path):
    task = small(tmp_path)
    before = legacy_identity.fingerprint_v1(task)
    image = tmp_path / "toy" / "train" / "r_1.png"
    content = bytearray(image.read_bytes())
    content[-5] ^= 1
    image.write_bytes(bytes(content))
    assert legacy_identity.fingerprint_v1(task) == before != task.fingerprint()
    assert legacy_identity.fingerprint_v1(dataclasses.replace(task, num_views=3)) != before
    image.write_bytes(bytes(content) + b"\0")
    assert legacy_identity.fingerprint_v1(task) != before


def test_types_by_their_bare_names():
    trial = Trial(task=TASK, method=NERF, budget=BUDGETS["smoke"], seed=0, variant="nerf")
    assert legacy_identity.identity_v1(trial)["method"]["field"]["type"] == "MLP"
    assert trial.identity()["method"]["field"]["type"] == "MLP/1"


TASK = registry.suite("sparse-views").tables_at(BUDGETS["smoke"])[0].tasks[0]
