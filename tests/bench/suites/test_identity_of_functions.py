"""Functions, partials, closures, lambdas, bound methods and wrappers: told apart by what they compute with."""

import functools
import math

import jax
import numpy as np
import optax
import pytest

from bench.suites.identity import Static, same
from tests.fixtures.user_code import ACTIVATIONS, told


@pytest.fixture
def acts(user):
    user.write("acts.py", ACTIVATIONS)
    return user.load("acts")


PAIRS = {
    "functions": lambda m: (m.scaled, m.other),
    "partials": lambda m: (functools.partial(m.scaled, scale=1.0), functools.partial(m.scaled, scale=2.0)),
    "partials by place": lambda m: (functools.partial(m.scaled, 1.0), functools.partial(m.scaled, 2.0)),
    "partials of partials": lambda m: (
        functools.partial(functools.partial(m.scaled, shift=1.0), scale=2.0),
        functools.partial(functools.partial(m.scaled, shift=2.0), scale=2.0),
    ),
    "a partial and its function": lambda m: (functools.partial(m.scaled), m.scaled),
    "closures": lambda m: (m.make(1.0), m.make(2.0)),
    "closures in closures": lambda m: (m.outer(1.0), m.outer(2.0)),
    "a function that calls itself": lambda m: (m.recursive(1), m.recursive(2)),
    "lambdas of one line": lambda m: (m.one, m.two),
    "lambdas with sets": lambda m: (m.in_set, m.in_another),
    "bound methods": lambda m: (m.Scale(1.0).apply_to, m.Scale(2.0).apply_to),
    "class methods": lambda m: (m.Scale.make, m.Twice.make),
    "jitted": lambda m: (jax.jit(m.scaled), jax.jit(m.other)),
    "jitted closures": lambda m: (jax.jit(m.make(1.0)), jax.jit(m.make(2.0))),
    "mapped": lambda m: (jax.vmap(m.scaled), jax.vmap(m.other)),
    "mapped over another axis": lambda m: (jax.vmap(m.one, in_axes=0), jax.vmap(m.one, in_axes=1)),
    "cached": lambda m: (functools.lru_cache(m.scaled), functools.lru_cache(m.other)),
    "rules of derivatives": lambda m: (m.with_rule(1.0), m.with_rule(2.0)),
    "wrapped": lambda m: (m.wrapped(1.0), m.wrapped(2.0)),
    "functions of jax": lambda m: (jax.nn.relu, jax.nn.gelu),
    "initialisers of jax": lambda m: (jax.nn.initializers.normal(0.1), jax.nn.initializers.normal(0.2)),
    "optimisers": lambda m: (optax.adam(1e-3), optax.adam(1e-2)),
    "partials of jax": lambda m: (
        functools.partial(jax.nn.leaky_relu, negative_slope=0.1),
        functools.partial(jax.nn.leaky_relu, negative_slope=0.2),
    ),
    "classes": lambda m: (m.Scale, m.Holder),
    "a class and what it makes": lambda m: (m.Scale, m.Scale()),
    "ufuncs": lambda m: (np.sin, np.cos),
    "functions of C": lambda m: (math.sin, math.cos),
}


@pytest.mark.parametrize("name", PAIRS)
def test_functions_are_told_apart(acts, name):
    one, other = PAIRS[name](acts)
    again, _ = PAIRS[name](acts)
    assert told(acts.Holder(one)) != told(acts.Holder(other))
    assert told(acts.Holder(one)) == told(acts.Holder(again)), "the same, written twice"
    assert same(acts.Holder(one), acts.Holder(again))
    assert Static(acts.Holder(one)) != Static(acts.Holder(other))


def test_a_function_of_one_name_in_another_module(user, acts):
    user.write("acts_2.py", ACTIVATIONS)
    first = told(acts.scaled)
    assert told(user.load("acts_2").scaled) != first


def test_a_functions_file_edited(user, acts):
    before = [told(value) for value in (acts.scaled, acts.one, acts.make(1.0), functools.partial(acts.scaled))]
    user.write("acts.py", ACTIVATIONS + "\n    EDITED = 1\n")
    module = user.load("acts")
    after = [told(value) for value in (module.scaled, module.one, module.make(1.0), functools.partial(module.scaled))]
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_a_default_that_was_changed_on_the_function(acts):
    before = told(acts.scaled)
    acts.scaled.__defaults__ = (3.0,)
    assert told(acts.scaled) != before
