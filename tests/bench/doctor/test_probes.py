"""Every metric, background, tokenizer and encoder has a probe, and every probe a golden value."""

import numpy as np
import pytest

from bench.doctor.golden_values import format_golden, read_golden
from bench.doctor.probes import metric_probes
from bench.doctor.probes.all_probes import list_probes
from bench.doctor.probes.encoder_probes import probed_encoder, why_not_here
from bench.doctor.probes.probe import Probe, Rounds
from bench.metrics.r_precision import RetrievalRanks
from bench.metrics.registry import ENCODER_METRICS, METRICS
from models.augmentations import BACKGROUNDS
from models.clip.checkpoints.catalog import EMBEDDED, ENTRIES
from models.imagenet.catalog import IMAGENET

PROBES = {probe.name: probe for probe in list_probes()}

OF_RANKS = {"rprec1": "hit1", "rprec5": "hit5", "rprec1_white": "hit1", "margin_white": "margin"}
"""Metrics that are other names of a field of `RetrievalRanks`."""


def test_names_are_different():
    assert len(PROBES) == len(list_probes())


def test_every_metric_has_a_probe():
    simple = set(metric_probes.SIMPLE)
    assert {f"metric {name}" for name in METRICS if name not in simple} <= set(PROBES)
    assert "mean opacity" in PROBES
    assert {OF_RANKS.get(name, name) for name in ENCODER_METRICS} <= set(RetrievalRanks._fields)


def test_every_background_and_encoder_has_a_probe():
    assert {f"background {name}" for name in BACKGROUNDS} <= set(PROBES)
    assert {f"encoder {name}, pictures" for name in [*EMBEDDED, *ENTRIES, *IMAGENET]} <= set(PROBES)
    assert {f"encoder {name}, captions" for name in [*EMBEDDED, *ENTRIES]} <= set(PROBES)


def test_what_comes_with_the_project_has_golden_values():
    golden = read_golden()
    here = {name for name, probe in PROBES.items() if probed_encoder(probe) in (None, *EMBEDDED)}
    assert here <= set(golden) <= set(PROBES)
    for name, each in golden.items():
        assert np.isfinite([*each.values, *each[1:]]).all() and len(each.values) > 0, name


def test_low_precision_cannot_hide_within_the_bound():
    """What TF32 does to products lies far outside of what rounding does, so that it is always seen."""
    golden = {name: each for name, each in read_golden().items() if each.tf32}
    assert len(golden) > 20
    assert all(each.tf32 > 3 * each.bound(is_split=True) for each in golden.values())
    assert all(each.bfloat16 > each.tf32 for each in golden.values())


def test_the_file_is_written_as_it_is_read():
    from bench.doctor.golden_values import FILE

    assert format_golden(read_golden()) == FILE.read_text()


@pytest.mark.parametrize(
    "name", [name for name, probe in PROBES.items() if probe.rounds in (Rounds.NOTHING, Rounds.FLOAT64)]
)
def test_golden_values_without_a_program(name):
    """Those that NumPy and tokenizers compute; the others are compiled: test_golden_checks.py."""
    if why_not_here(PROBES[name]):
        pytest.skip(why_not_here(PROBES[name]))
    found = PROBES[name].compute()
    golden = read_golden()[name]
    assert np.abs(found - golden.array(PROBES[name].rounds)).max() <= golden.bound()


def test_an_encoder_that_is_not_here_is_told():
    absent = Probe("encoder openai-rn50x4, pictures", lambda: (None, ()))
    assert why_not_here(absent) == "its weights are not on disk; python -m bench encoders"
    assert why_not_here(PROBES["encoder embedded-vit-8, captions"]) is None
