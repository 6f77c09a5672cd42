"""Packs from the beginning to outcomes: phases, memory, timings, captions."""

import dataclasses
import itertools
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
from bench.training import devices, trainer, view_rendering
from bench.training.progress import Progress
from bench.training.scoring import RenderedPhase, RenderedTrial
from bench.training.sitting import Sitting
from models import clip
from tasks.captions.caption_task import CaptionTask
from tests.fixtures import toy_dreams
from tests.fixtures.toy_packs import quiet, slow_training, toy_pack
from tests.fixtures.toys import ToyMethod, ToyPhase


@pytest.fixture
def ticks(monkeypatch):
    """A clock that is a second later at each look, so that a lap takes one; called, it tells the number of looks."""
    count = itertools.count()
    monkeypatch.setattr("bench.storage.timings.time", types.SimpleNamespace(perf_counter=count.__next__))
    return count.__next__


class TestTrain:
    def test_alone_or_packed_is_the_same(self):
        alone = trainer.train(toy_pack(ToyMethod(), seeds=[3]), (), quiet)[0]
        packed = trainer.train(toy_pack(ToyMethod(learning_rate=0.4), ToyMethod(), seeds=[9, 3]), (), quiet)[1]
        np.testing.assert_allclose(alone.parameters["params/mean"], packed.parameters["params/mean"], rtol=1e-6)
        np.testing.assert_array_equal(alone.views["color"], packed.views["color"])

    def test_a_loss_that_is_not_finite_fails_its_trial_not_its_pack(self):
        good, bad = trainer.train(toy_pack(ToyMethod(), ToyMethod(breaks_at=7.0)), ("std-v1",), quiet)
        assert (good.record.status, bad.record.status) == ("finished", "failed")
        assert good.scores["std-v1"] and bad.scores == {}
        assert bad.record.first_bad_step == 7 and "not finite at step 7" in bad.record.reason

    @pytest.mark.parametrize("ahead", [0, 2])
    def test_progress_and_timings(self, ahead, monkeypatch):
        monkeypatch.setitem(trainer.CHUNKS_AHEAD, "cpu", ahead)
        heard = []
        outcomes = trainer.train(toy_pack(ToyMethod(), ToyMethod()), (), heard.append)
        assert [p.phase for p in heard] == ["prepare", "compile"] + ["train"] * 5 + ["render", "score"]
        assert heard[-1].step == 23
        timings = outcomes[0].record.timings
        laps = [timings[k] for k in ("prepare_s", "compile_s", "train_s", "render_s", "score_s")]
        assert sum(laps) == pytest.approx(timings["wall_s"])
        assert outcomes[0].record.pack_size == 2

    def test_memory_is_what_the_compiler_plans(self):
        one, two = (trainer.train(toy_pack(*[ToyMethod()] * n), (), quiet)[0].record.memory_bytes for n in (1, 2))
        photographs = 2 * 6 * 6 * 3 * 4
        assert photographs < one < two - photographs < 10_000_000
        assert devices.memory_bytes(lambda: None) is None

    @pytest.mark.parametrize(("planned", "told"), [((80, 30), [80, 80]), ((30, 80), [30, 80]), ((None, 9), [None] * 2)])
    def test_what_continues_another_needs_its_memory_too(self, planned, told, monkeypatch):
        said = iter(planned)
        monkeypatch.setattr(devices, "memory_bytes", lambda program: next(said))
        outcomes = trainer.train(toy_pack(ToyPhase(), ToyPhase(extra_steps=4), seeds=[3, 3]), (), quiet)
        assert [outcome.record.memory_bytes for outcome in outcomes] == told


class TestMemory:
    """The device is not really full: the attempt at a pack says so."""

    def full(self, tried, report, sitting, on_phase):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory while allocating")

    def train(self, pack, attempt):
        phases = []
        trainer.train_in_parts(pack, quiet, Sitting(), phases.append, attempt)
        return [rendered.trial.seed for phase in phases for rendered in phase.trials]

    def phase_of(self, trial):
        trained = RenderedTrial(trial, None, record.make_failed_outcome(trial, "for the test"))
        return RenderedPhase((trained,), 1, Progress("score", 23, 23, 0.5))

    def test_a_pack_that_does_not_fit_is_halved(self):
        sizes = []

        def attempt(tried, report, sitting, on_phase):
            sizes.append(len(tried.trials))
            if len(tried.trials) > 1:
                self.full(tried, report, sitting, on_phase)
            on_phase(self.phase_of(tried.trials[0]))

        assert self.train(toy_pack(*[ToyMethod()] * 3), attempt) == [0, 1, 2]
        assert sizes == [3, 2, 1, 1, 1]

    def test_what_has_ended_before_is_not_trained_again(self):
        sizes = []

        def attempt(tried, report, sitting, on_phase):
            sizes.append(len(tried.trials))
            on_phase(self.phase_of(tried.trials[0]))
            if len(tried.trials) > 1:
                self.full(tried, report, sitting, on_phase)

        assert self.train(toy_pack(*[ToyMethod()] * 3), attempt) == [0, 1, 2]
        assert sizes == [3, 1, 1]

    def test_the_first_half_is_kept_when_the_second_dies(self):
        kept = []

        def attempt(tried, report, sitting, on_phase):
            if len(tried.trials) > 1:
                self.full(tried, report, sitting, on_phase)
            if tried.trials[0].seed == 1:
                raise RuntimeError("it died")
            on_phase(self.phase_of(tried.trials[0]))

        with pytest.raises(RuntimeError, match="it died"):
            trainer.train_in_parts(toy_pack(*[ToyMethod()] * 3), quiet, Sitting(), kept.append, attempt)
        assert [rendered.trial.seed for phase in kept for rendered in phase.trials] == [0]

    def test_outcomes_of_halves_are_in_the_packs_order(self, monkeypatch):
        whole = trainer.train_together

        def attempt(tried, report, sitting, on_phase):
            (self.full if len(tried.trials) > 2 else whole)(tried, report, sitting, on_phase)

        monkeypatch.setattr(trainer, "train_together", attempt)
        outcomes = trainer.train(toy_pack(*[ToyMethod()] * 3), (), quiet)
        assert [outcome.record.seed for outcome in outcomes] == [0, 1, 2]

    def test_what_is_scored_beside_is_waited_for_first(self, monkeypatch):
        """Its memory is free then, and the pack is tried whole again."""
        waited = iter([True, False, False])
        monkeypatch.setattr(trainer, "wait_for_scores", lambda: next(waited))
        sizes = []

        def attempt(tried, report, sitting, on_phase):
            sizes.append(len(tried.trials))
            if len(tried.trials) > 1:
                self.full(tried, report, sitting, on_phase)

        self.train(toy_pack(*[ToyMethod()] * 2), attempt)
        assert sizes == [2, 2, 1, 1]

    def test_a_single_trial_that_does_not_fit_names_the_knobs(self):
        with pytest.raises(OutOfDeviceMemory, match="even alone; .* num_rays=32, image_px=6 with --set"):
            self.train(toy_pack(ToyMethod()), self.full)

    def test_other_errors_pass(self):
        def attempt(tried, report, sitting, on_phase):
            raise jax.errors.JaxRuntimeError("INTERNAL: something else")

        with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
            self.train(toy_pack(ToyMethod()), attempt)


class TestPhases:
    """Trials that continue another."""

    def test_goes_on_where_the_other_ended(self):
        whole, more, longer = trainer.train(
            toy_pack(ToyPhase(), ToyPhase(extra_steps=4), ToyPhase(extra_steps=7), seeds=[3, 3, 3]), ("std-v1",), quiet
        )
        alone = trainer.train(toy_pack(ToyPhase(), seeds=[3]), (), quiet)[0]
        np.testing.assert_array_equal(whole.parameters["params/mean"], alone.parameters["params/mean"])
        phase = trainer.train(toy_pack(ToyPhase(extra_steps=7), seeds=[3]), (), quiet)[0]
        np.testing.assert_allclose(longer.parameters["params/mean"], phase.parameters["params/mean"], rtol=1e-6)
        means = [outcome.parameters["params/mean"][0] for outcome in (whole, more, longer)]
        assert means[0] > means[1] + 0.2 > means[2] + 0.3  # Adam with rate 0.1 goes 0.1 a step toward black
        assert [outcome.record.num_steps for outcome in (whole, more, longer)] == [23, 27, 30]
        assert longer.scores["std-v1"]["field_state"] == "solid"

    def test_is_the_plain_loop(self):
        trial = toy_pack(ToyPhase(extra_steps=7), seeds=[3]).trials[0]
        outcome = trainer.train(toy_pack(ToyPhase(extra_steps=7), seeds=[3]), (), quiet)[0]
        first = dataclasses.replace(trial.method, extra_steps=0)
        params, _, _ = slow_training(first, trial.task, 3, 23)
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
        trainer.train(toy_pack(ToyPhase(), ToyPhase(extra_steps=4), seeds=[3, 3]), (), seen.append)
        steps = [progress.step for progress in seen if progress.phase == "train"]
        assert steps == [5, 10, 15, 20, 23, 27]

    def test_seconds_of_what_is_shared_are_counted_once(self, ticks):
        several = toy_pack(ToyPhase(), ToyPhase(extra_steps=4), ToyPhase(extra_steps=7), seeds=[3] * 3)
        same = dataclasses.replace(several.trials[0], variant="other_name")
        several = dataclasses.replace(several, trials=(*several.trials, same))
        whole, *phases, equal = (each.record.timings for each in trainer.train(several, (), quiet))
        laps = {"prepare_s": 1, "compile_s": 1, "train_s": 1, "render_s": 1, "score_s": 1}
        assert whole == laps | {"wall_s": 5, "shared_s": 0}
        assert equal == laps | {"wall_s": 5, "shared_s": 5}
        for phase in phases:  # prepares nothing, and bears of what it continues what stands before rendering
            assert phase == laps | {"compile_s": 2, "train_s": 2, "wall_s": 7, "shared_s": 3}
        num_starts = 2 * (1 + 2)  # of the pack and of what continues it, and of the scores of each
        assert sum(own_seconds(each) for each in (whole, *phases, equal)) == ticks() - num_starts
        alone = trainer.train(toy_pack(ToyPhase(extra_steps=4), seeds=[3]), (), quiet)[0].record.timings
        assert alone["shared_s"] == 0.0  # nobody else bears it

    def test_curves_tell_what_a_phase_has_not(self):
        outcome = trainer.train(toy_pack(ToyPhase(extra_steps=4), seeds=[3]), (), quiet)[0]
        curves = outcome.record.to_json()["curves"]
        assert curves["step"] == [5, 10, 15, 20, 23, 27]
        assert curves["mse"][-1] is None and curves["mse"][0] is not None
        assert curves["dark"][0] is None and curves["dark"][-1] is not None

    def test_a_dead_trial_stays_dead(self):
        outcome = trainer.train(toy_pack(ToyPhase(extra_steps=4, breaks_at=7.0), seeds=[3]), ("std-v1",), quiet)[0]
        assert (outcome.record.status, outcome.record.first_bad_step, outcome.scores) == ("failed", 7, {})


def test_seconds_of_a_pack_are_shared_among_its_trials(ticks):
    outcomes = trainer.train(toy_pack(*[ToyMethod()] * 3), (), quiet)
    assert sum(outcome.record.timings["wall_s"] for outcome in outcomes) == pytest.approx(5)
    assert {outcome.record.timings["train_s"] for outcome in outcomes} == {1 / 3}


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
        outcome = trainer.train(toy_pack(ToyObject(), task=self.TASK), ("std-v1",), quiet)[0]
        assert outcome.record.status == "finished"
        assert outcome.views["color"].shape == (17, 6, 6, 3)
        assert list(outcome.views["ids"]) == list(range(17))
        assert "near_opacity" not in outcome.views
        found = outcome.scores["std-v1"]
        assert found["field_state"] == "solid"
        assert found["per_view"]["opacity"] == [1.0] * 16
        assert found["reasons"]["margin@embedded-judge-rn"] == "embedded-judge-rn is not there"

    def test_a_strip_of_looks_is_kept(self, monkeypatch):
        monkeypatch.setitem(trainer.CHUNKS_AHEAD, "cpu", 2)
        outcomes = trainer.train(toy_pack(ToyObject(), ToyObject(learning_rate=0.01), task=self.TASK), (), quiet)
        for outcome in outcomes:
            strip = outcome.views["strip"]
            assert strip.shape == (5, 6, 6, 3) and strip.dtype == np.float16  # one a chunk: there are fewer than eight
            assert outcome.views["strip_steps"].tolist() == [5, 10, 15, 20, 23]
            np.testing.assert_array_equal(strip[-1], outcome.views["color"][view_rendering.STRIP_VIEW])
        slow = outcomes[1].views["strip"].astype(np.float32).mean(axis=(1, 2, 3))
        assert (np.diff(slow) < 0).all()  # toward black
        assert outcomes[0].views["strip"][0].mean() < slow[0]

    def test_photographs_have_no_strip(self):
        assert not {"strip", "strip_steps"} & set(trainer.train(toy_pack(ToyMethod()), (), quiet)[0].views)

    def test_a_dream_field_is_trained(self, monkeypatch):
        monkeypatch.setattr(clip, "load", lambda name, dtype: toy_dreams.GUIDE)
        task = dataclasses.replace(toy_dreams.TASK, view_px=6)
        arms = [toy_dreams.made(num_steps=23, **changes) for changes in ({}, {"bounds": False, "track_origin": True})]
        plain, other = trainer.train(toy_pack(*arms, seeds=[3, 3], task=task), ("std-v1",), quiet)
        curves = {"step", "loss", "negative_cosine", "transmittance", "transmittance_target", "beta"}
        assert set(plain.record.curves) == curves and np.isfinite(plain.record.curves["loss"]).all()
        np.testing.assert_array_equal(plain.parameters["state/origin"], 0)
        assert np.abs(other.parameters["state/origin"]).max() > 0
        views = [outcome.views["opacity"].astype(np.float32) for outcome in (plain, other)]
        assert np.abs(views[1] - views[0]).max() > 0.01  # each within its own bounds
        assert plain.scores["std-v1"]["about"]["guides"] == {toy_dreams.NAME: None}
