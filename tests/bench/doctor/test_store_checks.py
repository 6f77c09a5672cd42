"""What the doctor says of a store, which it leaves as it is."""

import pytest

from bench.doctor import store_checks
from bench.storage.store import Store
from bench.storage.store_check import StoreFinding
from tests.fixtures.stored_trials import listing, some_outcome

TRIAL = "nerf__a__s0__0"


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.training.adoption.is_doubtful", lambda record: "")
    Store.open(tmp_path).write(some_outcome(TRIAL))
    return tmp_path


def said(root, **options):
    return [(check.status, check.what) for check in store_checks.check_trials(root, **options)]


def test_a_sound_store_and_none(root, tmp_path):
    [found] = store_checks.check_trials(root)
    assert (found.status, found.measured.split(",")[0]) == ("ok", "1 trials")
    [found] = store_checks.check_trials(tmp_path / "none")
    assert (found.status, found.measured) == ("ok", "none yet")


def test_damage_is_a_failure_and_stays_where_it_is(root):
    (root / TRIAL / "scores" / "std-v1.json").write_text("{")
    before = listing(root)
    assert ("FAIL", "damaged") in said(root) and listing(root) == before


def test_doubts_are_warnings(root, monkeypatch):
    monkeypatch.setattr("bench.training.adoption.is_doubtful", lambda record: "has 3 parameters, its method 7")
    assert ("warn", "doubtful") in said(root)


def test_many_findings_are_counted(root, monkeypatch):
    many = (StoreFinding("damaged", "a", "a: lost"),) * 30
    sound = store_checks.check_store(root)
    monkeypatch.setattr(
        store_checks, "check_store", lambda root, judge: type(sound)(**{**vars(sound), "findings": many})
    )
    assert len(said(root)) == 2 + store_checks.MOST_LINES and said(root)[-1] == ("warn", "further findings")


def test_a_large_store_is_left_alone_where_little_time_is(root, monkeypatch):
    monkeypatch.setattr(store_checks, "QUICK_TRIALS", 0)
    assert said(root, is_quick=True) == [("ok", f"trials in {root}")]
