"""Trials whose process is killed at random moments end as those that were left alone: the same bits, on a CPU."""

import random
import signal

import numpy as np
import pytest

from bench.storage.store import Store
from tests.fixtures import killing

NUM_STEPS = 600

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("what", ["photographs", "phases", "captions"])
def test_five_kills_change_no_bit(what, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    killing.finish(whole, what, NUM_STEPS, checkpoint_minutes=0)
    chance = random.Random(what)
    places = [killing.kill_in_training(killed, what, NUM_STEPS, chance).steps for _ in range(5)]
    assert all(places), f"each left something: {places}"
    killing.finish(killed, what, NUM_STEPS)
    killing.check_equal(killed, whole)
    records = list(Store.open(killed).records())
    assert sum(len(record.resumed_at) for record in records) >= 5, places
    assert all(record.timings["wall_s"] > 0 for record in records)
    assert not (killed / ".checkpoints").exists()  # nothing waits any more


def test_packs_may_be_put_together_differently(tmp_path):
    """Two in a pack, then one, then with Ray, whose programs round differently: at first the losses are close."""
    folder, whole = tmp_path / "results", tmp_path / "whole"
    chance = random.Random(0)
    killing.kill_in_training(folder, "phases", NUM_STEPS, chance)
    killing.kill_in_training(folder, "phases", NUM_STEPS, chance, pack_size=1)
    killing.kill_in_training(folder, "phases", NUM_STEPS, chance, executor="ray")
    killing.finish(folder, "phases", NUM_STEPS, executor="ray", pack_size=1)
    killing.finish(whole, "phases", NUM_STEPS, pack_size=1)
    records = list(Store.open(folder).records())
    assert [record.status for record in records] == ["finished"] * 4
    assert sum(len(record.resumed_at) for record in records) >= 3
    for record in records:
        expected = Store.open(whole).read(record.trial_id).curves
        assert record.curves["step"] == expected["step"]
        np.testing.assert_allclose(record.curves["loss"][:5], expected["loss"][:5], rtol=5e-3)


@pytest.mark.parametrize(
    ("executor", "num_steps", "number", "code"),
    [
        ("inline", NUM_STEPS, signal.SIGTERM, 143),
        ("ray", 10 * NUM_STEPS, signal.SIGTERM, 143),
        ("ray", 10 * NUM_STEPS, signal.SIGINT, 130),
    ],
)
def test_a_signal_leaves_checkpoints_within_20_seconds(executor, num_steps, number, code, tmp_path):
    folder = tmp_path / "results"
    killed = killing.kill_in_training(
        folder, "photographs", num_steps, random.Random(0), number, executor=executor, checkpoint_minutes=0.02
    )
    assert killed.code == code, killing.said(folder)
    assert "leaving checkpoints" in killing.said(folder)
    assert killed.leaving_s < 20
    after = killing.steps(folder)
    assert all(after[name] >= step for name, step in killed.steps.items()), (after, killed)
    assert Store.open(folder).ids() == []
