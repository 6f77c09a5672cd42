"""A public name of a class or a function stands in one module, unless several modules keep one contract under it."""

import ast
import collections

from tests.test_layers import FILES, module_name

CONTRACTS = {
    "main": "runs a command and returns its exit code",
    "add_arguments": "adds the options of a command to its parser",
    "command_line": "writes the command that makes a result again",
    "embedded": "makes a study's tables with the settings of the embedded world",
    "as_published": "makes a study's tables with the settings of the papers' code",
    "config": "makes the configuration of a dataset, for `LazyBuilderConfigs`",
    "parse_config": "makes it from its name, for `LazyBuilderConfigs`",
    "look_at": "builds a pose that looks at the origin, once in NumPy and once in JAX",
}
"""Name -> the one contract that all its modules keep."""


def modules_by_name():
    """List the modules that define each public class or function."""
    found = collections.defaultdict(set)
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                found[node.name].add(module_name(path))
    return found


def test_a_public_name_stands_in_one_module():
    twice = {name: sorted(modules) for name, modules in modules_by_name().items() if len(modules) > 1}
    assert {name: modules for name, modules in twice.items() if name not in CONTRACTS} == {}, "rename one of them"
    assert set(CONTRACTS) <= set(twice), "a contract of one module is none; take it out"
