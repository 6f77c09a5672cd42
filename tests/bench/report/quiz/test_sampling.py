"""Every arm gives as many views, over all captions, and true renders give nothing away."""

from __future__ import annotations

import collections

import numpy as np
import pytest

from bench.analysis.quiz import pictures
from bench.errors import UsageError
from bench.metrics.caption_scorers import RING
from bench.report.quiz import sampling
from bench.storage.store import Store
from tasks.closed_world.meanings import ObjectPairSpec, meaning_of, split_of
from tests.fixtures.quizzes import ARMS, CAPTIONS, store_objects


def trials_of(tmp_path):
    return sampling.list_quiz_trials({"runs": store_objects(tmp_path / "runs")})


def arms_of(trials):
    return {arm: [trial for trial in trials if trial.variant == arm] for arm in ARMS}


def test_only_finished_objects_of_the_world_are_listed(tmp_path):
    trials = trials_of(tmp_path)
    assert collections.Counter(trial.variant for trial in trials) == dict.fromkeys(ARMS, len(CAPTIONS))
    [one] = sampling.list_quiz_trials({"runs": Store.open(tmp_path / "runs")}, frozenset({trials[0].trial}))
    assert one == trials[0]
    with pytest.raises(
        UsageError, match="quiz: expected finished trials from captions of the closed world, with views"
    ):
        sampling.list_quiz_trials({"runs": Store.open(tmp_path / "none")})


@pytest.mark.parametrize(("num", "num_true", "counts"), [(24, 8, (8, 8)), (25, 8, (9, 8)), (2 * 48, 0, (48, 48))])
def test_views_are_shared_and_none_comes_twice(tmp_path, num, num_true, counts):
    arms = arms_of(trials_of(tmp_path))
    chosen = sampling.choose_quiz_views(arms, num, seed=3, num_true=num_true)
    assert collections.Counter(one.arm for one in chosen) == dict(zip(ARMS, counts, strict=True))
    assert len({(one.of.trial, one.view) for one in chosen}) == len(chosen)
    assert {one.view for one in chosen} <= set(RING)
    for arm in ARMS:
        captions = collections.Counter(one.meaning.id for one in chosen if one.arm == arm)
        assert len(captions) == len(CAPTIONS) and max(captions.values()) - min(captions.values()) <= 1
    assert chosen == sampling.choose_quiz_views(arms, num, seed=3, num_true=num_true)
    assert chosen != sampling.choose_quiz_views(arms, num, seed=4, num_true=num_true)


def test_too_many_views_are_refused(tmp_path):
    with pytest.raises(UsageError, match="quiz: expected 49 views of full, got 48; lower --num-views"):
        sampling.choose_quiz_views(arms_of(trials_of(tmp_path)), 97, seed=0, num_true=0)


def test_true_renders_show_other_held_out_things():
    shown = [meaning_of(name) for name in ("red-metallic-chair", "pink-matte-hat", "green-dotted-boat")]
    pair = meaning_of("blue-matte-mug--on--green-matte-cube")
    drawn = sampling.draw_true_meanings([*shown, pair], 80, seed=0)
    assert len({meaning.id for meaning in drawn}) == 80
    assert sum(isinstance(meaning, ObjectPairSpec) for meaning in drawn) == 20
    assert {split_of(meaning) for meaning in drawn} == {"held_out"}
    again = sampling.draw_true_meanings([*drawn, *shown, pair], 80, seed=0)
    assert {meaning.id for meaning in again}.isdisjoint(meaning.id for meaning in drawn)


def test_pixels_are_those_of_the_store(tmp_path):
    trials = store_objects(tmp_path / "runs")
    [trial, *_] = sampling.list_quiz_trials({"runs": trials})
    chosen = [sampling.ChosenView(arm="full", of=trial, meaning=trial.meaning, view=view) for view in (5, 2)]
    images = sampling.read_chosen_views(chosen, {"runs": trials})
    stored = trials.views(trial.trial)["color"].astype(np.float32)
    for image, view in zip(images, (5, 2), strict=True):
        np.testing.assert_allclose(image / 255, stored[view], atol=0.5 / 255 + 1e-6)
    assert pictures.quantize_pixels([[[np.nan, np.inf, -1]]]).tolist() == [[[128, 255, 0]]]
    with pytest.raises(UsageError, match="expected view 99, got none; render the trial again"):
        pictures.read_view(trials.views(trial.trial), 99, trial.trial)
