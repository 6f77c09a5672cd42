"""The suite `sparse-views-equivalence`: is bfloat16 as good as float32, where fields are fitted to photographs?

    python -m bench run --suite sparse-views-equivalence --budget standard

Two tables on eight photographs of each scene, NeRF and DietNeRF. The baseline of each computes its field and encoder in
float32 (TF32 on NVIDIA's cards, as the released code), the other arm in bfloat16. All else is equal, seeds too.

An arm is as good if the whole interval of its difference in PSNR lies within `MARGIN_DB`, which was written down before
the first run.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from bench.suites.builtin.sparse_views import (
    METRICS,
    PUBLISHED_METRICS,
    list_published_tasks,
    tasks_at_paper,
    with_num_views,
)
from bench.suites.suite import Arm, Suite, Table
from models.dietnerf import DIETNERF, DIETNERF_2021, DietNeRF
from models.nerf import NERF, NERF_2021, NeRF
from tasks.scenes.scenes import SCENES
from tasks.sparse_views.embedded import SparseViews
from tasks.task import FolderScene, SceneTask

NUM_VIEWS = 8
"""Photographs of a scene, as in DietNeRF's main table."""

MARGIN_DB = 0.25
"""Largest difference of PSNR that counts as none."""


def embedded(scenes: tuple[str, ...]) -> tuple[Table, ...]:
    """Make the study on embedded scenes."""
    return compare_recipes(tuple(SparseViews(scene=scene, num_views=NUM_VIEWS) for scene in scenes))


def compare_recipes(tasks: tuple[SceneTask, ...]) -> tuple[Table, ...]:
    """Make both tables with our own recipes."""
    return (
        compare_types("NeRF", "nerf", NERF, tasks, METRICS, "std-v1"),
        compare_types("DietNeRF", "dietnerf", DIETNERF, tasks, METRICS, "std-v1"),
    )


def as_published() -> tuple[Table, ...]:
    """Make the study with the settings of DietNeRF's code, on its scenes."""
    return compare_published(list_published_tasks())


def compare_published(tasks: tuple[SceneTask, ...]) -> tuple[Table, ...]:
    """Make both tables with the recipes of DietNeRF's code."""
    return (
        compare_types("NeRF", "nerf_2021", NERF_2021, tasks, PUBLISHED_METRICS, "dietnerf-2021"),
        compare_types("DietNeRF", "dietnerf_2021", DIETNERF_2021, tasks, PUBLISHED_METRICS, "dietnerf-2021"),
    )


def equivalence_of_folders(budget: str, scenes: tuple[FolderScene, ...]) -> tuple[Table, ...]:
    """Make the tables of a budget on scenes in a user's folders."""
    if budget == "paper":
        return compare_published(tasks_at_paper(scenes))
    return compare_recipes(with_num_views(scenes, NUM_VIEWS))


def compare_types(
    name: str, variant: str, method: NeRF, tasks: tuple[SceneTask, ...], metrics: tuple[str, ...], protocol: str
) -> Table:
    """Make the table of a method in both types.

    Args:
        name: The table's name.
        variant: The method's short name.
        method: In float32.
        tasks: Scenes.
        metrics: Columns.
        protocol: Name of the protocol that scores the trials.
    """
    changes: dict[str, Any] = {"field": dataclasses.replace(method.field, dtype="bfloat16")}  # type: ignore[call-arg]
    if isinstance(method, DietNeRF):
        changes["encoder_dtype"] = "bfloat16"
    return Table(
        name=name,
        question="Is bfloat16 as good as float32?",
        tasks=tasks,
        baseline="float32",
        arms={
            "float32": Arm(method=method, variant=variant),
            "bfloat16": Arm(
                method=dataclasses.replace(method, **changes),
                variant=f"{variant}_bfloat16",
                changes=("method.field.dtype", "method.encoder_dtype"),
                note="the field, and the encoder if there is one",
            ),
        },
        metrics=metrics,
        protocol=protocol,
    )


SPARSE_VIEWS_EQUIVALENCE = Suite(
    name="sparse-views-equivalence",
    question="Is what is faster as good?",
    tables={
        "smoke": functools.partial(embedded, tuple(SCENES)[:1]),
        "quick": functools.partial(embedded, tuple(SCENES)),
        "standard": functools.partial(embedded, tuple(SCENES)),
        "paper": as_published,
    },
    num_seeds={"smoke": 1, "quick": 1, "standard": 3, "paper": 1},
    tables_of_folders=equivalence_of_folders,
)
