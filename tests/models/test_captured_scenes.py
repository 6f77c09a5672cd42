"""Training on a capture without an end, through a bent lens, with masks: from task to scores."""

import dataclasses

import jax
import numpy as np
import pytest

from bench.metrics.task_kinds import kind_of
from bench.suites.trial import Trial
from bench.training import trainer
from bench.training.packing import Pack, program_key
from models.fields.encodings import Positional
from models.fields.networks import MLP
from models.nerf import NERF
from tasks.budgets import BUDGETS
from tests.fixtures.small_captures import SmallCapture
from tests.fixtures.toy_packs import quiet

FIELD = MLP(width=32, depth=2, encoding=Positional(num_octaves=4), density_activation="shifted_softplus")
METHOD = dataclasses.replace(NERF, field=FIELD, learning_rate=2e-3, num_importance=0).fit_to_world("unbounded")


def trained(num_steps, *tasks):
    budget = dataclasses.replace(
        BUDGETS["smoke"], num_steps=num_steps, num_rays=128, num_samples=12, num_curve_points=5
    )
    trials = tuple(Trial(task=task, method=METHOD, budget=budget, seed=0, variant="nerf") for task in tasks)
    return trainer.train(Pack(trials=trials, key=program_key(trials[0])), ("std-v1",), quiet)


def mean_psnr(outcome):
    return float(np.mean(outcome.scores["std-v1"]["per_view"]["psnr"]))


@pytest.fixture(scope="module")
def outcomes():
    """Two captures that differ outside of their masks alone, trained in one pack."""
    return trained(150, SmallCapture(), SmallCapture(garbage_seed=1))


@pytest.mark.slow
def test_training_improves_on_one_colour(outcomes):
    scene = SmallCapture().load()
    inside = scene.test.masks > 0
    spread = np.concatenate(
        [(x[i] - x[i].mean(axis=0)).ravel() for x, i in zip(scene.test.colors, inside, strict=True)]
    )
    one_color = -10 * np.log10(np.mean(spread**2))
    assert mean_psnr(outcomes[0]) > one_color + 5


@pytest.mark.slow
def test_what_is_masked_out_changes_nothing_at_all(outcomes):
    one, other = outcomes
    for name, array in one.parameters.items():
        np.testing.assert_array_equal(array, other.parameters[name])
    assert one.scores == other.scores


@pytest.mark.slow
def test_stored_views_are_scored_again_with_the_masks_of_the_task(outcomes):
    task = SmallCapture()
    protocol = kind_of(task).protocol("std-v1")
    again = protocol.score(task.load(), outcomes[0].views).to_json()
    assert again == outcomes[0].scores["std-v1"] and "masks" in again["about"]


@pytest.mark.slow
def test_rays_end_in_the_field_and_what_stands_before_the_cameras_is_told(outcomes):
    assert outcomes[0].views["opacity"].min() > 0.99
    assert 0 <= outcomes[0].scores["std-v1"]["per_view"]["floaters"][0] < 50


@pytest.mark.slow
def test_a_lens_that_is_ignored_costs_quality(outcomes):
    ignored = trained(150, SmallCapture(ignore_lens=True))[0]
    assert mean_psnr(ignored) < mean_psnr(outcomes[0]) - 0.2
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(ignored.parameters))
