"""Named variants: which share a program, their sizes, and the released ones."""

import dataclasses

import pytest

from bench.suites.trial import Trial
from bench.training.packing import program_digest
from models.dream_fields import (
    DREAM_FIELDS,
    DREAM_FIELDS_2022,
    DREAM_FIELDS_HQ,
    DREAM_FIELDS_LQ,
    DREAM_FIELDS_MQ,
    PLAIN,
    SIMPLIFIED,
)
from tasks.budgets import BUDGETS, sized
from tests.fixtures.toy_dreams import (
    TASK,
)


def digest_of(method):
    return program_digest(Trial(task=TASK, method=method, budget=BUDGETS["smoke"], seed=0, variant="x"))


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "a photo of {}"}, {"transmittance": "gated"}, {"backgrounds": ("white",)}, {"bounds": False},
        {"track_origin": True}, {"cut_at_bounds": False}, {"learning_rate": 0.5, "low_deg": 0.0, "crop_share": 1.0},
    ],
)  # fmt: skip
def test_arms_that_share_a_program(changes):
    other = dataclasses.replace(DREAM_FIELDS, **changes)
    assert digest_of(other) == digest_of(DREAM_FIELDS)
    trials = [Trial(task=TASK, method=m, budget=BUDGETS["smoke"], seed=0, variant="x") for m in (other, DREAM_FIELDS)]
    assert trials[0].id != trials[1].id


@pytest.mark.parametrize(
    "changes", [{"num_crops": 5}, {"render_px": 9}, {"encoder": "embedded-vit-16"}, {"skip_bad_steps": True}]
)
def test_arms_that_do_not(changes):
    assert digest_of(dataclasses.replace(DREAM_FIELDS, **changes)) != digest_of(DREAM_FIELDS)


def test_all_recipes_of_numbers_share_a_program():
    assert digest_of(PLAIN) == digest_of(DREAM_FIELDS)
    assert digest_of(SIMPLIFIED) != digest_of(DREAM_FIELDS)  # another network


def test_sizes_come_from_the_budget():
    paper = sized(DREAM_FIELDS_2022, BUDGETS["paper"])
    assert (paper.num_steps, paper.encoder, paper.encoder_dtype) == (10_000, "openai-vit-b-16", "float32")
    assert (paper.render_px, paper.num_samples, paper.num_view_samples, paper.num_crops) == (168, 192, 512, 64)
    assert (paper.field.width, paper.field.num_blocks) == (128, 4)
    smoke = sized(DREAM_FIELDS, BUDGETS["smoke"])
    assert (smoke.num_steps, smoke.encoders, smoke.render_px) == (20, ("embedded-vit-8",), 16)
    assert DREAM_FIELDS.encoders == ()


@pytest.mark.parametrize(
    ("method", "num_steps", "render_px", "crop_px"),
    [
        (DREAM_FIELDS_LQ, 10_000, 88, 80),
        (DREAM_FIELDS_MQ, 10_000, 168, 154),
        (DREAM_FIELDS_HQ, 20_000, 252, 224),
    ],
)
def test_presets_are_the_released_ones(method, num_steps, render_px, crop_px):
    """config_base.py and config_lq.py, config_mq.py and config_hq.py."""
    assert (method.num_steps, method.render_px, method.num_samples) == (num_steps, render_px, 192)
    assert method.crop_share * render_px == pytest.approx(crop_px)
    in_steps = [round(share * num_steps) for share in (method.opacity_share, method.blur_share, method.warmup)]
    assert in_steps == [500, 1000, 1500]
    assert (method.learning_rate, method.adam_epsilon, method.transmittance_weight) == (1e-4, 1e-5, 0.5)
    # The code's targets 0.5 and 0.1, times its factor of 1.2 at the zoom of 1.2.
    assert (method.first_opacity, method.last_opacity) == pytest.approx((0.5 * 1.2, 0.1 * 1.2))
    assert method.origin_decay == 0.999 and method.skips_bad_steps and not method.track_origin
    assert not DREAM_FIELDS.skips_bad_steps
