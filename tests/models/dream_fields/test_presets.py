"""The types that a budget asks for reach every preset: a run in "bfloat16" computed its field in float32 once."""

from __future__ import annotations

import pytest

from bench.suites import registry
from models.dream_fields import DreamFields
from models.fields.networks import Voxels
from tasks.budgets import BUDGETS, sized

PRESETS = [name for name in registry.VARIANTS if isinstance(registry.variant(name), DreamFields)]


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
@pytest.mark.parametrize("name", PRESETS)
def test_types_of_a_budget_arrive(name, budget):
    method = sized(registry.variant(name), budget)
    if name.endswith("_fast"):
        assert (method.encoder_dtype, method.field.dtype) == ("bfloat16", "bfloat16")
        return
    assert method.encoder_dtype == budget.guide_dtype
    if not isinstance(method.field, Voxels):  # a grid of numbers has no products
        assert method.field.dtype == budget.field_dtype


def test_there_are_presets():
    assert len(PRESETS) >= 9
