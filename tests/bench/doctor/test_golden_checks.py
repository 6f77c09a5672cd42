"""Golden values hold on this CPU; what differs is found, and explained by its size."""

import numpy as np
import pytest

from bench.doctor.golden_checks import check_probe, check_probes
from bench.doctor.golden_values import Golden, read_golden
from bench.doctor.probes.all_probes import list_probes
from bench.doctor.probes.probe import Probe, Rounds

SOME = ("metric psnr", "metric ssim_sk7", "importance points, NeRF", "background checkerboard")

GOLDEN = Golden((1.0, 2.0), rounding=1e-6, split=1e-5, tf32=1e-3, bfloat16=1e-2)


def off_by(difference, rounds=Rounds.FLOAT64, name="a probe"):
    return Probe(name, lambda: (lambda: np.array([1.0, 2.0 + difference]), ()), rounds)


@pytest.mark.parametrize(
    ("difference", "status", "advice"),
    [
        (0.0, "ok", ""),
        (3e-6, "ok", ""),
        (5e-6, "FAIL", "as far as products in TF32 move it (0.001)"),
        (1.9e-3, "FAIL", "as far as products in TF32 move it (0.001)"),
        (3e-3, "FAIL", "as far as products in bfloat16 move it (0.01)"),
        (0.5, "FAIL", "farther than TF32 or bfloat16 move it: something else is wrong"),
        (np.nan, "FAIL", "farther than TF32 or bfloat16 move it: something else is wrong"),
    ],
)
def test_differences(difference, status, advice):
    found = check_probe(off_by(difference), GOLDEN)
    assert (found.status, found.advice) == (status, advice)
    assert found.expected == "at most 4.0e-06 (float64)"


def test_what_is_exact_must_be_equal():
    found = check_probe(off_by(1e-12, Rounds.NOTHING), Golden((1.0, 2.0), 0.0))
    assert (found.status, found.expected) == ("FAIL", "exactly equal")


def test_lpips_in_two_parts_has_its_own_bound(monkeypatch):
    monkeypatch.setattr("bench.metrics.lpips.usual_precision", lambda: "split")
    found = check_probe(off_by(3e-5, name="metric lpips_alex"), GOLDEN)
    assert (found.status, found.expected) == ("ok", "at most 4.4e-05 (float32, factors in two parts)")


def test_a_result_of_another_shape_and_an_error_fail():
    assert check_probe(Probe("a probe", lambda: (lambda: np.zeros(3), ()), Rounds.FLOAT64), GOLDEN).status == "FAIL"

    def fail():
        raise ValueError("no such\nweights")

    found = check_probe(Probe("a probe", fail), GOLDEN)
    assert (found.status, found.measured) == ("FAIL", "ValueError: no such weights")


def test_without_a_golden_value_it_warns():
    found = check_probe(off_by(0.0), None)
    assert found.status == "warn" and "--missing" in found.advice


def test_what_is_not_here_is_one_line():
    names = ("encoder openai-rn50x4, pictures", "encoder openai-rn50x4, captions", "encoder openai-rn101, pictures")
    [found] = check_probes([Probe(name, lambda: (None, ())) for name in names], {})
    assert (found.status, found.measured) == ("ok", "2 not looked at")
    assert found.advice.startswith("openai-rn50x4, openai-rn101: its weights are not on disk")


def test_some_golden_values_on_this_cpu():
    golden = read_golden()
    found = check_probes([probe for probe in list_probes() if probe.name in SOME], golden)
    assert [check.status for check in found] == ["ok"] * len(SOME), found


@pytest.mark.slow
def test_all_golden_values_on_this_cpu():
    found = check_probes(list_probes(), read_golden())
    assert [check for check in found if check.status != "ok"] == []
