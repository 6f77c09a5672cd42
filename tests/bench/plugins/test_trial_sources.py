"""Finding the source of each trial of a comparison, and reading several stores as one."""

import dataclasses
import re

import numpy as np
import pytest

from bench.errors import UsageError
from bench.plugins import trial_sources
from bench.plugins.trial_sources import MergedStore
from bench.storage.store import Store
from bench.storage.trial_reader import TrialReader
from bench.suites.suite import TrialSlot
from bench.suites.trial import Trial
from tasks.budgets import BUDGETS
from tests.fixtures import toy_studies
from tests.fixtures.toy_studies import BASE, FAST, SMOKE, ToyScene, outcome

QUICK = BUDGETS["quick"]
TRIAL = Trial(task=ToyScene(), method=BASE, budget=SMOKE, seed=0, variant="toy_base")


@pytest.fixture
def stores(tmp_path):
    return Store.open(tmp_path / "here"), Store.open(tmp_path / "reference")


class TestFindSources:
    def source(self, stores):
        return trial_sources.find_sources([TRIAL], "std-v1", *stores)[TRIAL.id]

    def test_nowhere(self, stores):
        assert self.source(stores) == trial_sources.TrialSource("training", "not there")

    @pytest.mark.parametrize("version", ["1.1", "1.0", "1.9"])
    def test_the_reference_where_it_agrees(self, stores, version):
        stores[1].write(outcome(TRIAL, version=version))
        assert self.source(stores) == trial_sources.TrialSource("reference")

    def test_what_is_here_comes_first_even_if_it_failed(self, stores):
        stores[1].write(outcome(TRIAL))
        stores[0].write(outcome(TRIAL, reason="it broke"))
        assert self.source(stores) == trial_sources.TrialSource("here")

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"version": "0.9"}, "scored with std-v1 0.9, which is now 1.1"),
            ({"protocol": "nerf-2020"}, "not scored with std-v1"),
            ({"reason": "not finite"}, "failed there"),
        ],
    )
    def test_the_same_trial_with_other_scores(self, stores, changes, why):
        stores[1].write(outcome(TRIAL, **changes))
        assert self.source(stores) == trial_sources.TrialSource("training", why)

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"budget": QUICK}, r"there at another budget \(quick\)"),
            ({"method": FAST}, "there with another method.learning_rate, method.label"),
            ({"task": ToyScene(num_views=5)}, "there with another task.num_views"),
            ({"seed": 1}, "not there"),
            ({"variant": "toy_other"}, "not there"),
            ({"task": ToyScene(scene="bee")}, "not there"),
        ],
    )
    def test_trials_that_are_nearly_the_same(self, stores, change, why):
        stores[1].write(outcome(dataclasses.replace(TRIAL, **change)))
        found = self.source(stores)
        assert found.where == "training" and re.fullmatch(why, found.why)

    def test_the_nearest_of_several_is_named(self, stores):
        stores[1].write(outcome(dataclasses.replace(TRIAL, method=FAST)))
        stores[1].write(outcome(dataclasses.replace(TRIAL, task=ToyScene(num_views=5))))
        assert self.source(stores).why == "there with another task.num_views"

    def test_other_data(self, stores, monkeypatch):
        stores[1].write(outcome(TRIAL))
        monkeypatch.setattr(ToyScene, "fingerprint", lambda self: "rendered anew")
        mine = Trial(task=ToyScene(), method=BASE, budget=SMOKE, seed=0, variant="toy_base")
        assert (
            trial_sources.reason_not_reusable(mine, "std-v1", stores[1], list(stores[1].records()))
            == "there on other data (fingerprint)"
        )

    def test_reasons_are_counted(self):
        cells = [TrialSlot("t", arm, f"{arm}{i}", f"s{i}", 0) for arm in ("base", "mine") for i in range(4)]
        why = ["not there", "not there", "failed there"]
        found = {f"base{i}": trial_sources.TrialSource("training", each) for i, each in enumerate(why)}
        found |= {"base3": trial_sources.TrialSource("here"), "mine0": trial_sources.TrialSource("here")}
        found |= {f"mine{i}": trial_sources.TrialSource("stored") for i in (1, 2, 3)}
        assert trial_sources.source_summary(found, cells, "mine", "elsewhere") == [
            "baselines: 0 of 4 trials from elsewhere; 1 found here; 3 to train here: not there (2); failed there (1)",
            "mine: 1 of 4 trials found here, 3 of 4 trials stored under this name",
        ]


class TestMergedStore:
    def test_each_trial_is_read_where_it_comes_from(self, stores):
        here, reference = stores
        other = dataclasses.replace(TRIAL, seed=1)
        third = dataclasses.replace(TRIAL, seed=2)
        reference.write(outcome(TRIAL, level=1.0))
        made = outcome(other)
        here.write(dataclasses.replace(made, views=toy_studies.views(other), parameters={"a": np.zeros(2, np.float32)}))
        here.write(outcome(third))  # not asked for
        found = {TRIAL.id: trial_sources.TrialSource("reference"), other.id: trial_sources.TrialSource("here")}
        found |= {"never__ran": trial_sources.TrialSource("training")}
        both = trial_sources.merge_stores(found, here, reference, found)
        assert both.ids() == sorted([TRIAL.id, other.id])
        assert [both.has_views(name) for name in (TRIAL.id, other.id, "never__ran")] == [False, True, False]
        assert both.views(other.id)["color"].shape[0] == 3 and both.parameters(other.id)["a"].shape == (2,)
        assert both.scores(TRIAL.id) == reference.scores(TRIAL.id)
        assert sorted(both.texts(other.id)) == ["record.json", "scores/std-v1.json"]
        frame = both.frame()
        psnr = frame[(frame["metric"] == "psnr") & (frame["view"] == 0)].set_index("trial_id")["value"]
        assert psnr[TRIAL.id] == 21.0 and psnr[other.id] == pytest.approx(20.3)

    def test_a_store_and_several_are_read_alike(self, stores):
        here, reference = stores
        here.write(outcome(TRIAL))
        both = MergedStore({TRIAL.id: here}, here.root)
        assert isinstance(both, TrialReader) and isinstance(here, TrialReader)
        assert not isinstance(both, Store) and not hasattr(both, "write")
        assert list(both.records()) == list(here.records())
        assert both.frame().equals(here.frame())
        assert both.finished(TRIAL.id) and not both.failed(TRIAL.id)

    def test_a_trial_that_is_in_none_is_told_with_the_nearest(self, stores):
        here, _ = stores
        here.write(outcome(TRIAL))
        both = MergedStore({TRIAL.id: here}, here.root)
        assert not both.finished("never__ran") and not both.failed("never__ran")
        for read in (both.read, both.scores, both.views, both.parameters, both.texts):
            with pytest.raises(UsageError, match=f"got 'never__ran'.*{TRIAL.id}"):
                read("never__ran")

    def test_what_was_set_aside_is_told_once_a_store(self, stores):
        here, reference = stores
        here.write(outcome(TRIAL))
        here.write(outcome(dataclasses.replace(TRIAL, seed=1)))
        (here.root / "a__broken").mkdir()
        here = Store.open(here.root)
        both = MergedStore(dict.fromkeys(here.ids(), here), here.root)
        assert len(here.set_aside) == 1 and both.set_aside == here.set_aside
