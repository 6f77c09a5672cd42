"""Methods that differ in code alone: packed in one run, each gives what it gives alone."""

import dataclasses
import pickle

import numpy as np
import pytest

from bench.errors import UsageError
from bench.suites.trial import Trial
from bench.training import devices, packing, trainer
from models.nerf import NERF
from tasks.budgets import BUDGETS
from tests.fixtures.toys import ToyTask

NET = """
    import flax.linen as nn
    import jax.numpy as jnp

    class MyField(nn.Module):
        @nn.compact
        def __call__(self, samples, *, key=None):
            raw = nn.Dense(4)(nn.relu(nn.Dense(8)(samples.means)))
            color = nn.sigmoid(raw[..., :3])
            return nn.softplus(raw[..., 3]), {color}
    """

RED = "color * 0 + jnp.array([1.0, 0.0, 0.0]).reshape((1,) * (color.ndim - 1) + (3,))"


@pytest.fixture
def trials(user):
    """One trial each of two networks of one name."""
    user.write("nets_a.py", NET.format(color="color"))
    user.write("nets_b.py", NET.format(color=RED))
    method = dataclasses.replace(NERF, num_steps=3, num_rays=8, num_samples=4, num_importance=0)
    return [
        Trial(
            task=ToyTask(image_px=8),
            method=dataclasses.replace(method, field=module.MyField()),
            budget=BUDGETS["smoke"],
            seed=0,
            variant="MyField",
        )
        for module in user.load_all("nets_a", "nets_b")
    ]


def trained(packs):
    found = {}
    for pack in packs:
        for outcome in trainer.train(pack, ("std-v1",), lambda progress: None):
            found[outcome.record.trial_id] = outcome
    return found


def test_each_gives_what_it_gives_alone(trials, monkeypatch):
    packs = packing.make_packs(trials, 8)
    assert [len(pack.trials) for pack in packs] == [1, 1]
    assert len({pack.key for pack in packs}) == 2
    together = trained(packs)
    for trial in trials:
        monkeypatch.setattr(devices, "_PROGRAMS", {})
        (alone,) = trained(packing.make_packs([trial], 8)).values()
        for name, values in alone.views.items():
            np.testing.assert_array_equal(together[trial.id].views[name], values)
        assert together[trial.id].scores == alone.scores
    red = together[trials[1].id].views["color"]
    assert np.all(red[..., 0] >= red[..., 1])
    assert not np.array_equal(red, together[trials[0].id].views["color"])


def test_the_same_network_twice_is_one_program(trials):
    again = dataclasses.replace(trials[0], seed=1)
    assert [len(pack.trials) for pack in packing.make_packs([trials[0], again], 8)] == [2]


def test_equal_by_digest_alone_is_not_enough(trials, monkeypatch):
    for module in ("suites.identity", "training.packing"):
        monkeypatch.setattr(f"bench.{module}.describe", lambda value, where="": "all alike")
    packs = packing.make_packs(trials, 8)
    assert [len(pack.trials) for pack in packs] == [1, 1]
    assert len({pack.key for pack in packs}) == 2


def test_code_that_was_edited_between_driver_and_worker_is_not_trained(user, trials):
    [pack] = packing.make_packs(trials[:1], 1)
    assert pack.trials[0].id
    sent = pickle.dumps(pack)
    user.write("nets_a.py", NET.format(color=RED))
    user.load("nets_a")
    with pytest.raises(UsageError, match="edited meanwhile"):
        trainer.train(pickle.loads(sent), ("std-v1",), lambda progress: None)
