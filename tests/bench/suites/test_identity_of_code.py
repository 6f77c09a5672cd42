"""Code of a user's: each pair of neighbours that must be two, and those that must be one."""

import dataclasses
import importlib
import importlib.metadata
import sys

import pytest
from flax import linen

from bench.errors import UsageError
from bench.plugins import comparison_suite
from bench.suites import identity, overrides, registered_types, registry
from bench.suites.identity import describe, same
from bench.training import packing
from models.fields.networks import MLP
from models.nerf import NERF
from tasks.budgets import BUDGETS
from tests.fixtures.user_code import FIELD, told


def test_two_modules_with_a_class_of_one_name(user):
    user.write("nets_a.py", FIELD)
    user.write("nets_b.py", FIELD)
    one, other = (module.MyField() for module in user.load_all("nets_a", "nets_b"))
    assert told(one) != told(other)
    assert not same(one, other)


def test_a_copy_of_ours_under_its_name(user):
    user.write("copied.py", "from models.fields.networks import MLP as Theirs\nclass MLP(Theirs):\n    pass\n")
    copied = user.load("copied").MLP(width=8, depth=2)
    assert told(copied) != told(MLP(width=8, depth=2))
    assert "MLP/1" in describe(copied)["@bases"]


def test_an_edited_file_is_another(user):
    user.write("nets.py", FIELD)
    before = told(user.load("nets").MyField())
    assert told(user.load("nets").MyField()) == before
    user.write("nets.py", FIELD.replace("softplus", "relu"))
    assert told(user.load("nets").MyField()) != before


@pytest.mark.parametrize("helper", ["my_pkg/layers.py", "beside.py", "my_pkg/deep/inner.py"])
def test_an_edited_helper_is_another(user, helper):
    user.write("my_pkg/__init__.py", "")
    user.write("my_pkg/deep/__init__.py", "")
    user.write("my_pkg/deep/inner.py", "A = 1\n")
    user.write("my_pkg/layers.py", "from .deep import inner\n")
    user.write("beside.py", "")
    user.write("my_pkg/field.py", "from . import layers\nimport beside\n" + FIELD.replace("\n    ", "\n"))
    before = told(user.load("my_pkg.field").MyField())
    user.write(helper, (user.path / helper).read_text() + "\nEDITED = 1\n")
    assert told(user.load("my_pkg.field").MyField()) != before


def test_a_helper_that_is_imported_while_it_runs(user):
    user.write("late.py", "SCALE = 1.0\n")
    user.write("nets.py", FIELD.replace("raw = ", "import late; raw = late.SCALE * "))
    value = user.load("nets").MyField()
    before = told(value)
    import late  # noqa: F401

    assert told(value) == before, "to import it changes nothing"
    user.write("late.py", "SCALE = 2.0\n")
    assert told(user.load("nets").MyField()) != before


def test_a_reload_counts_and_an_edit_alone_does_not(user):
    user.write("nets.py", FIELD)
    module = user.load("nets")
    before = told(module.MyField())
    user.write("nets.py", FIELD.replace("softplus", "relu"))
    assert told(module.MyField()) == before, "what runs is what was imported"
    assert told(importlib.reload(module).MyField()) != before


def test_a_helper_elsewhere_on_the_path(user, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "my_far_helper.py").write_text("A = 1\n")
    monkeypatch.syspath_prepend(str(elsewhere))
    user.names.add("my_far_helper")
    user.write("nets.py", FIELD.replace("import functools", "import my_far_helper"))
    before = told(user.load("nets").MyField())
    (elsewhere / "my_far_helper.py").write_text("A = 12\n")
    assert told(user.load("nets").MyField()) != before


def test_another_file_of_the_user_does_not_count(user):
    user.write("nets.py", FIELD)
    before = told(user.load("nets").MyField())
    user.write("other.py", "A = 1\n")
    assert told(user.load("nets").MyField()) == before


def test_two_versions_of_an_installed_package(user, monkeypatch):
    for version, text in (("1", FIELD), ("2", FIELD.replace("sigmoid", "tanh"))):
        user.write(f"v{version}/site-packages/my_installed/__init__.py", text)
    user.names.add("my_installed")
    found = []
    for version in ("1", "2"):
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(user.path / f"v{version}" / "site-packages"))
            found.append(told(user.load("my_installed").MyField()))
    assert found[0] != found[1]


def test_another_version_of_a_package_that_a_users_code_imports(user, monkeypatch):
    site = user.path / "v1" / "site-packages"
    user.write("v1/site-packages/my_layers/__init__.py", "")
    user.write("nets.py", FIELD.replace("import functools", "import my_layers"))
    monkeypatch.syspath_prepend(str(site))
    found = []
    for version in ("1.0", "1.1", "1.1"):
        monkeypatch.setattr("bench.suites.code_version._version", lambda top, version=version: version)
        found.append(told(user.load("nets").MyField()))
    assert found[0] != found[1]
    assert found[1] == found[2]


def test_a_module_that_is_called_as_one_of_pythons(user, monkeypatch):
    user.write("colorsys.py", FIELD)
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    before = told(user.load("colorsys").MyField())
    user.write("colorsys.py", FIELD.replace("softplus", "relu"))
    assert told(user.load("colorsys").MyField()) != before


def test_a_subclass_of_ours_is_the_users_and_of_our_version(user, monkeypatch):
    user.write("mine.py", "from models.fields.networks import MLP\nclass Mine(MLP):\n    pass\n")
    value = user.load("mine").Mine(width=8, depth=2)
    found = describe(value)
    assert found["type"] == "mine:Mine"
    assert found["@code"]
    before = told(value)
    monkeypatch.setitem(registered_types.TYPES, "models.fields.networks:MLP", registered_types.Registered("MLP", 2))
    assert told(value) != before


def test_a_base_in_another_package_counts(user, monkeypatch):
    site = user.path / "site-packages"
    base = "import flax.linen as nn\nclass Base(nn.Module):\n    scale: float = 1.0\n"
    user.write("site-packages/my_base/__init__.py", base)
    user.write("nets.py", "from my_base import Base\nclass Net(Base):\n    pass\n")
    user.names.add("my_base")
    monkeypatch.syspath_prepend(str(site))
    before = told(user.load("nets").Net())
    user.write("site-packages/my_base/__init__.py", base + "    def f(self):\n        return 2\n")
    assert told(user.load("nets").Net()) != before


def test_a_module_of_the_users_inside_a_network_of_ours(user):
    encoding = "import flax.linen as nn\nclass Enc(nn.Module):\n    def __call__(self, samples):\n        return {}\n"
    user.write("enc.py", encoding.format("samples.means"))
    before = dataclasses.replace(NERF, field=MLP(encoding=user.load("enc").Enc()))
    one = told(before)
    user.write("enc.py", encoding.format("2 * samples.means"))
    after = dataclasses.replace(NERF, field=MLP(encoding=user.load("enc").Enc()))
    assert told(after) != one
    assert identity.code_digest(after) is not None


def test_a_default_of_a_dataclass_that_is_changed(user):
    text = "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Setting:\n    scale: float = {}\n"
    user.write("setting.py", text.format("1.0"))
    before = told(user.load("setting").Setting())
    user.write("setting.py", text.format("2.0"))
    assert told(user.load("setting").Setting()) != before


def test_what_a_post_init_leaves_beside_the_fields_counts(user):
    user.write(
        "hidden.py",
        """
        import dataclasses
        @dataclasses.dataclass(frozen=True)
        class Hidden:
            scale: dataclasses.InitVar[float] = 1.0
            def __post_init__(self, scale):
                object.__setattr__(self, "_scale", scale)
        """,
    )
    module = user.load("hidden")
    assert told(module.Hidden(1.0)) != told(module.Hidden(2.0))
    assert told(module.Hidden(2.0)) == told(module.Hidden(2.0))


def test_a_class_that_a_function_made(user):
    user.write(
        "made.py",
        """
        import flax.linen as nn
        def make(scale):
            class Net(nn.Module):
                def __call__(self, samples):
                    return scale * samples.means
            return Net
        """,
    )
    module = user.load("made")
    assert told(module.make(1.0)()) == told(module.make(1.0)())
    assert told(module.make(1.0)()) != told(module.make(2.0)())


def test_a_class_that_flax_wrapped(user):
    user.write("nets.py", FIELD)
    module = user.load("nets")
    plain, wrapped = module.MyField(), linen.remat(module.MyField)()
    assert told(plain) != told(wrapped)
    assert any("nets:MyField" in base for base in describe(wrapped)["@bases"])


def test_a_constant_that_the_environment_sets(user, monkeypatch):
    user.write("nets.py", FIELD.replace("import functools", "import os; SCALE = float(os.environ['MY_SCALE'])").replace(
        "raw = ", "raw = SCALE * "
    ))  # fmt: skip
    found = []
    for scale in ("1.0", "2.0", "2.0"):
        monkeypatch.setenv("MY_SCALE", scale)
        found.append(told(user.load("nets").MyField()))
    assert found[0] != found[1]
    assert found[1] == found[2]


def test_a_counter_that_runs_does_not_count(user):
    user.write("nets.py", FIELD + "\n    num = 0\n    def count():\n        global num\n        num += 1\n")
    module = user.load("nets")
    before = told(module.MyField())
    module.count()
    assert told(module.MyField()) == before


def test_one_of_two_classes_that_a_condition_chose(user, monkeypatch):
    user.write(
        "chosen.py",
        """
        import os
        import flax.linen as nn
        if os.environ["MY_CHOICE"] == "a":
            class Net(nn.Module):
                def __call__(self, samples):
                    return samples.means
        else:
            class Net(nn.Module):
                def __call__(self, samples):
                    return 2 * samples.means
        """,
    )
    found = []
    for choice in "ab":
        monkeypatch.setenv("MY_CHOICE", choice)
        found.append(told(user.load("chosen").Net()))
    assert found[0] != found[1]


# ---- every way in ----------------------------------------------------------------------------------------------------

SPARSE_VIEWS = ("sparse-views", BUDGETS["smoke"])


def set_field(reference):
    """Variant and id of the trial that `--set nerf.field=...` makes."""
    name, budget = SPARSE_VIEWS
    changed, _ = overrides.apply(registry.suite(name), budget, [f"nerf.field={reference}"])
    trials, _ = changed.expand(budget, [0])
    return next((trial.variant, trial.id) for trial in trials if trial.variant.startswith("nerf+field"))


def test_a_field_that_is_set_and_edited_is_another_trial(user):
    found = []
    for text in (FIELD, FIELD.replace("softplus", "relu")):
        user.forget()
        user.write("edited.py", text)
        found.append(set_field("edited:MyField"))
    (variant, trial_id), (other_variant, other_id) = found
    assert variant.startswith("nerf+field=edited-MyField+code=")
    assert variant != other_variant
    assert trial_id.rpartition("__")[2] != other_id.rpartition("__")[2], "the identity, not the name alone"


def test_a_field_that_cannot_be_told_apart_is_a_users_mistake(user):
    user.write(
        "hidden_state.py", FIELD + "\n    class Plain:\n        pass\n\n    MINE = nn.Dense(3, kernel_init=Plain())\n"
    )
    with pytest.raises(
        UsageError, match=r"^method\.field\.kernel_init: expected .* got an object of hidden_state:Plain"
    ):
        set_field("hidden_state:MINE")


def test_a_function_may_be_set(user):
    user.write("acts.py", "def one(x):\n    return x\n")
    user.write(
        "with_act.py",
        """
        from collections.abc import Callable
        import flax.linen as nn
        class Net(nn.Module):
            activation: Callable = nn.relu
        """,
    )
    (module,) = user.load_all("with_act")
    changed = overrides.with_field(module.Net(), "activation", "acts:one", "nerf.field.activation=acts:one")
    assert describe(changed)["activation"]["@callable"] == "acts:one"


def test_an_entry_point_names_the_state_of_its_code(user, monkeypatch):
    found = []
    for text in (FIELD, FIELD.replace("softplus", "relu")):
        user.write("my_plugin.py", text)
        point = importlib.metadata.EntryPoint("mine", "my_plugin:MyField", registry.ENTRY_POINT_GROUP)
        monkeypatch.setattr(registry, "entry_points", lambda point=point: {"mine": point})
        user.forget()
        found.append(comparison_suite.make_arm("mine", "nerf").arm)
    assert all(arm.variant.startswith("mine+code=") for arm in found)
    assert found[0].variant != found[1].variant
    assert not comparison_suite.is_same(*found)


def test_two_networks_of_one_name_are_both_compared(user):
    user.write("nets_a.py", FIELD)
    user.write("nets_b.py", FIELD)
    name, budget = SPARSE_VIEWS
    study = comparison_suite.make_comparison(registry.suite(name), budget, "nets_b:MyField", ["nets_a:MyField"])
    (table,) = study.suite.tables_at(budget)
    assert set(table.arms) == {"MyField (nets_a)", "MyField (nets_b)"}
    trials, _ = study.suite.expand(budget, [0])
    packs = packing.make_packs(trials, 32)
    assert all(len({trial.variant for trial in pack.trials}) == 1 for pack in packs)


def test_two_values_of_one_name_that_are_of_our_types_are_named_by_their_modules(user):
    text = "from models.fields.networks import MLP\n\nNET = MLP(width={width})\n"
    user.write("wide.py", text.format(width=24))
    user.write("slim.py", text.format(width=8))
    user.load_all("wide", "slim")
    suite = registry.suite("sparse-views")
    made = comparison_suite.make_comparison(suite, BUDGETS["smoke"], "wide:NET", ["slim:NET"])
    [table] = made.suite.tables_at(BUDGETS["smoke"])
    assert set(table.arms) == {"NET (wide)", "NET (slim)"}
    with pytest.raises(UsageError, match="the same"):
        comparison_suite.make_comparison(suite, BUDGETS["smoke"], "wide:NET", ["wide:NET"])
