"""The list of metrics: what is in it, what an encoder's metric is called, and what is in no list."""

from __future__ import annotations

import math

import pytest

from bench.errors import UsageError
from bench.metrics.photo_protocols import PHOTO_PROTOCOLS
from bench.metrics.photo_scorers import METRIC_NAMES
from bench.metrics.registry import ENCODER_METRICS, METRICS, is_metric, metric_named


def test_every_metric_of_photographs_has_a_scorer_and_a_protocol():
    assert set(METRICS) - set(METRIC_NAMES) == {"repeats", "opacity"}  # of captions
    assert {metric for protocol in PHOTO_PROTOCOLS.values() for metric in protocol.metrics} == set(METRIC_NAMES)


def test_every_metric_stands_under_its_own_name():
    for listed in (METRICS, ENCODER_METRICS):
        assert all(name == metric.name for name, metric in listed.items())
        assert not any("@" in name for name in listed)


def test_an_encoder_is_in_the_name_and_the_title_of_its_metric():
    found = metric_named("rank@embedded-judge-vit")
    assert (found.name, found.title) == ("rank@embedded-judge-vit", "rank, by embedded-judge-vit")
    assert metric_named("margin@guide").title == "margin, in-loop: by its own guide"
    assert metric_named("rprec1_white@embedded-judge-rn").title == "R-Precision on white, by embedded-judge-rn"
    assert is_metric("rprec1@file:/a/b@c.safetensors")


@pytest.mark.parametrize("name", ["rprec1", "rprec1@", "psnr@guide", "@guide", "rprec2@guide", "lpips", ""])
def test_a_name_that_is_no_metric_is_refused(name):
    assert not is_metric(name)
    with pytest.raises(UsageError, match="metric: expected a known name, got"):
        metric_named(name)


@pytest.mark.parametrize(("name", "near"), [("pnsr", "psnr"), ("marginn@guide", "margin@guide")])
def test_the_nearest_metric_is_named(name, near):
    with pytest.raises(UsageError, match=f"nearest is '{near}"):
        metric_named(name)


@pytest.mark.parametrize(("higher_is_better", "names"), [
    (True, ("psnr", "ssim", "rprec1@a", "rprec5@a", "margin@a", "cosine@a")),
    (False, ("rank@a", "nll@a", "floaters", "mse", "lpips_vgg")),
    (None, ("repeats", "opacity")),
])  # fmt: skip
def test_which_way_is_better(higher_is_better, names):
    assert {metric_named(name).higher_is_better for name in names} == {higher_is_better}


@pytest.mark.parametrize(("limits", "names"), [
    ((0.0, 1.0), ("rprec1@embedded-judge-rn", "rprec5@a", "rprec1_white@a", "repeats", "opacity", "ssim")),
    ((1.0, math.inf), ("rank@embedded-judge-rn",)),
    ((-math.inf, math.inf), ("margin@guide", "psnr")),
])  # fmt: skip
def test_where_means_can_lie(limits, names):
    assert {metric_named(name).limits for name in names} == {limits}
