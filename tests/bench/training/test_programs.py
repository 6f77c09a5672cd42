"""Gradient steps of a whole pack: against a plain loop, on one device and on several, and what they cost."""

import dataclasses
import math

import numpy as np
import pytest

from bench.training import devices, programs, trainer
from tests.fixtures.toy_packs import NUM_STEPS, quiet, slow_training, toy_pack
from tests.fixtures.toys import ToyMethod


@dataclasses.dataclass(frozen=True, kw_only=True)
class Skipping(ToyMethod):
    """Leaves a step that breaks out."""

    @property
    def skips_bad_steps(self):
        return True


def chunk_means(losses):
    return [np.mean(losses[i : i + 5]) for i in range(0, NUM_STEPS, 5)]


class TestSteps:
    def test_equal_a_plain_loop(self):
        pack = toy_pack(ToyMethod(), ToyMethod(learning_rate=0.01))
        outcomes = trainer.train(pack, (), quiet)
        for trial, outcome in zip(pack.trials, outcomes, strict=True):
            params, state, losses = slow_training(trial.method, trial.task, trial.seed, NUM_STEPS)
            np.testing.assert_allclose(outcome.parameters["params/mean"], params["mean"], rtol=2e-5)
            assert outcome.parameters["state/num_seen"] == state["num_seen"] == NUM_STEPS
            np.testing.assert_allclose(outcome.record.curves["loss"], chunk_means(losses), rtol=2e-4)
            assert outcome.record.curves["step"] == [5, 10, 15, 20, 23]

    def test_a_loss_that_is_not_finite_stops_one_trial(self):
        pack = toy_pack(ToyMethod(), ToyMethod(breaks_at=7.0))
        good, bad = trainer.train(pack, (), quiet)
        trial = pack.trials[1]
        stopped, _, _ = slow_training(trial.method, trial.task, trial.seed, 7)
        np.testing.assert_allclose(bad.parameters["params/mean"], stopped["mean"], rtol=2e-5)
        whole, _, _ = slow_training(pack.trials[0].method, trial.task, 0, NUM_STEPS)
        np.testing.assert_allclose(good.parameters["params/mean"], whole["mean"], rtol=2e-5)

    def test_a_method_may_leave_bad_steps_out(self):
        good, bad = trainer.train(toy_pack(Skipping(), Skipping(breaks_at=7.0), seeds=[1, 1]), ("std-v1",), quiet)
        for outcome in (good, bad):
            assert (outcome.record.status, outcome.record.first_bad_step) == ("finished", None)
            assert outcome.scores["std-v1"]
        assert good.record.curves["skipped"] == [0.0] * 5
        np.testing.assert_allclose(bad.record.curves["skipped"], [0, 0.2, 0, 0, 0], rtol=1e-6)  # steps 5 to 9: one
        assert (good.parameters["state/num_seen"], bad.parameters["state/num_seen"]) == (23, 22)

    def test_what_is_left_out_is_left_out_of_a_plain_loop_too(self):
        pack = toy_pack(Skipping(breaks_at=7.0), seeds=[3])
        trial = pack.trials[0]
        [outcome] = trainer.train(pack, (), quiet)
        params, _, losses = slow_training(trial.method, trial.task, 3, NUM_STEPS, left_out=(7,))
        np.testing.assert_allclose(outcome.parameters["params/mean"], params["mean"], rtol=2e-5)
        np.testing.assert_allclose(outcome.record.curves["loss"], chunk_means(losses), rtol=2e-4)

    def test_others_have_no_such_curve(self):
        assert "skipped" not in trainer.train(toy_pack(ToyMethod()), (), quiet)[0].record.curves


class TestCompiled:
    def test_the_next_pack_of_a_program_does_not_compile(self):
        before = devices.num_compiled()
        method = ToyMethod(label="of its own")
        trainer.train(toy_pack(method, seeds=[0]), (), quiet)
        assert devices.num_compiled() == before + 3  # first parameters, steps, views
        trainer.train(toy_pack(dataclasses.replace(method, learning_rate=0.5), seeds=[5]), (), quiet)
        assert devices.num_compiled() == before + 3

    def test_a_pilot_measures(self):
        cost = programs.run_pilot(toy_pack(ToyMethod(), ToyMethod()))
        assert cost.step_s > 0
        assert cost.render_s > 0
        assert math.isfinite(cost.compile_s)

    @pytest.mark.parametrize(
        ("share", "num_bytes", "expected"), [(0.0, 80, 20.0), (30.0, 80, 30.0), (None, 80, None), (30.0, None, None)]
    )
    def test_memory_is_the_larger_share_and_unknown_if_either_is(self, share, num_bytes, expected):
        assert programs.larger_share(share, num_bytes, 4) == expected
