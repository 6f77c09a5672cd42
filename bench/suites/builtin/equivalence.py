"""The suite `equivalence`: is what is faster as good? Types and samples of the fast presets beside the slow ones.

    python -m bench run --suite equivalence --budget standard

All arms have the same captions, guide, judge and sizes. The baseline computes in float32 at regular samples. The
other arms compute the field and the guide in bfloat16, on Hopper GPUs in fused kernels; the last one also places a
third of the samples by a grid of densities (`models.dream_fields.proposal`).

An arm is as good if the whole interval of its difference lies inside a margin. The margins were written down before
the first run: 0.10 of R-Precision (a tenth of the captions' views), and 0.02 of the judge's margin, which is 0.12 for
the full recipe.
"""

from __future__ import annotations

import dataclasses
import functools

from bench.suites.builtin import caption_tables
from bench.suites.suite import Arm, Suite, Table
from tasks.captions.caption_sets import ranked_judges_of

REGULAR = {"smoke": 6, "quick": 24, "standard": 48, "paper": 192}
"""Samples along a ray of the arms with regular samples; a third of them where they are placed."""


def embedded(budget: str) -> tuple[Table, ...]:
    """Make the study on the closed world's captions."""
    return (compare_speeds(caption_tables.embedded_settings(budget)),)


def as_published() -> tuple[Table, ...]:
    """Make the study with the settings of the paper's code, on its captions."""
    return (compare_speeds(caption_tables.published_settings()),)


def compare_speeds(settings: caption_tables.CaptionStudySettings) -> Table:
    """Make the table of the slow arm and the fast ones."""
    recipe = settings.base
    regular = REGULAR[settings.budget]
    slow = dataclasses.replace(
        recipe, field=settings.field(dtype="float32"), encoder_dtype="float32", num_samples=regular
    )
    short = dataclasses.replace(slow, field=settings.field(dtype="bfloat16"), encoder_dtype="bfloat16")
    placed = dataclasses.replace(short, num_samples=regular // 3, proposal_bins=regular)
    types = ("method.field.dtype", "method.encoder_dtype")
    samples = ("method.num_samples", "method.proposal_bins")
    arms = {
        "float32": Arm(
            method=slow, variant="dream_fields_float32", note="regular samples", **settings.size(caption_tables.FEW)
        ),
        "bfloat16": Arm(
            method=short, variant="dream_fields_bfloat16", changes=types, **settings.size(caption_tables.FEW)
        ),
        "bfloat16, placed samples": Arm(
            method=placed,
            variant="dream_fields_placed",
            changes=(*types, *samples),
            note="a third of the samples",
            **settings.size(caption_tables.FEW),
        ),
    }
    judges = ranked_judges_of(settings.tasks[0].captions)
    return Table(
        name="equivalence",
        question="Is what is faster as good?",
        tasks=settings.tasks,
        baseline="float32",
        arms=arms,
        metrics=caption_tables.metrics(judges),
        protocol="std-v1",
    )


EQUIVALENCE = Suite(
    name="equivalence",
    question="Is what is faster as good?",
    tables={
        "smoke": functools.partial(embedded, "smoke"),
        "quick": functools.partial(embedded, "quick"),
        "standard": functools.partial(embedded, "standard"),
        "paper": as_published,
    },
    num_seeds={"smoke": 1, "quick": 1, "standard": 1, "paper": 1},
)
