"""The contract, crossed with every registered variant, and with methods that break it."""

import dataclasses
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import pytest

from bench.errors import UsageError
from bench.metrics import caption_protocols
from bench.plugins import check_method, contract
from bench.suites import registry
from models import clip
from models.dream_fields import DREAM_FIELDS, DreamFields
from models.method import split_hyperparameters
from models.nerf import NERF
from tasks.budgets import BUDGETS, sized
from tasks.captions.caption_task import CaptionTask, held_out_tasks
from tasks.sparse_views.embedded import SparseViews
from tests.fixtures.toy_dreams import GUIDE
from tests.fixtures.toys import ToyMethod, ToyTask

GRIDS = {"resolution": 6, "num_levels": 2, "log2_table_size": 8}
"""Sizes that no budget has."""


def subject(method):
    task = held_out_tasks(1)[0] if isinstance(method, DreamFields) else ToyTask()
    return contract.ContractFixture(method=method, variant="mine", task=task)


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
        monkeypatch.setattr(caption_protocols, "encoder_of", lambda name: "it is not there")


TAKEN = ("dream_fields_plain",)
"""What stands for the other variants, and "nerf" below, where each costs up to a minute; `test-slow` has all."""


@pytest.mark.parametrize("name", registry.VARIANTS)
def test_shapes_of_every_variant(name, toy_guide):
    mine = subject(small(registry.variant(name)))
    assert contract.check_method_fields(mine) and contract.check_shapes(mine)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in TAKEN)) for name in registry.VARIANTS]
)
def test_gradients_and_one_program(name, toy_guide):
    mine = subject(small(registry.variant(name)))
    assert contract.check_gradients(mine) and contract.check_one_program(mine)


@pytest.mark.slow  # the fast path checks what `new-method` writes, see test_scaffold.py
@pytest.mark.parametrize("name", ["nerf", "mip_nerf", "simplified_nerf", "dream_fields_plain"])
def test_the_whole_contract(name, toy_guide):
    found = list(contract.run_checks(subject(small(registry.variant(name)))))
    assert [step for step, said, _ in found if said is None] == []
    assert len(found) == len(contract.STEPS)


def test_hyperparameters_are_shifted_within_their_ranges_and_choices_stay():
    shifted = contract.perturb_hyperparameters(DREAM_FIELDS)
    before, after = (split_hyperparameters(method)[1] for method in (DREAM_FIELDS, shifted))
    for field in dataclasses.fields(DREAM_FIELDS):
        if field.metadata.get("options") or before.get(field.name) in (None, 0.0):
            assert getattr(shifted, field.name) == getattr(DREAM_FIELDS, field.name)
        else:
            assert after[field.name] in (before[field.name] * 1.5, before[field.name] * 0.5)
    assert (shifted.crop_share, shifted.low_deg, shifted.high_deg) == (0.4, 15.0, 45.0)


class TestCheckedOn:
    """What `bench check` tries a method on."""

    def test_a_dream_field_gets_a_caption_and_a_nerf_photographs(self):
        assert check_method.choose_task(DREAM_FIELDS, {}) == held_out_tasks(1)[0]
        found = check_method.choose_task(NERF, {"scene": "", "caption": ""})
        assert isinstance(found, SparseViews) and found.num_views == 3
        assert check_method.choose_task(NERF, {"scene": "kettle"}).scene == "kettle"
        assert check_method.choose_task(NERF, {"caption": "A pink windmill."}) == CaptionTask(caption="a pink windmill")

    def test_a_scene_for_a_caption_is_refused(self):
        with pytest.raises(UsageError, match="--scene: expected none where .* starts from a caption, got 'kettle'"):
            check_method.choose_task(DREAM_FIELDS, {"scene": "kettle"})


CALLS = []
"""Counts calls outside of a method, where its description cannot see them."""


def broken_step(method):
    *_, (name, said, what_to_do) = contract.run_checks(subject(method))
    assert said is None
    return name, what_to_do


def loss_of(function):
    """The toy with another loss; a function of its parameters, state and data."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Other(ToyMethod):
        def loss(self, params, state, frozen, data, hyperparameters, key, step):
            return function(params, state, data)

    return Other()


class TestBroken:
    """A method for each promise that it does not keep."""

    def test_a_method_with_a_list(self):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class WithList(ToyMethod):
            sizes: list = dataclasses.field(default_factory=list)

        name, said = broken_step(WithList())
        assert name == "frozen and hashable"
        assert "use tuples instead of lists" in said

    def test_a_class_that_was_not_decorated(self):
        class Bare(ToyMethod):
            weight: float = 0.5

        name, said = broken_step(Bare())
        assert name == "frozen and hashable"
        assert "Bare.weight is no field of it" in said
        assert "put @dataclasses.dataclass(frozen=True, kw_only=True) over the class" in said

    def test_a_field_that_is_not_finite(self):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Endless(ToyMethod):
            limit: float = float("inf")

        name, said = broken_step(Endless())
        assert name == "frozen and hashable"
        assert "a field cannot be written down" in said
        assert "keep finite numbers, words, tuples and linen modules in fields" in said

    def test_a_copy_that_is_not_equal(self):
        @dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
        class Unequal(ToyMethod):
            def __eq__(self, other):
                return self is other

            def __hash__(self):
                return id(self)

        name, said = broken_step(Unequal())
        assert name == "frozen and hashable"
        assert "a copy is not equal to it; keep arrays out of its fields" in said

    def test_a_loss_that_is_no_scalar(self):
        name, said = broken_step(loss_of(lambda p, state, data: (jnp.stack([p["mean"].mean()] * 2), (state, {}))))
        assert name == "shapes"
        assert "expected a float32 scalar, got float32[2]; take the mean" in said

    def test_a_state_that_changes_shape(self):
        grown = {"num_seen": jnp.zeros((2,), jnp.int32)}
        name, said = broken_step(loss_of(lambda p, state, data: (jnp.mean(p["mean"]), (grown, {}))))
        assert name == "shapes"
        assert "a state that differs in shape or type" in said
        assert "give back what it was given, updated" in said

    @pytest.mark.parametrize(
        ("metrics", "message"),
        [
            ({"mse": [0.0, 1.0]}, r"expected scalar metrics, got mse of shape \(2,\); take its mean"),
            ({"step": 0.0}, "expected metrics named by words other than step, loss, skipped, got 'step'; rename it"),
            ({3: 0.0}, "got 3; rename it"),
        ],
    )
    def test_metrics_that_cannot_be_curves(self, metrics, message):
        made = {name: jnp.asarray(value) for name, value in metrics.items()}
        name, said = broken_step(loss_of(lambda p, state, data: (jnp.mean(p["mean"]), (state, made))))
        assert name == "shapes"
        assert re.search(message, said)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ([0.0], "init, params: expected nested dicts of arrays, got a list; make it a dict"),
            ({"a/b": 0.0}, "init, params: expected names without a slash, got 'a/b'; name it otherwise"),
            ({"a": jnp.zeros(3, jnp.bfloat16)}, "init, params, a: expected arrays of float16, float32, int32, got bf"),
        ],
    )
    def test_parameters_that_no_store_takes(self, params, message):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Odd(ToyMethod):
            def init(self, key, data):
                return jax.tree.map(jnp.asarray, params), {}

        name, said = broken_step(Odd())
        assert name == "shapes"
        assert message.replace("bf", "bfloat16") in said

    def test_views_of_another_shape(self):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Narrow(ToyMethod):
            def render(self, params, state, data, rays, num_samples=None):
                return super().render(params, state, data, rays)._replace(distance=rays.near[:1])

        name, said = broken_step(Narrow())
        assert name == "shapes"
        assert "render: expected distance of shape (7,) for 7 rays, got (1,); give a value for every ray" in said

    def test_a_density_with_an_axis_too_many(self):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Deep(ToyMethod):
            def field_at(self, params, state, data, points):
                return points[..., :1], points

        name, said = broken_step(Deep())
        assert name == "shapes"
        assert "got (5, 1) and (5, 3); a density has no last axis: take [..., 0]" in said

    def test_a_gradient_that_is_not_finite(self):
        root = loss_of(lambda p, state, data: (jnp.sqrt(jnp.sum(p["mean"] * 0)), (state, {})))
        name, said = broken_step(root)
        assert name == "gradients finite"
        assert "look for 0/0 or sqrt(0)" in said

    def test_a_field_that_is_dead(self):
        name, said = broken_step(loss_of(lambda p, state, data: (0 * jnp.mean(p["mean"]), (state, {}))))
        assert name == "gradients finite"
        assert "only 0 of 1 parameter arrays have a gradient; is the field dead at initialisation?" in said

    def test_a_second_step_that_is_not_finite(self):
        name, said = broken_step(ToyMethod(breaks_at=1.0))
        assert name == "two steps"
        assert (
            "training ended early: the loss or its gradient was not finite at step 1; lower the learning rate" in said
        )

    def test_a_step_that_is_left_out(self):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Skipping(ToyMethod):
            skips_bad_steps = True

        name, said = broken_step(Skipping(breaks_at=1.0))
        assert name == "two steps"
        assert "a step was not finite and was left out" in said

    def test_colours_out_of_range(self):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Bright(ToyMethod):
            def render(self, params, state, data, rays, num_samples=None):
                found = super().render(params, state, data, rays)
                return found._replace(color=found.color + 2)

        name, said = broken_step(Bright())
        assert name == "two steps"
        assert "render: expected color from 0 to 1, got 2" in said
        assert "end the network in a sigmoid" in said

    def test_a_program_that_depends_on_hyperparameters(self):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Told(ToyMethod):
            def __post_init__(self):
                if str(self.learning_rate) not in self.label:
                    object.__setattr__(self, "label", f"{self.label} {self.learning_rate}")

        name, said = broken_step(Told())
        assert name == "one compile for two packs"
        assert "change of hyperparameters" in said and "changes its program" in said

    def test_shapes_that_depend_on_hyperparameters(self):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Sized(ToyMethod):
            def prepare(self, frozen, task):
                return super().prepare(frozen, task) | {"more": jnp.zeros(int(100 * self.learning_rate))}

        name, said = broken_step(Sized())
        assert name == "one compile for two packs"
        assert "compiled 3 more programs" in said
        assert "declare a size as a plain field" in said

    def test_a_loss_that_counts_its_own_calls(self):
        CALLS.clear()

        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Counting(ToyMethod):
            def loss(self, params, state, frozen, data, hyperparameters, key, step):
                CALLS.append(1)
                return len(CALLS) * jnp.mean(params["mean"]), (state, {})

            def optimizer(self, num_steps, hyperparameters):
                return optax.sgd(0.1)

        name, said = broken_step(Counting())
        assert name == "same alone and packed"
        assert "must depend on its arguments only: draw with `key`, not with NumPy, and count in the state" in said

    def test_a_method_that_changes_itself(self):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Changing(ToyMethod):
            def prepare(self, frozen, task):
                object.__setattr__(self, "label", "prepared")
                return super().prepare(frozen, task)

        name, said = broken_step(Changing())
        assert name == "record round trip"
        assert "it would never be found again; its functions must not change its fields" in " ".join(said.split())

    def test_a_render_that_depends_on_more_than_parameters(self):
        CALLS.clear()

        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Fading(ToyMethod):
            def render(self, params, state, data, rays, num_samples=None):
                CALLS.append(1)
                found = super().render(params, state, data, rays)
                return found._replace(color=found.color / len(CALLS))

        name, said = broken_step(Fading())
        assert name == "renders reload identically"
        assert "color differs by" in said
        assert "what it needs belongs in parameters or state" in said

    def test_an_empty_dict_of_parameters(self):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Hollow(ToyMethod):
            def init(self, key, data):
                params, state = super().init(key, data)
                return params | {"nothing": {}}, state

        name, said = broken_step(Hollow())
        assert name == "renders reload identically"
        assert "give plain dicts from `init`, none empty" in said

    def test_a_device_that_is_taken_is_no_fault_of_the_method(self, monkeypatch):
        def run(subject):
            raise RuntimeError("INTERNAL: Failed to create cuBLAS handle")

        monkeypatch.setattr(contract, "STEPS", [contract.ContractCheck("shapes", run, "mend it")])
        with pytest.raises(RuntimeError, match="cuBLAS"):
            list(contract.run_checks(object.__new__(contract.ContractFixture)))

    def test_what_nobody_foresaw_is_told_with_its_line_and_advice(self):
        def fails(params, state, data):
            raise ValueError("no\nsuch luck")

        name, said = broken_step(loss_of(fails))
        assert name == "shapes"
        assert re.match(r"ValueError: no such luck \(.*test_contract\.py, line \d+\); a network is `__call__", said)


class TestRegistry:
    def test_a_network_becomes_the_field_of_the_common_recipe(self):
        class Mine(nn.Module):
            @nn.compact
            def __call__(self, samples, *, key=None):
                raw = nn.Dense(4)(samples.means)
                return nn.softplus(raw[..., 3]), nn.sigmoid(raw[..., :3])

        method = registry.as_method("mine", Mine)
        assert isinstance(method.field, Mine)
        assert contract.check_shapes(subject(method))

    def test_what_is_neither_is_refused(self):
        with pytest.raises(UsageError, match="expected a bench method or a flax.linen.Module, got int"):
            registry.as_method("mine", 3)

    def test_unknown_names(self):
        with pytest.raises(UsageError, match="got 'nerff'; the nearest is 'nerf'"):
            registry.variant("nerff")
        with pytest.raises(UsageError, match="expected a suite, got 'ablation'; the nearest is 'ablations'"):
            registry.suite("ablation")
