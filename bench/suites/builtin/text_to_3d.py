"""The suite `text-to-3d`: Dream Fields beside simplified NeRF, a voxel grid and a hash grid.

    python -m bench run --suite text-to-3d

All arms have the same captions, guide and judge. Simplified NeRF has none of the priors; the grids have all of them
except the network. At `paper` the captions are the paper's 153, and the voxel grid is the baseline of its appendix D.
"""

from __future__ import annotations

import dataclasses
import functools

from bench.suites.builtin import caption_tables, published_numbers
from bench.suites.suite import Suite, Table


def embedded(budget: str) -> tuple[Table, ...]:
    """Make the study on the closed world's captions; at `standard` and `fine` also what is recognised without them."""
    settings = caption_tables.embedded_settings(budget)
    table = caption_tables.parametrizations(settings)
    if budget not in ("standard", "fine"):
        return (table,)
    return table, caption_tables.recognized(table, settings.judges)


def as_published() -> tuple[Table, ...]:
    """Make the study with the settings of the paper's code, beside the numbers that the paper prints."""
    table = caption_tables.parametrizations(caption_tables.published_settings())
    return (dataclasses.replace(table, published=published_numbers.dream_fields_voxels()),)


TEXT_TO_3D = Suite(
    name="text-to-3d",
    question="What should an object be made of?",
    tables={
        "smoke": functools.partial(embedded, "smoke"),
        "quick": functools.partial(embedded, "quick"),
        "standard": functools.partial(embedded, "standard"),
        "fine": functools.partial(embedded, "fine"),
        "paper": as_published,
    },
    num_seeds={"smoke": 1, "quick": 1, "standard": 2, "fine": 1, "paper": 2},
)
