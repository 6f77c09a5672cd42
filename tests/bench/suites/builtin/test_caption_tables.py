"""Arms that are one trial have one name, whatever tables are chosen, and columns are those of all judges."""

from __future__ import annotations

import dataclasses

import pytest

from bench.suites import overrides, registry
from bench.suites.builtin import caption_tables
from bench.suites.builtin.ablations import from_captions
from bench.suites.suite import fill_slots
from tasks.budgets import budget_named, sized
from tasks.captions.caption_sets import CLOSED_WORLD_JUDGES

STUDY = caption_tables.embedded_settings("standard")
PRIORS = "one prior after the other"


@pytest.fixture(scope="module")
def tables():
    return {table.name: table for table in from_captions(STUDY)}


def test_the_last_steps_are_arms_of_other_tables(tables):
    rows = {name: (arm.variant, arm.note) for name, arm in tables[PRIORS].arms.items()}
    assert rows.pop("+ bounds") == ("dream_fields", "the trials of Dream Fields")
    assert rows.pop("+ residual MLP") == ("dream_fields_no_bounds", "the trials of no bounds")
    assert rows.pop("+ tracked origin") == ("dream_fields_tracked_origin", "the trials of tracked origin")
    assert rows.pop("Dream Fields") == ("dream_fields", "the full recipe")
    assert all(variant.startswith("dream_fields_") and not note for variant, note in rows.values())
    others = [arm.variant for name, table in tables.items() if name != PRIORS for arm in table.arms.values()]
    assert not {variant for variant, _ in rows.values()} & set(others)


def test_names_do_not_depend_on_the_chosen_tables():
    suite, budget = registry.suite("ablations"), budget_named("standard")
    conditions = [f"table={PRIORS}"]
    alone = overrides.with_tables_of(suite, budget, conditions).placements(budget)
    _, chosen = fill_slots(overrides.only(alone, conditions))
    _, cells = suite.expand(budget)
    assert chosen == [cell for cell in cells if cell.table == PRIORS] and chosen


def test_equal_arms_of_one_table_have_the_first_ones_name(tables):
    table, budget = tables["regularizers"], budget_named("standard")
    again = dataclasses.replace(table.arms["gated"], variant="other", note="as before")
    made = dataclasses.replace(table, arms={**table.arms, "again": again})
    found = caption_tables.named_as_before(made, (), budget).arms
    assert (found["again"].variant, found["again"].note) == ("dream_fields_gated", "as before; the trials of gated")
    assert {name: arm for name, arm in found.items() if name != "again"} == dict(table.arms)


def test_what_becomes_equal_with_its_sizes_filled_is_equal():
    budget = budget_named("standard")
    arm = STUDY.table("t", "?", {}).arms[caption_tables.BASELINE]
    written = dataclasses.replace(arm, method=sized(arm.method, budget))
    assert written.method != arm.method
    assert caption_tables.arm_digest(written, budget) == caption_tables.arm_digest(arm, budget)
    assert caption_tables.arm_digest(
        dataclasses.replace(arm, task={"view_px": 9}), budget
    ) != caption_tables.arm_digest(arm, budget)


def test_what_is_recognised_is_a_table_of_the_same_trials():
    table = STUDY.table("t", "?", {})
    found = caption_tables.recognized(table, CLOSED_WORLD_JUDGES)
    assert (found.name, found.protocol, found.arms, found.tasks) == (
        "t, recognised", "recognition-v1", table.arms, table.tasks,
    )  # fmt: skip
    assert found.metrics[:3] == tuple(f"{name}@embedded-judge-rn" for name in ("kind", "color", "finish"))
    assert found.metrics[-1] == "kind@embedded-judge-vit"


def test_white_is_shown_by_every_judge():
    found = caption_tables.metrics(CLOSED_WORLD_JUDGES)
    first = found.index("rprec1_white@embedded-judge-rn")
    assert found[first + 1] == "rprec1_white@embedded-judge-vit"
    assert len(set(found)) == len(found)
    assert "rprec1_white@openai-vit-b-32" in caption_tables.metrics(("openai-vit-b-32",))
