"""What a worker does in its process, without Ray round it."""

import subprocess
import sys

import pytest

from bench.import_paths import ROOT
from bench.storage.checkpoint_files import CheckpointHead
from bench.training.progress import Progress
from bench.training.queue import Failure
from bench.training.sitting import Sitting, StoredRows, StoredTraining
from bench.training.worker import Outbox, PackTrainer, TrainedPack, Worker, try_to

TRAIN = "fake_trainer:train"
BESIDE = "fake_trainer:train_unscored"


def quiet(progress):
    pass


def test_a_worker_and_its_queue_import_no_jax():
    code = "import sys; from bench.training import ray_executor, scheduler, worker; sys.exit('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class TestPackTrainer:
    def test_returns_the_trainers_outcomes(self, fake):
        pack = fake.Pack(trials=(fake.Trial("a"), fake.Trial("b")), key="a")
        sitting = Sitting()
        assert PackTrainer(TRAIN).train(pack, ("std-v1",), quiet, sitting) is None
        assert list(sitting.outcomes) == ["a", "b"]

    def test_an_exception_becomes_a_failure_with_its_traceback(self, fake):
        found = PackTrainer(TRAIN).train(fake.Pack(trials=(fake.Trial("a", "raise"),), key="a"), (), quiet, Sitting())
        assert isinstance(found, Failure) and found.reason == "Odd: odd a" and found.cause == "trial"
        assert "train_trial" in found.traceback

    def test_a_mistake_of_the_users_has_no_traceback(self, fake):
        found = PackTrainer(TRAIN).train(fake.Pack(trials=(fake.Trial("a", "usage"),), key="a"), (), quiet, Sitting())
        assert found == Failure("--set: expected sense, got none; do this", None, "user")

    def test_a_trainer_that_is_not_there_is_a_failure(self, fake):
        found = PackTrainer("no_such:train").train(fake.Pack(trials=(fake.Trial("a"),), key="a"), (), quiet, Sitting())
        assert found.reason == "ModuleNotFoundError: No module named 'no_such'"

    def test_an_outcome_that_is_missing_is_a_failure(self, fake):
        pack = fake.Pack(trials=(fake.Trial("kept"), fake.Trial("lost", "forget")), key="a")
        assert "['kept', 'lost'], got those of ['kept']" in PackTrainer(TRAIN).train(pack, (), quiet, Sitting()).reason

    def test_ctrl_c_is_no_failure(self, fake):
        with pytest.raises(KeyboardInterrupt):
            PackTrainer(TRAIN).train(fake.Pack(trials=(fake.Trial("a", "interrupt"),), key="a"), (), quiet, Sitting())

    @pytest.mark.parametrize("act", ["ok", "score_raise", "score_forget"])
    def test_scores_are_made_apart(self, fake, act):
        pack = fake.Pack(trials=(fake.Trial("a", act),), key="a")
        trainer = PackTrainer(BESIDE)
        sitting = Sitting()
        found = trainer.score(pack, trainer.train(pack, (), quiet, sitting), quiet, sitting)
        if act == "ok":
            assert found is None and list(sitting.outcomes) == ["a"]
        else:
            assert isinstance(found, Failure)
            assert found.reason.startswith({"score_raise": "Odd: odd a", "score_forget": f"{BESIDE}: expected"}[act])

    def test_scores_for_which_there_is_no_room_wait_for_the_pack_in_training(self, fake):
        class Full:
            def __init__(self, trainer):
                self.busy = []
                self.trainer = trainer

            def score(self, report):
                self.busy.append(self.trainer.training.locked())
                raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")

        pack = fake.Pack(trials=(fake.Trial("a"),), key="a")
        trainer = PackTrainer(BESIDE)
        full = Full(trainer)
        found = trainer.score(pack, full, quiet, Sitting())
        assert full.busy == [False, True] and found.reason == "RuntimeError: RESOURCE_EXHAUSTED: out of memory"


class TestWorker:
    def test_tells_of_the_pack_that_it_trains(self, fake, monkeypatch):
        monkeypatch.setattr(sys, "path", [*sys.path])
        worker = Worker(["/the/drivers"], TRAIN)
        assert worker.news()[:3] == (None, {}, None) and "/the/drivers" in sys.path
        news = worker.train(fake.Pack(trials=(fake.Trial("a"),), key="a"), ("std-v1",), None)
        assert {number: outcome.record.trial_id for number, outcome in news.messages.items()} == {1: "a"}
        assert news.progress == Progress("ok", 1, 9, 0.5) and news.result is None
        assert list(worker.news().messages) == [1]  # nobody said that it came
        assert worker.news(1).messages == {}

    def test_tells_of_a_failure(self, fake):
        worker = Worker(None, TRAIN)
        news = worker.train(fake.Pack(trials=(fake.Trial("a", "raise"),), key="a"), ("std-v1",), None)
        assert news.messages == {} and news.result.reason == "Odd: odd a"

    def test_tells_of_a_device_that_is_taken_in_one_line(self):
        def attempt():
            raise RuntimeError("INTERNAL: Failed to create cuBLAS handle\nmore")

        reason, traceback, cause = try_to(attempt)
        assert reason.startswith("devices: expected free memory, got INTERNAL: Failed to create cuBLAS handle; another")
        assert (traceback, cause) == (None, "machine")

    def test_compiles_ahead_only_where_it_is_told_to(self, fake, monkeypatch):
        monkeypatch.setattr(sys, "path", [*sys.path])
        worker = Worker(None, TRAIN)
        worker.compiler = Recorder()
        packs = {key: fake.Pack(trials=(fake.Trial(key),), key=key) for key in "abc"}
        worker.train(packs["a"], (), [packs["b"]])
        worker.train(packs["b"], (), [packs["c"]])
        worker.train(packs["c"], (), None)
        assert worker.compiler.begun == ["scores of a", "b", "c"]

    def test_scores_beside_training_where_it_compiles_ahead(self, fake, monkeypatch):
        monkeypatch.setattr(sys, "path", [*sys.path])
        worker = Worker(None, BESIDE)
        worker.compiler = Recorder()
        packs = [fake.Pack(trials=(fake.Trial(name),), key="a") for name in "abc"]
        numbers = [worker.train(pack, (), []).result for pack in packs[:2]]
        assert numbers == [TrainedPack(0), TrainedPack(1)]
        assert [worker.outcomes(number).messages[number.number + 1].record.trial_id for number in numbers] == ["a", "b"]
        assert worker.train(packs[2], (), None).messages[3].record.trial_id == "c"
        assert not worker.trained


def some_training(name, step, num_bytes=10):
    head = CheckpointHead(
        version=1, name=name, identity="", step=step, trials={}, counted_by=[], resumed_at=[], seconds={},
        seconds_shared={}, memory=None,
    )  # fmt: skip
    return StoredRows((StoredTraining(head, bytes(num_bytes)),))


class TestOutbox:
    def test_keeps_what_has_not_come(self):
        outbox = Outbox()
        for word in "abc":
            outbox.put(word)
        assert outbox.after(0) == outbox.after(0) == {1: "a", 2: "b", 3: "c"}
        assert outbox.after(2) == {3: "c"}
        outbox.put("d")
        assert outbox.after(2) == {3: "c", 4: "d"}
        assert outbox.after(4) == {}

    def test_keeps_of_a_trainings_checkpoints_only_the_last(self):
        outbox = Outbox()
        for step in (5, 10):
            for name in "ab":
                outbox.put(some_training(name, step))
        left = [(n, each.names, each.trainings[0].head.step) for n, each in outbox.after(0).items()]
        assert left == [(3, {"a"}, 10), (4, {"b"}, 10)]

    def test_sends_large_ones_one_after_the_other(self):
        outbox = Outbox()
        for name in "abc":
            outbox.put(some_training(name, 5, 40))
        assert list(outbox.after(0, 100)) == [1, 2] and list(outbox.after(2, 100)) == [3]
        assert list(outbox.after(0, 1)) == [3]  # one in any case


class Recorder:
    """A compiler that notes what it is to compile."""

    def __init__(self):
        self.begun = []

    def begin(self, packs):
        self.begun += [pack.key for pack in packs]

    def begin_scores(self, pack, protocols):
        self.begun.append(f"scores of {pack.key}")
