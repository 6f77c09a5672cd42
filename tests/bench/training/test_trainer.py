import dataclasses
import itertools
import math
import os
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bench.errors import OutOfDeviceMemory
from bench.metrics import caption_protocols
from bench.storage import record
from bench.storage.timings import own_seconds
from bench.suites.trial import Trial
from bench.training import batch, devices, trainer, view_rendering
from bench.training.packing import Pack, program_key
from models import clip
from models.method import split_hyperparameters
from tasks.budgets import BUDGETS
from tasks.cameras import Intrinsics, view_rays
from tasks.captions.caption_task import CaptionTask
from tests.fixtures import toy_dreams
from tests.fixtures.toys import ToyMethod, ToyPhase, ToyTask

# 23: not a multiple of the chunk of 5.
SMOKE = dataclasses.replace(BUDGETS["smoke"], num_steps=23, image_px=6, view_px=6)


def pack(*methods, seeds=None, task=None):
    seeds = range(len(methods)) if seeds is None else seeds
    trials = tuple(
        Trial(task=task or ToyTask(), method=m, budget=SMOKE, seed=s, variant="toy")
        for m, s in zip(methods, seeds, strict=True)
    )
    return Pack(trials=trials, key=program_key(trials[0]))


def quiet(progress):
    pass


@pytest.fixture
def ticks(monkeypatch):
    """A clock that is a second later at each look, so that a lap takes one; called, it tells the number of looks."""
    count = itertools.count()
    monkeypatch.setattr("bench.storage.timings.time", types.SimpleNamespace(perf_counter=count.__next__))
    return count.__next__


def slow_twin(method, task, seed, num_steps):
    """The same training with nothing mapped, scanned or compiled."""
    static, hyperparameters = split_hyperparameters(method)
    hyperparameters = {k: jnp.asarray(v, jnp.float32) for k, v in hyperparameters.items()}
    data, key = method.prepare({}, task), jax.random.key(seed)
    params, state = static.init(jax.random.fold_in(key, 0), data)
    optimizer = static.optimizer(num_steps, hyperparameters)
    opt_state = optimizer.init(params)
    losses = []
    for step in range(num_steps):
        step_key = jax.random.fold_in(jax.random.fold_in(key, 1), step)
        (loss, (state, _)), grads = jax.value_and_grad(static.loss, has_aux=True)(
            params, state, {}, data, hyperparameters, step_key, jnp.asarray(step)
        )
        updates, opt_state = optimizer.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        losses.append(float(loss))
    return params, state, losses


class TestTrain:
    def test_equals_a_plain_loop(self):
        methods = [ToyMethod(), ToyMethod(learning_rate=0.01)]
        outcomes = trainer.train(pack(*methods), (), quiet)
        for i, outcome in enumerate(outcomes):
            trial = pack(*methods).trials[i]
            params, state, losses = slow_twin(trial.method, trial.task, trial.seed, 23)
            np.testing.assert_allclose(outcome.parameters["params/mean"], params["mean"], rtol=2e-5)
            assert outcome.parameters["state/num_seen"] == state["num_seen"] == 23
            chunks = [losses[i : i + 5] for i in range(0, 23, 5)]
            np.testing.assert_allclose(outcome.record.curves["loss"], [np.mean(c) for c in chunks], rtol=2e-4)
            assert outcome.record.curves["step"] == [5, 10, 15, 20, 23]

    def test_alone_or_packed_is_the_same(self):
        alone = trainer.train(pack(ToyMethod(), seeds=[3]), (), quiet)[0]
        packed = trainer.train(pack(ToyMethod(learning_rate=0.4), ToyMethod(), seeds=[9, 3]), (), quiet)[1]
        np.testing.assert_allclose(alone.parameters["params/mean"], packed.parameters["params/mean"], rtol=1e-6)
        np.testing.assert_array_equal(alone.views["color"], packed.views["color"])

    def test_a_loss_that_is_not_finite_ends_its_trial_not_its_pack(self):
        good, bad = trainer.train(pack(ToyMethod(), ToyMethod(breaks_at=7.0)), ("std-v1",), quiet)
        assert good.record.status == "finished"
        assert good.scores["std-v1"]
        assert bad.record.status == "failed"
        assert bad.record.first_bad_step == 7
        assert "not finite at step 7" in bad.record.reason
        assert bad.scores == {}
        frozen, _, _ = slow_twin(ToyMethod(num_rays=SMOKE.num_rays), pack(ToyMethod()).trials[0].task, 1, 7)
        np.testing.assert_allclose(bad.parameters["params/mean"], frozen["mean"], rtol=2e-5)

    def test_views_are_in_the_order_of_pixels(self):
        outcome = trainer.train(pack(ToyMethod()), (), quiet)[0]
        scene = pack(ToyMethod()).trials[0].task.load()
        for i in range(3):
            inner = Intrinsics(*(x[i] for x in scene.test.intrinsics))
            rays = view_rays(jnp.asarray(scene.test.poses[i]), inner, 6, 6, 2.0, 6.0)
            wanted = np.clip(outcome.parameters["params/mean"][None, None] + 0.1 * np.asarray(rays.directions), 0, 1)
            np.testing.assert_allclose(outcome.views["color"][i], wanted, atol=1e-3)
        assert outcome.views["color"].dtype == np.float16
        assert list(outcome.views["ids"]) == [0, 1, 2]

    def test_blocks_of_rays_do_not_change_views(self, monkeypatch):
        whole = trainer.train(pack(ToyMethod()), (), quiet)[0]
        monkeypatch.setitem(trainer.RAYS_AT_ONCE, "cpu", 7)
        devices._PROGRAMS.clear()
        parts = trainer.train(pack(ToyMethod()), (), quiet)[0]
        np.testing.assert_array_equal(whole.views["color"], parts.views["color"])

    def test_progress_and_timings(self):
        heard = []
        outcomes = trainer.train(pack(ToyMethod(), ToyMethod()), (), heard.append)
        assert [p.phase for p in heard] == ["prepare", "compile"] + ["train"] * 5 + ["render", "score"]
        assert heard[-1].step == 23
        timings = outcomes[0].record.timings
        laps = [timings[k] for k in ("prepare_s", "compile_s", "train_s", "render_s", "score_s")]
        assert sum(laps) == pytest.approx(timings["wall_s"])
        assert outcomes[0].record.pack_size == 2

    def test_memory_is_what_the_compiler_plans(self):
        one, two = (trainer.train(pack(*[ToyMethod()] * n), (), quiet)[0].record.memory_bytes for n in (1, 2))
        photographs = 2 * 6 * 6 * 3 * 4
        assert photographs < one < two - photographs < 10_000_000
        assert devices.memory_bytes(lambda: None) is None

    @pytest.mark.parametrize(("planned", "told"), [((80, 30), [80, 80]), ((30, 80), [30, 80]), ((None, 9), [None] * 2)])
    def test_what_continues_another_needs_its_memory_too(self, planned, told, monkeypatch):
        said = iter(planned)
        monkeypatch.setattr(devices, "memory_bytes", lambda program: next(said))
        outcomes = trainer.train(pack(ToyPhase(), ToyPhase(extra_steps=4), seeds=[3, 3]), (), quiet)
        assert [outcome.record.memory_bytes for outcome in outcomes] == told

    def test_the_next_pack_of_a_program_does_not_compile(self):
        devices._PROGRAMS.clear()
        trainer.train(pack(ToyMethod(), seeds=[0]), (), quiet)
        num_programs = len(devices._PROGRAMS)
        trainer.train(pack(ToyMethod(learning_rate=0.5), seeds=[5]), (), quiet)
        assert len(devices._PROGRAMS) == num_programs == 2


class TestMemory:
    def test_a_pack_that_does_not_fit_is_halved(self, monkeypatch):
        sizes = []

        def attempt(tried, protocols, report):
            sizes.append(len(tried.trials))
            if len(tried.trials) > 1:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory while allocating")
            return [record.make_failed_outcome(tried.trials[0], "for the test")]

        monkeypatch.setattr(trainer, "_train", attempt)
        outcomes = trainer.train(pack(*[ToyMethod()] * 3), (), quiet)
        assert [outcome.record.seed for outcome in outcomes] == [0, 1, 2]
        assert sizes == [3, 2, 1, 1, 1]

    def test_a_single_trial_that_does_not_fit_names_the_knobs(self, monkeypatch):
        def attempt(tried, protocols, report):
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory while allocating")

        monkeypatch.setattr(trainer, "_train", attempt)
        with pytest.raises(
            OutOfDeviceMemory, match="does not fit .* even alone; turn down one of num_rays=32, image_px=6"
        ):
            trainer.train(pack(ToyMethod()), (), quiet)

    def test_other_errors_pass(self, monkeypatch):
        def attempt(tried, protocols, report):
            raise jax.errors.JaxRuntimeError("INTERNAL: something else")

        monkeypatch.setattr(trainer, "_train", attempt)
        with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
            trainer.train(pack(ToyMethod()), (), quiet)


def test_pilot_measures():
    cost = trainer.pilot(pack(ToyMethod(), ToyMethod()))
    assert cost.step_s > 0
    assert cost.render_s > 0
    assert math.isfinite(cost.compile_s)


SHARDED = """
import jax, numpy as np
from tests.bench.test_trainer import pack, quiet
from tests.toys import ToyMethod
from bench import device, trainer
assert len(jax.local_devices()) == 2
put = device.shard_trials(jax.numpy.zeros((4, 3)))
assert len(put.sharding.device_set) == 2 and put.addressable_shards[0].data.shape == (2, 3)
methods = [ToyMethod(learning_rate=r) for r in (0.1, 0.2, 0.3, 0.4)]
outcomes = trainer.train(pack(*methods), (), quiet)
print(*(x for o in outcomes for x in o.parameters["params/mean"]))
"""


def test_the_trial_axis_is_sharded_over_devices(tmp_path):
    env = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "BENCH_DATA_DIR": str(tmp_path),
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.getcwd(),
    }
    done = subprocess.run([sys.executable, "-c", SHARDED], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    methods = [ToyMethod(learning_rate=r) for r in (0.1, 0.2, 0.3, 0.4)]
    here = [x for o in trainer.train(pack(*methods), (), quiet) for x in o.parameters["params/mean"]]
    np.testing.assert_allclose([float(x) for x in done.stdout.split()], here, rtol=1e-5)


class TestPhases:
    """Trials that continue another."""

    def test_goes_on_where_the_other_ended(self):
        whole, more, longer = trainer.train(
            pack(ToyPhase(), ToyPhase(extra_steps=4), ToyPhase(extra_steps=7), seeds=[3, 3, 3]), ("std-v1",), quiet
        )
        alone = trainer.train(pack(ToyPhase(), seeds=[3]), (), quiet)[0]
        np.testing.assert_array_equal(whole.parameters["params/mean"], alone.parameters["params/mean"])
        phase = trainer.train(pack(ToyPhase(extra_steps=7), seeds=[3]), (), quiet)[0]
        np.testing.assert_allclose(longer.parameters["params/mean"], phase.parameters["params/mean"], rtol=1e-6)
        means = [outcome.parameters["params/mean"][0] for outcome in (whole, more, longer)]
        assert means[0] > means[1] + 0.2 > means[2] + 0.3  # Adam with rate 0.1 goes 0.1 a step toward black
        assert [outcome.record.num_steps for outcome in (whole, more, longer)] == [23, 27, 30]
        assert longer.scores["std-v1"]["field_state"] == "solid"

    def test_is_the_plain_loop(self):
        trial = pack(ToyPhase(extra_steps=7), seeds=[3]).trials[0]
        outcome = trainer.train(pack(ToyPhase(extra_steps=7), seeds=[3]), (), quiet)[0]
        first = dataclasses.replace(trial.method, extra_steps=0)
        params, _, _ = slow_twin(first, trial.task, 3, 23)
        optimizer = first.optimizer(23, {"learning_rate": 0.1})
        # The optimiser's state at step 23, from the same gradients.
        state = optimizer.init(jax.tree.map(jnp.zeros_like, params))
        again, key = first.init(jax.random.fold_in(jax.random.key(3), 0), None)[0], jax.random.key(3)
        data, hyperparameters = first.prepare({}, trial.task), {"learning_rate": 0.1, "breaks_at": jnp.asarray(-1.0)}
        for step in range(30):
            method = first if step < 23 else trial.method
            grads = jax.grad(lambda p, m=method, s=step: m.loss(
                p, {"num_seen": jnp.asarray(0)}, {}, data, hyperparameters,
                jax.random.fold_in(jax.random.fold_in(key, 1), s), jnp.asarray(s),
            )[0])(again)  # fmt: skip
            updates, state = optimizer.update(grads, state, again)
            again = optax.apply_updates(again, updates)
        np.testing.assert_allclose(outcome.parameters["params/mean"], again["mean"], rtol=2e-5)

    def test_what_is_shared_is_trained_once(self):
        seen = []
        trainer.train(pack(ToyPhase(), ToyPhase(extra_steps=4), seeds=[3, 3]), (), seen.append)
        steps = [progress.step for progress in seen if progress.phase == "train"]
        assert steps == [5, 10, 15, 20, 23, 27]

    def test_seconds_of_what_is_shared_are_counted_once(self, ticks):
        several = pack(ToyPhase(), ToyPhase(extra_steps=4), ToyPhase(extra_steps=7), seeds=[3] * 3)
        same = dataclasses.replace(several.trials[0], variant="other_name")
        several = dataclasses.replace(several, trials=(*several.trials, same))
        whole, *phases, equal = (each.record.timings for each in trainer.train(several, (), quiet))
        laps = {"prepare_s": 1, "compile_s": 1, "train_s": 1, "render_s": 1, "score_s": 1}
        assert whole == laps | {"wall_s": 5, "shared_s": 0}
        assert equal == laps | {"wall_s": 5, "shared_s": 5}
        for phase in phases:  # prepares nothing, and bears of what it continues what stands before rendering
            assert phase == laps | {"compile_s": 2, "train_s": 2, "wall_s": 7, "shared_s": 3}
        num_starts = 1 + 3  # of preparing, and of the stages
        assert sum(own_seconds(each) for each in (whole, *phases, equal)) == ticks() - num_starts
        alone = trainer.train(pack(ToyPhase(extra_steps=4), seeds=[3]), (), quiet)[0].record.timings
        assert alone["shared_s"] == 0.0  # nobody else bears it

    def test_curves_tell_what_a_phase_has_not(self):
        outcome = trainer.train(pack(ToyPhase(extra_steps=4), seeds=[3]), (), quiet)[0]
        curves = outcome.record.to_json()["curves"]
        assert curves["step"] == [5, 10, 15, 20, 23, 27]
        assert curves["mse"][-1] is None and curves["mse"][0] is not None
        assert curves["dark"][0] is None and curves["dark"][-1] is not None

    def test_a_dead_trial_stays_dead(self):
        outcome = trainer.train(pack(ToyPhase(extra_steps=4, breaks_at=7.0), seeds=[3]), ("std-v1",), quiet)[0]
        assert (outcome.record.status, outcome.record.first_bad_step, outcome.scores) == ("failed", 7, {})


def test_what_stands_before_the_photographs_cameras():
    outcome = trainer.train(pack(ToyMethod()), ("std-v1",), quiet)[0]
    near = outcome.views["near_opacity"]
    assert near.shape == (2, batch.NEAR_PX, batch.NEAR_PX) and near.dtype == np.float16
    # The toy's field is solid everywhere.
    assert outcome.scores["std-v1"]["per_view"]["floaters"] == [100.0] * 3


def test_seconds_of_a_pack_are_shared_among_its_trials(ticks):
    outcomes = trainer.train(pack(*[ToyMethod()] * 3), (), quiet)
    assert sum(outcome.record.timings["wall_s"] for outcome in outcomes) == pytest.approx(5)
    assert {outcome.record.timings["train_s"] for outcome in outcomes} == {1 / 3}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Skipping(ToyMethod):
    """Leaves a step that breaks out."""

    @property
    def skips_bad_steps(self):
        return True


class TestSkippedSteps:
    """Methods that leave out a step that is not finite."""

    def test_one_step_is_left_out_and_the_trial_goes_on(self):
        good, bad = trainer.train(pack(Skipping(), Skipping(breaks_at=7.0), seeds=[1, 1]), ("std-v1",), quiet)
        for outcome in (good, bad):
            assert (outcome.record.status, outcome.record.first_bad_step) == ("finished", None)
            assert outcome.scores["std-v1"]
        assert good.record.curves["skipped"] == [0.0] * 5
        # Steps 5 to 9 are the second chunk.
        np.testing.assert_allclose(bad.record.curves["skipped"], [0, 0.2, 0, 0, 0], rtol=1e-6)
        assert (good.parameters["state/num_seen"], bad.parameters["state/num_seen"]) == (23, 22)
        assert np.isfinite(bad.record.curves["loss"] + bad.record.curves["mse"]).all()

    def test_is_the_plain_loop_without_that_step(self):
        bad = trainer.train(pack(Skipping(breaks_at=7.0), seeds=[3]), (), quiet)[0]
        trial = pack(Skipping(breaks_at=7.0), seeds=[3]).trials[0]
        static, hyperparameters = split_hyperparameters(trial.method)
        hyperparameters = {k: jnp.asarray(v, jnp.float32) for k, v in hyperparameters.items()}
        data, key = static.prepare({}, trial.task), jax.random.key(3)
        params, state = static.init(jax.random.fold_in(key, 0), data)
        optimizer = static.optimizer(23, hyperparameters)
        moments, losses = optimizer.init(params), []
        for step in range(23):
            step_key = jax.random.fold_in(jax.random.fold_in(key, 1), step)
            if step == 7:
                losses.append(0.0)  # a curve's mean counts it as nothing
                continue
            (loss, (state, _)), grads = jax.value_and_grad(static.loss, has_aux=True)(
                params, state, {}, data, hyperparameters, step_key, jnp.asarray(step)
            )
            updates, moments = optimizer.update(grads, moments, params)
            params = optax.apply_updates(params, updates)
            losses.append(float(loss))
        np.testing.assert_allclose(bad.parameters["params/mean"], params["mean"], rtol=2e-5)
        chunks = [losses[i : i + 5] for i in range(0, 23, 5)]
        np.testing.assert_allclose(bad.record.curves["loss"], [np.mean(c) for c in chunks], rtol=2e-4)

    def test_others_have_no_such_curve(self):
        assert "skipped" not in trainer.train(pack(ToyMethod()), (), quiet)[0].record.curves


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyObject(ToyMethod):
    """Starts from a caption: goes toward black."""

    def prepare(self, frozen, task):
        return {"colors": jnp.zeros((1, 2, 2, 3))}


class TestCaptions:
    """Tasks without photographs."""

    TASK = CaptionTask(caption="a blue dotted guitar")

    @pytest.fixture(autouse=True)
    def no_judges(self, monkeypatch):
        """They are tested elsewhere, and take their time."""
        monkeypatch.setattr(caption_protocols, "encoder_of", lambda name: f"{name} is not there")

    def test_views_scores_and_what_there_is_not(self):
        outcome = trainer.train(pack(ToyObject(), task=self.TASK), ("std-v1",), quiet)[0]
        assert outcome.record.status == "finished"
        assert outcome.views["color"].shape == (17, 6, 6, 3)
        assert list(outcome.views["ids"]) == list(range(17))
        assert "near_opacity" not in outcome.views
        found = outcome.scores["std-v1"]
        assert found["field_state"] == "solid"
        assert found["per_view"]["opacity"] == [1.0] * 16
        assert found["reasons"]["margin@embedded-judge-rn"] == "embedded-judge-rn is not there"

    def test_a_strip_of_looks_is_kept(self):
        outcomes = trainer.train(pack(ToyObject(), ToyObject(learning_rate=0.01), task=self.TASK), (), quiet)
        for outcome in outcomes:
            strip = outcome.views["strip"]
            assert strip.shape == (5, 6, 6, 3) and strip.dtype == np.float16  # one a chunk: there are fewer than eight
            assert outcome.views["strip_steps"].tolist() == [5, 10, 15, 20, 23]
            np.testing.assert_array_equal(strip[-1], outcome.views["color"][view_rendering.STRIP_VIEW])
        slow = outcomes[1].views["strip"].astype(np.float32).mean(axis=(1, 2, 3))
        assert (np.diff(slow) < 0).all()  # toward black
        assert outcomes[0].views["strip"][0].mean() < slow[0]

    def test_photographs_have_no_strip(self):
        assert not {"strip", "strip_steps"} & set(trainer.train(pack(ToyMethod()), (), quiet)[0].views)

    def test_a_dream_field_is_trained(self, monkeypatch):
        monkeypatch.setattr(clip, "load", lambda name, dtype: toy_dreams.GUIDE)
        task = dataclasses.replace(toy_dreams.TASK, view_px=6)
        arms = [toy_dreams.made(num_steps=23, **changes) for changes in ({}, {"bounds": False, "track_origin": True})]
        plain, other = trainer.train(pack(*arms, seeds=[3, 3], task=task), ("std-v1",), quiet)
        curves = {"step", "loss", "negative_cosine", "transmittance", "transmittance_target", "beta"}
        assert set(plain.record.curves) == curves and np.isfinite(plain.record.curves["loss"]).all()
        np.testing.assert_array_equal(plain.parameters["state/origin"], 0)
        assert np.abs(other.parameters["state/origin"]).max() > 0
        views = [outcome.views["opacity"].astype(np.float32) for outcome in (plain, other)]
        assert np.abs(views[1] - views[0]).max() > 0.01  # each within its own bounds
        assert plain.scores["std-v1"]["about"]["guides"] == {toy_dreams.NAME: None}


@pytest.mark.parametrize(("num_steps", "chunk"), [(400, 8), (1500, 30), (10_000, 50), (23, 5), (20, 4), (7, 7)])
def test_looks_are_due_evenly_and_at_the_end(num_steps, chunk):
    ends = [min(start + chunk, num_steps) for start in range(0, num_steps, chunk)]
    due = [end for i, end in enumerate(ends) if trainer.is_due(end, i * chunk, num_steps)]
    assert len(due) == min(trainer.NUM_STRIP, len(ends)) and due[-1] == num_steps
    even = [math.ceil(num_steps * (i + 1) / len(due)) for i in range(len(due))]
    assert all(0 <= found - wanted < chunk for found, wanted in zip(due, even, strict=True))
