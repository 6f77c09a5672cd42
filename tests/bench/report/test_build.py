"""Gathering compares what is stored, and draws nothing yet."""

from __future__ import annotations

import dataclasses

import pytest

from bench.report import build
from bench.report.images import image_grid
from bench.storage.store import Store
from bench.suites.selection import Selection, study_name
from tests.fixtures import toy_studies
from tests.fixtures.toy_studies import SMOKE, outcome, toy_suite


@pytest.fixture
def chosen():
    suite = toy_suite()
    trials, cells = suite.expand(SMOKE)
    return Selection(suite=suite, budget=SMOKE, trials=trials, cells=cells)


@pytest.fixture
def store(chosen, tmp_path):
    """All trials of the suite but the last, with views, and a trial of another study."""
    kept = Store.open(tmp_path / "results")
    for trial in chosen.trials[:-1]:
        kept.write(dataclasses.replace(outcome(trial), views=toy_studies.views(trial)))
    others, _ = toy_suite(num_seeds=2).expand(SMOKE)
    kept.write(outcome(next(trial for trial in others if trial.seed == 1)))
    return kept


def test_everything_is_gathered_of_the_chosen_trials_alone(chosen, store):
    contents = build.gather_contents(chosen, store, command="c", is_small=True)
    assert (contents.title, contents.command, contents.question) == ("toys", "c", "?")
    assert [result.table for result in contents.results] == ["toys", "others"]
    assert {record.trial_id for record in contents.records} == {trial.id for trial in chosen.trials[:-1]}
    assert set(contents.frame["trial_id"]) == {record.trial_id for record in contents.records}
    assert contents.cells == tuple(chosen.cells) and contents.contexts == {}
    assert any("Budget smoke" in note and "scenes" in note for note in contents.notes)
    assert any("small copy" in note for note in contents.notes)
    assert "learning_rate" in contents.results[0].arm_notes["Fast"]


def test_what_a_budget_leaves_to_larger_ones_is_said_at_the_head(chosen, store):
    suite = dataclasses.replace(chosen.suite, left_out={"smoke": "More at standard."})
    contents = build.gather_contents(dataclasses.replace(chosen, suite=suite), store, command="c")
    assert contents.notes[1] == "More at standard."


def test_nothing_is_drawn_while_gathering(chosen, store, monkeypatch):
    def refuse(*_):
        raise AssertionError("views are read too early")

    monkeypatch.setattr(Store, "views", refuse)
    contents = build.gather_contents(chosen, store, command="c")
    assert list(contents.sheets) == [
        "toys: the same view by each arm",
        "toys: where they are wrong",
        "others: the same view by each arm",
        "others: where they are wrong",
    ]


def test_sheets_are_drawn_from_the_store(chosen, store):
    sheets = build.gather_contents(chosen, store, command="c").sheets
    image = sheets["toys: the same view by each arm"].draw()
    assert image is not None and image.width > 4 * image_grid.TILE_PX, "the truth and three arms"


def test_a_store_of_nothing_has_no_sheets_and_no_numbers(chosen, tmp_path):
    contents = build.gather_contents(chosen, Store.open(tmp_path / "none"), command="c")
    assert contents.records == () and contents.frame.empty
    assert [sheet.draw() for sheet in contents.sheets.values()] == [None] * 4
    assert contents.results[0].entry("Fast", "psnr").num_absent == 6


def test_arms_without_their_baseline_have_means_and_no_differences(chosen, store):
    cells = [cell for cell in chosen.cells if cell.arm == "Fast"]
    trials = [trial for trial in chosen.trials if trial.id in {cell.trial_id for cell in cells}]
    only_fast = dataclasses.replace(chosen, trials=trials, cells=cells)
    [result] = build.gather_contents(only_fast, store, command="c").results
    assert only_fast.without_baseline == (chosen.tables[0],) and chosen.without_baseline == ()
    [full, _] = build.gather_contents(chosen, store, command="c").results
    alone, beside = (found.entry("Fast", "psnr") for found in (result, full))
    assert (alone.mean, alone.low, alone.num_trials) == (beside.mean, beside.low, beside.num_trials)
    assert alone.difference is None and alone.verdict == "no baseline" and beside.difference is not None
    assert result.arms == ("Fast",) and result.baseline == "Base" and not result.has_baseline


def test_a_report_has_the_folder_of_its_study(chosen):
    assert build.default_folder(chosen).name == study_name(chosen) == "toys-smoke"
