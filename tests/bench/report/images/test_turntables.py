"""Reels: which views are in them, how large they are, and that they show what the store has."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from bench.report.images import turntables
from bench.storage.record import Outcome, make_record
from bench.storage.store import Store
from bench.suites.suite import TrialSlot
from bench.suites.trial import Trial
from tasks.budgets import BUDGETS
from tasks.captions.caption_task import CaptionTask
from tests.fixtures.toys import ToyMethod, ToyTask

SMOKE = BUDGETS["smoke"]


def trial_of(task):
    return Trial(task=task, method=ToyMethod(), budget=SMOKE, seed=0, variant="toy")


def views_of(ids, px, **others):
    """View i is grey of i hundredths."""
    shades = np.asarray(ids, np.float16)[:, None, None, None] / 100
    return {"ids": np.asarray(ids, np.int32), "color": np.broadcast_to(shades, (len(ids), px, px, 3)), **others}


def frames(reel):
    with Image.open(io.BytesIO(reel.content)) as opened:
        row = np.asarray(opened.convert("RGB"), np.float32) / 255
    assert row.shape == (reel.height, reel.width * len(reel.labels), 3)
    return np.stack(np.split(row, len(reel.labels), axis=1))


def test_a_caption_is_seen_from_eight_sides():
    steps = {"strip": np.zeros((3, 4, 4, 3), np.float16), "strip_steps": np.asarray([5, 10, 20], np.int32)}
    trial = trial_of(CaptionTask(caption="a blue dotted guitar"))
    views, training = turntables.draw_trial_reels(trial, views_of(range(17)[::-1], 16, **steps), with_truth=True)
    assert views.labels == tuple(f"azimuth {x}°" for x in range(0, 360, 45))
    assert frames(views).mean(axis=(1, 2, 3)) == pytest.approx(np.arange(8) / 100, abs=0.01)
    assert views.path == f"media/{trial.id}.webp" and training.path == f"media/{trial.id}-training.webp"
    assert (training.kind, training.labels) == ("training", ("step 5", "step 10", "step 20"))


def test_of_an_archive_there_are_the_views_that_it_kept():
    (reel,) = turntables.draw_trial_reels(
        trial_of(CaptionTask(caption="a pink windmill")), views_of((1, 5), 16), with_truth=True
    )
    assert reel.labels == ("azimuth 45°", "azimuth 225°")


def test_photographs_stand_beside_errors_and_truth():
    task = dataclasses.replace(ToyTask(), image_px=16)
    views, errors, truth = turntables.draw_trial_reels(trial_of(task), views_of((2, 0, 1), 16), with_truth=True)
    assert views.labels == errors.labels == truth.labels == ("view 0", "view 1", "view 2")
    assert frames(truth).mean() == pytest.approx(0.5, abs=0.01)
    assert frames(errors).mean() > 0.5, "wrong by 0.48 everywhere: beyond the brightest"
    assert [r.kind for r in turntables.draw_trial_reels(trial_of(task), views_of((0,), 16), with_truth=False)] == [
        "views",
        "errors",
    ]


def test_views_of_another_size_than_the_truth_stand_alone():
    task = dataclasses.replace(ToyTask(), image_px=16)
    views = views_of((0, 1), 8)
    assert [reel.kind for reel in turntables.draw_trial_reels(trial_of(task), views, with_truth=True)] == ["views"]


def test_views_that_the_task_does_not_have_are_left_out():
    task = dataclasses.replace(ToyTask(), image_px=16)
    reels = list(turntables.draw_trial_reels(trial_of(task), views_of((0, 7), 16), with_truth=True))
    assert [(reel.kind, reel.labels) for reel in reels] == [(k, ("view 0",)) for k in ("views", "errors", "truth")]


def test_large_views_are_averaged_down_and_do_not_reach_into_each_other():
    colors = np.stack([np.zeros((100, 100, 3)), np.ones((100, 100, 3))]).astype(np.float32)
    reel = turntables.encode_reel("views", "t", ("a", "b"), colors)
    assert (reel.width, reel.height) == (64, 64)
    black, white = frames(reel)
    assert black.max() < 0.1 and white.min() > 0.9


def test_truth_stands_once_a_scene_and_trials_without_views_have_none(tmp_path):
    kept, trials = Store.open(tmp_path / "results"), {}
    for seed, with_views in ((0, True), (1, True), (2, False)):
        task = dataclasses.replace(ToyTask(), image_px=16)
        trial = Trial(task=task, method=ToyMethod(), budget=SMOKE, seed=seed, variant="toy")
        record = make_record(trial, status="finished")
        views = {name: np.ascontiguousarray(x) for name, x in views_of((0, 1, 2), 16).items()} if with_views else {}
        kept.write(Outcome(record=record, parameters={}, views=views, scores={}))
        trials[trial.id] = trial
    cells = [TrialSlot("t", f"arm {i}", trial_id, "grey", 0) for i, trial_id in enumerate(trials)]
    reels = turntables.draw_reels(cells, trials, kept)
    assert [[reel.kind for reel in reels[trial_id]] for trial_id in list(trials)[:2]] == [
        ["views", "errors", "truth"], ["views", "errors"]
    ]  # fmt: skip
    assert set(reels) == set(list(trials)[:2])
    assert reels == turntables.draw_reels(cells, trials, kept), "the same bytes"
