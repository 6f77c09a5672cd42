"""The suite `sparse-views-recipes`: what do our own recipes bring, beside those of the released code?

    python -m bench run --suite sparse-views-recipes --budget paper --scenes nerf_synthetic

One table on eight photographs of each scene. The baseline is our own recipe for NeRF, whose density has a gradient
where the field is empty too, which the released ReLU has not. Which difference matters was not tried. Other arms are
NeRF as DietNeRF's code trains it, and our own recipes for Simplified NeRF, DietNeRF and mip-NeRF. At `paper` the views
and the metrics are those of DietNeRF's code.
"""

from __future__ import annotations

import functools

from bench.suites.builtin.sparse_views import (
    CONSISTENCY,
    METRICS,
    PUBLISHED_METRICS,
    PUBLISHED_VIEWS,
    SIMPLER,
    list_published_tasks,
    tasks_at_paper,
    with_num_views,
)
from bench.suites.suite import Arm, Suite, Table
from models.dietnerf import DIETNERF, DIETNERF_FINETUNED
from models.nerf import MIP_NERF, NERF, NERF_2021, SIMPLIFIED_NERF
from tasks.scenes.scenes import SCENES
from tasks.sparse_views.embedded import SparseViews
from tasks.task import FolderScene, SceneTask

QUESTION = "What do our own recipes bring, beside those of the released code?"

RELEASED = (
    "method.field",
    "method.far_wall",
    "method.batching",
    "method.precrop_steps",
    "method.learning_rate",
    "method.final_rate",
    "method.warmup",
    "method.num_rays",
    "method.num_samples",
    "method.num_importance",
)
"""Fields in which NeRF of the released code differs from ours."""

CONES = ("method.field", "method.cones", "method.share_levels", "method.coarse_weight")
"""Fields in which mip-NeRF differs from NeRF."""


def recipes_table(tasks: tuple[SceneTask, ...], metrics: tuple[str, ...], protocol: str) -> tuple[Table, ...]:
    """Make the study's one table.

    Args:
        tasks: Scenes with few photographs.
        metrics: Columns.
        protocol: Name of the protocol that scores the trials.
    """
    arms = {
        "NeRF": Arm(method=NERF, variant="nerf"),
        "NeRF, as released": Arm(method=NERF_2021, variant="nerf_2021", changes=RELEASED),
        "Simplified NeRF": Arm(method=SIMPLIFIED_NERF, variant="simplified_nerf", changes=SIMPLER),
        "DietNeRF": Arm(method=DIETNERF, variant="dietnerf", changes=CONSISTENCY),
        "DietNeRF, fine-tuned": Arm(method=DIETNERF_FINETUNED, variant="dietnerf_finetuned", changes=CONSISTENCY),
        "integrated encoding": Arm(
            method=MIP_NERF, variant="mip_nerf", changes=CONES, note="mip-NeRF: cones, one network for both levels"
        ),
    }
    table = Table(
        name="recipes",
        question=QUESTION,
        tasks=tasks,
        baseline="NeRF",
        arms=arms,
        metrics=metrics,
        protocol=protocol,
    )
    return (table,)


def embedded(scenes: tuple[str, ...]) -> tuple[Table, ...]:
    """Make the study on embedded scenes."""
    return of_small(tuple(SparseViews(scene=scene, num_views=PUBLISHED_VIEWS) for scene in scenes))


def of_small(tasks: tuple[SceneTask, ...]) -> tuple[Table, ...]:
    """Make the study at a budget of our own."""
    return recipes_table(tasks, METRICS, "std-v1")


def as_published() -> tuple[Table, ...]:
    """Make the study on the paper's scenes, under its protocol."""
    return at_paper(list_published_tasks())


def at_paper(tasks: tuple[SceneTask, ...]) -> tuple[Table, ...]:
    """Make the study with the metrics of DietNeRF's code."""
    return recipes_table(tasks, PUBLISHED_METRICS, "dietnerf-2021")


def recipes_of_folders(budget: str, scenes: tuple[FolderScene, ...]) -> tuple[Table, ...]:
    """Make the tables of a budget on scenes in a user's folders."""
    if budget == "paper":
        return at_paper(tasks_at_paper(scenes))
    return of_small(with_num_views(scenes, PUBLISHED_VIEWS))


SPARSE_VIEWS_RECIPES = Suite(
    name="sparse-views-recipes",
    question=QUESTION,
    tables={
        "smoke": functools.partial(embedded, tuple(SCENES)[:1]),
        "quick": functools.partial(embedded, tuple(SCENES)),
        "standard": functools.partial(embedded, tuple(SCENES)),
        "paper": as_published,
    },
    num_seeds={"smoke": 1, "quick": 1, "standard": 3, "paper": 1},
    tables_of_folders=recipes_of_folders,
)
