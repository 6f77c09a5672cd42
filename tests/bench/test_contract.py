"""The contract, crossed with every registered variant, and with methods that break it."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp
import pytest

from bench import contract, registry, retrieval
from bench.errors import UsageError
from bench.verbs import check
from models import clip
from models.dream_fields import DREAM_FIELDS, DreamFields
from models.method import number_names, split_numbers
from models.nerf import NERF
from tasks.budgets import BUDGETS, sized
from tasks.captions import CaptionTask, held_out_tasks
from tasks.sparse_view import SparseViews
from tests.toy_dreams import GUIDE
from tests.toys import ToyMethod, ToyTask

GRIDS = {"resolution": 6, "num_levels": 2, "log2_table_size": 8}
"""Sizes that no budget has."""


def subject(method):
    task = held_out_tasks(1)[0] if isinstance(method, DreamFields) else ToyTask()
    return contract.Subject(method=method, variant="mine", task=task)


def small(value):
    """A method whose written sizes are made small, its field's too: a test has no time for those of a paper."""
    changes = {}
    for field in dataclasses.fields(value):
        now, name = getattr(value, field.name), field.metadata.get("budget", field.name)
        if field.name in ("parent", "name"):  # flax adds both to a linen module
            continue
        if dataclasses.is_dataclass(now):
            changes[field.name] = small(now)
        elif field.name in GRIDS:
            changes[field.name] = GRIDS[field.name]
        elif now and hasattr(BUDGETS["smoke"], name):  # 0 is none of it, and stays
            changes[field.name] = getattr(BUDGETS["smoke"], name)
    return sized(dataclasses.replace(value, **changes), BUDGETS["smoke"])


@pytest.fixture
def toy_guide(monkeypatch, name):
    """Other recipes than the main one are guided by a toy, and judged by none: a transformer takes a test's time."""
    if name.startswith("dream_fields_"):
        monkeypatch.setattr(clip, "load", lambda name, dtype: GUIDE)
        monkeypatch.setattr(retrieval, "encoder_of", lambda name: "it is not there")


AS_OTHERS = ("_lq", "_mq", "_hq", "_lego", "_hotdog", "_materials", "_finetuned", "_finetuned_2021")
"""Ends of names of variants that differ from another one, made small, in numbers or in a last phase at most."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * name.endswith(AS_OTHERS)) for name in registry.VARIANTS],
)
def test_shapes_and_gradients_of_every_variant(name, toy_guide):
    mine = subject(small(registry.variant(name)))
    for step in (contract.frozen_and_hashable, contract.shapes, contract.gradients, contract.one_program):
        assert step(mine)


@pytest.mark.parametrize(
    "name",
    ["nerf", *(pytest.param(x, marks=pytest.mark.slow) for x in ("mip_nerf", "simplified_nerf", "dream_fields_plain"))],
)
def test_the_whole_contract(name, toy_guide):
    found = list(contract.check(subject(small(registry.variant(name)))))
    assert [step for step, said, _ in found if said is None] == []
    assert len(found) == len(contract.STEPS)


def test_numbers_are_shifted_within_their_ranges_and_choices_stay():
    shifted = contract.shifted(DREAM_FIELDS)
    before, after = (split_numbers(method)[1] for method in (DREAM_FIELDS, shifted))
    assert set(before) == set(number_names(DREAM_FIELDS))
    for field in dataclasses.fields(DREAM_FIELDS):
        if field.metadata.get("options") or before.get(field.name) in (None, 0.0):
            assert getattr(shifted, field.name) == getattr(DREAM_FIELDS, field.name)
        else:
            assert after[field.name] in (before[field.name] * 1.5, before[field.name] * 0.5)
    assert (shifted.crop_share, shifted.low_deg, shifted.high_deg) == (0.4, 15.0, 45.0)


class TestCheckedOn:
    """What `bench check` tries a method on."""

    def test_a_dream_field_gets_a_caption_and_a_nerf_photographs(self):
        assert check.task_of(DREAM_FIELDS, "", "") == held_out_tasks(1)[0]
        found = check.task_of(NERF, "", "")
        assert isinstance(found, SparseViews) and found.num_views == 3
        assert check.task_of(NERF, "kettle", "").scene == "kettle"
        assert check.task_of(NERF, "", "A pink windmill.") == CaptionTask(caption="a pink windmill")

    def test_a_scene_for_a_caption_is_refused(self):
        with pytest.raises(UsageError, match="--scene: expected none where .* starts from a caption, got 'kettle'"):
            check.task_of(DREAM_FIELDS, "kettle", "")


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
