"""The fused kernels against their plain twin, interpreted on a CPU."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.fields.fused_block.kernel_parts import Tuning
from models.fields.fused_block.operation import BlockParameters, Settings, fused_block, plain_block
from tests.fixtures.residual_blocks import (
    array_forward,
    array_input_gradient,
    array_weight_gradient,
    draw,
    errors,
    interpreted_block,
    loss_of,
)

MAX_ERROR = 1e-5
"""Of each gradient's norm, in float32."""

slow = pytest.mark.slow


@pytest.fixture(autouse=True)
def full_precision():
    with jax.default_matmul_precision("highest"):
        yield


@pytest.fixture
def few_multiprocessors(monkeypatch):
    """Each warpgroup has many tiles, and uses its slots of memory again."""
    monkeypatch.setattr("models.fields.fused_block.kernel_parts.MULTIPROCESSORS", 1)


@pytest.fixture
def array_block(monkeypatch):
    """The fused operation with ordinary arrays in place of its kernels: what is left is how it is mapped."""
    folder = "models.fields.fused_block"
    monkeypatch.setattr(f"{folder}.forward_kernel.forward", array_forward)
    monkeypatch.setattr(f"{folder}.input_gradient_kernel.input_gradient", array_input_gradient)
    monkeypatch.setattr(f"{folder}.weight_gradient_kernel.weight_gradient", array_weight_gradient)
    return functools.partial(fused_block, settings=Settings(forward=Tuning(slots=99)))


def gradients(block, rows, parameters):
    """Compute a block's result, and the gradients of a loss."""

    def loss(rows, parameters):
        result = block(rows, parameters)
        return jnp.sum(jnp.sin(result.astype(jnp.float32))), result

    found, result = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(rows, parameters)
    return result, found


def test_the_plain_twin_is_the_block_of_flax_layers():
    rows, parameters = draw(16, (9,), dtype=jnp.bfloat16)

    class Block(nn.Module):
        @nn.compact
        def __call__(self, rows):
            inside = nn.swish(nn.Dense(32, dtype=rows.dtype)(nn.LayerNorm(dtype=rows.dtype)(rows)))
            return rows + nn.Dense(16, dtype=rows.dtype)(inside)

    layers = {
        "LayerNorm_0": {"scale": parameters.scale, "bias": parameters.shift},
        "Dense_0": {"kernel": parameters.up, "bias": parameters.up_bias},
        "Dense_1": {"kernel": parameters.down, "bias": parameters.down_bias},
    }
    np.testing.assert_array_equal(plain_block(rows, parameters), Block().apply({"params": layers}, rows))


CASES = [
    (64, 129),
    pytest.param(64, 1, marks=slow),
    pytest.param(64, 63, marks=slow),
    pytest.param(64, 64, marks=slow),
    pytest.param(128, 129, marks=slow),
    pytest.param(64, 4097, marks=slow),
]


@pytest.mark.parametrize(("width", "num_rows"), CASES)
def test_results_and_gradients_are_those_of_the_plain_twin(width, num_rows):
    rows, parameters = draw(width, (num_rows,))
    found = gradients(interpreted_block, rows, parameters)
    assert max(errors(found, gradients(plain_block, rows, parameters))) < MAX_ERROR


@slow
@pytest.mark.usefixtures("few_multiprocessors")
@pytest.mark.parametrize("width", [64, 128])
def test_gradients_of_many_tiles_for_each_warpgroup(width):
    rows, parameters = draw(width, (900,))
    found = gradients(interpreted_block, rows, parameters)
    assert max(errors(found, gradients(plain_block, rows, parameters))) < MAX_ERROR


@pytest.mark.usefixtures("few_multiprocessors")
def test_results_of_many_tiles_for_each_warpgroup():
    rows, parameters = draw(64, (2, 350), (2,))
    found, expected = (jax.jit(jax.vmap(block))(rows, parameters) for block in (interpreted_block, plain_block))
    assert max(errors(found, expected)) < MAX_ERROR


def test_no_rows():
    rows, parameters = draw(64, (0,))
    found = gradients(interpreted_block, rows, parameters)
    assert [value.shape for value in jax.tree.leaves(found)] == [
        (0, 64),
        (0, 64),
        *(value.shape for value in parameters),
    ]
    assert not any(np.any(value) for value in jax.tree.leaves(found))


def test_a_bad_row_stays_alone():
    rows, parameters = draw(64, (70,))
    rows = rows.at[5, 3].set(jnp.nan).at[66, 0].set(jnp.inf)
    found = jax.jit(interpreted_block)(rows, parameters)
    is_bad = np.isnan(found).any(axis=1)
    assert list(np.flatnonzero(is_bad)) == [5, 66]


MAPPED = [
    pytest.param((3,), "vmap of grad", marks=slow, id="own weights, vmap of grad"),
    pytest.param((), "vmap of grad", marks=slow, id="shared weights, vmap of grad"),
    pytest.param((), "grad of vmap", marks=slow, id="shared weights, grad of vmap"),
    pytest.param((3,), "grad of vmap", marks=slow, id="own weights, grad of vmap"),
]


@pytest.mark.parametrize(("fields", "order"), MAPPED)
def test_mapped_gradients_are_those_of_the_plain_twin(fields, order):
    rows, parameters = draw(64, (3, 40), fields)

    def mapped(block):
        axes = (0, 0 if fields else None)
        if order == "vmap of grad":
            return jax.vmap(jax.grad(loss_of(block), (0, 1)), axes)(rows, parameters)
        return jax.grad(lambda *args: jnp.sum(jax.vmap(loss_of(block), axes)(*args)), (0, 1))(rows, parameters)

    assert max(errors(mapped(interpreted_block), mapped(plain_block))) < MAX_ERROR


def mapped_twice(block, rows, parameters):
    inner = jax.vmap(jax.grad(loss_of(block), (0, 1)), (0, None))
    return jax.vmap(inner)(rows, parameters)


def mapped_over_shared(block, rows, parameters):
    one = jax.tree.map(lambda value: value[0], parameters)
    return jax.vmap(jax.vmap(jax.grad(loss_of(block), (0, 1)), (0, None)), (0, None))(rows, one)


def mapped_over_weights(block, rows, parameters):
    return jax.vmap(jax.grad(loss_of(block), (0, 1)), (None, 0))(rows[0, 0], parameters)


def gradient_of_all_mapped(block, rows, parameters):
    total = jax.vmap(jax.vmap(loss_of(block), (0, None)))
    return jax.grad(lambda *args: jnp.sum(total(*args)), (0, 1))(rows, parameters)


def looped(block, rows, parameters):
    def loss(rows, parameters):
        add = loss_of(block)
        return jax.lax.scan(lambda total, each: (total + add(each, parameters), None), 0.0, rows)[0]

    return jax.jit(jax.vmap(jax.grad(loss, (0, 1))))(rows, parameters)


def looped_with_checkpoint(block, rows, parameters):
    return looped(jax.checkpoint(block), rows, parameters)


def chained(block, rows, parameters):
    return looped(lambda rows, parameters: block(block(rows, parameters), parameters), rows, parameters)


WAYS = (
    mapped_twice,
    mapped_over_shared,
    mapped_over_weights,
    gradient_of_all_mapped,
    looped,
    looped_with_checkpoint,
    chained,
)


@pytest.mark.parametrize("way", WAYS)
def test_ways_to_map_and_loop(way, array_block):
    rows, parameters = draw(64, (2, 3, 40), (2,))
    found, expected = (jax.jit(functools.partial(way, block))(rows, parameters) for block in (array_block, plain_block))
    assert max(errors(found, expected)) < MAX_ERROR


@slow
@pytest.mark.parametrize("way", [mapped_twice, looped])
def test_ways_to_map_and_loop_of_interpreted_kernels(way):
    # Not under checkpoint, where JAX refuses what its interpreter is made of.
    rows, parameters = draw(64, (2, 3, 40), (2,))
    assert max(errors(way(interpreted_block, rows, parameters), way(plain_block, rows, parameters))) < MAX_ERROR


def plain_in_float64(rows, parameters):
    with jax.enable_x64(True), jax.numpy_rank_promotion("allow"):
        wide = jax.tree.map(lambda x: jnp.asarray(np.asarray(x, np.float64)), (rows, parameters))
        return gradients(functools.partial(_twin, jnp.float64), *wide)


def _twin(dtype, rows, parameters):
    """Compute the block in a type, with no product in any other."""
    mean = rows.mean(axis=-1, keepdims=True)
    variance = ((rows - mean) ** 2).mean(axis=-1, keepdims=True)
    normal = (rows - mean) / jnp.sqrt(variance + dtype(1e-6)) * parameters.scale + parameters.shift
    inside = normal @ parameters.up + parameters.up_bias
    return rows + (inside * jax.nn.sigmoid(inside)) @ parameters.down + parameters.down_bias


@pytest.mark.slow
@pytest.mark.parametrize("width", [64, pytest.param(128, marks=slow)])
def test_bfloat16_is_nearly_as_exact_as_the_plain_twin(width):
    rows, parameters = draw(width, (200,), dtype=jnp.bfloat16)
    expected = plain_in_float64(rows, parameters)
    plain = errors(gradients(plain_block, rows, parameters), expected)
    fused = errors(gradients(interpreted_block, rows, parameters), expected)
    names = ("result", "rows", *BlockParameters._fields)
    worse = {name: (a, b) for name, a, b in zip(names, fused, plain, strict=True) if a > 2 * b}
    assert worse == {}


@slow
@pytest.mark.usefixtures("few_multiprocessors")
def test_threads_and_copies_do_not_race():
    if jax.__version_info__ < (0, 11):
        pytest.skip("the interpreter of JAX 0.10 does not look for races")
    from jax._src.pallas.mosaic_gpu.interpret.interpret_pallas_call import get_races

    from models.fields.fused_block.machine import interpreted

    settings = Settings(machine=interpreted(detect_races=True))
    rows, parameters = draw(64, (500,))
    jax.block_until_ready(gradients(functools.partial(fused_block, settings=settings), rows, parameters))
    assert not get_races().races_found
