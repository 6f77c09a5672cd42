"""Names of metrics: taken apart and put together without a changed letter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.metrics.metric_key import MetricKey
from bench.metrics.task_kinds import all_kinds


@given(st.lists(st.sampled_from(["rprec1", "_white", "@", "guide", "file:/a.b", "psnr", ""])).map("".join))
def test_a_name_is_the_same_after_it_was_taken_apart(name):
    assert str(MetricKey.parse(name)) == name


@pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: kind.noun)
def test_names_of_all_protocols_are_the_same_too(kind):
    names = [metric for protocol in kind.protocols.values() for metric in protocol.metric_names()]
    assert names and [str(MetricKey.parse(name)) for name in names] == names


@pytest.mark.parametrize(("name", "expected"), [
    ("psnr", MetricKey("psnr")),
    ("psnr_white", MetricKey("psnr_white")),  # no encoder: it is a metric of that name
    ("rprec1@guide", MetricKey("rprec1", "guide")),
    ("margin_white@a", MetricKey("margin", "a", "white")),
    ("rank@file:/a@b_white", MetricKey("rank", "file:/a@b_white")),
])  # fmt: skip
def test_parts_of_a_name(name, expected):
    assert MetricKey.parse(name) == expected


def test_only_the_guides_own_number_is_of_the_guide():
    found = [MetricKey.parse(name).is_of_guide for name in ("rprec1@guide", "rprec1@embedded-judge-rn", "guide")]
    assert found == [True, False, False]
