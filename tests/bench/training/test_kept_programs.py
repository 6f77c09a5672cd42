"""Programs that the next process neither traces nor lowers: found again where all is the same, and only there."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from bench.training import devices, kept_programs, programs
from models.clip.networks.dual_encoder import to_unit_length
from models.dream_fields import DREAM_FIELDS
from models.fields import kernel_probe


@pytest.fixture
def keeps(monkeypatch, tmp_path):
    """Programs are kept, in a folder of the test's own, and every request is that of a new process."""
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv(kept_programs.VARIABLE, "1")

    def ask(*dynamic):
        monkeypatch.setattr(devices, "_PROGRAMS", {})
        return devices.compile_once(to_unit_length, (), dynamic)

    jax.config.update("jax_enable_compilation_cache", False)  # a program that came out of it is not kept
    compilation_cache.reset_cache()
    yield ask
    jax.config.update("jax_enable_compilation_cache", True)
    compilation_cache.reset_cache()


def kept(tmp_path):
    return sorted((tmp_path / "programs" / "traced").glob("*"))


ROWS = (np.ones((2, 3)),)


def name(function=to_unit_length, static=(), dynamic=ROWS, donate=()):
    return kept_programs.name_program(function, static, jax.tree.map(jnp.asarray, dynamic), donate)


def test_the_next_process_traces_nothing_and_computes_the_same_bits(keeps, tmp_path, monkeypatch):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 7)), jnp.float32)
    first = np.asarray(keeps(x)(x))
    assert len(kept(tmp_path)) == 1
    monkeypatch.setattr(devices.device_mesh, "lower", None)  # would be called
    np.testing.assert_array_equal(np.asarray(keeps(x)(x)), first)
    np.testing.assert_allclose(np.linalg.norm(first, axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:40] + b"x" + b[41:], lambda b: b""])
def test_a_damaged_file_is_made_again(keeps, tmp_path, damage):
    x = jnp.ones((2, 3))
    keeps(x)
    (path,) = kept(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    np.testing.assert_allclose(keeps(x)(x), np.full((2, 3), 3**-0.5), rtol=1e-6)
    assert path.read_bytes() != damage(whole)


def test_nothing_is_kept_after_a_kernel_failed(keeps, tmp_path, monkeypatch):
    monkeypatch.setattr(kernel_probe, "_FAILURES", [])
    assert kernel_probe.find_failure(lambda: "no") == "no"
    keeps(jnp.ones(3))
    assert not kept(tmp_path)


def test_a_name_tells_apart_what_makes_another_program(keeps, monkeypatch):
    other = dataclasses.replace(DREAM_FIELDS, num_steps=7)
    names = [
        name(),
        name(dynamic=(np.ones((2, 4)),)),
        name(dynamic=(np.ones((2, 3), np.int32),)),
        name(dynamic=({"a": np.ones((2, 3))},)),
        name(dynamic=((np.ones((2, 3)),),)),
        name(donate=(0,)),
        name(function=programs.init_trials),
        name(static=(DREAM_FIELDS, 3)),
        name(static=(other, 3)),
    ]
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_enable_triton_gemm=false")
    names.append(name())
    monkeypatch.undo()
    monkeypatch.setattr(kept_programs, "tell_sources", lambda: "edited")
    monkeypatch.setenv(kept_programs.VARIABLE, "1")
    names.append(name())
    assert None not in names and len(set(names)) == len(names)


def test_what_cannot_be_told_is_not_kept(keeps, monkeypatch):
    class Opaque:
        pass

    assert name(function=lambda x: x) is None
    assert name(function=jnp.sin) is None
    assert name(static=(Opaque(),)) is None
    assert kept_programs.name_program(to_unit_length, (), (Opaque(),), ()) is None
    monkeypatch.delenv(kept_programs.VARIABLE)
    assert name() is None
