"""NeRF's layers in few passes against the same layers as the paper writes them."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.training.flop_count import count_products, total_flops
from models.fields import relu_layers
from models.fields.encodings import Positional
from models.fields.networks import MLP
from models.rendering.ray_sampling import Samples

FOLDED = MLP(width=16, depth=4, encoding=Positional(3), density_activation="softplus")
PLAIN = dataclasses.replace(FOLDED, layers="plain")
NUM_RAYS = 24
NUM_SAMPLES = 20


def samples_and_directions():
    draw = np.random.default_rng(0)
    directions = jnp.asarray(draw.normal(size=(NUM_RAYS, 3)), jnp.float32)
    shape = (NUM_RAYS, NUM_SAMPLES)
    means = jnp.asarray(draw.uniform(-1, 1, (*shape, 3)), jnp.float32)
    everywhere = jnp.broadcast_to(directions[:, None], (*shape, 3))
    return Samples(means, everywhere, jnp.zeros(shape), jnp.zeros(shape)), directions


SAMPLES, DIRECTIONS = samples_and_directions()


def random_params(seed=0):
    shapes = jax.eval_shape(FOLDED.init, jax.random.key(0), SAMPLES)
    draw = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(draw.normal(size=x.shape) / x.shape[0] ** 0.5, x.dtype), shapes)


def loss_of(field, **options):
    def loss(params, means):
        density, color = field.apply(params, SAMPLES._replace(means=means), **options)
        return jnp.mean(density**2) + jnp.mean(color**2)

    return loss


@functools.cache
def compiled(field, with_rays):
    options = {"ray_directions": DIRECTIONS} if with_rays else {}
    return jax.jit(jax.value_and_grad(loss_of(field, **options), (0, 1)))


def value_and_gradients(field, params, with_rays=False):
    found = compiled(field, with_rays)(params, SAMPLES.means)
    return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(found)]


def errors(found, truth):
    return [float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(found, truth, strict=True)]


def test_both_begin_with_the_same_parameters():
    folded = jax.jit(FOLDED.init)(jax.random.key(4), SAMPLES)
    plain = jax.jit(PLAIN.init)(jax.random.key(4), SAMPLES)
    assert jax.tree.structure(folded) == jax.tree.structure(plain)
    for a, b in zip(jax.tree.leaves(folded), jax.tree.leaves(plain), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("with_rays", [False, True], ids=["samples", "rays"])
@pytest.mark.parametrize("seed", [0, 1])
def test_float32_is_the_plain_layers(with_rays, seed):
    params = random_params(seed)
    truth = value_and_gradients(PLAIN, params)
    # Of the parameters and, last, of the positions.
    assert max(errors(value_and_gradients(FOLDED, params, with_rays), truth)) < 1e-5


@pytest.mark.parametrize("with_rays", [False, True], ids=["samples", "rays"])
def test_bfloat16_is_at_most_twice_as_wrong_as_the_plain_layers(with_rays):
    params = random_params()
    truth = value_and_gradients(PLAIN, params)
    plain = errors(value_and_gradients(dataclasses.replace(PLAIN, dtype="bfloat16"), params), truth)
    folded = errors(value_and_gradients(dataclasses.replace(FOLDED, dtype="bfloat16"), params, with_rays), truth)
    typical = float(np.median(plain))  # one of them may be small by chance
    assert all(ours <= 2 * max(theirs, typical) for ours, theirs in zip(folded, plain, strict=True))
    assert max(folded) < 0.1


def test_all_products_of_samples_are_in_bfloat16():
    field = dataclasses.replace(FOLDED, dtype="bfloat16")
    loss = loss_of(field, ray_directions=DIRECTIONS)
    found = count_products(jax.grad(loss), random_params(), SAMPLES.means)
    exact = [product for product in found if product.types.startswith("float32")]
    once = 2 * (16 * 16 * 8 + 16 * 8 + NUM_RAYS * 27 * 8)  # both kernels, a bias, the directions of rays
    assert total_flops(exact) <= 3 * once
    assert {product.types for product in found} - {product.types for product in exact} <= {
        "bfloat16 x bfloat16 -> bfloat16",
        "bfloat16 x bfloat16 -> float32",
    }


def test_positions_without_a_gradient_cost_none():
    loss = loss_of(FOLDED, ray_directions=DIRECTIONS)
    params = random_params()
    alone = total_flops(count_products(jax.grad(loss), params, SAMPLES.means))
    both = total_flops(count_products(jax.grad(loss, (0, 1)), params, SAMPLES.means))
    # Products of the first layer and of the one behind the skip connection, with 21 features filled up to 24.
    assert both - alone == 2 * 2 * 24 * 16 * NUM_RAYS * NUM_SAMPLES


def test_a_layer_alone():
    draw = np.random.default_rng(0)
    rows = [draw.normal(size=(2, 3, k)).astype(np.float32) for k in (5, 4)]
    kernels = [draw.normal(size=(k, 6)).astype(np.float32) for k in (3, 4)]
    shift = draw.normal(size=(2, 1, 6)).astype(np.float32)
    found = relu_layers.relu_layer(
        [jnp.asarray(x) for x in rows], [jnp.asarray(x) for x in kernels], jnp.asarray(shift)
    )
    # The first input has two features more than its kernel, which are filling.
    truth = np.maximum(rows[0][..., :3] @ kernels[0] + rows[1] @ kernels[1] + shift, 0)
    np.testing.assert_allclose(found, truth, atol=1e-6)


def test_rows_are_filled_up_with_zeros():
    filled = relu_layers.fill_up(jnp.ones((2, 63)))
    assert filled.shape == (2, 64) and float(filled.sum()) == 126
    assert relu_layers.fill_up(jnp.ones((2, 16))).shape == (2, 16)
