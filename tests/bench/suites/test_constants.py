"""What a module's names stood for at the import is a part of its identity; what it gathers while it runs is not."""

from __future__ import annotations

import ast

import numpy as np
import pytest

from bench.suites import constants
from tests.fixtures.user_code import FIELD, told


def field_with(head: str, use: str) -> str:
    """A network whose module begins with some lines, and that uses what they make."""
    return FIELD.replace("import functools", head).replace("raw = ", f"raw = {use} + ")


CASES = {
    "a mapping from a file": (
        "import json, pathlib; CONF = json.loads(pathlib.Path('gain.json').read_text())",
        "CONF['gain']",
    ),
    "an array from a file": ("import numpy; GAIN = numpy.loadtxt('gain.txt')", "GAIN"),
    "a function that a file names": (
        "import json, pathlib, flax.linen as nn\n"
        "    act = getattr(nn, json.loads(pathlib.Path('gain.json').read_text())['act'])",
        "act(1.0)",
    ),
    "a helper by its name": ("import importlib; act = importlib.import_module('my_helper').act", "act(1.0)"),
}


@pytest.mark.parametrize(("head", "use"), CASES.values(), ids=CASES)
def test_what_a_module_takes_from_elsewhere_counts(user, monkeypatch, head, use):
    monkeypatch.chdir(user.path)
    user.write("nets.py", field_with(head, use))

    def told_with(gain, act):
        (user.path / "gain.json").write_text(f'{{"gain": {gain}, "act": "{act}"}}')
        (user.path / "gain.txt").write_text(f"{gain}")
        user.write("my_helper.py", f"def act(x):\n    return {gain} * x\n")
        return told(user.load("nets").MyField())

    first = told_with(1.0, "relu")
    assert told_with(-1.0, "tanh") != first
    assert told_with(1.0, "relu") == first


def test_one_of_two_functions_that_the_environment_chose(user, monkeypatch):
    head = (
        "import os\n    if os.environ['MY_CHOICE'] == 'a':\n        def act(x): return x\n"
        "    else:\n        def act(x): return -x"
    )
    user.write("nets.py", field_with(head, "act(1.0)"))
    found = []
    for choice in "aba":
        monkeypatch.setenv("MY_CHOICE", choice)
        found.append(told(user.load("nets").MyField()))
    assert found[0] != found[1]
    assert found[0] == found[2]


def test_a_cache_that_fills_does_not_count(user):
    text = FIELD + "\n    CACHE = {}\n    def remember(x):\n        CACHE[x] = 1\n        return CACHE\n"
    user.write("nets.py", text)
    module = user.load("nets")
    before = told(module.MyField())
    module.remember(3)
    assert told(module.MyField()) == before
    assert "CACHE" not in constants.names_in(ast.parse((user.path / "nets.py").read_text()))


@pytest.mark.parametrize(
    ("value", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ([1, 2], (1, 2)),
        (np.float32(1), np.float64(1)),
        (np.zeros(3), np.zeros(4)),
        (len, abs),
        (1, True),
        ("a/b", "a/c"),
    ],
)
def test_values_that_differ_are_told_apart(value, other):
    assert repr(constants.tell_constant(value)) != repr(constants.tell_constant(other))


@pytest.mark.parametrize("value", ["/home/me", "~/data", object(), np.asarray([None])])
def test_places_and_what_cannot_be_told_are_left_out(value):
    assert constants.tell_constant(value) is None


def test_a_set_has_no_order():
    assert constants.tell_constant({"b", "a"}) == constants.tell_constant({"a", "b"})
