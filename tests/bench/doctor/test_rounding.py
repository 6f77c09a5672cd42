"""Rounding as it is simulated, against rounding as it is."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from bench.doctor import product_checks, rounding
from bench.doctor.rounding import Arithmetic

A = np.random.RandomState(0).standard_normal((8, 64)).astype(np.float32)
B = np.random.RandomState(1).standard_normal((64, 8)).astype(np.float32)


def product(a, b):
    return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)


def test_without_noise_it_computes_the_same():
    def function(x):
        total, _ = jax.lax.scan(lambda sum_, row: (sum_ + jnp.sin(row).sum(), None), 0.0, x)
        return jax.lax.cond(total > 0, lambda: total, lambda: 2 * total), jax.lax.fori_loop(0, 3, lambda i, y: y + i, 0)

    found = rounding.evaluate(function, (A,), Arithmetic())
    assert found == pytest.approx(np.concatenate([np.ravel(x) for x in function(A)]), rel=1e-6)


def test_short_factors_are_those_of_bfloat16():
    short = A.astype(ml_dtypes.bfloat16).astype(np.float64) @ B.astype(ml_dtypes.bfloat16).astype(np.float64)
    expected = np.abs(short - A.astype(np.float64) @ B.astype(np.float64)).max()
    assert rounding.move_by_short_factors(product, (A, B), 8) == pytest.approx(expected, rel=1e-3)
    assert rounding.move_by_short_factors(product, (A, B), 11) == pytest.approx(expected / 8, rel=0.6)


def test_random_moves_cover_sums_in_other_orders():
    """A sum in three orders, each rounded at every step, lies within the allowance."""
    moved = rounding.random_moves(product, (A, B))
    exact = A.astype(np.float64) @ B.astype(np.float64)
    for order in (slice(None), slice(None, None, -1), np.random.RandomState(2).permutation(64)):
        total = np.zeros((8, 8), np.float32)
        for column, row in zip(A.T[order], B[order], strict=True):
            total += column[:, None] * row[None, :]
        assert np.abs(total - exact).max() < 4 * moved
    assert moved < 1e-5


def test_exact_operations_move_nothing():
    assert rounding.random_moves(lambda x: jnp.sort(jnp.abs(x[::-1]).reshape(-1))[:3], (A,)) == 0


def test_masks_of_minus_infinity_stay():
    def function(x):
        return jax.nn.softmax(jnp.where(x > 0, x, -jnp.inf), axis=-1)

    assert 0 < rounding.random_moves(function, (A,)) < 1e-6


def test_rounding_of_products_is_what_bfloat16_does():
    found = {check.what: check for check in product_checks.check_products()}
    assert {check.status for check in found.values()} == {"ok"}
    assert found["products that ask for nothing"].expected == "float32"


def test_other_products_are_named(monkeypatch):
    dot = jnp.dot
    shortened = {jax.lax.Precision.HIGHEST: 11}

    def like_tf32(a, b, precision=None, **others):
        if precision in shortened:
            a, b = (rounding._shorten(jnp.asarray(x), 11) for x in (a, b))
        return dot(a, b, precision=precision, **others)

    monkeypatch.setattr(product_checks.jnp, "dot", like_tf32)
    found = product_checks.check_products()[0]
    assert (found.status, found.advice) == ("FAIL", "it is TF32: scores would differ")
