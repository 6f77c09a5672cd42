"""What `make quick` runs needs no compiled program, and its list names nothing in vain."""

import argparse

import jax
import jax.numpy as jnp
import pytest

from tests.fixtures import quick_selection
from tests.fixtures.quick_selection import COMPILED, CompiledInQuickTest, QuickSelection


@pytest.fixture
def selection():
    """A selection that guards, without a listener that would stay for other tests."""
    found = QuickSelection(argparse.Namespace(option=argparse.Namespace(markexpr="")))
    found.is_guarding = True
    found.pytest_runtest_setup()
    return found


def test_every_entry_names_a_file_or_a_test_that_is_there():
    assert quick_selection.stale_entries(quick_selection.read_list()) == []


def test_entries_that_are_gone_are_found():
    gone = ["tests/none", "tests/none.py", "tests/test_quick_selection.py::test_none"]
    assert quick_selection.stale_entries([*gone, "tests/bench", "tests/test_layers.py"]) == gone


def test_a_program_is_refused_even_where_the_error_is_swallowed(selection):
    selection.refuse_program("/jax/another/event", 0.1)
    selection.pytest_runtest_teardown()
    with pytest.raises(CompiledInQuickTest, match="got jit\\(step\\)"):
        selection.refuse_program(COMPILED, 0.1, fun_name="jit(step)")
    with pytest.raises(pytest.fail.Exception, match="got jit\\(step\\)"):
        selection.pytest_runtest_teardown()
    selection.pytest_runtest_setup()
    selection.pytest_runtest_teardown()


def test_a_long_test_is_refused(selection, monkeypatch):
    monkeypatch.setattr(quick_selection, "MOST_CPU_S", -1.0)
    with pytest.raises(pytest.fail.Exception, match="s of CPU"):
        selection.pytest_runtest_teardown()


def test_a_listed_file_is_not_collected_and_others_are(selection):
    root = quick_selection.ROOT
    assert selection.pytest_ignore_collect(root / "tests" / "browser")
    assert not selection.pytest_ignore_collect(root / "tests" / "test_layers.py")
    assert not selection.pytest_ignore_collect(root.parent / "browser")


def test_this_very_test_is_quick(request):
    assert request.node.get_closest_marker("quick")


def test_jax_records_what_is_watched():
    seen = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, _, **about: seen.append(event))
    jax.jit(lambda x: x * 1.25 + 7)(jnp.zeros(3))
    assert COMPILED in seen
