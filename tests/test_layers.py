"""Rooms import only from the floors below them, and files and functions stay short."""

import ast
import functools
import importlib
import pkgutil

import pytest

from bench.import_paths import ROOT

PACKAGES = ("tasks", "models", "bench")

FLOORS = (
    {"bench", "bench.errors", "bench.device_errors", "bench.counted_nouns"},
    {"tasks", "bench.import_paths"},
    {"models", "bench.storage", "bench.bytecode"},
    {"bench.programs"},
    {"bench.metrics"},
    {"bench.suites"},
    {"bench.training", "bench.analysis"},
    {"bench.plugins", "bench.report", "bench.doctor", "bench.drill"},
    {"bench.export"},
    {"bench.cli"},
    {"bench.__main__"},
)
"""The rooms, lowest floor first. A module imports from its own room and from the floors below it, and nothing else."""

MAX_FILE_LINES = 450

MAX_FUNCTION_LINES = 50
"""Without the docstring. Stricter than the 60 that tests may have, because every function keeps to it already."""

MAX_TEST_LINES = 60

PACKED = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda, ast.IfExp)

MAX_PACKED = 2
"""Of `PACKED`, in one statement: of more, some get a name of their own."""

BLOCKS = (ast.stmt, ast.ExceptHandler, ast.match_case)

FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

TESTS = sorted((ROOT / "tests").rglob("*.py"))

CONSTANTS = ROOT / "bench" / "suites" / "builtin"
"""Files of one constant each: their functions may be long lists."""


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree, name, is_package):
    """Yield every module that a file imports, anywhere in it: `from bench import store` is `bench.storage.store`."""
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


def room(name):
    """Find the room of a module: the longest entry of FLOORS that it starts with."""
    places = [place for floor in FLOORS for place in floor if name == place or name.startswith(place + ".")]
    places = [place for place in places if place != "bench" or name == "bench"]
    assert places, f"{name}: expected a room of FLOORS, got none; add it"
    return max(places, key=len)


def floor(name):
    """Find the floor of a module's room, counted from the lowest."""
    [number] = [number for number, rooms in enumerate(FLOORS) if room(name) in rooms]
    return number


@functools.cache
def parsed(path):
    return ast.parse(path.read_text())


@functools.cache
def imports_of(path):
    return set(imported(parsed(path), module_name(path), path.name == "__init__.py"))


def ours(names):
    return {name for name in names if name.split(".")[0] in PACKAGES}


def statements(node):
    """Yield the statements inside of one, and what holds others, without a look into expressions."""
    for block in ("body", "handlers", "cases", "orelse", "finalbody"):
        for inner in getattr(node, block, ()):
            yield inner
            yield from statements(inner)


def functions(tree):
    return [node for node in statements(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def num_packed(statement):
    """Count the comprehensions, lambdas and conditionals of a statement, without those of statements inside of it."""
    found = 0
    left = [statement]
    while left:
        inside = [node for node in ast.iter_child_nodes(left.pop()) if not isinstance(node, BLOCKS)]
        found += sum(isinstance(node, PACKED) for node in inside)
        left += inside
    return found


def num_lines(node):
    """Count the lines of a function, without its docstring."""
    lines = node.end_lineno - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= first.end_lineno - first.lineno + 1
    return lines


def long_functions(path, most):
    """Return the functions of a file with more than so many lines, with their lines."""
    lines = {node.name: num_lines(node) for node in functions(parsed(path))}
    return {name: num for name, num in lines.items() if num > most}


def name_of(path):
    return str(path.relative_to(ROOT))


def breaking(rule, paths):
    """Collect what a rule finds wrong, by file. A test for each of hundreds of files would take longer."""
    found = {name_of(path): rule(path) for path in paths}
    return {name: wrong for name, wrong in found.items() if wrong}


def test_imports_come_from_the_floors_below():
    def imports_that_climb(path):
        here = module_name(path)
        others = {name for name in ours(imports_of(path)) if room(name) != room(here)}
        return {name for name in others if floor(name) >= floor(here)}

    assert breaking(imports_that_climb, FILES) == {}


def is_packed(statement):
    """Tell whether a statement does several things: more than `MAX_PACKED`, or one or another by an expression."""
    is_hidden_if = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.IfExp)
    return is_hidden_if or num_packed(statement) > MAX_PACKED


def test_only_what_runs_under_ray_imports_it():
    rest = ("cluster_check", "device_wait", "worker", "worker_deaths")
    allowed = {ROOT / "bench" / "training" / f"{name}.py" for name in rest}
    allowed |= set((ROOT / "bench" / "training").glob("ray_*.py")) | {ROOT / "bench" / "drill" / "ray_nodes.py"}
    importing = {path for path in FILES if any(name.split(".")[0] == "ray" for name in imports_of(path))}
    assert importing <= allowed


def test_only_the_command_line_parses_options():
    parsing = {path for path in FILES if path.is_relative_to(ROOT / "bench") and "argparse" in imports_of(path)}
    allowed = {ROOT / "bench" / "__main__.py", *(ROOT / "bench" / "cli").glob("*.py")}
    assert parsing <= allowed


def test_tasks_and_models_know_nothing_of_bench():
    allowed = {"bench", "bench.errors", "bench.import_paths"}

    def known(path):
        return {name for name in ours(imports_of(path)) if name.startswith("bench")} - allowed

    assert breaking(known, [path for path in FILES if not path.is_relative_to(ROOT / "bench")]) == {}


def test_the_leaves_import_nothing_of_ours():
    assert ours(imports_of(ROOT / "bench" / "errors.py")) == set()
    assert ours(imports_of(ROOT / "bench" / "device_errors.py")) == set()
    assert ours(imports_of(ROOT / "bench" / "import_paths.py")) <= {"bench.errors"}


def test_files_are_short():
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in [*FILES, *TESTS]}
    assert {name: length for name, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_functions_are_short():
    files = [path for path in FILES if CONSTANTS not in path.parents]
    assert breaking(lambda path: long_functions(path, MAX_FUNCTION_LINES), files) == {}


def test_statements_do_one_thing():
    def packed(path):
        return [node.lineno for node in statements(parsed(path)) if isinstance(node, ast.stmt) and is_packed(node)]

    assert breaking(packed, FILES) == {}


def test_tests_are_short():
    assert breaking(lambda path: long_functions(path, MAX_TEST_LINES), TESTS) == {}


def test_every_module_says_what_it_is():
    files = [path for path in FILES if path.name != "__init__.py" or path.read_text()]
    assert [name_of(path) for path in files if not ast.get_docstring(parsed(path))] == []


def test_every_module_can_be_imported():
    for path in FILES:
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
        ("from bench import cli, errors", "tasks.scenes.scenes", {"bench", "bench.cli", "bench.errors"}),
        ("def f():\n    from bench.errors import UsageError", "tasks.scenes.scenes", {"bench.errors"}),
        ("from . import budgets", "tasks.cameras", {"tasks", "tasks.budgets"}),
        ("from .budgets import sized", "tasks.cameras", {"tasks.budgets"}),
        ("from ..storage.record import Record", "bench.cli.ls", {"bench.storage.record"}),
        ("import ray.util", "bench.storage.store", {"ray.util"}),
        ("from jax import lax", "bench.storage.store", {"jax"}),
    ],
)
def test_what_counts_as_an_import(code, name, expected):
    assert set(imported(ast.parse(code), name, is_package=False)) == expected


def test_floors_of_some_modules():
    climb = ["bench.errors", "tasks.scenes.scenes", "models.clip.encoder", "bench.metrics.image", "bench.suites.suite"]
    climb += ["bench.training.trainer", "bench.report.page.report_files", "bench.export.mesh_viewer", "bench.cli.ls"]
    assert [floor(name) for name in climb] == sorted({floor(name) for name in climb})
    with pytest.raises(AssertionError, match=r"bench.newcomer: expected a room"):
        room("bench.newcomer")


def test_docstrings_do_not_count_as_lines():
    [node] = functions(ast.parse('def f():\n    """A.\n\n    B.\n    """\n    return 1'))
    assert num_lines(node) == 2
    [node] = functions(ast.parse("def f():\n    return 1"))
    assert num_lines(node) == 2


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = [[a for a in b] for b in c]", False),
        ("x = [a for a in b], [a for a in c], d if e else f", True),
        ("f(a) if b else g(c)", True),
        ("x = f(a) if b else g(c)", False),
        ("if any(a for a in b):\n    x = [c for c in d]\n    y = [c for c in d]", False),
    ],
)
def test_packed_statements_are_seen(code, expected):
    assert is_packed(ast.parse(code).body[0]) == expected
