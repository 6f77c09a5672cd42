import os
import subprocess
import sys
import textwrap

import pytest

from bench import import_paths
from bench.errors import UsageError


@pytest.fixture
def user_folder(tmp_path, monkeypatch):
    """A folder of a user's with a `models/` of its own and a plug-in, where the user stands."""
    write(tmp_path, "models/__init__.py", "WHOSE = 'the user'")
    write(tmp_path, "models/helpers.py", "HELP = 1")
    write(tmp_path, "my_pkg/__init__.py", "")
    write(tmp_path, "my_pkg/field.py", "class MyField:\n    class Inner: pass\nmy_value = 3")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    import_paths.put_root_first()
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0].startswith("my_")]:
        del sys.modules[name]
    import_paths._plugin_sources.clear()


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(text))


def python(*arguments, cwd, **variables):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"} | variables
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_root_holds_this_file():
    assert (import_paths.ROOT / "tests" / "bench" / "test_import_paths.py").samefile(__file__)


def test_importing_changes_nothing(tmp_path):
    done = python(
        "-c", "import sys; before = list(sys.path); import bench.import_paths; print(before == sys.path)",
        cwd=tmp_path, PYTHONPATH=str(import_paths.ROOT),
    )  # fmt: skip
    assert done.stdout == "True\n", done.stderr


def test_ours_come_first_and_the_users_folder_second(tmp_path):
    write(tmp_path, "models/__init__.py", "WHOSE = 'the user'")
    write(tmp_path, "tasks.py", "WHOSE = 'the user'")
    write(tmp_path, "my_pkg.py", "print('mine')")
    code = """
        import sys
        assert sys.path[0] == ""  # the user's folder: without `put_root_first` theirs would win
        from bench import import_paths
        import_paths.put_root_first()
        import models, tasks, my_pkg
        print(models.__file__, tasks.__file__)
        print(sys.path[:2])
    """
    done = python("-c", textwrap.dedent(code), cwd=tmp_path, PYTHONPATH=str(import_paths.ROOT))
    root = import_paths.ROOT
    expected = f"mine\n{root}/models/__init__.py {root}/tasks/__init__.py\n{[str(root), str(tmp_path)]}\n"
    assert done.stdout == expected, done.stderr


def test_the_users_folder_is_not_added_under_safe_path(tmp_path):
    code = """
        import sys
        from bench import import_paths
        import_paths.put_root_first()
        print(sys.path[0] == str(import_paths.ROOT), sys.argv[1] in sys.path)
    """
    code = textwrap.dedent(code)
    done = python("-P", "-c", code, str(tmp_path), cwd=tmp_path, PYTHONPATH=str(import_paths.ROOT))
    assert done.stdout == "True False\n", done.stderr


def test_it_can_be_called_again(user_folder):
    before = list(sys.path)
    import_paths.put_root_first()
    assert sys.path == before
    assert sys.path[:2] == [str(import_paths.ROOT), str(user_folder)]


def test_somebody_elses_models_imported_before_is_refused(tmp_path):
    write(tmp_path, "models/__init__.py", "")
    code = "import models; from bench import import_paths; import_paths.put_root_first()"
    done = python("-c", code, cwd=tmp_path, PYTHONPATH=str(import_paths.ROOT))
    expected = (
        f"import: expected `models` of {import_paths.ROOT}, got one that was imported before from {tmp_path}/models"
    )
    assert expected in done.stderr
    assert "start `python -m bench` in a process of its own" in done.stderr


def test_a_plugin_is_imported_from_the_users_folder(user_folder):
    found = import_paths.import_plugin("my_pkg.field:MyField")
    assert found.__module__ == "my_pkg.field"
    assert import_paths.import_plugin("my_pkg.field:MyField.Inner") is found.Inner
    assert import_paths.plugin_sources() == [str(user_folder / "my_pkg")]


def test_a_plugin_of_one_file_is_sent_as_that_file(user_folder):
    write(user_folder, "my_field.py", "A = 1")
    assert import_paths.import_plugin("my_field:A") == 1
    assert import_paths.plugin_sources() == [str(user_folder / "my_field.py")]


def test_installed_packages_and_ours_are_not_sent(user_folder):
    assert import_paths.import_plugin("numpy:float32").__name__ == "float32"
    assert import_paths.import_plugin("tasks.budgets:Budget").__name__ == "Budget"
    assert import_paths.plugin_sources() == []


def test_a_plugin_may_import_ours(user_folder):
    write(user_folder, "my_pkg/good.py", "from tasks.budgets import BUDGETS\nNAMES = list(BUDGETS)")
    assert "smoke" in import_paths.import_plugin("my_pkg.good:NAMES")


@pytest.mark.parametrize(
    "line",
    [
        "import models.helpers",
        "from models.helpers import HELP",
        "from models import helpers",
        "import models; models.WHOSE",
        "from models import WHOSE",
    ],
)
def test_a_plugin_that_needs_what_ours_hide_is_refused(user_folder, line):
    write(user_folder, "my_pkg/bad.py", line)
    with pytest.raises(
        UsageError, match="without a module named `models`, got one that needs .*/models.* hides; rename"
    ):
        import_paths.import_plugin("my_pkg.bad:MyField")


def test_a_plugin_under_a_name_of_ours_is_refused(user_folder):
    with pytest.raises(UsageError, match="models.helpers:HELP: expected a plug-in that does without"):
        import_paths.import_plugin("models.helpers:HELP")
    write(user_folder, "tasks.py", "A = 1")
    with pytest.raises(UsageError, match=r"needs .*tasks\.py, which the benchmark's own `tasks` hides"):
        import_paths.import_plugin("tasks:A")


@pytest.mark.parametrize("reference", ["my_pkg.field", "my_pkg/field.py:MyField", ":MyField", "my_pkg:", "a b:c", ""])
def test_what_is_no_reference(user_folder, reference):
    with pytest.raises(UsageError, match="expected module:object, got .*; write my_pkg.field:MyField"):
        import_paths.import_plugin(reference)


def test_an_unknown_module(user_folder):
    with pytest.raises(UsageError, match="expected a module elsewhere in .* got none; run from the folder"):
        import_paths.import_plugin("elsewhere.net:MyField")
    for name, close in (("my_pkg.feild", "my_pkg.field"), ("my_pgk.field", "my_pkg")):
        with pytest.raises(UsageError, match=f"expected a module .* got none; the nearest is '{close}'$"):
            import_paths.import_plugin(f"{name}:MyField")
    with pytest.raises(UsageError, match="expected a module models.nothing in"):
        import_paths.import_plugin("models.nothing:X")


def test_an_unknown_object_names_the_nearest(user_folder):
    with pytest.raises(UsageError, match="expected an object of that name in .*, got none; the nearest is 'MyField'"):
        import_paths.import_plugin("my_pkg.field:MyFeild")


def test_a_package_that_the_plugin_lacks(user_folder):
    write(user_folder, "my_pkg/lacks.py", "import no_such_package_anywhere")
    with pytest.raises(
        UsageError, match="expected the module no_such_package_anywhere, which it imports.*; install it"
    ):
        import_paths.import_plugin("my_pkg.lacks:X")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1 / 0", ZeroDivisionError),
        ("from numpy import nothing_like_it", ImportError),
        ("None.x", AttributeError),
        ("class X(:", SyntaxError),
        ("import sys; sys.exit(3)", SystemExit),
    ],
)
def test_a_plugins_own_errors_are_a_line_that_keeps_the_cause(user_folder, text, kind):
    write(user_folder, "my_pkg/broken.py", text)
    with pytest.raises(UsageError, match=f"got {kind.__name__}.*broken.py.*python -c 'import my_pkg.broken'") as raised:
        import_paths.import_plugin("my_pkg.broken:X")
    assert isinstance(raised.value.__cause__, kind)
