"""Shapes at full size, against what preparation and initialisation really make."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from bench.errors import UsageError
from bench.suites.trial import Trial
from bench.training import dry_run, run_suite
from models import clip
from models.dietnerf import DIETNERF_FINETUNED, DietNeRF
from models.nerf import NERF
from tasks.budgets import BUDGETS
from tests.fixtures.toys import ToyMethod, ToyTask


def trial(method, budget="smoke", image_px=16):
    return Trial(task=ToyTask(image_px=image_px), method=method, budget=BUDGETS[budget], seed=0, variant="small")


def size_of(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_parameters_are_those_that_are_made():
    made = trial(NERF)
    data = made.method.prepare({}, made.task)
    params, _ = made.method.init(jax.random.key(0), data)
    found = dry_run.trace_trial(made)
    assert (found.num_parameters, found.num_encoder_parameters) == (size_of(params), 0)
    assert found.num_state_bytes > 3 * 4 * size_of(params)  # and two moments of Adam


def test_an_encoder_has_its_size_and_its_weights_are_not_read(monkeypatch):
    def refused(*_, **__):
        raise AssertionError("weights were read")

    expected = size_of(clip.load("embedded-vit-16").params)
    monkeypatch.setattr(clip, "load", refused)
    found = dry_run.trace_trial(trial(dataclasses.replace(DIETNERF_FINETUNED, encoder="embedded-vit-16")))
    assert found.num_encoder_parameters == expected


def test_a_published_encoder_needs_no_file():
    encoder = clip.abstract("openai-rn50")
    assert size_of(encoder.params) > 100e6  # 102 M of RN50's CLIP: Radford et al. 2021, table 19
    assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(encoder.params))


def test_a_step_that_changes_a_shape_is_found():
    class Growing(ToyMethod):
        def loss(self, params, state, frozen, data, hyperparameters, key, step):
            loss, (state, metrics) = super().loss(params, state, frozen, data, hyperparameters, key, step)
            return loss, ({"num_seen": jnp.zeros((2,), jnp.int32) + state["num_seen"]}, metrics)

    with pytest.raises((UsageError, ValueError), match="shape"):
        dry_run.trace_trial(trial(Growing()))


def test_an_encoder_that_is_not_there_stops_a_run_before_it_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UsageError, match="openai-rn101: expected its weights at .*, got no such file"):
        run_suite.check_encoders([trial(DietNeRF(encoder="openai-rn101"))])
