"""Notes on arms: what they change, and whether they have fewer trials than others."""

from __future__ import annotations

import argparse

from bench import __main__ as command_line
from bench.cli import suite_options
from bench.report import arm_notes
from bench.storage.store import Store
from bench.suites.suite import TrialSlot
from bench.suites.trial import Trial
from tests.fixtures.toy_studies import BASE, SMOKE, outcome, toy_suite


def test_fewer_captions_and_seeds():
    cells = [TrialSlot("t", "a", f"a{c}{s}", c, s) for c in "xyz" for s in (0, 1)]
    notes = arm_notes.arms_with_fewer_trials([*cells, TrialSlot("t", "b", "b", "x", 0)], "caption")
    assert list(notes) == ["b"] and "1 of 3 captions and 1 of 2 seeds" in notes["b"]
    assert arm_notes.arms_with_fewer_trials(cells, "caption") == {}


def test_differences_from_the_baseline_are_named():
    table = toy_suite().tables_at(SMOKE)[0]
    cells = [TrialSlot("toys", arm, arm, "ant", 0) for arm in table.arms]
    notes = arm_notes.write_arm_notes(table, cells, "scene")
    assert notes["Base"] == ""
    assert "learning_rate 0.2 instead of " in notes["Fast"] and "label fast instead of base" in notes["Fast"]
    assert "task.num_views 5 instead of " in notes["Base, 5 views"]


def test_masked_scores_are_told_scene_by_scene(tmp_path):
    table = toy_suite().tables_at(SMOKE)[0]
    trials_store = Store.open(tmp_path)
    cells = []
    for task in table.tasks[:3]:
        trial = Trial(task=task, method=BASE, budget=SMOKE, seed=0, variant="toy_base")
        cells.append(TrialSlot(table.name, "Base", trial.id, task.cluster, 0))
        trials_store.write(outcome(trial))
    assert arm_notes.masked_score_notes(table, cells, trials_store) == []
    masked = trials_store.scores(cells[1].trial_id)["std-v1"] | {"about": {"masks": "only pixels inside count"}}
    trials_store.write_scores(cells[1].trial_id, "std-v1", masked)
    found = arm_notes.masked_score_notes(table, cells, trials_store)
    assert found == [f"{cells[1].cluster}: only pixels inside count."]


def chosen(*words):
    parser = argparse.ArgumentParser()
    suite_options.add_selection(parser)
    return suite_options.selection(parser.parse_args(["--suite", "sparse-views", "--budget", "smoke", *words]))


def notes_of(*words):
    picked = chosen(*words)
    return [arm_notes.imagenet_encoder_notes(table, picked.cells, picked.trials) for table in picked.tables]


SAID = "the encoder efficientnet-lite0 was trained on ImageNet's labels. It is not CLIP, and the numbers are not those"


def test_a_table_says_which_arms_see_through_an_encoder_of_imagenet():
    assert notes_of() == [[], []]
    for (note,) in notes_of("--set", "dietnerf.encoder=efficientnet-lite0"):
        assert note == f"DietNeRF · DietNeRF, fine-tuned: {SAID} of a paper that used CLIP."
    (note,), _ = notes_of("--set", "dietnerf_finetuned.encoder=imagenet-vgg16")
    assert note.startswith("DietNeRF, fine-tuned: the encoder imagenet-vgg16 was trained")


def test_the_plan_says_it_too(capsys, tmp_path):
    words = ["plan", "--suite", "sparse-views", "--budget", "smoke", "--no-pilot", "--results", str(tmp_path)]
    assert command_line.main([*words, "--set", "dietnerf.encoder=efficientnet-lite0"]) == 0
    assert f"note: DietNeRF · DietNeRF, fine-tuned: {SAID}" in " ".join(capsys.readouterr().out.split())
