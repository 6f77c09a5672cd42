"""The fused kernels of NeRF's layers against the layers: interpreted, and lowered for a GPU that is not here."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.errors import UsageError
from models.fields import kernel_probe, networks
from models.fields.encodings import Positional
from models.fields.fused_block.machine import interpreted
from models.fields.fused_relu import choice
from models.fields.fused_relu.choice import folded_products, trunk_settings
from models.fields.fused_relu.operation import ReluSettings, fused_trunk
from models.fields.networks import MLP
from models.rendering.ray_sampling import samples_at_points

MAX_ERROR = 1e-5
"""Of each gradient's norm, in float32."""

FEATURES = 64

INTERPRETED = ReluSettings(machine=interpreted())


def draw(width, num_rows, num_fields):
    """Encodings and weights of three layers, of which the last sees the encoding again, and of two heads."""
    generator = np.random.default_rng(0)
    sizes = ((FEATURES,), (width,), (FEATURES, width))

    def normal(*shape, scale=1.0):
        return jnp.asarray(scale * generator.normal(size=(num_fields, *shape)), jnp.float32)

    kernels = tuple(tuple(normal(size, width, scale=(2 / size) ** 0.5) for size in layer) for layer in sizes)
    biases = tuple(normal(width) for _ in sizes)
    heads = tuple(normal(width, columns, scale=width**-0.5) for columns in (60, 1))
    return normal(num_rows, FEATURES), kernels, biases, heads


def gradients(compute, arguments, axes=0):
    def loss(*arguments):
        return sum(jnp.sum(jnp.sin(value.astype(jnp.float32))) for value in compute(*arguments))

    with jax.default_matmul_precision("highest"):
        return jax.jit(jax.vmap(jax.value_and_grad(loss, (0, 1, 2, 3)), axes))(*arguments)


def errors(found, truth):
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(truth), strict=True)
    return [float(jnp.linalg.norm((a - b).ravel()) / jnp.linalg.norm(b.ravel())) for a, b in pairs]


def array_forward(inputs, kernels, bias, *, tuning, machine):
    """Compute what the forward kernel does, with ordinary arrays."""
    pairs = zip(inputs, kernels, strict=True)
    products = [jnp.einsum("fnk,fkw->fnw", rows, kernel) for rows, kernel in pairs]
    return jnp.maximum(sum(products) + bias[:, None], 0)


def array_backward(gradient, rows, kernel, *, tuning, machine):
    """Compute what the backward kernel does, with ordinary arrays; its parts are two halves."""
    passed = jnp.where(rows > 0, jnp.einsum("fnv,fwv->fnw", gradient, kernel), 0)
    half = jnp.einsum("fnw,fnv->fwv", rows, gradient) / 2
    bias = jnp.sum(passed, axis=1)[:, None] / 2
    return passed, jnp.stack([half, half], axis=1), jnp.stack([bias, bias], axis=1)


@pytest.mark.parametrize("shares_weights", [False, True])
def test_many_fields_are_computed_at_once(shares_weights, monkeypatch):
    folder = "models.fields.fused_relu"
    monkeypatch.setattr(f"{folder}.forward_kernel.forward_relu", array_forward)
    monkeypatch.setattr(f"{folder}.backward_kernel.backward_relu", array_backward)
    encoded, *weights = draw(128, 70, 3)
    axes = 0
    if shares_weights:
        weights = jax.tree.map(lambda x: x[0], weights)
        axes = (0, None, None, None)
    settings = ReluSettings()
    fused = gradients(lambda *given: fused_trunk(*given, settings=settings), (encoded, *weights), axes)
    truth = gradients(folded_products, (encoded, *weights), axes)
    assert max(errors(fused, truth)) < MAX_ERROR


@pytest.mark.slow
@pytest.mark.parametrize(("num_rows", "num_fields"), [(1, 1), (300, 2)])
def test_float32_is_the_layers(num_rows, num_fields, monkeypatch):
    # One multiprocessor: every warpgroup has several tiles, and uses its slots of memory again.
    monkeypatch.setattr("models.fields.fused_block.kernel_parts.MULTIPROCESSORS", 1)
    arguments = draw(128, num_rows, num_fields)
    fused = gradients(lambda *given: fused_trunk(*given, settings=INTERPRETED), arguments)
    assert max(errors(fused, gradients(folded_products, arguments))) < MAX_ERROR


@pytest.mark.slow
def test_two_slices_of_width_256():
    arguments = draw(256, 100, 1)
    fused = gradients(lambda *given: fused_trunk(*given, settings=INTERPRETED), arguments)
    assert max(errors(fused, gradients(folded_products, arguments))) < MAX_ERROR


def lowered(width, num_fields, settings=None):
    encoded, *weights = jax.eval_shape(lambda: draw(width, 300, num_fields))
    encoded = jax.ShapeDtypeStruct(encoded.shape, jnp.bfloat16)

    def loss(*arguments):
        products = fused_trunk(*arguments, settings=settings or ReluSettings())
        return sum(value.astype(jnp.float32).sum() for value in products)

    mapped = jax.jit(jax.vmap(jax.grad(loss, (1, 2, 3))))
    return mapped.trace(encoded, *weights).lower(lowering_platforms=("cuda",)).as_text()


@pytest.mark.parametrize(("width", "num_fields"), [(128, 2), (256, 1)])
def test_kernels_lower(width, num_fields):
    assert lowered(width, num_fields).count("@mosaic_gpu_v2(") == 3 + 3


def test_layers_that_read_the_encoding_may_be_left_out():
    assert lowered(256, 1, ReluSettings(reads_encoding=False)).count("@mosaic_gpu_v2(") == 1 + 3


def test_the_field_uses_them_where_they_can_run(monkeypatch):
    field = MLP(width=256, depth=8, dtype="bfloat16")
    samples = samples_at_points(jnp.zeros((4, 3)))
    params = jax.eval_shape(field.init, jax.random.key(0), samples)

    def program():
        step = jax.jit(jax.grad(lambda params, samples: field.apply(params, samples)[1].sum()))
        return step.trace(params, samples).lower(lowering_platforms=("cuda",)).as_text()

    assert "mosaic_gpu" not in program()
    monkeypatch.setattr(networks, "trunk_settings", lambda *_: ReluSettings())
    assert program().count("@mosaic_gpu_v2(") == 8 + 8


@pytest.mark.parametrize(
    ("changes", "with_rays"),
    [
        ({}, False),
        ({}, True),
        ({"view_directions": False}, True),
        ({"encoding": Positional(6)}, False),
        pytest.param({"view_directions": False}, False, marks=pytest.mark.slow),
        pytest.param({"encoding": Positional(6)}, True, marks=pytest.mark.slow),
    ],
)
def test_a_field_with_them_is_the_field_without(changes, with_rays, monkeypatch):
    folder = "models.fields.fused_relu"
    monkeypatch.setattr(f"{folder}.forward_kernel.forward_relu", array_forward)
    monkeypatch.setattr(f"{folder}.backward_kernel.backward_relu", array_backward)
    field = MLP(width=64, depth=4, **changes)
    draw = np.random.default_rng(0)
    directions = jnp.asarray(draw.normal(size=(5, 3)), jnp.float32)
    samples = samples_at_points(jnp.asarray(draw.normal(size=(5, 7, 3)), jnp.float32))
    samples = samples._replace(directions=jnp.broadcast_to(directions[:, None], (5, 7, 3)))
    params = jax.jit(field.init)(jax.random.key(0), samples)
    options = {"ray_directions": directions} if with_rays else {}

    def found():
        def loss(params):
            density, color = field.apply(params, samples, **options)
            return jnp.sum(density**2) + jnp.sum(color**2)

        return jax.jit(jax.value_and_grad(loss))(params)

    truth = found()
    monkeypatch.setattr(networks, "trunk_settings", lambda *_: ReluSettings())
    # Of a bias whose gradient is 0 by chance, nothing is left but rounding.
    assert max(errors(found(), truth)) < 1e-4


def test_a_failing_kernel_leaves_the_others_and_then_the_layers(monkeypatch, capsys):
    tried = []

    def fail(settings, width):
        tried.append(settings.reads_encoding)
        if len(tried) < 2:
            raise ValueError("no room")
        return 1.1 if width == 256 else 3.0

    monkeypatch.setattr(choice, "trunk_error_ratio", fail)
    choice.probe_trunk.cache_clear()
    settings, reason = choice.probe_trunk(256)
    assert tried == [True, False] and not settings.reads_encoding and reason is None
    assert "ValueError while compiling: ['no room']" in capsys.readouterr().err
    assert choice.probe_trunk(128) == (None, "gradients whose error is 3 times that of the layers")
    choice.probe_trunk.cache_clear()


def test_who_asks_for_them_hears_why_they_cannot_run():
    assert trunk_settings("auto", "bfloat16", 256) is None
    for dtype, width, reason in (
        ("float32", 256, "float32"),
        ("bfloat16", 64, "width 64"),
        ("bfloat16", 256, "Hopper"),
    ):
        with pytest.raises(UsageError, match=f'expected "fused" to be able to run, got .*{reason}.*layers="auto"'):
            trunk_settings("fused", dtype, width)
    with pytest.raises(UsageError, match="expected layers to be one of"):
        dataclasses.replace(MLP(), layers="fuse")


@pytest.mark.slow
def test_the_kernels_are_as_near_to_the_truth_as_the_layers():
    assert 0.5 < choice.trunk_error_ratio(INTERPRETED, 128) < kernel_probe.MAX_ERROR_RATIO


def test_a_gradient_further_from_the_truth_than_rounding_is_found():
    truth = [np.ones(100), np.ones(4)]
    layers = [1.05 * truth[0], truth[1]]
    assert kernel_probe.largest_error_ratio([1.08 * truth[0], truth[1]], layers, truth) == pytest.approx(1.6)
    missing = kernel_probe.largest_error_ratio([0.5 * truth[0], truth[1]], layers, truth)
    assert "10 times" in kernel_probe.compare_errors(missing)
    # Where the layers are exact by chance, an error within rounding is none.
    small = kernel_probe.largest_error_ratio([layers[0], 1.002 * truth[1]], layers, truth)
    assert kernel_probe.compare_errors(small) is None
