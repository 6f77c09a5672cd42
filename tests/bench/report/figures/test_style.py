"""Arms are told apart by their colours."""

from __future__ import annotations

import dataclasses

import pytest

from bench.report.figures import style


def test_the_baseline_is_ink_and_arms_are_told_apart(usual):
    colors = style.arm_colors(usual.result)
    assert colors["base"] == style.INK and len(set(colors.values())) == 3
    many = dataclasses.replace(usual.result, arms=(*(f"arm {i}" for i in range(12)), "base"))
    assert len(set(style.arm_colors(many).values())) == 13


def test_names_fit_beside_an_axis_and_are_no_mathematics():
    assert style.shorten("a" * 30) == "a" * 23 + "…" and style.shorten("short") == "short"
    assert style.escape_lines(["$x$", "a\x1bb"]) == "\\$x\\$\na\ufffdb"


def test_settings_are_those_of_seaborn():
    seaborn = pytest.importorskip("seaborn")
    expected = seaborn.axes_style("ticks") | seaborn.plotting_context("paper")
    del expected["image.cmap"]  # seaborn's own, which its import registers
    assert style.CALM_SETTINGS.keys() == expected.keys()
    for name, value in expected.items():
        assert style.CALM_SETTINGS[name] == (pytest.approx(value) if isinstance(value, float) else value)
