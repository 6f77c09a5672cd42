"""What a worker does in its process, without Ray round it."""

import subprocess
import sys

import pytest

from bench.import_paths import ROOT
from bench.training.progress import Progress
from bench.training.queue import Failure
from bench.training.worker import Worker, try_to_train

TRAIN = "fake_trainer:train"


def quiet(progress):
    pass


def test_a_worker_and_its_queue_import_no_jax():
    code = "import sys; from bench.training import ray_executor, scheduler, worker; sys.exit('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class TestTryToTrain:
    def test_returns_the_trainers_outcomes(self, fake):
        pack = fake.Pack(trials=(fake.Trial("a"), fake.Trial("b")), key="a")
        outcomes = try_to_train(TRAIN, pack, ("std-v1",), quiet)
        assert [outcome.record.trial_id for outcome in outcomes] == ["a", "b"]

    def test_an_exception_becomes_a_failure_with_its_traceback(self, fake):
        found = try_to_train(TRAIN, fake.Pack(trials=(fake.Trial("a", "raise"),), key="a"), (), quiet)
        assert isinstance(found, Failure) and found.reason == "Odd: odd a" and not found.is_usage
        assert "train_trial" in found.traceback

    def test_a_mistake_of_the_users_has_no_traceback(self, fake):
        found = try_to_train(TRAIN, fake.Pack(trials=(fake.Trial("a", "usage"),), key="a"), (), quiet)
        assert found == Failure("--set: expected sense, got none; do this", None, is_usage=True)

    def test_a_trainer_that_is_not_there_is_a_failure(self, fake):
        found = try_to_train("no_such:train", fake.Pack(trials=(fake.Trial("a"),), key="a"), (), quiet)
        assert found.reason == "ModuleNotFoundError: No module named 'no_such'"

    def test_an_outcome_that_is_missing_is_a_failure(self, fake):
        pack = fake.Pack(trials=(fake.Trial("kept"), fake.Trial("lost", "forget")), key="a")
        assert "['kept', 'lost'], got those of ['kept']" in try_to_train(TRAIN, pack, (), quiet).reason

    def test_ctrl_c_is_no_failure(self, fake):
        with pytest.raises(KeyboardInterrupt):
            try_to_train(TRAIN, fake.Pack(trials=(fake.Trial("a", "interrupt"),), key="a"), (), quiet)


class TestWorker:
    def test_tells_of_the_pack_that_it_trains(self, fake, monkeypatch):
        monkeypatch.setattr(sys, "path", [*sys.path])
        worker = Worker(["/the/drivers"], TRAIN)
        assert worker.progress() is None and "/the/drivers" in sys.path
        [outcome] = worker.train(fake.Pack(trials=(fake.Trial("a"),), key="a"), ("std-v1",), None)
        assert outcome.record.trial_id == "a"
        assert worker.progress() == Progress("ok", 1, 9, 0.5)

    def test_compiles_ahead_only_where_it_is_told_to(self, fake, monkeypatch):
        monkeypatch.setattr(sys, "path", [*sys.path])
        worker = Worker(None, TRAIN)
        worker.compiler = Recorder()
        packs = {key: fake.Pack(trials=(fake.Trial(key),), key=key) for key in "abc"}
        worker.train(packs["a"], (), [packs["b"]])
        worker.train(packs["b"], (), [packs["c"]])
        worker.train(packs["c"], (), None)
        assert worker.compiler.begun == ["scores of a", "b", "c"]


class Recorder:
    """A compiler that notes what it is to compile."""

    def __init__(self):
        self.begun = []

    def begin(self, packs):
        self.begun += [pack.key for pack in packs]

    def begin_scores(self, pack, protocols):
        self.begun.append(f"scores of {pack.key}")
