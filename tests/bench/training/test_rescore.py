"""Scoring stored trials again."""

import pytest

from bench.errors import UsageError
from bench.metrics.photo_protocols import PHOTO_PROTOCOLS
from bench.storage.record import Outcome, make_record
from bench.storage.store import Store
from bench.suites.trial import Trial
from bench.training.rescore import rescore_finished, rescore_trial
from tests.fixtures import toy_studies


def toy_trials(*scenes):
    return [
        Trial(
            task=toy_studies.ToyScene(scene=scene),
            method=toy_studies.BASE,
            budget=toy_studies.SMOKE,
            seed=0,
            variant="base",
        )
        for scene in scenes
    ]


@pytest.fixture
def stored(tmp_path):
    """A trial that is finished, one that failed, and one that is not there."""
    trials = toy_trials("ant", "bee", "cat")
    trials_store = Store.open(tmp_path)
    views = toy_studies.views(trials[0])
    made = make_record(trials[0], status="finished", with_device=False)
    trials_store.write(Outcome(record=made, parameters={}, views=views, scores={}))
    trials_store.write(toy_studies.outcome(trials[1], reason="for the test"))
    return trials, trials_store


def test_scores_are_those_of_the_stored_views(stored):
    trials, trials_store = stored
    assert rescore_trial(trials[0], ("std-v1",), trials_store) == ["std-v1"]
    expected = PHOTO_PROTOCOLS["std-v1"].score(trials[0].task.load(), trials_store.views(trials[0].id))
    assert trials_store.scores(trials[0].id) == {"std-v1": expected.to_json()}


def test_only_finished_trials_and_protocols_that_apply(stored):
    trials, trials_store = stored
    scored = []
    rescore_finished(
        trials, ("std-v1", "dreamfields-2022"), trials_store, lambda trial, names: scored.append((trial, names))
    )
    assert scored == [(trials[0], ["std-v1"])]


def test_nothing_finished_is_a_mistake_and_an_unknown_protocol_too(stored):
    trials, trials_store = stored
    with pytest.raises(UsageError, match="expected finished trials in .* run the suite first"):
        rescore_finished(trials[1:], ("std-v1",), trials_store, print)
    with pytest.raises(UsageError, match="std-v2"):
        rescore_finished(trials, ("std-v2",), trials_store, print)
    assert trials_store.scores(trials[0].id) == {}
