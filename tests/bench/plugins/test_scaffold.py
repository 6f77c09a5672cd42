"""The files that a new method starts from train as they are."""

import ast
import pathlib
import sys

import pytest

from bench import __main__ as command_line
from bench import import_paths
from bench.plugins import contract, scaffold
from bench.plugins.contract_fixture import ContractFixture
from bench.suites import registry
from tests.fixtures.toys import ToyTask

MOST_LINES = 60


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


@pytest.mark.slow
@pytest.mark.parametrize("kind", scaffold.KINDS)
def test_what_is_written_keeps_the_contract(here, kind):
    assert command_line.main(["new-method", "my_pkg/my_idea.py", "--kind", kind]) == 0
    method = registry.variant("my_pkg.my_idea:MyIdea")
    found = list(contract.run_checks(ContractFixture(method=method, variant="MyIdea", task=ToyTask())))
    assert [(step, what_to_do) for step, said, what_to_do in found if said is None] == []
    assert len(found) == len(contract.STEPS)


@pytest.mark.parametrize("kind", scaffold.KINDS)
def test_what_is_written_has_the_shapes_and_gradients_of_the_contract(here, kind):
    assert command_line.main(["new-method", "my_pkg/my_idea.py", "--kind", kind]) == 0
    mine = ContractFixture(method=registry.variant("my_pkg.my_idea:MyIdea"), variant="MyIdea", task=ToyTask())
    assert contract.check_method_fields(mine) and contract.check_shapes(mine)
    assert kind != "field" or contract.check_gradients(mine)


@pytest.mark.parametrize("kind", scaffold.KINDS)
def test_what_is_written_is_short_and_says_what_to_do_next(here, capsys, kind):
    assert command_line.main(["new-method", "my_pkg/my_idea.py", "--kind", kind]) == 0
    text = (here / "my_pkg" / "my_idea.py").read_text()
    assert len(text.splitlines()) <= MOST_LINES
    assert "MyField" not in text and "python -m bench check my_pkg.my_idea:MyIdea" in text
    assert max(map(len, text.splitlines())) <= 120
    printed = capsys.readouterr().out
    assert "wrote my_pkg/my_idea.py, my_pkg/__init__.py" in printed
    assert "  python -m bench check my_pkg.my_idea:MyIdea\n" in printed
    assert "  python -m bench compare my_pkg.my_idea:MyIdea --against dietnerf,simplified_nerf\n" in printed
    assert ("--set nerf.field=my_pkg.my_idea:MyIdea" in printed) == (kind == "field")


@pytest.mark.parametrize("kind", scaffold.KINDS)
def test_each_class_and_field_is_told(kind):
    tree = ast.parse(scaffold.fill_template(kind, scaffold.ScaffoldNames("a.b", "MyB")))
    assert ast.get_docstring(tree).startswith("MyB: ")
    [made] = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert made.name == "MyB" and ast.get_docstring(made)


class TestNames:
    @pytest.mark.parametrize(
        ("path", "reference"),
        [
            ("my_pkg/field.py", "my_pkg.field:MyField"),
            ("my_pkg/my_idea.py", "my_pkg.my_idea:MyIdea"),
            ("my_a/b/hash_grid.py", "my_a.b.hash_grid:MyHashGrid"),
            ("my_net.py", "my_net:MyNet"),
            ("./my_net.py", "my_net:MyNet"),
        ],
    )
    def test_of_a_file(self, here, path, reference):
        assert scaffold.scaffold_names(pathlib.Path(path)).reference == reference
        assert scaffold.scaffold_names(here / path).reference == reference

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("../field.py", "expected a .py file below this folder, got another; write my_pkg/field.py"),
            ("/elsewhere/field.py", "expected a .py file below this folder"),
            ("my_pkg/field", "expected a .py file below this folder"),
            ("my-pkg/field.py", "expected names that Python can import, got 'my-pkg'"),
            ("my_pkg/class.py", "expected names that Python can import, got 'class'"),
            ("models/field.py", "got 'models', that of the benchmark's own; write my_models/field.py"),
            ("json/field.py", "got 'json', that of one of Python's own; write my_json/field.py"),
            ("flax/field.py", "got 'flax', that of one that is installed; write my_flax/field.py"),
        ],
    )
    def test_that_python_could_not_import(self, here, capsys, path, message):
        assert command_line.main(["new-method", path]) == 2
        assert message in capsys.readouterr().err
        assert list(here.iterdir()) == []

    def test_a_package_of_ones_own_may_be_there(self, here):
        (here / "my_pkg").mkdir()
        assert scaffold.scaffold_names(here / "my_pkg" / "field.py").module == "my_pkg.field"


class TestWriting:
    def test_nothing_is_overwritten(self, here, capsys):
        (here / "my_pkg").mkdir()
        (here / "my_pkg" / "field.py").write_text("mine")
        assert command_line.main(["new-method", "my_pkg/field.py"]) == 2
        said = capsys.readouterr().err
        assert said == "bench: my_pkg/field.py: expected no such file yet, got one; choose another name, or move it\n"
        assert (here / "my_pkg" / "field.py").read_text() == "mine"
        assert not (here / "my_pkg" / "__init__.py").exists()

    def test_packages_that_are_there_stay_as_they_are(self, here, capsys):
        (here / "my_pkg" / "inner").mkdir(parents=True)
        (here / "my_pkg" / "__init__.py").write_text("x = 1")
        assert command_line.main(["new-method", "my_pkg/inner/field.py"]) == 0
        assert "wrote my_pkg/inner/field.py, my_pkg/inner/__init__.py\n" in capsys.readouterr().out
        assert (here / "my_pkg" / "__init__.py").read_text() == "x = 1"
        assert not (here / "__init__.py").exists()

    def test_a_folder_that_cannot_be_made(self, here, capsys):
        (here / "my_pkg").write_text("a file")
        assert command_line.main(["new-method", "my_pkg/field.py"]) == 2
        assert "my_pkg/field.py: expected " in capsys.readouterr().err
