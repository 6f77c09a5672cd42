"""The suite `recognition`: what makes an object from a caption recognisable.

    python -m bench run --suite recognition --budget fine

The baseline is `dream_fields_shape`, and each arm takes away, adds or exchanges parts of it. Judges name the kind, the
colour and the finish without being told the caption; observers do so by `python -m bench quiz`. Answers are kept in
`results/reference/recognition/`, of machines so far. Judges agree with them only in part: their columns are not enough.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from bench.suites.builtin import caption_tables
from bench.suites.builtin.caption_tables import CaptionStudySettings
from bench.suites.suite import Suite, Table

GUIDES = "embedded-vit-8-large,embedded-vit-8-attacked"
"""Both guides that were trained on attacked pictures."""

SHARPNESS = 3.0
"""Sharpness of a signed distance at the last step; in short runs on a CPU larger values lost thin parts."""


def embedded(budget: str) -> tuple[Table, ...]:
    """Make both tables of the study: margin and retrieval, and what is recognised without the caption."""
    study = caption_tables.shape_settings(budget)
    table = parts_of_the_recipe(study)
    return table, caption_tables.recognized(table, study.judges)


def parts_of_the_recipe(study: CaptionStudySettings) -> Table:
    """Make the table of the recipe's parts."""
    arms = {"no silhouettes": study.changed("no silhouettes", silhouette_share=0.0)}
    if not study.is_small:
        distance: dict[str, Any] = {
            "field": study.field(density_activation="volsdf"),
            "last_sharpness": SHARPNESS,
        }
        coarser = dataclasses.replace(study.network.encoding, num_octaves=4)  # type: ignore[call-arg]
        arms |= {
            "small guide": study.changed("small guide", encoder="embedded-vit-8-attacked"),
            "guide of plain pictures": study.changed("plain pictures", encoder="embedded-vit-8"),
            "two guides": study.changed("two guides", encoder=GUIDES, note="large and small, both attacked"),
            "contrast": study.changed("contrast", contrast_weight=0.1, note="with captions of other kinds"),
            **caption_tables.elevations(study),
            "four octaves": study.changed("four octaves", field=study.field(encoding=coarser)),
            "signed distance": study.changed("signed distance", **distance, note="one sharp surface, as in VolSDF"),
            "signed distance, two guides": study.changed("signed distance two guides", **distance, encoder=GUIDES),
            "distortion loss": study.changed("distortion loss", distortion_weight=0.01),
            "double length": study.changed("double length", num_steps=2000, num_crops=8),
        }
    return study.table("recognition", "What makes an object recognisable?", arms)


RECOGNITION = Suite(
    name="recognition",
    question="What makes an object recognisable?",
    tables={"smoke": functools.partial(embedded, "smoke"), "fine": functools.partial(embedded, "fine")},
    num_seeds={"smoke": 1, "fine": 1},
)
