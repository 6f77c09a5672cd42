"""A user's choices of trials, carried out."""

import pytest

from bench.errors import UsageError
from bench.suites import registry
from bench.suites.selection import SelectionOptions, select_trials, study_name
from tasks.budgets import BUDGETS
from tests.fixtures import toy_studies


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    monkeypatch.setattr(registry, "suite", lambda name: toy_studies.toy_suite())


def select(**options):
    return select_trials(SelectionOptions(suite="toys", budget=BUDGETS["smoke"], **options))


def test_all_trials_of_a_suite_by_default():
    chosen = select()
    assert len(chosen.trials) == 3 * 6 + 1  # three arms on six scenes, and one arm of the other table: its base is ours
    assert [table.name for table in chosen.tables] == ["toys", "others"]
    assert chosen.protocols == ("std-v1",)
    assert study_name(chosen) == "toys-smoke"


def test_conditions_leave_trials_and_tables_out():
    chosen = select(only=("arm=Fast", "scene=ant,bee"))
    assert [(t.variant, t.task.scene) for t in chosen.trials] == [("toy_fast", "ant"), ("toy_fast", "bee")]
    assert [table.name for table in chosen.tables] == ["toys"]


def test_seeds_and_settings():
    chosen = select(only=("scene=ant", "arm=Base"), seeds="3-4", settings=("budget.num_steps=7",))
    assert [(t.seed, t.method.num_steps) for t in chosen.trials] == [(3, 7), (4, 7)]


def test_an_unknown_scene_is_named():
    with pytest.raises(UsageError, match="'ann'.*'ant'"):
        select(only=("scene=ann",))
