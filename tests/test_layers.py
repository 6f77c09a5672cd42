"""The layers of the project, told by its imports; the sizes of its files and functions."""

import ast
import importlib
import pkgutil

import pytest

from bench.import_paths import ROOT

PACKAGES = ("tasks", "models", "bench")

ORDER = (
    *("bench", "bench.errors", "bench.import_paths"),
    *("tasks", "models"),
    *(
        "bench.metrics",
        "bench.metrics.scores",
        "bench.metrics.judges",
        "bench.metrics.caption_protocols",
        "bench.metrics.protocols",
    ),
    *(
        "bench.suites.suite",
        "bench.suites",
        "bench.suites.registry",
        "bench.plugins.code_version",
        "bench.storage.record",
    ),
    *(
        "bench.analysis.statistics",
        "bench.analysis.variance_components",
        "bench.analysis.bradley_terry",
        "bench.analysis.upper_bounds",
    ),
    *(
        "bench.training.packing",
        "bench.suites.overrides",
        "bench.training.devices",
        "bench.storage.timings",
        "bench.training.trainer",
        "bench.training.dry_run",
        "bench.training.precompile",
    ),
    *(
        "bench.storage.archive",
        "bench.storage.store",
        "bench.plugins.contract_fixture",
        "bench.plugins.contract",
        "bench.plugins.scaffold",
    ),
    *(
        "bench.analysis.image_set_distances",
        "bench.training.scheduler",
        "bench.training.progress",
        "bench.analysis.paired_comparison",
    ),
    *("bench.plugins.comparison_suite", "bench.plugins.trial_sources", "bench.analysis.findings", "bench.report"),
    *("bench.export.object_files", "bench.export.text_to_3d", "bench.export.mesh_viewer", "bench.doctor"),
    *("bench.plugins.render_files", "bench.plugins.imported_renders"),
    *("bench.cli", "bench.__main__"),
)
"""Each imports only from what stands before it, or within itself. A new file of `bench` takes its place here."""

MAX_FILE_LINES = 600

MAX_FUNCTION_LINES = 50

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

CONSTANTS = ROOT / "bench" / "suites"
"""Files of one constant each: their functions may be long lists."""


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree, name, is_package):
    """Every module that a file imports, wherever in it: `from bench import store` is `bench.storage.store`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = name.split(".") if is_package else name.split(".")[:-1]
                base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [base])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if is_module(f"{base}.{alias.name}"))


def is_module(name):
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def layer(name):
    """The place of a module in the order: that of its longest prefix."""
    prefixes = [place for place in ORDER if name == place or (place != "bench" and name.startswith(place + "."))]
    assert prefixes, f"{name}: expected a place in ORDER, got none; add it"
    return ORDER.index(max(prefixes, key=len))


def imports_of(path):
    tree = ast.parse(path.read_text())
    return set(imported(tree, module_name(path), path.name == "__init__.py"))


def ours(names):
    return {name for name in names if name.split(".")[0] in PACKAGES}


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def num_lines(node):
    """Of a function, its docstring not counted."""
    lines = node.end_lineno - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= first.end_lineno - first.lineno + 1
    return lines


each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


@each_file
def test_imports_come_from_before(path):
    here = layer(module_name(path))
    late = {name for name in ours(imports_of(path)) if layer(name) > here}
    assert not late, f"{path.name} imports {sorted(late)}, which stand after it"


@each_file
def test_only_schedule_imports_ray(path):
    uses_ray = any(name.split(".")[0] == "ray" for name in imports_of(path))
    assert uses_ray == (path == ROOT / "bench" / "schedule.py")


@each_file
def test_tasks_and_models_know_nothing_of_bench(path):
    if path.relative_to(ROOT).parts[0] != "bench":
        allowed = {"bench", "bench.errors", "bench.import_paths"}
        assert {name for name in ours(imports_of(path)) if name.startswith("bench")} <= allowed


def test_the_leaves_import_nothing_of_ours():
    assert ours(imports_of(ROOT / "bench" / "errors.py")) == set()
    assert ours(imports_of(ROOT / "bench" / "_layout.py")) <= {"bench.errors"}


@each_file
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES


@each_file
def test_functions_are_short(path):
    if CONSTANTS in path.parents:
        return
    long = {node.name: num_lines(node) for node in functions(ast.parse(path.read_text()))}
    assert {name: lines for name, lines in long.items() if lines > MAX_FUNCTION_LINES} == {}


@each_file
def test_every_module_can_be_imported_and_says_what_it_is(path):
    if path.name == "__init__.py" and not path.read_text():
        return
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path.name}: expected a docstring on the first line"
    importlib.import_module(module_name(path))


def test_every_package_is_found_from_outside():
    found = {name for p in PACKAGES for _, name, _ in pkgutil.walk_packages([str(ROOT / p)], f"{p}.")}
    missing = {module_name(path) for path in FILES} - found - set(PACKAGES)
    assert not missing, f"{sorted(missing)}: expected an __init__.py beside each, got none"


# The rules above, tried on code that breaks them


@pytest.mark.parametrize(
    ("code", "name", "expected"),
    [
        ("import bench.storage.store", "tasks.scenes.scenes", {"bench.storage.store"}),
        ("from bench import store, errors", "tasks.scenes.scenes", {"bench", "bench.storage.store", "bench.errors"}),
        ("def f():\n    from bench.store import Store", "tasks.scenes.scenes", {"bench.storage.store"}),
        ("from . import budgets", "tasks.scenes.scenes", {"tasks", "tasks.budgets"}),
        ("from .budgets import sized", "tasks.scenes.scenes", {"tasks.budgets"}),
        ("from ..record import Record", "bench.cli.ls", {"bench.storage.record"}),
        ("import ray.util", "bench.storage.store", {"ray.util"}),
        ("from jax import lax", "bench.storage.store", {"jax"}),
    ],
)
def test_what_counts_as_an_import(code, name, expected):
    assert set(imported(ast.parse(code), name, is_package=False)) == expected


def test_layers_of_some_modules():
    assert (
        layer("bench.errors")
        < layer("tasks.scenes.scenes")
        < layer("models.clip.checkpoints.files")
        < layer("bench.metrics.image")
    )
    assert (
        layer("bench.suites.suite")
        < layer("bench.suites.builtin.ablations")
        < layer("bench.storage.record")
        < layer("bench.cli.ls")
    )
    with pytest.raises(AssertionError, match=r"bench.newcomer: expected a place in ORDER"):
        layer("bench.newcomer")


def test_docstrings_do_not_count_as_lines():
    [node] = functions(ast.parse('def f():\n    """A.\n\n    B.\n    """\n    return 1'))
    assert num_lines(node) == 2
    [node] = functions(ast.parse("def f():\n    return 1"))
    assert num_lines(node) == 2
