"""Compiling before a pack's turn: one program however many ask, the trainer finds it, and scores are warmed."""

import dataclasses
import threading

import jax.numpy as jnp
import pytest

from bench.suites.trial import Trial
from bench.training import devices, packing, precompile, scheduler, trainer, worker
from bench.training import queue as queue_module
from models import clip
from tasks.budgets import BUDGETS
from tests.fixtures import toy_dreams


@pytest.fixture
def pack(monkeypatch):
    monkeypatch.setattr(clip, "load", lambda name, dtype: toy_dreams.GUIDE)
    task = dataclasses.replace(toy_dreams.TASK, view_px=6)
    method = toy_dreams.made(num_steps=20)
    return packing.make_packs([Trial(task=task, method=method, budget=BUDGETS["smoke"], seed=0, variant="x")], 1)[0]


def test_threads_that_ask_for_a_program_get_the_same_one(monkeypatch):
    monkeypatch.setattr(devices, "_PROGRAMS", {})
    traced = []

    def double(x):
        traced.append(x)
        return 2 * x

    x, found = jnp.ones(3), []
    threads = [threading.Thread(target=lambda: found.append(devices.compiled(double, (), (x,)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(traced) == 1 and len({id(program) for program in found}) == 1
    assert found[0](x).tolist() == [2, 2, 2]


def test_a_program_that_does_not_compile_is_tried_again(monkeypatch):
    monkeypatch.setattr(devices, "_PROGRAMS", {})
    calls = []

    def broken(x):
        calls.append(x)
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            devices.compiled(broken, (), (jnp.ones(3),))
    assert len(calls) == 2


def test_the_trainer_finds_what_was_compiled_ahead(monkeypatch, pack):
    monkeypatch.setattr(devices, "_PROGRAMS", {})
    precompile.compile_ahead(pack)
    made = dict(devices._PROGRAMS)
    assert len(made) == 3  # steps, views, looks
    trainer.train(pack, (), lambda progress: None)
    assert made == devices._PROGRAMS


def test_scores_are_made_of_black_views(monkeypatch, pack):
    scored = []
    monkeypatch.setattr(trainer, "score", lambda *arguments: scored.append(arguments))
    precompile.score_ahead(pack, ("std-v1",))
    ((scene, rendered, names, guides),) = scored
    assert names == ("std-v1",) and guides == (toy_dreams.NAME,)
    assert rendered.views.color.shape == (len(scene.test.ids), 6, 6, 3)


def test_the_flag_is_set_once_and_only_where_there_is_an_accelerator(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--some=1")
    monkeypatch.setattr(precompile, "has_accelerator", lambda: False)
    precompile.prefer_quick_compiles()
    assert precompile.os.environ["XLA_FLAGS"] == "--some=1"
    monkeypatch.setattr(precompile, "has_accelerator", lambda: True)
    for _ in range(2):
        precompile.prefer_quick_compiles()
    assert precompile.os.environ["XLA_FLAGS"] == f"--some=1 {precompile.QUICK_FLAG}"
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_enable_triton_gemm=true")
    precompile.prefer_quick_compiles()
    assert precompile.os.environ["XLA_FLAGS"] == "--xla_gpu_enable_triton_gemm=true"


def test_the_next_programs_are_those_that_nobody_knows():
    class Fake:
        def __init__(self, key, steps, seed=0):
            self.key, self.num_steps, self.trials = key, steps, (type("T", (), {"seed": seed, "id": key})(),)

    queue = queue_module.Queue(
        [Fake("a", 3), Fake("b", 5), Fake("a", 4), Fake("c", 9, seed=1), Fake("d", 1), Fake("e", 1)]
    )
    assert [attempt.pack.key for attempt in queue.ahead({("d", 1)})] == ["b", "a", "e"]
    taken = [queue.take({("a", 1)}, set(), [("d", 1), ("b", 1)]).pack.key for _ in range(6)]
    assert taken == ["a", "a", "d", "b", "e", "c"]  # compiled; begun, in that order; the rest; then the next seed


def test_scores_are_begun_once_and_every_other_program_once(monkeypatch):
    begun = []

    class Recorder(precompile.BackgroundCompiler):
        def begin(self, packs):
            begun.extend(pack.key for pack in packs)

        def begin_scores(self, pack, protocols):
            begun.append(f"scores of {pack.key}")

    class Fake:
        def __init__(self, key):
            self.key, self.num_steps, self.trials = key, 1, (type("T", (), {"seed": 0, "id": key})(),)

    monkeypatch.setattr(scheduler, "Compiler", Recorder)
    monkeypatch.setattr(scheduler, "has_accelerator", lambda: True)
    monkeypatch.setattr(worker, "_trained", lambda *arguments: [])
    packs = [Fake(key) for key in ("a", "a", "a", "b", "c")]
    scheduler.run(packs, (), executor="inline", on_outcome=print, on_progress=print)
    assert begun == ["scores of a", "b", "c"]
