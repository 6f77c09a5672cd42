"""Programs that a command took the last time are loaded before they are asked for, and change nothing."""

import json
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.programs import loading_ahead, process_code, traced_programs
from bench.training import devices
from models.clip.networks.dual_encoder import to_unit_length
from models.fields import kernel_probe

X = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)


@pytest.fixture
def started():
    """Gives a thread that has started a device."""
    thread = threading.Thread(target=lambda: None)
    thread.start()
    return thread


@pytest.fixture
def command(monkeypatch, tmp_path, started):
    """Runs a command that asks for programs, each time as a new process would."""
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    monkeypatch.delenv(traced_programs.VARIABLE)
    monkeypatch.setattr(process_code, "process_began", lambda: 1e10)
    monkeypatch.setattr(process_code, "find_foreign_code", lambda: None)
    monkeypatch.setattr(kernel_probe, "_FAILURES", [])  # of other tests

    def run(*shapes, words="generate"):
        monkeypatch.setattr(devices, "_PROGRAMS", {})
        with loading_ahead.load_programs_ahead((words,), started):
            ahead = loading_ahead._ahead
            for begun in list(ahead.begun.values()):
                begun.exception()  # waits
            for rows in shapes:
                x = jnp.asarray(X[:rows])
                found = devices.compile_once(to_unit_length, (), (x,))(x)
                np.testing.assert_array_equal(found, jax.jit(to_unit_length)(x))
        return ahead

    return run


@pytest.fixture
def lowered(monkeypatch):
    """Lists the threads in which programs were lowered."""
    threads = []

    def lower(kept, whole=traced_programs.lower_program):
        threads.append(threading.current_thread().name)
        return whole(kept)

    monkeypatch.setattr(traced_programs, "lower_program", lower)
    return threads


def test_the_second_command_finds_its_programs_loaded(command, lowered):
    here = threading.current_thread().name
    command(4, 3)
    assert lowered == [here, here]
    command(4, 3)
    assert len(lowered) == 4 and all(name.startswith("load programs") for name in lowered[2:])
    command(2)  # another one is asked for: what was loaded is dropped
    assert lowered.count(here) == 3
    assert len(json.loads(loading_ahead.list_file(("generate",)).read_text())) == 1
    command(4, words="other")
    assert lowered.count(here) == 4


def test_a_program_that_is_gone_or_cannot_be_loaded_is_made_again(command, lowered, tmp_path, monkeypatch):
    command(4)
    (path,) = (tmp_path / "programs" / "traced").glob("*")
    path.unlink()
    command(4)
    assert path.is_file()

    def lower(kept, whole=traced_programs.lower_program):
        if threading.current_thread().name.startswith("load programs"):
            raise RuntimeError("no memory")
        return whole(kept)

    monkeypatch.setattr(traced_programs, "lower_program", lower)
    command(4)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '["../../x"]', "[" * 9], ids=repr)
def test_a_damaged_list_loads_nothing(text, command, started):
    path = loading_ahead.list_file(("generate",))
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert loading_ahead.read_names(path) == []
    command(4)
    assert len(loading_ahead.read_names(path)) == 1


def test_a_command_that_fails_leaves_the_list_as_it_was(command, started):
    command(4)
    path = loading_ahead.list_file(("generate",))
    before = path.read_text()
    with pytest.raises(ZeroDivisionError), loading_ahead.load_programs_ahead(("generate",), started):
        loading_ahead.take_program("a" * 64)
        raise ZeroDivisionError
    assert path.read_text() == before
    assert loading_ahead.take_program("a" * 64) is None  # outside of a command


def test_what_waits_for_the_device_is_not_loaded_when_the_command_has_ended(command, lowered):
    command(4)
    lowered.clear()
    begins = threading.Event()
    starting = threading.Thread(target=begins.wait)
    starting.start()
    with loading_ahead.load_programs_ahead(("generate",), starting):
        ahead = loading_ahead._ahead
        (begun,) = ahead.begun.values()
        while not begun.running():
            time.sleep(0.01)
    begins.set()
    assert begun.result(timeout=10) is None and lowered == []


def test_another_jax_or_other_settings_have_another_list(monkeypatch):
    paths = {loading_ahead.list_file(("generate",))}
    with monkeypatch.context() as changed:
        changed.setenv("XLA_FLAGS", "--xla_of_another_command")
        paths.add(loading_ahead.list_file(("generate",)))
    monkeypatch.setattr(jax, "__version__", "0.0.1")
    paths.add(loading_ahead.list_file(("generate",)))
    assert len(paths) == 3


def test_lists_that_nobody_used_are_removed(command, monkeypatch):
    command(4)
    old = loading_ahead.list_file(("generate",))
    monkeypatch.setattr(traced_programs.time, "time", lambda: 1e10)
    command(4, words="other")
    assert not old.exists()
