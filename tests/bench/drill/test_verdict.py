"""Each rule of the verdict is kept by an equal store, and broken by the one thing that it forbids."""

import dataclasses
import pathlib

import pytest

from bench.drill.damage import Damage
from bench.drill.verdict import RULES, RoundHistory, TrialContent, find_broken_rules, is_named, read_contents
from bench.storage.store import Store
from tests.fixtures import toy_studies

A = TrialContent("finished", {"views.safetensors": "aa", "scores/std-v1.json": "bb"}, {"loss": [2.0, 1.0]})

EXPECTED = {"nerf__a": A, "nerf__b": A}

QUIET = RoundHistory(done={"nerf__a": 1, "nerf__b": 1}, may_repeat={})

TABLES = "mean,1\nother,2"


def rules(found=None, history=QUIET, tables=TABLES):
    broken = find_broken_rules(EXPECTED if found is None else found, EXPECTED, history, tables, TABLES)
    assert all(each.rule in RULES and each.why for each in broken)
    return [each.rule for each in broken]


def damage(kind, name, trial_id="nerf__a"):
    return Damage(kind, pathlib.Path("/r", trial_id, name), "cut from 9 to 3 bytes", trial_id, b"before")


def test_an_equal_store_breaks_no_rule():
    assert rules() == []


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"nerf__b": A._replace(status="failed")}, ["finished"]),
        ({"nerf__b": A._replace(files={**A.files, "views.safetensors": "ac"})}, ["same"]),
        ({"nerf__b": A._replace(files={"views.safetensors": "aa"})}, ["same"]),
        ({"nerf__b": A._replace(curves={"loss": [2.0, 1.5]})}, ["same"]),
        ({"nerf__c": A}, ["finished"]),
    ],
)
def test_a_store_that_differs(change, broken):
    assert rules({**EXPECTED, **change}) == broken


def test_a_trial_that_is_missing():
    assert rules({"nerf__a": A}) == ["finished"]


def test_a_trial_that_was_trained_again():
    twice = RoundHistory(done={"nerf__a": 2, "nerf__b": 1}, may_repeat={})
    assert rules(history=twice) == ["once"]
    assert rules(history=dataclasses.replace(twice, may_repeat={"nerf__a": 1})) == []
    assert rules(history=dataclasses.replace(twice, may_repeat={"nerf__b": 1})) == ["once"]


def test_a_trial_of_which_nothing_was_said_may_be_stored():
    """The driver was killed between storing it and saying so."""
    assert rules(history=RoundHistory(done={"nerf__a": 1}, may_repeat={})) == []


@pytest.mark.parametrize("tables", ["", "mean,1\nother,3", "mean,1"])
def test_another_table(tables):
    assert rules(tables=tables) == ["table"]


def test_a_damaged_file_must_be_named():
    hit = damage("scores-damaged", "scores/std-v1.json")
    line = "left out: nerf__a/scores/std-v1.json: expected the SHA-256 in its record, got another: the file is damaged"
    assert rules(history=dataclasses.replace(QUIET, damages=((hit, ("[1/2] nerf__a 3 s", line)),))) == []
    assert rules(history=dataclasses.replace(QUIET, damages=((hit, ("[1/2] nerf__a 3 s",)),))) == ["named"]
    assert rules(history=dataclasses.replace(QUIET, damages=((hit, (line.replace("__a", "__b"),)),))) == ["named"]


def test_files_of_no_trial_are_named_by_themselves():
    hit = Damage("weights-damaged", pathlib.Path("/c/embedded-vit-16.safetensors"), "cut", "", b"")
    assert is_named(hit, "bench: encoder embedded-vit-16: expected its weights, got a damaged file")
    assert not is_named(hit, "bench: encoder embedded-vit-8: expected its weights, got a damaged file")


def test_what_counts_of_a_store(tmp_path):
    trials, _ = toy_studies.toy_suite().expand(toy_studies.SMOKE)
    left = Store(tmp_path / "one")
    right = Store(tmp_path / "two")
    for place, seconds in ((left, 2.0), (right, 3.0)):
        place.write(toy_studies.outcome(trials[0], timings={"wall_s": seconds}))
    assert read_contents(left) == read_contents(right)
    third = Store(tmp_path / "three")
    third.write(toy_studies.outcome(trials[0], level=1.0))
    assert read_contents(third) != read_contents(left)
