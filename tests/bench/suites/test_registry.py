"""What a name may mean: ours, an installed package's, a user's."""

import sys

import pytest

from bench.errors import UsageError
from bench.suites import registry
from models.dream_fields import DREAM_FIELDS
from models.nerf import NERF


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with entry points, as pip leaves one."""
    (tmp_path / "my_points").mkdir()
    (tmp_path / "my_points" / "__init__.py").write_text(
        "from flax import linen\n\n\nclass MyField(linen.Module):\n    width: int = 8\n"
    )
    info = tmp_path / "my_points-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-points\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[bench.methods]\nmy_field = my_points:MyField\nmy_gone = my_points:Gone\nmy_missing = my_nowhere:Gone\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("my_points", None)


class TestEntryPoints:
    def test_a_network_becomes_the_field_of_the_common_recipe(self, package):
        method = registry.variant("my_field")
        assert type(method.field).__name__ == "MyField" and method.field.width == 8
        assert type(method) is type(NERF)

    def test_or_of_another_recipe(self, package):
        method = registry.variant("my_field", "dream_fields")
        assert type(method) is type(DREAM_FIELDS) and type(method.field).__name__ == "MyField"

    @pytest.mark.parametrize(
        ("name", "got"),
        [("my_gone", "module 'my_points' has no attribute 'Gone'"), ("my_missing", "No module named 'my_nowhere'")],
    )
    def test_one_that_leads_nowhere(self, package, name, got):
        with pytest.raises(
            UsageError,
            match=f"{name}: expected my_.*:Gone behind this entry point of bench.methods, got {got}; install",
        ):
            registry.variant(name)

    def test_they_are_known_and_named_where_one_is_mistyped(self, package):
        assert registry.is_known("my_field") and registry.is_known("my_pkg.field:MyField")
        assert registry.is_known("nerf") and not registry.is_known("my_feild")
        with pytest.raises(
            UsageError, match="entry point of bench.methods .*got 'my_feild'; the nearest is 'my_field'"
        ):
            registry.variant("my_feild")
        for name in ("my_pkg/field.py", "my_pkg.field.MyField", "my_pkg.field"):
            with pytest.raises(UsageError, match=f"got '{name}'; write my_pkg.field:"):
                registry.variant(name)


def test_neither_a_method_nor_a_network():
    with pytest.raises(UsageError, match="mine:x: expected a bench method or a flax.linen.Module, got int"):
        registry.as_method("mine:x", 3)
