"""A setting that changed some arms of a table, and not others that have the field, is told in one line."""

import dataclasses

import pytest

from bench.suites import overrides
from bench.suites.suite import Arm, Suite, Table
from bench.suites.uneven_settings import describe_uneven_settings
from tasks.budgets import BUDGETS
from tests.fixtures.toys import ToyMethod, ToyTask

SMOKE = BUDGETS["smoke"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Guided(ToyMethod):
    """Another type of method, with a field of its own."""

    weight: float = 1.0


def table_with(settings):
    table = Table(
        name="toys",
        question="?",
        tasks=(ToyTask(),),
        baseline="Plain",
        arms={
            "Plain": Arm(method=ToyMethod(), variant="plain"),
            "Small": Arm(method=ToyMethod(label="small"), variant="plain_small", changes=("method.label",)),
            "Guided": Arm(method=Guided(), variant="guided", changes=("method",)),
        },
        metrics=("psnr",),
        protocol="std-v1",
    )
    suite = Suite(name="toys", question="?", tables={"smoke": (table,)}, num_seeds={"smoke": 1})
    changed, budget = overrides.apply(suite, SMOKE, settings)
    return changed.tables_at(budget)[0]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ((), []),
        (("task.num_views=3", "budget.num_steps=7"), []),
        (("guided.weight=2",), []),  # no other arm has it
        (
            ("toy_method.num_rays=64",),
            [
                "--set toy_method.num_rays=64 changes Plain · Small, not Guided, which have num_rays too: they are not "
                "compared at equal num_rays; --set guided.num_rays=64 changes those as well"
            ],
        ),
        (("toy_method.num_rays=64", "guided.num_rays=64"), []),
        (("plain_small.num_rays=None",), []),  # nothing differs
    ],
)
def test_arms_that_were_left_as_they_were_are_named(settings, said):
    assert describe_uneven_settings(table_with(settings), ("Plain", "Small", "Guided"), settings) == said


def test_an_arm_that_nobody_chose_is_not_named():
    settings = ("toy_method.num_rays=64",)
    assert describe_uneven_settings(table_with(settings), ("Plain", "Small"), settings) == []
