"""One compiled program however many ask, and what it takes of a device."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.training import devices
from models.fields.fused_block import choice


@pytest.fixture(autouse=True)
def no_programs(monkeypatch):
    """Programs of other tests are out of sight."""
    monkeypatch.setattr(devices, "_PROGRAMS", {})


def test_threads_that_ask_for_a_program_get_the_same_one():
    traced = []

    def double(x):
        traced.append(x)
        return 2 * x

    x, found = jnp.ones(3), []
    threads = [threading.Thread(target=lambda: found.append(devices.compile_once(double, (), (x,)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(traced) == 1 and len({id(program) for program in found}) == 1
    assert found[0](x).tolist() == [2, 2, 2]


def test_a_program_that_does_not_compile_is_tried_again():
    calls = []

    def broken(x):
        calls.append(x)
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            devices.compile_once(broken, (), (jnp.ones(3),))
    assert len(calls) == 2


def test_static_arguments_and_shapes_make_another_program():
    def scale(factor, x):
        return factor * x

    programs = [devices.compile_once(scale, (factor,), (jnp.ones(size),)) for factor in (2, 3) for size in (3, 4)]
    assert len({id(program) for program in programs}) == devices.num_compiled() == 4
    assert devices.compile_once(scale, (3,), (jnp.zeros(4),)) is programs[-1]


@pytest.mark.parametrize(
    "change",
    [
        lambda: jax.enable_x64(True),
        lambda: jax.default_matmul_precision("highest"),
        lambda: jax.threefry_partitionable(False),
        lambda: jax.debug_nans(True),
        lambda: jax.numpy_rank_promotion("allow"),
        choice.only_plain,
    ],
)
def test_a_program_of_other_settings_is_not_taken(change):
    def program():
        return devices.compile_once(abs, (), (jax.ShapeDtypeStruct((3,), jnp.float32),))

    first = program()
    with change():
        assert program() is not first
    assert program() is first and devices.num_compiled() == 2


def test_variables_of_this_project_alone_make_another_program(monkeypatch):
    def program():
        return devices.compile_once(abs, (), (jax.ShapeDtypeStruct((3,), jnp.float32),))

    first = program()
    monkeypatch.setenv("TF_SET_BY_AN_IMPORT", "1")
    assert program() is first
    monkeypatch.setenv("BENCH_SPLIT_RAYS", "1")
    assert program() is not first


def test_a_program_of_other_types_is_not_taken(monkeypatch):
    def asked():
        return (jnp.asarray(1.0),)  # of a weak type

    def add_half(x):
        return jnp.float16(0.5) + x

    weak = devices.compile_once(add_half, (), asked())
    assert devices.compile_once(add_half, (), devices.abstract_arrays(asked())) is weak
    strong = devices.compile_once(add_half, (), (jnp.float32(1),))
    assert (weak(*asked()).dtype, strong(jnp.float32(1)).dtype) == (jnp.float16, jnp.float32)
    assert devices.compile_once(add_half, (), (jnp.float32(1),), donate=(0,)) is not strong


def test_shapes_serve_in_place_of_arrays():
    arrays = {"x": jnp.ones((2, 3))}
    program = devices.compile_once(lambda tree: tree["x"] + 1, (), (devices.abstract_arrays(arrays),))
    np.testing.assert_array_equal(program(arrays), np.full((2, 3), 2.0))


def test_memory_counts_what_results_take_over_once():
    x = jnp.ones((64, 64))
    kept = devices.memory_bytes(devices.compile_once(lambda x, y: x + y, (), (x, x)))
    taken_over = devices.memory_bytes(devices.compile_once(lambda x, y: x + y, (), (x, x), donate=(0,)))
    assert kept - taken_over == x.nbytes
    assert devices.memory_bytes(lambda: None) is None  # its compiler does not say


def test_trials_are_mapped_one_by_one_as_all_at_once():
    def step(x, y):
        return {"sum": x.sum() + y}

    arrays = jnp.arange(6.0).reshape(3, 2), jnp.arange(3.0)
    mapped = jax.jit(devices.map_trials(step))(*arrays)["sum"]
    np.testing.assert_array_equal(mapped, jax.vmap(step)(*arrays)["sum"])
