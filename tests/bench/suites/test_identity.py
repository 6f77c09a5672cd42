"""What values are told apart, what is refused, and how tables and names show it."""

import dataclasses
import functools
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from bench.errors import UsageError
from bench.suites import identity, registered_types, registry
from bench.suites.differences import differences
from bench.suites.identity import describe
from models.fields.networks import MLP
from models.nerf import NERF
from tests.fixtures.user_code import ACTIVATIONS, FIELD, told


@pytest.fixture
def acts(user):
    user.write("acts.py", ACTIVATIONS)
    return user.load("acts")


# ---- ours ------------------------------------------------------------------------------------------------------------


def test_a_type_of_ours_is_its_registered_name_and_version():
    assert describe(NERF)["type"] == "NeRF/1"
    assert describe(NERF)["field"]["type"] == "MLP/1"
    assert "models" not in repr(describe(NERF))


def test_a_version_raised_is_another_trial(monkeypatch):
    before = told(NERF)
    higher = registered_types.Registered("MLP", 2)
    monkeypatch.setitem(registered_types.TYPES, "models.fields.networks:MLP", higher)
    assert told(NERF) != before


def test_a_class_renamed_and_moved_is_the_same_trial(monkeypatch):
    before = describe(MLP())
    namespace = {"Network": type("Network", (MLP,), {"__module__": "models.networks"})}
    monkeypatch.setitem(registered_types.TYPES, "models.networks:Network", registered_types.Registered("MLP", 1))
    assert describe(namespace["Network"]()) == before


def test_a_type_of_ours_that_nobody_registered(monkeypatch):
    monkeypatch.delitem(registered_types.TYPES, "models.fields.networks:MLP")
    with pytest.raises(UsageError, match=r"models\.fields\.networks:MLP: .*registered_types.*version 1"):
        describe(NERF)


def test_no_name_is_given_twice():
    names = [each.name for each in registered_types.TYPES.values()]
    assert len(names) == len(set(names))


# ---- values ----------------------------------------------------------------------------------------------------------

VALUES = [
    None, True, 1, 1.0, 0.0, -0.0, "1", "", b"1", b"2", 1j, ..., (1,), ((1,),), (), {}, {"a": 1}, {1: "a"}, {"1": "a"},
    {"type": "a"}, {"@code": 1}, range(2), slice(2), {1, 2}, {1, 3}, frozenset(), np.float32(0.1), np.float32(0.2),
    np.zeros(2), np.zeros(2, np.float32), np.zeros((1, 2)), np.ones(2), np.dtype("float32"), np.dtype("int32"),
    jnp.float32, jnp.bfloat16, jax.lax.Precision.HIGHEST, jax.lax.Precision.DEFAULT, int, float, math, np,
]  # fmt: skip


def test_values_are_told_apart():
    found = [told(value) for value in VALUES]
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_itself_and_json(value):
    assert told({"held": value}) == told({"held": value})


def test_arrays_of_numpy_and_jax_are_told_by_what_they_hold():
    assert told(jnp.zeros(2)) == told(np.zeros(2, np.float32))
    assert told(jnp.zeros(2)) != told(jnp.zeros(2).at[1].set(1e-9))
    assert told(jax.random.key(0)) != told(jax.random.key(1))
    assert told(np.arange(6).reshape(2, 3)) != told(np.arange(6).reshape(2, 3, order="F"))


def test_sets_have_no_order():
    assert told({"b", "a"}) == told({"a", "b"})


def test_a_field_that_is_called_type():
    @dataclasses.dataclass(frozen=True)
    class Named:
        type: str = "NeRF/1"

    assert told(Named("a")) != told(Named("b"))
    assert describe(Named())["type"].endswith("Named")


def test_a_value_that_holds_itself():
    ring: list = [1]
    ring.append(ring)
    other: list = [2]
    other.append(other)
    assert told(ring) != told(other)


# ---- what is refused -------------------------------------------------------------------------------------------------


def refused(value):
    with pytest.raises(UsageError) as raised:
        describe(value, "method.field.activation")
    said = str(raised.value)
    assert said.startswith("method.field.activation")
    assert "expected" in said and "got" in said and "; " in said
    assert "\n" not in said
    return said


def test_what_cannot_be_told_apart_is_refused(acts):
    assert "frozen dataclass" in refused(acts.Plain(1.0))
    assert "frozen dataclass" in refused(acts.Plain(1.0).method)
    assert "frozen dataclass" in refused(object())
    assert "path" in refused(pathlib.Path("x"))
    assert "written in C" in refused([].append)
    assert "finite" in refused(math.inf)
    assert "source" in refused(eval("lambda x: x", vars(acts)))
    assert "Python objects" in refused(np.asarray([object()]))


def test_a_class_without_source_is_refused(acts):
    space = {"__name__": "no_such_module", "nn": linen}
    exec("class Net(nn.Module):\n    def __call__(self, x):\n        return x\n", space)
    assert "source" in refused(space["Net"]())
    space = vars(acts) | {"nn": linen}
    exec("class Net(nn.Module):\n    def __call__(self, x):\n        return x\n", space)
    assert "<string>" in refused(space["Net"]())


def test_a_traced_value_is_refused():
    with pytest.raises(UsageError, match="tracing"):
        jax.jit(lambda x: describe(x) and x)(1.0)


def test_the_place_in_a_method_is_named(acts):
    with pytest.raises(UsageError, match=r"^method\.field\.activation\.func\.closure\.scale: expected a dataclass"):
        describe({"field": acts.Holder(functools.partial(acts.make(object())))}["field"], "method.field")


def test_depth_is_bounded():
    deep: tuple = ()
    for _ in range(100):
        deep = (deep,)
    with pytest.raises(UsageError, match="deep"):
        describe(deep)


# ---- who asks --------------------------------------------------------------------------------------------------------


def test_tables_show_names_and_no_digests(user):
    user.write("nets_a.py", FIELD)
    user.write("nets_b.py", FIELD)
    modules = user.load_all("nets_a", "nets_b")
    one, other = (dataclasses.replace(NERF, field=module.MyField()) for module in modules)
    assert differences(one, other) == {"field": ("MyField (nets_a)", "MyField (nets_b)")}
    assert differences(one, NERF)["field"] == ("MyField", "MLP")


def test_tables_show_functions_as_one_field(acts):
    found = differences(acts.Holder(functools.partial(acts.scaled, 2.0)), acts.Holder(acts.scaled))
    assert found == {"activation": ("partial of scaled", "scaled")}


def test_a_variants_name_holds_the_state_of_the_code(user):
    user.write("nets.py", FIELD)
    registered = registry.variant("nerf")
    assert identity.with_code("nerf+a=1", registered) == "nerf+a=1"
    mine = dataclasses.replace(NERF, field=user.load("nets").MyField())
    code = identity.code_digest(mine)
    assert identity.with_code("nerf+a=1", mine) == f"nerf+a=1+code={code}"
    assert identity.with_code(f"nerf+code={code}+a=1", mine) == f"nerf+a=1+code={code}"


# ---- what an attack found -------------------------------------------------------------------------------------------


def test_mappings_in_another_order_are_others():
    first = {"sin": 3, "abs": 2}
    other = {"abs": 2, "sin": 3}
    assert told(first) != told(other)
    assert identity.Static(first) != identity.Static(other)
    assert told({1: "a", 2: "b"}) != told({2: "b", 1: "a"})


def test_what_slots_hold_counts(user):
    text = """
        import dataclasses
        class Base:
            __slots__ = ("sign",)
        @dataclasses.dataclass(frozen=True)
        class Slotted(Base):
            gain: float = 1.0
        def made(sign):
            value = Slotted()
            object.__setattr__(value, "sign", sign)
            return value
        """
    user.write("slotted.py", text)
    module = user.load("slotted")
    assert told(module.made(1)) != told(module.made(-1))
    assert told(module.made(1)) == told(module.made(1))


def test_a_weak_scalar_is_another_than_a_strong_one():
    assert told(jnp.asarray(1.0)) != told(jnp.float32(1.0))


def test_a_field_that_was_added_later_counts_where_it_differs_from_its_default_in_type_too(user):
    text = """
        import dataclasses
        import numpy
        from typing import Any
        @dataclasses.dataclass(frozen=True)
        class Later:
            steps: Any = dataclasses.field(default=1, metadata={"identity": "unless default"})
        """
    user.write("later.py", text)
    later = user.load("later").Later
    values = [later(), later(steps=1.0), later(steps=True), later(steps=np.ones(2))]
    assert len({told(value) for value in values}) == 4
    assert told(later(steps=1)) == told(later())
