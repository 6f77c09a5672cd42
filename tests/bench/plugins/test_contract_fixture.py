"""How a user's method is imported, and what is told where it cannot be; sizes that are made small."""

import dataclasses
import re
import sys

import flax.linen as nn
import pytest

from bench import import_paths
from bench.errors import UsageError
from bench.plugins import check_method, contract, contract_fixture
from bench.suites import registry
from models.dietnerf import DIETNERF_2021
from models.dream_fields import DREAM_FIELDS_LQ, DreamFields
from models.nerf import NERF, NERF_2021, NeRF
from tests.fixtures.toys import ToyMethod

NETWORK = """
import flax.linen as nn

class Net(nn.Module):
    width: int | None = None

    @nn.compact
    def __call__(self, samples, *, key=None):
        raw = nn.Dense(4)(samples.means)
        return nn.softplus(raw[..., 3]), nn.sigmoid(raw[..., :3])
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The folder where the user stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    import_paths.put_root_first()
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("my_")]:
        del sys.modules[name]
    import_paths._plugin_sources.clear()


def broken(name):
    """What the first step says of a name."""
    [(step, said, what_to_do)] = check_method.check_method(name)
    assert (step, said) == (contract.IMPORTS, None)
    return what_to_do


class TestImported:
    def test_a_network_becomes_the_field_of_a_recipe(self, here):
        (here / "my_net.py").write_text(NETWORK)
        found = contract_fixture.import_method("my_net:Net")
        assert isinstance(found, NeRF) and type(found.field).__name__ == "Net"
        assert isinstance(contract_fixture.import_method("my_net:Net", "dream_fields"), DreamFields)
        assert contract_fixture.describe_origin(found) == "my_net.py"

    def test_the_first_step_says_what_was_found_and_where(self, here):
        (here / "my_net.py").write_text(NETWORK)
        step, said, _ = next(check_method.check_method("my_net:Net"))
        assert (step, said) == ("imports", "NeRF, my_net.py")
        assert next(check_method.check_method("nerf"))[1] == "NeRF, the project's own"

    def test_a_module_that_is_not_there(self, here):
        said = broken("my_nett:Net")
        assert f"my_nett:Net: expected a module my_nett in {here} or installed, got none" in said
        assert f"; on the path: {import_paths.ROOT}, {here}" in said
        assert said.endswith(", and what is installed")

    def test_an_object_that_is_not_there(self, here):
        (here / "my_net.py").write_text(NETWORK)
        assert "my_net:Nett: expected an object of that name" in (said := broken("my_net:Nett"))
        assert "the nearest is 'Net'" in said

    def test_a_line_that_is_no_python(self, here):
        (here / "my_net.py").write_text("x = 1\nclass Net(:\n    pass\n")
        said = broken("my_net:Net")
        assert re.match(r"my_net:Net: SyntaxError: .* \(my_net\.py, line 2\); correct that line; on the path: ", said)

    def test_a_line_that_fails(self, here):
        (here / "my_pkg").mkdir()
        (here / "my_pkg" / "__init__.py").touch()
        (here / "my_pkg" / "net.py").write_text("import math\n\nx = math.sqrt(-1)\n")
        said = broken("my_pkg.net:Net")
        assert re.match(
            r"my_pkg\.net:Net: ValueError: .* \(my_pkg/net\.py, line 3\); correct that line; on the p", said
        )

    def test_a_module_that_it_needs(self, here):
        (here / "my_net.py").write_text("import json\nimport my_missing.part\n")
        said = broken("my_net:Net")
        assert "my_net:Net: expected the module my_missing, which it imports, got none; install it" in said
        assert " (my_net.py, line 2); on the path: " in said

    def test_a_class_that_is_not_made_without_arguments(self, here):
        (here / "my_net.py").write_text(NETWORK.replace("width: int | None = None", "width: int"))
        said = broken("my_net:Net")
        assert "my_net:Net: TypeError: " in said and "'width'" in said
        assert said.endswith("; it is made without arguments: give every field a default")

    def test_what_is_neither_a_method_nor_a_network(self, here):
        (here / "my_net.py").write_text("Net = 3")
        assert "my_net:Net: expected a bench method or a flax.linen.Module, got int" in broken("my_net:Net")

    def test_a_mistyped_variant_is_a_mistake_of_the_command_line(self):
        with pytest.raises(UsageError, match="got 'nerff'; the nearest is 'nerf'"):
            next(check_method.check_method("nerff"))


class TestEntryPoints:
    """A distribution on the path that nothing here knows of."""

    @pytest.fixture
    def installed(self, here, monkeypatch):
        site = here / "site"
        (site / "my_dist-1.0.dist-info").mkdir(parents=True)
        (site / "my_dist-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: my-dist\nVersion: 1.0\n")
        (site / "my_dist-1.0.dist-info" / "entry_points.txt").write_text(
            "[bench.methods]\nmy_net = my_installed:Net\nmy_lost = my_installed:Lost\n"
        )
        (site / "my_installed.py").write_text(NETWORK)
        monkeypatch.syspath_prepend(str(site))
        return site

    def test_a_network_by_its_name(self, installed):
        assert {"my_net", "my_lost"} <= set(registry.entry_points())
        assert type(registry.variant("my_net").field).__name__ == "Net"
        assert next(check_method.check_method("my_net"))[1] == "NeRF, site/my_installed.py"

    def test_one_that_leads_nowhere(self, installed):
        said = broken("my_lost")
        assert "my_lost: expected my_installed:Lost behind this entry point of bench.methods, got " in said
        assert "install its package again" in said


class TestCut:
    def test_sizes_that_are_written_down_are_made_small(self):
        method, said = contract_fixture.shrink_to_budget(NERF_2021)
        assert (method.num_rays, method.num_samples, method.num_importance) == (32, 8, 8)
        assert method.field == NERF_2021.field
        assert "num_rays 32 instead of 1024" in said

    def test_thousands_of_steps_become_two(self):
        method, said = contract_fixture.shrink_to_budget(DREAM_FIELDS_LQ)
        assert DREAM_FIELDS_LQ.num_steps == 10_000 and method.num_steps == 2
        assert "num_steps 2 instead of 10000" in said

    def test_a_guide_that_does_not_come_along_becomes_one_that_does(self):
        method, said = contract_fixture.shrink_to_budget(dataclasses.replace(DIETNERF_2021, encoder="openai-vit-b-32"))
        assert method.encoder == "embedded-vit-8"
        assert "encoder embedded-vit-8 instead of openai-vit-b-32" in said
        assert (
            contract_fixture.shrink_to_budget(dataclasses.replace(DIETNERF_2021, encoder="embedded-vit-16"))[0].encoder
            == "embedded-vit-16"
        )

    def test_what_is_open_stays_open(self):
        assert contract_fixture.shrink_to_budget(NERF) == (NERF, [])

    def test_a_size_that_the_method_needs_stays(self):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Large(ToyMethod):
            num_rays: int | None = 5000

            def __post_init__(self):
                if self.num_rays is not None and self.num_rays < 1000:
                    raise ValueError("it needs 1000")

        assert contract_fixture.shrink_to_budget(Large()) == (Large(), [])

    def test_it_is_said_in_the_first_step(self):
        _, said, _ = next(check_method.check_method("nerf_2021"))
        assert said.startswith("NeRF, the project's own; made small here: num_rays 32 instead of 1024, ")


class TestTold:
    def test_a_long_message_is_cut(self):
        said = contract_fixture.one_line_error(ValueError("word " * 1000))
        assert len(said) < 500 and said.endswith(" ...")

    def test_files_of_ours_and_of_python_are_no_users(self):
        assert not contract_fixture.is_of_a_user(contract.__file__)
        assert not contract_fixture.is_of_a_user(dataclasses.__file__)
        assert not contract_fixture.is_of_a_user(nn.__file__)
        assert not contract_fixture.is_of_a_user("<string>")
        assert contract_fixture.is_of_a_user(__file__)


def test_the_command_prints_a_line_a_step_and_exits_1(here, capsys):
    from bench import __main__ as command_line

    (here / "my_net.py").write_text("import my_missing")
    assert command_line.main(["check", "my_net:Net"]) == 1
    assert capsys.readouterr().out.startswith("BROKEN imports: my_net:Net: expected the module my_missing")
    assert command_line.main(["check", "my_net:Net", "--json"]) == 1
    assert '"step": "imports",\n  "kept": false' in capsys.readouterr().out
