"""A loss of some steps against the same loss in every step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.rare_loss import loss_of_some_steps


def loss(params, x):
    inside = jnp.tanh(params["a"] * x)
    return jnp.sum(inside * params["b"]), {"mean": jnp.mean(inside)}


PARAMS = {"a": jnp.arange(3.0), "b": jnp.ones(3)}


@pytest.mark.parametrize("is_now", [True, False])
def test_value_gradient_and_the_rest(is_now):
    x = jnp.asarray([0.3, -0.2, 0.5])

    def chosen(params, is_now):
        value, rest = loss_of_some_steps(lambda params: loss(params, x), params, is_now)
        return 3 * value, rest

    found = jax.jit(jax.value_and_grad(chosen, has_aux=True))(PARAMS, jnp.asarray(is_now))
    (value, rest), gradient = jax.value_and_grad(lambda params: loss(params, x), has_aux=True)(PARAMS)
    share = float(is_now)
    truth = (3 * share * value, {"mean": share * rest["mean"]}), jax.tree.map(lambda g: 3 * share * g, gradient)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(truth), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_one_branch_in_a_pack_and_no_more_arrays_than_gradients():
    def chosen(params, x, step):
        return loss_of_some_steps(lambda params: loss(params, x), params, step % 10 == 0)[0]

    many = jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), PARAMS)
    mapped = jax.vmap(jax.value_and_grad(chosen), in_axes=(0, 0, None))
    traced = jax.make_jaxpr(mapped)(many, jnp.ones((4, 3)), jnp.asarray(0))
    branches = [equation for equation in traced.eqns if equation.primitive.name == "cond"]
    assert len(branches) == 1
    assert len(branches[0].outvars) == 4  # the loss, its mean, and the gradients of a and b
