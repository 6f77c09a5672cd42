"""What should an object be made of? Dream Fields beside simplified NeRF, a voxel grid and a hash grid.

    python -m bench run --suite text-to-3d

The same captions, guide and judge for all; simplified NeRF has none of the priors, the grids have all of them but the
network. At `paper` these are the paper's 153 captions, where the voxel grid is a baseline of its appendix D.
"""

from __future__ import annotations

import dataclasses

from bench.suites.builtin import caption_tables, published_numbers
from bench.suites.suite import Suite, Table


def embedded(budget: str) -> tuple[Table, ...]:
    """Make the study on the closed world's captions."""
    return (caption_tables.parametrizations(caption_tables.embedded(budget)),)


def as_published() -> tuple[Table, ...]:
    """With the settings of the paper's code, and what it prints."""
    table = caption_tables.parametrizations(caption_tables.as_published())
    return (dataclasses.replace(table, published=published_numbers.dream_fields_voxels()),)


TEXT_TO_3D = Suite(
    name="text-to-3d",
    question="What should an object be made of?",
    tables={
        "smoke": lambda: embedded("smoke"),
        "quick": lambda: embedded("quick"),
        "standard": lambda: embedded("standard"),
        "paper": as_published,
    },
    num_seeds={"smoke": 1, "quick": 1, "standard": 2, "paper": 2},
)
