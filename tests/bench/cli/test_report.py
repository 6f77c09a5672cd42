"""The verb `report`: a page of captions, its pictures, and what it says of what is missing."""

import argparse
import dataclasses
import json

import numpy as np
import pytest

from bench.cli import report, suite_options
from bench.errors import UsageError
from bench.metrics.task_kinds import kind_of
from bench.report import arm_notes, caption_context
from bench.report.images import table_sheets
from bench.storage.record import Outcome, make_record
from bench.storage.store import Store
from bench.suites.selection import Selection
from tests.fixtures.bare_pages import leave_out_figures

JUDGE = "embedded-judge-rn"


def chosen(*words):
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    return parser.parse_args(["--suite", "compositional", "--budget", "smoke", *words])


def outcome(trial, place, with_views=True):
    """A trial of noise; the second one is empty."""
    data = trial.task.load()
    rng, num, px = np.random.default_rng(place), len(data.test.ids), trial.task.view_px
    opacity = np.zeros((num, px, px), np.float16) if place == 1 else rng.uniform(0, 1, (num, px, px)).astype(np.float16)
    views = {
        "color": rng.uniform(0, 1, (num, px, px, 3)).astype(np.float16), "opacity": opacity,
        "ids": np.asarray(data.test.ids, np.int32), "strip": np.zeros((2, px, px, 3), np.float16),
        "strip_steps": np.asarray([5, 10], np.int32),
    }  # fmt: skip
    scores = kind_of(trial.task).protocol("std-v1").score(data, views, trial.method.encoders)
    curves = {"step": [5.0, 10.0], "loss": [-0.1, -0.2], "negative_cosine": [-0.2, -0.3], "transmittance": [0.9, 0.8]}
    record = make_record(trial, status="finished", curves=curves, timings={"wall_s": 1.0})
    return Outcome(record=record, parameters={}, views=views if with_views else {}, scores={"std-v1": scores.to_json()})


@pytest.fixture(scope="module")
def outcomes():
    return [outcome(trial, place) for place, trial in enumerate(suite_options.selection(chosen()).trials)]


@pytest.fixture
def root(outcomes, tmp_path):
    kept = Store.open(tmp_path / "results")
    for made in outcomes:
        kept.write(made)
    return kept.root


def test_a_page_of_captions(root, tmp_path, capsys):
    for side in "ab":
        assert report.main(chosen("--results", str(root), "--out", str(tmp_path / side))) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "note: Retrieval is among the" in printed and "Embedded world" in printed and "chance 0.0" in printed
    assert "2 captions × 1 seed an arm" in printed and "R-Precision, in-loop: by its own guide" in printed
    files = [
        {path.relative_to(tmp_path / side): path.read_bytes() for path in (tmp_path / side).rglob("*.*")}
        for side in "ab"
    ]
    assert files[0] == files[1]
    assert {path.name for path in files[0] if path.suffix == ".png"} == {
        "world-things-dream-fields-over-training.png",
        "world-things-every-arm-and-what-embedded-judge-rn-takes-it-for.png",
        "world-things-dream-fields-green-where-embedded-judge-rn-finds-the-caption.png",
    }
    page = (tmp_path / "a" / "index.html").read_text()
    assert "A small study of the captions below" in page and "1 empty field of 2: " in page
    assert page.count("an empty field counts with the margin of a plain picture") == 1
    assert "views of 16 px were brought to the 64 px" in page
    assert not list((tmp_path / "a" / "figures").glob("*-angle-*")), "there is no photograph to be near to"
    (result,) = json.loads((tmp_path / "a" / "results.json").read_text())
    assert result["cluster_noun"] == "caption" and result["protocol"] == "std-v1"


def test_a_page_is_drawn_again_only_where_something_changed(outcomes, root, tmp_path, capsys, monkeypatch):
    leave_out_figures(monkeypatch)
    words = ("--results", str(root), "--out", str(tmp_path / "a"))

    def said(*more):
        assert report.main(chosen(*words, *more)) == 0
        return capsys.readouterr().out.splitlines()[-1].removeprefix(f"report: {tmp_path / 'a' / 'index.html'}")

    assert [said(), said(), said("--pictures", "1"), said("--pictures", "1")] == ["", " (unchanged)"] * 2
    views = root / outcomes[0].record.trial_id / "views.safetensors"
    views.write_bytes(views.read_bytes()[:-2] + b"zz")
    assert [said("--pictures", "1"), said("--pictures", "1")] == ["", " (unchanged)"]


def test_without_views_the_numbers_stay(outcomes, tmp_path):
    kept = Store.open(tmp_path / "results")
    for made in outcomes:
        kept.write(Outcome(record=made.record, parameters={}, views={}, scores=made.scores))
    assert report.main(chosen("--results", str(kept.root), "--out", str(tmp_path / "a"))) == 0
    assert not (tmp_path / "a" / "sheets").exists()
    assert (tmp_path / "a" / "figures" / "world-things-confusions.csv").exists()


def test_of_which_nothing_ran(tmp_path, capsys):
    (tmp_path / "none").mkdir()
    assert report.main(chosen("--results", str(tmp_path / "none"), "--out", str(tmp_path / "a"))) == 0
    said = capsys.readouterr()
    assert "nothing run yet" in said.out
    for words in ("warning", "compositional at smoke", str(tmp_path / "none"), "--results"):
        assert words in said.err


def test_a_folder_that_is_not_there_is_refused_and_draws_nothing(tmp_path):
    with pytest.raises(UsageError, match="expected a folder of trials"):
        report.main(chosen("--results", str(tmp_path / "none"), "--out", str(tmp_path / "a")))
    assert not (tmp_path / "a").exists()


def test_distances_need_photographs(root, tmp_path):
    with pytest.raises(UsageError, match="photographs, got captions alone"):
        report.main(chosen("--results", str(root), "--out", str(tmp_path / "a"), "--distances"))


def test_shared_trials_are_shown_once(root):
    selection = suite_options.selection(chosen())
    (table,) = selection.tables
    known = caption_context.gather_context(table, selection, Store.open(root))
    assert known.judge == JUDGE and known.captions.name == "composed:world-things"
    tables = {"smoke": (table, dataclasses.replace(table, name="again"))}
    suite = dataclasses.replace(selection.suite, tables=tables)
    trials, cells = suite.expand(selection.budget)
    twice = Selection(suite=suite, budget=selection.budget, trials=trials, cells=cells)
    titles = table_sheets.plan_sheets(twice, Store.open(root), {table.name: known, "again": known})
    assert [title.partition(":")[0] for title in titles] == ["world-things"] * 3


def test_a_field_that_nobody_can_know_did_not_fail(outcomes, tmp_path):
    kept = Store.open(tmp_path / "results")
    for made in outcomes:
        scores = {name: plain | {"field_state": "unknown"} for name, plain in made.scores.items()}
        kept.write(dataclasses.replace(made, scores=scores))
    picked = suite_options.selection(chosen())
    assert [arm_notes.degenerate_field_notes(table, picked.cells, kept) for table in picked.tables] == [[]] * len(
        picked.tables
    )


def test_which_fields_ended_empty_is_said(root):
    picked = suite_options.selection(chosen())
    [table] = picked.tables
    notes = arm_notes.degenerate_field_notes(table, picked.cells, Store.open(root))
    assert notes and all("1 empty field of " in note and "(seed 0)" in note for note in notes)
