"""Compiling before a pack's turn: the trainer finds the programs, and scores are warmed."""

import dataclasses
import sys
import threading

import jax
import pytest

from bench.suites.trial import Trial
from bench.training import devices, packing, precompile, scoring, trainer
from models import clip
from tasks.budgets import BUDGETS
from tests.fixtures import toy_dreams


@pytest.fixture
def pack(monkeypatch):
    monkeypatch.setattr(clip, "load", lambda name, dtype: toy_dreams.GUIDE)
    task = dataclasses.replace(toy_dreams.TASK, view_px=6)
    method = toy_dreams.made(num_steps=20)
    return packing.make_packs([Trial(task=task, method=method, budget=BUDGETS["smoke"], seed=0, variant="x")], 1)[0]


def test_the_trainer_finds_what_was_compiled_ahead(monkeypatch, pack):
    monkeypatch.setattr(devices, "_PROGRAMS", {})
    precompile.compile_ahead(pack)
    made = dict(devices._PROGRAMS)
    assert len(made) == 4  # first parameters, steps, views, looks
    trainer.train(pack, (), lambda progress: None)
    assert made == devices._PROGRAMS


def test_scores_are_made_of_black_views(monkeypatch, pack):
    scored = []
    monkeypatch.setattr(scoring, "score_views", lambda *arguments: scored.append(arguments))
    precompile.score_ahead(pack, ("std-v1",))
    ((scene, views, names, guides),) = scored
    assert names == ("std-v1",) and guides == (toy_dreams.NAME,)
    assert views["color"].shape == (len(scene.test.ids), 6, 6, 3) and not views["color"].any()


def test_a_device_that_does_not_start_prints_no_traceback_of_a_thread(monkeypatch, capsys):
    asked = threading.Event()

    def fail():
        asked.set()
        raise RuntimeError("Unable to initialize backend 'cuda'")

    monkeypatch.setattr(jax, "local_devices", fail)
    precompile.start_device()
    assert asked.wait(9)
    for thread in threading.enumerate():
        if thread.name == "start the device":
            thread.join()
    assert capsys.readouterr().err == ""


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


def test_imports_wait_for_no_device_that_has_started(monkeypatch):
    imported = []
    monkeypatch.setattr(precompile.importlib, "import_module", imported.append)
    monkeypatch.setattr(precompile, "LATER_IMPORTS", ("first", "second"))
    monkeypatch.setattr(precompile, "has_accelerator", lambda: True)
    ended = threading.Thread()
    precompile.import_while_starting(ended)
    assert imported == []
    left = [False, True]
    starting = threading.Thread()
    monkeypatch.setattr(starting, "is_alive", left.pop)
    precompile.import_while_starting(starting)
    assert imported == ["first"]
    monkeypatch.setattr(precompile, "has_accelerator", lambda: False)
    monkeypatch.setattr(starting, "is_alive", lambda: True)
    precompile.import_while_starting(starting)
    assert imported == ["first"]


def test_a_device_that_does_not_start_is_told_by_who_needs_it(monkeypatch, capsys):
    def fail():
        raise RuntimeError("Unable to initialize backend 'cuda'")

    monkeypatch.setattr("jax.local_devices", fail)
    precompile.start_device().join()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("has_accelerator", [True, False])
def test_threads_switch_as_before_afterwards(has_accelerator, monkeypatch):
    monkeypatch.setattr(precompile, "has_accelerator", lambda: has_accelerator)
    before = sys.getswitchinterval()
    with pytest.raises(KeyboardInterrupt), precompile.switch_threads_often():
        assert sys.getswitchinterval() == pytest.approx(precompile.SWITCH_S if has_accelerator else before)
        raise KeyboardInterrupt
    assert sys.getswitchinterval() == before
