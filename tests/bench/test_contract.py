"""The contract, crossed with every registered variant, and with methods that break it."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
import pytest

from bench import contract, registry
from bench.errors import UsageError
from tasks.budgets import BUDGETS, sized
from tests.toys import ToyMethod, ToyTask


def subject(method):
    return contract.Subject(method=method, variant="mine", task=ToyTask())


def small(method):
    """A method whose written sizes are made small: a test has no time for those of a paper."""
    fields = {
        f.name: getattr(BUDGETS["smoke"], f.name)
        for f in dataclasses.fields(method)
        if hasattr(BUDGETS["smoke"], f.name)
    }
    if fields.get("num_importance") and method.num_importance == 0:
        fields["num_importance"] = 0
    field = dataclasses.replace(method.field, width=16, depth=2)
    return sized(dataclasses.replace(method, **fields, field=field), BUDGETS["smoke"])


@pytest.mark.parametrize("name", registry.VARIANTS)
def test_shapes_and_gradients_of_every_variant(name):
    mine = subject(small(registry.variant(name)))
    for step in (contract.frozen_and_hashable, contract.shapes, contract.gradients, contract.one_program):
        assert step(mine)


@pytest.mark.parametrize("name", ["nerf", "mip_nerf", "simplified_nerf"])
def test_the_whole_contract(name):
    found = list(contract.check(subject(small(registry.variant(name)))))
    assert [step for step, said, _ in found if said is None] == []
    assert len(found) == len(contract.STEPS)


def broken_step(method):
    *_, (name, said, what_to_do) = contract.check(subject(method))
    assert said is None
    return name, what_to_do


class TestBroken:
    def test_a_method_with_a_list(self):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class WithList(ToyMethod):
            sizes: list = dataclasses.field(default_factory=list)

        name, said = broken_step(WithList())
        assert name == "frozen and hashable"
        assert "use tuples instead of lists" in said

    def test_a_loss_that_is_no_scalar(self):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Vector(ToyMethod):
            def loss(self, params, state, frozen, data, numbers, key, step):
                return jnp.stack([params["mean"].mean()] * 2), (state, {})

        name, said = broken_step(Vector())
        assert name == "shapes"
        assert "expected a float32 scalar, got float32[2]; take the mean" in said

    def test_a_gradient_that_is_not_finite(self):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Root(ToyMethod):
            def loss(self, params, state, frozen, data, numbers, key, step):
                return jnp.sqrt(jnp.sum(params["mean"] * 0)), (state, {})

        name, said = broken_step(Root())
        assert name == "gradients finite"
        assert "look for 0/0 or sqrt(0)" in said

    def test_a_state_that_changes_shape(self):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Growing(ToyMethod):
            def loss(self, params, state, frozen, data, numbers, key, step):
                return jnp.mean(params["mean"]), ({"num_seen": jnp.zeros((2,), jnp.int32)}, {})

        name, said = broken_step(Growing())
        assert name == "shapes"
        assert "a state that differs in shape or type" in said


class TestRegistry:
    def test_a_network_becomes_the_field_of_the_common_recipe(self):
        class Mine(nn.Module):
            @nn.compact
            def __call__(self, samples, *, key=None):
                raw = nn.Dense(4)(samples.means)
                return nn.softplus(raw[..., 3]), nn.sigmoid(raw[..., :3])

        method = registry.as_method("mine", Mine)
        assert isinstance(method.field, Mine)
        assert contract.shapes(subject(method))

    def test_what_is_neither_is_refused(self):
        with pytest.raises(UsageError, match="expected a bench method or a flax.linen.Module, got int"):
            registry.as_method("mine", 3)

    def test_unknown_names(self):
        with pytest.raises(UsageError, match="got 'nerff'; the nearest is 'nerf'"):
            registry.variant("nerff")
        with pytest.raises(UsageError, match="expected a suite, got 'ablation'; the nearest is 'ablations'"):
            registry.suite("ablation")
