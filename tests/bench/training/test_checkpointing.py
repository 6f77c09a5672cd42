"""Packs that stop at the end of a chunk and go on from their checkpoints: on a CPU the same bits."""

import dataclasses
import threading

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from bench.storage.checkpoint_files import checkpoint_to_bytes, parse_checkpoint
from bench.training import checkpointing, scoring, trainer
from bench.training.checkpointing import training_name
from bench.training.packing import root
from bench.training.sitting import Sitting, StoredRows, TrainingStopped, TrialTimedOut
from tests.fixtures.toy_packs import quiet, toy_pack
from tests.fixtures.toys import ToyMethod, ToyPhase

NEVER_S = 1e9
"""Seconds between checkpoints, so that none is left but where a pack stops or a phase ends."""


class Sat:
    """One sitting of a pack: what it handed on, and whether it was stopped."""

    def __init__(self, pack, saved=None, chunks=None, every_s=NEVER_S):
        self.messages = []
        left = iter(range(chunks)) if chunks is not None else None
        is_over = (lambda: False) if left is None else (lambda: next(left) == chunks - 1)
        self.sitting = Sitting(saved=dict(saved or {}), every_s=every_s, hand_on=self.messages.append, is_over=is_over)
        try:
            trainer.train(pack, ("std-v1",), quiet, self.sitting)
            self.is_stopped = False
        except TrainingStopped:
            self.is_stopped = True

    @property
    def saved(self):
        return self.sitting.saved

    @property
    def heads(self):
        rows = [message for message in self.messages if isinstance(message, StoredRows)]
        return [training.head for row in rows for training in row.trainings]

    @property
    def lines(self):
        return [message for message in self.messages if isinstance(message, str)]


def sit_until_done(pack, chunks):
    """Sits again and again, with the trials that have no outcome yet; returns the outcomes by id, and the sittings."""
    outcomes, sittings, saved = {}, [], {}
    while len(outcomes) < len(pack.trials):
        sat = Sat(pack.without(outcomes), saved, chunks)
        sittings.append(sat)
        outcomes |= sat.sitting.outcomes
        saved = sat.saved
        assert len(sittings) < 20
    return outcomes, sittings


def check_equal(left, right):
    """All but times and the places where it went on."""
    for kind in ("parameters", "views"):
        one, other = getattr(left, kind), getattr(right, kind)
        assert list(one) == list(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    assert list(left.record.curves) == list(right.record.curves)
    np.testing.assert_equal(left.record.curves, right.record.curves)
    assert left.scores == right.scores


class TestEqual:
    @pytest.mark.parametrize(("chunks", "ahead"), [(1, 1), (2, 0)])
    def test_a_pack(self, chunks, ahead, monkeypatch):
        """Also where chunks are begun before the curves of earlier ones are fetched, as on an accelerator."""
        pack = toy_pack(ToyMethod(), ToyMethod(learning_rate=0.3), ToyMethod(breaks_at=7.0), seeds=[3, 4, 3])
        whole = Sat(pack).sitting.outcomes
        monkeypatch.setitem(trainer.CHUNKS_AHEAD, "cpu", ahead)
        outcomes, sittings = sit_until_done(pack, chunks)
        for trial in pack.trials:
            check_equal(outcomes[trial.id], whole[trial.id])
        records = [outcomes[trial.id].record for trial in pack.trials]
        steps = {1: [5, 10, 15, 20, 23], 2: [10, 20]}[chunks]
        assert [record.resumed_at for record in records] == [steps] * 3
        assert records[2].first_bad_step == 7 and records[2].status == "failed"
        assert len(sittings) == len(steps) + 1

    def test_what_continues_another(self):
        pack = toy_pack(ToyPhase(), ToyPhase(extra_steps=9), ToyPhase(extra_steps=9, label="b"), seeds=[3, 3, 4])
        whole = Sat(pack).sitting.outcomes
        outcomes, sittings = sit_until_done(pack, 2)
        for trial in pack.trials:
            check_equal(outcomes[trial.id], whole[trial.id])
        places = [outcomes[trial.id].record.resumed_at for trial in pack.trials]
        assert places == [[10, 20], [10, 20, 28], [10, 20, 23, 28]]  # the last goes on from the end of its root
        first = sittings[2]  # its fine-tuning was stopped
        assert first.is_stopped and list(first.sitting.outcomes) == [pack.trials[0].id]

    def test_in_packs_of_other_sizes(self):
        pack = toy_pack(ToyMethod(), ToyMethod(), seeds=[3, 4])
        whole = Sat(pack).sitting.outcomes
        saved = Sat(pack, chunks=2).saved
        for alone in pack.split():
            sat = Sat(alone, saved)
            assert [outcome.record.resumed_at for outcome in sat.sitting.outcomes.values()] == [[10]]
            check_equal(sat.sitting.outcomes[alone.trials[0].id], whole[alone.trials[0].id])

    def test_a_state_of_all_kinds(self):
        pack = toy_pack(Mixed(), Mixed(), seeds=[3, 4])
        whole = Sat(pack).sitting.outcomes
        outcomes, _ = sit_until_done(pack, 2)
        for trial in pack.trials:
            check_equal(outcomes[trial.id], whole[trial.id])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixed(ToyMethod):
    """Its state has a random key, half numbers, switches and bytes."""

    def init(self, key, data):
        params, _ = super().init(key, data)
        return params, {
            "num_seen": jnp.zeros((), jnp.int32),
            "half": jnp.zeros((2,), jnp.bfloat16),
            "seen": jnp.zeros((3,), bool),
            "byte": jnp.zeros((), jnp.uint8),
        }

    def loss(self, params, state, frozen, data, hyperparameters, key, step):
        loss, (new, metrics) = super().loss(params, state, frozen, data, hyperparameters, key, step)
        half = state["half"] + jax.random.uniform(key, (2,), jnp.bfloat16)
        seen = state["seen"].at[step % 3].set(True)
        loss = loss + 1e-3 * half.astype(jnp.float32).sum()
        return loss, ({**new, "half": half, "seen": seen, "byte": state["byte"] + jnp.uint8(1)}, metrics)


class TestWhatIsLeft:
    def test_a_checkpoint_a_row_with_all_that_waits_for_it(self):
        pack = toy_pack(ToyPhase(), ToyPhase(extra_steps=9), ToyPhase(), seeds=[3, 3, 4])
        [first, second] = Sat(pack, chunks=2).heads
        ids = [trial.id for trial in pack.trials]
        assert first.name == training_name(pack.trials[0]) and second.name == training_name(pack.trials[2])
        assert (first.step, first.trials) == (10, {ids[0]: 23, ids[1]: 32})
        assert second.trials == {ids[2]: 23}
        assert set(first.seconds) == {"prepare_s", "compile_s", "train_s"} and first.seconds["train_s"] > 0

    def test_a_phase_that_others_continue_leaves_one_at_its_end(self):
        pack = toy_pack(ToyPhase(), ToyPhase(extra_steps=9), seeds=[3, 3])
        sat = Sat(pack)
        assert [(head.step, head.counted_by) for head in sat.heads] == [(23, [pack.trials[0].id])]
        assert Sat(toy_pack(ToyMethod())).heads == []  # nothing to keep: its outcome follows at once

    def test_what_took_long_is_kept_before_it_is_rendered(self, monkeypatch):
        monkeypatch.setattr(checkpointing, "WORTH_KEEPING_S", 0.0)
        assert [head.step for head in Sat(toy_pack(ToyMethod())).heads] == [23]

    def test_now_and_then(self):
        assert [head.step for head in Sat(toy_pack(ToyMethod()), every_s=0.0).heads] == [5, 10, 15, 20]

    def test_never(self):
        sat = Sat(toy_pack(ToyPhase(), ToyPhase(extra_steps=9), seeds=[3, 3]), every_s=None)
        assert sat.heads == [] and len(sat.sitting.outcomes) == 2

    @pytest.mark.parametrize("beside", [False, True])
    @pytest.mark.parametrize("train", [trainer.train, trainer.train_unscored])
    def test_outcomes_leave_when_their_phase_ends(self, train, beside, monkeypatch):
        pack = toy_pack(ToyPhase(), ToyPhase(extra_steps=9), seeds=[3, 3])

        def dies(run, phase):
            raise RuntimeError("it died")

        monkeypatch.setattr(trainer.PackRun, "branch", dies)
        heard = []
        with pytest.raises(RuntimeError, match="it died"):
            train(pack, ("std-v1",), quiet, Sitting(hand_on=heard.append, scores_beside=beside))
        assert [outcome.record.trial_id for outcome in heard] == [pack.trials[0].id]
        assert heard[0].scores["std-v1"]

    def test_a_phase_is_scored_beside_the_next(self, monkeypatch):
        """The first phase is scored only when the second is in training; both are handed on once."""
        pack = toy_pack(ToyPhase(), ToyPhase(extra_steps=9), seeds=[3, 3])
        begun = threading.Event()
        score_views = scoring.score_views
        threads = []

        def wait(*arguments):
            threads.append(threading.current_thread().name.split("_")[0])
            assert begun.wait(60)
            return score_views(*arguments)

        monkeypatch.setattr(scoring, "score_views", wait)
        heard = []

        def report(progress):
            if progress.step > 23:
                begun.set()

        sitting = Sitting(hand_on=heard.append, scores_beside=True)
        unscored = trainer.train_unscored(pack, ("std-v1",), report, sitting)
        outcomes = unscored.score(quiet)
        assert [outcome.record.trial_id for outcome in outcomes] == [trial.id for trial in pack.trials]
        assert heard == outcomes and set(threads) == {"score"}

    def test_scores_for_which_there_was_no_room_beside_are_made_later(self, monkeypatch):
        pack = toy_pack(ToyPhase(), ToyPhase(extra_steps=9), seeds=[3, 3])
        score_views = scoring.score_views

        def full(*arguments):
            if threading.current_thread().name.startswith("score"):
                raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
            return score_views(*arguments)

        monkeypatch.setattr(scoring, "score_views", full)
        sitting = Sitting(scores_beside=True)
        unscored = trainer.train_unscored(pack, ("std-v1",), quiet, sitting)
        assert all(outcome.scores["std-v1"] for outcome in unscored.score(quiet))


class TestTimeLimit:
    @pytest.mark.parametrize(("trial_s", "step"), [(1e-9, 5), (1e9, None), (None, None)])
    def test_a_trial_that_takes_too_long_fails_and_leaves_a_checkpoint(self, trial_s, step):
        pack = toy_pack(ToyMethod())
        rows = []
        sitting = Sitting(every_s=NEVER_S, trial_s=trial_s, hand_on=rows.append)
        if step is None:
            trainer.train(pack, (), quiet, sitting)
            assert not any(isinstance(message, StoredRows) for message in rows)
            return
        with pytest.raises(TrialTimedOut, match=f"--trial-minutes: .* at step {step} of 23; give it more and `retry`"):
            trainer.train(pack, (), quiet, sitting)
        [left] = rows
        assert [training.head.step for training in left.trainings] == [step]
        later = Sitting(saved=sitting.saved, trial_s=1e9)
        [outcome] = trainer.train(pack, (), quiet, later)
        assert outcome.record.resumed_at == [step]

    def test_who_is_told_to_stop_has_not_failed(self):
        sitting = Sitting(every_s=NEVER_S, trial_s=1e-9, is_over=lambda: True)
        with pytest.raises(TrainingStopped):
            trainer.train(toy_pack(ToyMethod()), (), quiet, sitting)


class TestSeconds:
    def test_of_all_sittings_add_up(self):
        pack = toy_pack(ToyMethod())
        first = Sat(pack, chunks=2)
        [head] = first.heads
        timings = Sat(pack, first.saved).sitting.outcomes[pack.trials[0].id].record.timings
        for name in ("prepare_s", "compile_s", "train_s"):
            assert timings[name] > head.seconds[name]
        laps = [value for name, value in timings.items() if name not in ("wall_s", "shared_s")]
        assert timings["wall_s"] == pytest.approx(sum(laps)) and timings["shared_s"] == 0

    def test_of_what_is_shared_count_once(self):
        """Its root is stored in one sitting, and it is finished in another."""
        pack = toy_pack(ToyPhase(), ToyPhase(extra_steps=9), seeds=[3, 3])
        first = Sat(pack, chunks=6)
        assert list(first.sitting.outcomes) == [pack.trials[0].id]
        shared = parse_checkpoint(first.saved[training_name(root(pack.trials[0]))], "").head.seconds
        left = pack.without(first.sitting.outcomes)
        [branch] = Sat(left, first.saved).sitting.outcomes.values()
        assert branch.record.timings["shared_s"] == pytest.approx(sum(shared.values()))
        [alone] = Sat(left).sitting.outcomes.values()
        assert alone.record.timings["shared_s"] == 0

    def test_of_a_root_that_is_not_stored_yet_are_not_counted(self):
        """It was stopped between its last step and its outcome."""
        pack = toy_pack(ToyPhase(), ToyPhase(extra_steps=9), seeds=[3, 3])
        first = Sat(pack, chunks=5)
        assert first.is_stopped and first.sitting.outcomes == {}
        whole, branch = Sat(pack, first.saved).sitting.outcomes.values()
        assert whole.record.timings["shared_s"] == 0
        assert 0 < branch.record.timings["shared_s"] < branch.record.timings["wall_s"]


class TestNotUsed:
    """What does not fit is named in a line, and the pack starts afresh."""

    @pytest.fixture
    def stopped(self):
        self.pack = toy_pack(ToyMethod(), seeds=[3])
        return Sat(self.pack, chunks=2).saved

    def check(self, saved, line, pack=None):
        pack = pack or self.pack
        sat = Sat(pack, saved)
        assert len(sat.lines) == 1 and line in sat.lines[0] and sat.lines[0].startswith("checkpoint")
        for outcome in sat.sitting.outcomes.values():
            assert outcome.record.resumed_at == []
            assert outcome.record.curves["step"] == [5, 10, 15, 20, 23]

    def changed(self, saved, **changes):
        [(name, content)] = saved.items()
        made = parse_checkpoint(content, name)
        return {name: checkpoint_to_bytes(made._replace(head=dataclasses.replace(made.head, **changes)))}

    def test_damaged(self, stopped):
        [(name, content)] = stopped.items()
        self.check({name: content[:-1] + bytes([content[-1] ^ 1])}, "got a damaged file")

    def test_of_another_trial(self, stopped):
        self.check(self.changed(stopped, identity="0" * 64), "expected a checkpoint of this trial, got one of another")

    def test_in_the_middle_of_a_chunk(self, stopped):
        self.check(self.changed(stopped, step=12), "expected a step at the end of a chunk of 5, got 12")

    def test_past_the_end(self, stopped):
        self.check(self.changed(stopped, step=25), "got 25")

    def test_of_another_version(self, stopped):
        self.check(self.changed(stopped, version=7), "expected a checkpoint of version 1, got 7")

    def test_of_other_arrays(self, stopped):
        [(name, content)] = stopped.items()
        head, arrays = parse_checkpoint(content, name)
        place = next(key for key in arrays if key.startswith("state/") and "mean" in key)
        other = {**arrays, place: np.zeros(4, np.float32)}
        self.check(
            {name: checkpoint_to_bytes(checkpointing.TrainingCheckpoint(head, other))}, "expected float32[3] for"
        )
        less = {key: array for key, array in arrays.items() if key != place}
        self.check({name: checkpoint_to_bytes(checkpointing.TrainingCheckpoint(head, less))}, ", got none")

    def test_rows_at_different_steps(self):
        pack = toy_pack(ToyMethod(), ToyMethod(), seeds=[3, 4])
        early, late = (Sat(pack, chunks=num).saved for num in (1, 2))
        names = [training_name(trial) for trial in pack.trials]
        mixed = {names[0]: early[names[0]], names[1]: late[names[1]]}
        self.check(mixed, "are at different steps, [5, 10]", pack)

    def test_one_of_a_pack_alone_is_not_named(self):
        """Packs are put together by step; this one was not."""
        pack = toy_pack(ToyMethod(), ToyMethod(), seeds=[3, 4])
        saved = Sat(pack, chunks=1).saved
        saved.pop(training_name(pack.trials[1]))
        sat = Sat(pack, saved)
        assert sat.lines == [] and len(sat.sitting.outcomes) == 2


def test_numbers_that_numpy_does_not_know_are_kept_as_bytes():
    half = np.asarray([1.5, -2.0], ml_dtypes.bfloat16)
    stored = checkpointing._encode(half)
    assert stored.dtype == np.uint8 and stored.shape == (4,)
    back = checkpointing._decode(stored, half)
    assert back.dtype == half.dtype
    np.testing.assert_array_equal(back, half)
