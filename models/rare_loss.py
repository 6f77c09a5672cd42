"""Computes a loss that only some steps have, so that the other steps pay nothing for it.

With `jax.lax.cond` alone, the steps without the loss write zeros in place of all that its backward pass would need,
which is one or more for each layer of an encoder. Here its gradient is computed together with its value, in one branch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from models.method import Params


def loss_of_some_steps(
    loss: Callable[[Params], tuple[Float[Array, ""], PyTree]], params: Params, is_now: Bool[Array, ""]
) -> tuple[Float[Array, ""], PyTree]:
    """Compute a loss and what it tells besides, or zeros in the steps that do not have it.

    Args:
        loss: Differentiable once in its parameters. No gradient passes to arrays that it holds otherwise.
        params: What it is differentiated by. Nothing is differentiated by what it tells besides.
        is_now: Whether this step has the loss. While it is not mapped over trials, only one branch runs.
    """
    shapes = jax.eval_shape(loss, params)

    def zeros(tree: PyTree) -> PyTree:
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), tree)

    @jax.custom_vjp
    def chosen(params: Params) -> tuple[Float[Array, ""], PyTree]:
        return jax.lax.cond(is_now, loss, lambda _: zeros(shapes), params)

    def forward(params: Params) -> tuple[tuple[Float[Array, ""], PyTree], PyTree]:
        compute = jax.value_and_grad(loss, has_aux=True)
        return jax.lax.cond(is_now, compute, lambda params: (zeros(shapes), zeros(params)), params)

    def backward(gradient: PyTree, given: Any) -> tuple[PyTree]:
        return (jax.tree.map(lambda x: given[0] * x, gradient),)

    chosen.defvjp(forward, backward)
    return chosen(params)
