"""Where the fused kernels run, and what happens where they cannot."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.errors import UsageError
from bench.training import flop_count
from models.fields import kernel_probe
from models.fields.encodings import IdentityEncoding
from models.fields.fused_block import choice
from models.fields.networks import ResidualMLP
from models.rendering.ray_sampling import Samples
from tests.fixtures.residual_blocks import INTERPRETED

FIELD = ResidualMLP(width=64, num_blocks=2, encoding=IdentityEncoding(), dtype="bfloat16")


class Device:
    def __init__(self, capability, kind="a GPU"):
        self.compute_capability = capability
        self.device_kind = kind


@pytest.fixture
def hopper(monkeypatch):
    """The process seems to have one Hopper GPU; the kernels are interpreted."""
    monkeypatch.setattr(jax, "local_devices", lambda: [Device("9.0")])
    monkeypatch.setattr("models.fields.fused_block.operation.settings_for", lambda width: INTERPRETED)
    choice.probe_failure.cache_clear()
    yield monkeypatch
    choice.probe_failure.cache_clear()


@pytest.fixture
def passing(hopper):
    hopper.setattr(choice, "probe_error", lambda *arguments: 0.0)
    return hopper


def samples():
    positions = jax.random.normal(jax.random.key(0), (20, 3))
    zeros = jnp.zeros(20)
    return Samples(means=positions, directions=positions, t_var=zeros, r_var=zeros)


def settings(kernel="auto", dtype=jnp.bfloat16, width=64, hidden=128):
    return choice.fused_settings(kernel, jnp.dtype(dtype), width, hidden)


def test_on_a_cpu_layers_compute_blocks():
    assert settings() is None
    with pytest.raises(UsageError, match=r'expected "fused" to be able to run, got .*instead of a Hopper GPU'):
        settings("fused")


def test_on_hopper_kernels_compute_what_they_are_made_for(passing):
    assert settings() is settings("fused") is INTERPRETED
    assert settings("plain") is None
    assert settings(dtype=jnp.float32) is None
    assert settings(width=96, hidden=192) is settings(hidden=64) is None
    with choice.only_plain():
        assert settings() is None
    assert settings() is INTERPRETED


def test_on_other_gpus_layers_compute_blocks(passing):
    passing.setattr(jax, "local_devices", lambda: [Device("8.0")])
    assert settings() is None
    passing.setattr(jax, "local_devices", lambda: [Device("9.0")] * 2)
    assert settings() is INTERPRETED


@pytest.mark.parametrize("result", [RuntimeError("no such layout"), 0.5, float("nan")])
def test_kernels_that_fail_are_not_used_which_is_said_once(hopper, capsys, result):
    def probe_error(*arguments):
        if isinstance(result, Exception):
            raise result
        return result

    hopper.setattr(choice, "probe_error", probe_error)
    assert settings() is settings() is None
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "layers compute it instead" in said
    assert ("no such layout" in said) or ("differ" in said)
    with pytest.raises(UsageError, match="no such layout|differ"):
        settings("fused")


@pytest.mark.slow
def test_the_probe_runs_while_a_program_is_traced(hopper):
    found = []

    @jax.jit
    def program(x):
        found.append(kernel_probe.find_failure(measure))
        return x

    def measure():
        errors.append(choice.probe_error(INTERPRETED, 64, 128))
        return kernel_probe.compare_with_layers(errors[0])

    errors = []
    program(jnp.zeros(3))
    assert found == [None] and errors[0] > 0


@pytest.mark.slow
def test_a_field_is_the_same_in_both_ways(passing):
    params = FIELD.init(jax.random.key(1), samples())
    fused = FIELD.apply(params, samples())
    plain = dataclasses.replace(FIELD, kernel="plain").apply(params, samples())
    for a, b in zip(fused, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=0.05, atol=0.02)
        assert not np.array_equal(a, b)  # otherwise both were computed in the same way


def test_products_are_counted_in_layers(passing):
    params = FIELD.init(jax.random.key(1), samples())
    with choice.only_plain():
        counted = flop_count.count_products(FIELD.apply, params, samples())
    plain = flop_count.count_products(dataclasses.replace(FIELD, kernel="plain").apply, params, samples())
    assert flop_count.total_flops(counted) == flop_count.total_flops(plain) > 2 * 20 * 4 * 64 * 128


def test_an_unknown_kernel():
    with pytest.raises(UsageError, match="expected kernel to be one of"):
        dataclasses.replace(FIELD, kernel="fast")
