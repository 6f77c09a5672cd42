"""Programs that the next process does not trace: found again where all is the same, and only there."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bench.import_paths import ROOT
from bench.programs import kept_programs, process_code, program_names, traced_programs
from bench.training import devices
from bench.training.batch import TrainState
from models.clip.networks.dual_encoder import to_unit_length
from models.fields import kernel_probe
from models.method import Views

X = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)


@pytest.fixture
def keeps(monkeypatch, tmp_path):
    """Programs are kept in a folder of the test's own, and every request is that of a new process."""
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    monkeypatch.delenv(traced_programs.VARIABLE)
    monkeypatch.setattr(process_code, "process_began", lambda: 1e10)
    monkeypatch.setattr(process_code, "find_foreign_code", lambda: None)
    monkeypatch.setattr(kernel_probe, "_FAILURES", [])  # of other tests

    def ask(*dynamic, donate=()):
        monkeypatch.setattr(devices, "_PROGRAMS", {})
        return devices.compile_once(to_unit_length, (), dynamic, donate)

    return ask


@pytest.fixture
def traces(monkeypatch):
    """Lists the programs that were traced."""
    made = []

    def export(function, *asked, whole=traced_programs.export_program):
        made.append(function)
        return whole(function, *asked)

    monkeypatch.setattr(traced_programs, "export_program", export)
    return made


def kept(tmp_path):
    return sorted((tmp_path / "programs" / "traced").glob("*"))


def test_the_next_process_traces_nothing_and_computes_the_same_bits(keeps, traces, tmp_path, monkeypatch):
    x = jnp.asarray(X)
    first = np.asarray(keeps(x)(x))
    assert traces == [to_unit_length] and len(kept(tmp_path)) == 1
    np.testing.assert_array_equal(np.asarray(keeps(x)(x)), first)
    assert len(traces) == 1
    monkeypatch.setenv(traced_programs.VARIABLE, "0")
    np.testing.assert_array_equal(np.asarray(keeps(x)(x)), first)
    np.testing.assert_allclose(np.linalg.norm(first, axis=-1), 1, atol=1e-6)
    assert len(traces) == 1 and len(kept(tmp_path)) == 1


DAMAGES = {
    "cut off": lambda whole: whole[:-1],
    "changed": lambda whole: whole[:40] + b"x" + whole[41:],
    "empty": lambda whole: b"",
    "text": lambda whole: b"no program\n" * 9,
}


def test_a_damaged_file_is_not_used_and_is_made_again(keeps, traces, tmp_path):
    x = jnp.asarray(X)
    keeps(x)
    (path,) = kept(tmp_path)
    whole = path.read_bytes()
    for damage in DAMAGES.values():
        path.write_bytes(damage(whole))
        assert traced_programs.load_program(path.name) is None
    keeps(x)
    assert len(traces) == 2 and traced_programs.load_program(path.name) is not None
    other = path.with_name("0" * 64)
    other.write_bytes(path.read_bytes())
    assert traced_programs.load_program(other.name) is None  # of another name inside


def test_what_cannot_be_kept_is_traced(keeps, tmp_path, monkeypatch):
    x = jnp.asarray(X)
    monkeypatch.setattr(kernel_probe, "_FAILURES", [])
    assert kernel_probe.find_failure(lambda: "no") == "no"
    assert keeps(x)(x).shape == X.shape
    assert kept(tmp_path) == []
    monkeypatch.setattr(kernel_probe, "_FAILURES", [])
    monkeypatch.setattr(jax.export, "export", None)
    assert keeps(x)(x).shape == X.shape
    assert kept(tmp_path) == []


def test_a_process_whose_kernels_failed_takes_no_program_of_another(keeps, traces, tmp_path, monkeypatch):
    x = jnp.asarray(X)
    monkeypatch.setattr(kernel_probe, "_FAILURES", [])
    assert kept_programs.compile_kept(to_unit_length, (), (x,), ()) is not None
    kernel_probe.find_failure(lambda: "wrong gradients")
    assert kept_programs.compile_kept(to_unit_length, (), (x,), ()) is None


def test_a_pipe_in_the_place_of_a_program_is_not_waited_for(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    path = traced_programs.program_file("a" * 64)
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert traced_programs.load_program("a" * 64) is None


def test_a_source_written_while_tracing_keeps_nothing(keeps, tmp_path, monkeypatch):
    def export(*asked, whole=traced_programs.export_program):
        monkeypatch.setattr(process_code, "process_began", lambda: 0.0)  # as if all were newer
        return whole(*asked)

    monkeypatch.setattr(traced_programs, "export_program", export)
    x = jnp.asarray(X)
    assert keeps(x)(x).shape == X.shape
    assert kept(tmp_path) == []


def make_state(key, x):
    """Makes a state whose tree is that of training, with what it is given in it."""
    params = {"b": {"w": x}, "a": x[0]}
    return TrainState(params, {}, optax.adam(0.1).init(params), x[:, 0] > 0, jnp.int32(1)), [None, (key,)]


def test_results_have_their_tree_and_their_types(monkeypatch):
    asked = (jax.random.key(3), jnp.asarray(X))
    program = traced_programs.export_program(make_state, (), asked, (1,))
    lowered = traced_programs.lower_program(program)
    structures = (jax.tree.structure(asked), jax.tree.structure(traced_programs.read_tree(program.results)))
    compiled = kept_programs.CompiledKeptProgram(lowered.compile(), *structures)
    with pytest.raises(TypeError, match="structure"):
        compiled(asked)
    made = compiled(jax.random.key(3), jnp.asarray(X))
    expected = make_state(*asked)
    assert jax.tree.structure(made) == jax.tree.structure(expected)
    assert [(x.shape, x.dtype) for x in jax.tree.leaves(made)] == [
        (x.shape, x.dtype) for x in jax.tree.leaves(expected)
    ]
    np.testing.assert_array_equal(made[0].params["b"]["w"], X)
    assert "donor" in lowered.as_text() or "aliasing" in lowered.as_text()
    with pytest.raises(program_names.Untold, match="weak"):
        traced_programs.export_program(lambda x: 1.0, (), asked[1:], ())


TREES = [None, 0, {}, (), [], {"b": 0, "a": 1}, ({"a": [0, None]}, 1), Views(0, 1, (2,)), optax.EmptyState()]


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_trees_are_told_and_read(tree):
    back = traced_programs.read_tree(traced_programs.tell_tree(tree))
    assert jax.tree.structure(back) == jax.tree.structure(tree) and back == tree


WRONG = ["os:system", "tests.fixtures.toys:ToyMethod", "builtins:int", "no.such:Type", "models.method:Nothing"]


@pytest.mark.parametrize("named", WRONG)
def test_a_file_names_no_other_types(named):
    with pytest.raises(program_names.Untold):
        traced_programs.read_tree({"named": named, "of": []})


def test_programs_that_nobody_used_are_removed_and_nothing_else(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(kernel_probe, "_FAILURES", [])
    one, two = "a" * 64, "b" * 64
    traced_programs.keep_program(one, traced_programs.KeptProgram("f", (), 0, b"x"))
    assert traced_programs.load_program(one) == traced_programs.KeptProgram("f", (), 0, b"x")
    folder = traced_programs.program_file(one).parent
    (folder / f".{one}.7-ab.tmp").write_text("of a process that was killed")
    (folder / "notes.txt").write_text("of somebody else")
    monkeypatch.setattr(traced_programs.time, "time", lambda: 1e10)
    traced_programs.keep_program(two, traced_programs.KeptProgram("f", (), 0, b"y"))
    assert traced_programs.load_program(one) is None
    assert [path.name for path in kept(tmp_path)] == ["notes.txt"]


@pytest.mark.parametrize("word", ["0", "false", "off", "no"])
def test_no_word_but_1_keeps_programs(word, keeps, traces, tmp_path, monkeypatch):
    monkeypatch.setenv(traced_programs.VARIABLE, word)
    assert kept_programs.compile_kept(to_unit_length, (), (jnp.asarray(X),), ()) is None
    assert traces == [] == kept(tmp_path)


def test_a_function_of_arrays_is_kept_too(keeps, traces, monkeypatch, tmp_path):
    x = jnp.asarray(X)
    for _ in range(2):  # as many processes
        found = kept_programs.KeptFunction(to_unit_length)
        np.testing.assert_array_equal(found(x), jax.jit(to_unit_length)(x))
        assert found(x[:2]).shape == (2, 7) and found.__name__ == "to_unit_length"
        np.testing.assert_array_equal(found(X), found(x))  # of NumPy
    assert len(traces) == 2 == len(kept(tmp_path))
    np.testing.assert_array_equal(jax.jit(found)(x), found(x))  # inside of another program
    monkeypatch.setenv(traced_programs.VARIABLE, "0")
    off = kept_programs.KeptFunction(to_unit_length)
    np.testing.assert_array_equal(off(x), found(x))
    np.testing.assert_array_equal(off(X), found(x))  # of NumPy


def generate_object(out, data, keep):
    """Makes an object in a process of its own, and returns its files' contents and its summary."""
    words = ["generate", "a red metallic chair", "--budget", "smoke", "--resolution", "16", "--out", str(out)]
    variables = os.environ | {traced_programs.VARIABLE: keep, "BENCH_DATA_DIR": str(data), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "bench", *words], check=True, env=variables, capture_output=True, timeout=500)
    summary = json.loads((out / "summary.json").read_text())
    files = [path for path in sorted((out / "seed-0").iterdir()) if path.suffix not in (".mp4", ".webm")]
    return summary["objects"], {path.name: path.read_bytes() for path in files}


@pytest.mark.slow
def test_an_object_is_the_same_from_traced_and_from_kept_programs(tmp_path):
    traced = generate_object(tmp_path / "traced", tmp_path / "data", "0")
    assert kept(tmp_path / "data") == []
    first = generate_object(tmp_path / "first", tmp_path / "data", "1")
    files = kept(tmp_path / "data")
    assert len(files) >= 8  # parameters, steps, views, a look, video, points, and a judge's images and words
    assert generate_object(tmp_path / "second", tmp_path / "data", "1") == first == traced
    assert kept(tmp_path / "data") == files
