import argparse

import pytest

from bench.cli import retry
from bench.errors import UsageError
from bench.storage import record
from bench.storage.driver_lock import driver_lock
from bench.storage.store import Store


def parsed(*words):
    parser = argparse.ArgumentParser()
    retry.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def outcome(trial_id, reason=None):
    made = record.Record(
        schema_version=record.SCHEMA_VERSION, trial_id=trial_id, status="failed" if reason else "finished",
        variant="nerf", task="a__8v", cluster="a", seed=0, budget="smoke", identity={}, environment={}, curves={},
        timings={}, num_steps=1, num_parameters=1, pack_size=1, first_bad_step=None, reason=reason, traceback=None,
    )  # fmt: skip
    return record.Outcome(record=made, parameters={}, views={}, scores={})


@pytest.fixture
def root(tmp_path):
    trials = Store.open(tmp_path)
    for trial_id in ("nerf__a__8v__s0__1", "nerf__b__8v__s0__2"):
        trials.write(outcome(trial_id, reason="why"))
    trials.write(outcome("nerf__c__8v__s0__3"))
    return tmp_path


def test_one_by_the_start_of_its_id(root, capsys):
    assert retry.main(parsed("nerf__a", "--results", root)) == 0
    assert capsys.readouterr().out == (
        "nerf__a__8v__s0__1 -> failed-1/nerf__a__8v__s0__1\n1 moved; the next run trains them again\n"
    )
    assert Store.open(root).ids() == ["nerf__b__8v__s0__2", "nerf__c__8v__s0__3"]


def test_all_that_failed(root, capsys):
    assert retry.main(parsed("--all", "--results", root)) == 0
    assert "2 moved" in capsys.readouterr().out
    assert Store.open(root).ids() == ["nerf__c__8v__s0__3"]


def test_nothing_is_moved_if_one_of_them_finished(root):
    with pytest.raises(UsageError, match="retry: expected a trial that failed, got nerf__c__8v__s0__3, which finished"):
        retry.main(parsed("nerf__a", "nerf__c", "--results", root))
    assert len(Store.open(root).ids()) == 3


def test_beside_a_run_nothing_is_moved(root):
    with driver_lock(root):
        with pytest.raises(UsageError, match="expected no other run to write here, got one in process"):
            retry.main(parsed("--all", "--results", root))
        assert len(Store.open(root).ids()) == 3
    assert retry.main(parsed("--all", "--results", root)) == 0


@pytest.mark.parametrize("words", [[], ["--all", "nerf__a"]])
def test_either_trials_or_all(root, words):
    with pytest.raises(UsageError, match="expected either trials, --all or --damaged; python -m bench ls --failed"):
        retry.main(parsed(*words, "--results", root))
