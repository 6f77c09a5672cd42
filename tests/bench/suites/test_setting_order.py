"""The order in which `--set` is given trains no trial again."""

import itertools

import pytest

from bench.suites.selection import SelectionOptions, select_trials
from bench.suites.setting_order import order_as_stored
from tasks.budgets import BUDGETS

GIVEN = ("budget.caption_steps=9", "dream_fields.num_crops=1", "budget.render_px=8", "dream_fields.blur_share=0.5")


def select(settings):
    """Select the trials of one table under settings."""
    options = SelectionOptions(
        suite="ablations", budget=BUDGETS["smoke"], only=("variant=dream_fields",), settings=settings
    )
    return select_trials(options).trials


@pytest.fixture(scope="module")
def stored():
    return {trial.id for trial in select(GIVEN)}


@pytest.mark.parametrize("order", list(itertools.permutations(GIVEN))[3::7])
def test_any_order_finds_what_is_stored(stored, order):
    assert {trial.id for trial in select(order_as_stored(order, select, lambda: stored))} == stored


def test_a_value_that_differs_is_another_trial(stored):
    order = ("dream_fields.blur_share=0.5", "dream_fields.num_crops=2", *GIVEN[::2])
    assert order_as_stored(order, select, lambda: stored) == order


def test_the_order_that_was_given_wins_where_trials_have_it(stored):
    other = GIVEN[::-1]
    both = stored | {trial.id for trial in select(other)}
    for order in (other, GIVEN):
        assert order_as_stored(order, select, lambda: both) == order


def test_nothing_is_looked_for_where_there_is_one_order():
    assert order_as_stored(GIVEN[:2], pytest.fail, pytest.fail) == GIVEN[:2]
