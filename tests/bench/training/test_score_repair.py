"""A finished trial without whole scores is scored again from its views, or named: it is never left out silently."""

import os

import pytest

from bench.errors import MachineFault, UsageError
from bench.storage.record import Outcome, make_record
from bench.storage.store import Store
from bench.storage.store_check import check_store, find_damaged_trials
from bench.suites.trial import Trial
from bench.training import score_repair
from bench.training.rescore import rescore_finished, rescore_trial
from bench.training.run_suite import check_places_are_free
from bench.training.score_repair import describe_lost, repair_scores
from tests.fixtures import toy_studies

PROTOCOLS = ("std-v1", "dreamfields-2022")


def toy_trial(scene):
    return Trial(
        task=toy_studies.ToyScene(scene=scene),
        method=toy_studies.BASE,
        budget=toy_studies.SMOKE,
        seed=0,
        variant="base",
    )


@pytest.fixture
def stored(tmp_path):
    """Two finished trials with scores, and one that is not there."""
    trials = [toy_trial(scene) for scene in ("ant", "bee", "cat")]
    trials_store = Store.open(tmp_path)
    for trial in trials[:2]:
        made = make_record(trial, status="finished", with_device=False)
        trials_store.write(Outcome(record=made, parameters={}, views=toy_studies.views(trial), scores={}))
        rescore_trial(trial, ("std-v1",), trials_store)
    return trials, tmp_path


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(bytes(content))


def make_folder(path):
    path.unlink()
    path.mkdir()


def make_pipe(path):
    path.unlink()
    os.mkfifo(path)


HARMS = {"cut": cut, "flipped": flip, "removed": os.remove, "a folder": make_folder, "a pipe": make_pipe}


@pytest.mark.parametrize("harm", HARMS)
def test_scores_are_made_again_to_the_last_byte(stored, harm, capsys):
    trials, root = stored
    path = root / trials[0].id / "scores" / "std-v1.json"
    before = path.read_bytes()
    HARMS[harm](path)
    again = Store.open(root)
    assert repair_scores(trials, PROTOCOLS, again) == {}
    assert path.read_bytes() == before and check_store(root).is_sound and again.left_out == []
    assert capsys.readouterr().err == f"scored again: {trials[0].id}/scores/std-v1.json was missing or damaged\n"
    assert repair_scores(trials, PROTOCOLS, Store.open(root)) == {}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("harm", HARMS)
def test_what_cannot_be_scored_is_named_and_the_rest_mended(stored, harm, capsys):
    trials, root = stored
    for trial in trials[:2]:
        cut(root / trial.id / "scores" / "std-v1.json")
    HARMS[harm](root / trials[0].id / "views.safetensors")
    again = Store.open(root)
    lost = repair_scores(trials, PROTOCOLS, again)
    assert list(lost) == [trials[0].id]
    assert "views" in lost[trials[0].id] and "\n" not in lost[trials[0].id]
    assert again.scores(trials[1].id) and again.scores(trials[0].id) == {}
    lines = describe_lost(lost)
    assert trials[0].id in lines[0] and "1 finished trial has no scores" in lines[1] and "retry --damaged" in lines[1]
    assert find_damaged_trials(root) == [trials[0].id]
    moved = again.retry(trials[0].id, is_damaged=True)
    assert moved.is_dir() and not again.finished(trials[0].id)


def test_whole_scores_need_no_views(stored):
    trials, root = stored
    os.remove(root / trials[0].id / "views.safetensors")
    assert repair_scores(trials, PROTOCOLS, Store.open(root)) == {}
    assert describe_lost({}) == []


def test_views_of_another_trial_are_no_end(stored, monkeypatch):
    trials, root = stored
    cut(root / trials[0].id / "scores" / "std-v1.json")
    for error, is_raised in ((KeyError("color"), False), (MachineFault("disk full"), True)):

        def fail(*args, error=error):
            raise error

        monkeypatch.setattr(score_repair, "rescore_trial", fail)
        if is_raised:
            with pytest.raises(MachineFault):
                repair_scores(trials, PROTOCOLS, Store.open(root))
        else:
            assert "KeyError" in repair_scores(trials, PROTOCOLS, Store.open(root))[trials[0].id]


def test_rescore_goes_on_after_damaged_views(stored):
    trials, root = stored
    flip(root / trials[0].id / "views.safetensors")
    scored = []
    lost = rescore_finished(trials, ("std-v1",), Store.open(root), lambda trial, names: scored.append(trial))
    assert scored == [trials[1]] and "the file is damaged" in lost[trials[0].id]


def test_a_place_that_is_taken_is_said_before_training(stored):
    trials, root = stored
    check_places_are_free(trials[2:], Store.open(root))
    (root / trials[2].id).write_text("mine")
    with pytest.raises(UsageError, match="move it away or make it readable, then run again"):
        check_places_are_free(trials[2:], Store.open(root))
