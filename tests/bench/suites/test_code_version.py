"""The digest of a user's code: changes with what a method is made of, and with nothing else."""

import sys
import textwrap

import pytest

from bench import import_paths
from bench.suites import code_version, identity, registry

FILES = {
    "my_code/__init__.py": "",
    "my_code/field.py": """
        from flax import linen
        from my_code.layers import Block
        from . import parts
        import my_helper

        class MyField(linen.Module):
            block: linen.Module = Block()
            """,
    "my_code/layers.py": "from flax import linen\n\nclass Block(linen.Module):\n    pass\n",
    "my_code/parts.py": "import numpy\n",
    "my_code/other.py": "",
    "my_helper.py": "",
    "my_stranger.py": "",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    import_paths.put_root_first()
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0].startswith("my_")]:
        del sys.modules[name]
    import_paths._plugin_sources.clear()


def test_of_ours_there_is_none():
    assert identity.code_digest(registry.variant("nerf")) is None
    assert identity.code_digest(registry.variant("dream_fields_hash_grid")) is None


def test_files_are_followed_from_import_to_import(folder):
    method = registry.variant("my_code.field:MyField")
    assert set(code_version.source_files("my_code.field")) == {
        "my_code", "my_code.field", "my_code.layers", "my_code.parts", "my_helper",
    }  # fmt: skip
    assert identity.code_digest(method) == identity.code_digest(registry.variant("my_code.field:MyField"))


@pytest.mark.parametrize("name", sorted(FILES))
def test_an_edit_counts_where_it_may_matter(folder, name):
    method = registry.variant("my_code.field:MyField")
    before = identity.code_digest(method)
    (folder / name).write_text((folder / name).read_text() + "\nEDITED = True\n")
    assert identity.code_digest(method) == before, "what runs is what was imported"
    for module in [module for module in sys.modules if module.split(".")[0].startswith("my_")]:
        del sys.modules[module]
    method = registry.variant("my_code.field:MyField")
    assert (identity.code_digest(method) == before) == (name in ("my_code/other.py", "my_stranger.py"))


def test_a_field_inside_a_recipe_of_ours_counts(folder):
    method = registry.variant("my_code.field:MyField", "dream_fields")
    assert identity.code_digest(method) == identity.code_digest(method.field)


def test_a_module_beside_the_user_without_a_package(folder):
    (folder / "my_single.py").write_text(
        "import my_helper\nfrom flax import linen\n\nclass F(linen.Module):\n    pass\n"
    )
    registry.variant("my_single:F")
    assert set(code_version.source_files("my_single")) == {"my_single", "my_helper"}


def test_installed_neighbours_are_not_its_own(folder, monkeypatch):
    installed = folder / "site-packages"
    installed.mkdir()
    (installed / "my_one.py").write_text("import my_two\nfrom flax import linen\n\nclass F(linen.Module):\n    pass\n")
    (installed / "my_two.py").write_text("")
    monkeypatch.syspath_prepend(str(installed))
    registry.variant("my_one:F")
    assert set(code_version.source_files("my_one")) == {"my_one"}


def test_what_comes_with_python_is_nobodys():
    assert code_version.source_files("json.decoder") == {}
    assert code_version.source_files("never_imported") == {}
