"""Operations that are counted from shapes, against sums made by hand."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from bench.training.flop_count import Product, count_products, flops_by_scope, total_flops

X = jax.ShapeDtypeStruct((4, 8), jnp.float32)
W = jax.ShapeDtypeStruct((8, 16), jnp.float32)
ONE = 2 * 4 * 8 * 16


def flops(function, *args):
    return total_flops(count_products(function, *args))


def test_a_product():
    assert flops(lambda x, w: x @ w, X, W) == ONE


def test_a_gradient_is_three_products():
    assert flops(jax.grad(lambda w, x: jnp.sum((x @ w) ** 2)), W, X) == 2 * ONE
    assert flops(jax.grad(lambda xw: jnp.sum((xw[0] @ xw[1]) ** 2)), (X, W)) == 3 * ONE


def test_remat_counts_what_is_made_again():
    def loss(xw):
        return jnp.sum(jax.checkpoint(lambda x, w: jnp.sin(x @ w))(*xw))

    assert flops(jax.grad(loss), (X, W)) == 4 * ONE


def test_mapped_axes_count():
    many = jax.ShapeDtypeStruct((5, 4, 8), jnp.float32)
    assert flops(jax.vmap(lambda x, w: x @ w, in_axes=(0, None)), many, W) == 5 * ONE


@pytest.mark.parametrize("num", [1, 7])
def test_a_loop_counts_as_often_as_it_runs(num):
    def looped(x, w):
        return lax.scan(lambda carry, _: (carry + x @ w, None), jnp.zeros((4, 16)), length=num)[0]

    assert flops(looped, X, W) == num * ONE


def test_map_over_blocks():
    blocks = jax.ShapeDtypeStruct((3, 4, 8), jnp.float32)
    assert flops(lambda blocks, w: lax.map(lambda x: x @ w, blocks), blocks, W) == 3 * ONE


def test_the_dearer_branch_counts():
    def either(x, w, step):
        return lax.cond(step < 3, lambda: x @ w, lambda: x @ w + (2 * x) @ w)

    assert flops(either, X, W, jax.ShapeDtypeStruct((), jnp.int32)) == 2 * ONE


def test_a_loop_of_unknown_length_is_counted_once_and_says_so():
    def grows(x, w):
        return lax.while_loop(lambda y: jnp.sum(y) < 9, lambda y: y + x @ w, jnp.zeros((4, 16)))

    [product] = count_products(grows, X, W)
    assert product.flops == ONE and not product.is_exact


def test_a_convolution():
    images = jax.ShapeDtypeStruct((2, 3, 9, 9), jnp.float32)
    kernel = jax.ShapeDtypeStruct((5, 3, 3, 3), jnp.float32)
    assert flops(lambda a, b: lax.conv(a, b, (1, 1), "VALID"), images, kernel) == 2 * (2 * 5 * 7 * 7) * (3 * 3 * 3)


def test_scopes_and_types():
    def step(x, w):
        with jax.named_scope("field"):
            hidden = x.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16)
        with jax.named_scope("encoder"):
            return jnp.sum(hidden.astype(jnp.float32) @ w.T)

    products = count_products(jax.grad(step), X, W, scopes=("field", "encoder"))
    assert flops_by_scope(products) == {"field": 2 * ONE, "encoder": 2 * ONE}
    assert {product.types for product in products if product.scope == "field"} == {"bfloat16 x bfloat16 -> bfloat16"}


def test_equal_products_are_one_row():
    rows = count_products(lambda x, w: (x @ w) + (x + 1) @ w, X, W)
    assert rows == [Product("other", "float32 x float32 -> float32", 2 * ONE)]


def test_a_rare_branch_counts_by_its_share():
    def either(x, w):
        return lax.cond(x[0, 0] > 0, lambda: x @ w @ w.T @ w, lambda: x @ w)

    assert total_flops(count_products(either, X, W)) == pytest.approx(3 * ONE)
    assert total_flops(count_products(either, X, W, rare_share=0.25)) == pytest.approx(1.5 * ONE)
