"""The suite `sparse-views-ablations`: sixteen tables on DietNeRF's consistency loss and its photographs.

    python -m bench run --suite sparse-views-ablations --only table=encoders

Seven tables have DietNeRF as their baseline and change one setting of its consistency loss: the encoder (`encoders`),
its feature (`features`), the steps between two losses (`interval`), the weight (`weight`), the size of the rendered
view (`view size`), the distribution of poses (`poses`), and the steps of the last phase (`fine-tuning`). The others
compare DietNeRF with NeRF: by number of photographs (`N views`), on other choices of as many photographs (`other
photographs`, `still others`), and on photographs from one side only (`unseen side`).

`--scenes FOLDER` puts them on a user's photographs (`ablations_of_folders`): `N views` as far as every scene has so
many, and `unseen side` where the side is known, which is lego's at `paper`.

Arms that are equal are trained once; the three lengths of fine-tuning continue one trial.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from bench.suites.builtin.sparse_views import (
    CONSISTENCY,
    METRICS,
    NUM_VIEWS,
    is_of_paper,
    list_published_tasks,
    tasks_at_paper,
    with_num_views,
)
from bench.suites.suite import Arm, Suite, Table
from bench.suites.variant_names import slug
from models.dietnerf import DIETNERF, DIETNERF_2021, DietNeRF
from models.nerf import NERF, NERF_2021
from tasks.budgets import BUDGETS
from tasks.scenes.scenes import SCENES as EMBEDDED_SCENES
from tasks.sparse_views.embedded import SparseViews
from tasks.sparse_views.nerf_synthetic import SCENES as BLENDER_SCENES
from tasks.task import FolderScene, SceneTask

SCENES = tuple(EMBEDDED_SCENES)

ONE_SIDE = (0, 2, 5, 16, 23, 24, 39, 47, 50, 58, 60, 63, 76, 87)
"""Fourteen of the embedded photographs, all from within 90 degrees of one side."""

LEGO_ONE_SIDE = (2, 5, 8, 9, 10, 16, 34, 35, 40, 52, 53, 54, 58, 60)
"""The fourteen of the released code."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AblationSettings:
    """The settings in which the embedded study and the paper's differ.

    Attributes:
        dietnerf: The baseline of most tables.
        nerf: The method that it is built on.
        tasks: Scenes with few photographs.
        one_side: Scenes photographed from one side only; without any there is no such table.
        encoders: Names of encoders to compare views with.
        view_px: Sizes of the small view.
        weights: Weights of the consistency loss.
        finetune_steps: Steps of the common last phase.
        num_views: Numbers of photographs to compare the two methods with.
        metrics: Columns of the tables.
        protocol: Name of the protocol that scores them.
    """

    dietnerf: DietNeRF
    nerf: Any
    tasks: tuple[SceneTask, ...]
    one_side: tuple[SceneTask, ...]
    encoders: tuple[str, ...]
    view_px: tuple[int, ...]
    weights: tuple[float, ...]
    finetune_steps: int
    num_views: tuple[int, ...]
    metrics: tuple[str, ...] = METRICS
    protocol: str = "std-v1"


def ablation_tables(settings: AblationSettings) -> tuple[Table, ...]:
    """Make the tables of the study."""
    base = settings.dietnerf
    steps = settings.finetune_steps
    encoders = {name: {"encoder": name} for name in settings.encoders}
    intervals = {f"every {every} steps": {"consistency_every": every} for every in (3, 30)}
    weights = {f"weight {weight}": _both_weights(weight) for weight in settings.weights}
    sizes = {f"{px} pixels": {"consistency_px": px} for px in settings.view_px}
    lengths = {f"{num} steps": {"finetune_steps": num} for num in (steps // 2, steps, 2 * steps)}
    tables = [
        _dietnerf_table(
            settings,
            "encoders",
            "Does it matter what compares?",
            note="its encoder is the budget's",
            changed=encoders,
        ),
        _dietnerf_table(
            settings,
            "features",
            "Which of the encoder's features should agree?",
            note="a ViT's class token after the last block",
            changed={
                "embedding": {"feature": "embedding"},
                "spatial": {"feature": "spatial"},
                "an early block": {"feature": "block_2"},
            },
        ),
        _dietnerf_table(
            settings,
            "interval",
            "How often?",
            note=f"every {base.consistency_every} steps",
            changed=intervals,
        ),
        _dietnerf_table(
            settings,
            "weight",
            "How strongly?",
            note=f"weight {base.consistency_weight}",
            changed=weights,
        ),
        _dietnerf_table(
            settings,
            "view size",
            "On how large a view?",
            note="the budget's size",
            changed=sizes,
        ),
        _dietnerf_table(
            settings,
            "poses",
            "From where?",
            note="hemisphere, even in angle",
            changed={
                "even in area": {"pose_distribution": "hemisphere area"},
                "interpolated": {"pose_distribution": "interpolated"},
                "observed": {"pose_distribution": "observed"},
            },
        ),
        _dietnerf_table(
            settings,
            "fine-tuning",
            "How long should pixels have the last word?",
            note="no last phase",
            changed=lengths,
        ),
    ]
    for num in settings.num_views:
        tasks = tuple(dataclasses.replace(task, num_views=num) for task in settings.tasks)  # type: ignore[type-var]
        question = f"What does consistency bring with {num} photographs?"
        tables.append(_table_with_nerf(settings, f"{num} views", question, tasks))
    others = "Does a gain survive another choice of photographs?"
    for seed, name in enumerate(("other photographs", "still others"), start=1):
        tasks = tuple(dataclasses.replace(task, subset_seed=seed) for task in settings.tasks)  # type: ignore[type-var]
        tables.append(_table_with_nerf(settings, name, others, tasks))
    one_side = "What becomes of the side that no photograph shows?"
    if settings.one_side:
        tables.append(_table_with_nerf(settings, "unseen side", one_side, settings.one_side))
    return tuple(tables)


def _dietnerf_table(
    settings: AblationSettings, name: str, question: str, *, note: str, changed: Mapping[str, Mapping[str, Any]]
) -> Table:
    """Make a table whose arms change fields of DietNeRF, its baseline.

    Args:
        settings: The settings of the study.
        name: The table's name.
        question: The question that it answers.
        note: The baseline's setting of the fields that are changed.
        changed: Label of an arm -> its fields that differ.
    """
    base = settings.dietnerf
    fields = tuple(dict.fromkeys(f"method.{key}" for fields in changed.values() for key in fields))
    arms = {"DietNeRF": Arm(method=base, variant="dietnerf", note=note)}
    for label, change in changed.items():
        method = dataclasses.replace(base, **change)
        arms[label] = Arm(method=method, variant=f"dietnerf_{slug(label)}", changes=fields)
    return Table(
        name=name,
        question=question,
        tasks=settings.tasks,
        baseline="DietNeRF",
        arms=arms,
        metrics=settings.metrics,
        protocol=settings.protocol,
    )


def _table_with_nerf(settings: AblationSettings, name: str, question: str, tasks: tuple[SceneTask, ...]) -> Table:
    """Make a table that compares DietNeRF with NeRF."""
    return Table(
        name=name,
        question=question,
        tasks=tasks,
        baseline="NeRF",
        arms={
            "NeRF": Arm(method=settings.nerf, variant="nerf"),
            "DietNeRF": Arm(method=settings.dietnerf, variant="dietnerf", changes=CONSISTENCY),
        },
        metrics=settings.metrics,
        protocol=settings.protocol,
    )


def _both_weights(weight: float) -> dict[str, float]:
    """Set the weight of the consistency loss for the fine and the coarse network."""
    return {"consistency_weight": weight, "coarse_consistency_weight": weight}


def embedded(budget: str, scenes: tuple[str, ...] = SCENES) -> tuple[Table, ...]:
    """Make the study on embedded scenes."""
    tasks = tuple(SparseViews(scene=scene, num_views=NUM_VIEWS) for scene in scenes)
    one_side = tuple(SparseViews(scene=scene, views=ONE_SIDE) for scene in scenes)
    num_views = (2, 4, 8) if budget == "smoke" else (2, 4, 8, 14, 25, 100)
    return ablation_tables(small_settings(budget, tasks, one_side, num_views))


def small_settings(
    budget: str, tasks: tuple[SceneTask, ...], one_side: tuple[SceneTask, ...], num_views: tuple[int, ...]
) -> AblationSettings:
    """Return the settings of a study with our own recipes; arguments as in `AblationSettings`."""
    px = BUDGETS[budget].consistency_px
    return AblationSettings(
        dietnerf=DIETNERF,
        nerf=NERF,
        tasks=tasks,
        one_side=one_side,
        encoders=("embedded-vit-16", "embedded-vit-8-labels"),
        view_px=(px // 2, 3 * px // 2),
        weights=(0.01, 0.1),
        finetune_steps=BUDGETS[budget].finetune_steps,
        num_views=num_views,
    )


def as_published() -> tuple[Table, ...]:
    """Make the study with the settings of the paper's code, on its scenes, with OpenAI's encoders."""
    tasks = list_published_tasks()
    lego = tasks[BLENDER_SCENES.index("lego")]
    return ablation_tables(paper_settings(tasks, (dataclasses.replace(lego, views=LEGO_ONE_SIDE),)))


def paper_settings(
    tasks: tuple[SceneTask, ...],
    one_side: tuple[SceneTask, ...],
    num_views: tuple[int, ...] = (2, 4, 14, 25, 100),
) -> AblationSettings:
    """Return the settings of a study with the paper's recipes; arguments as in `AblationSettings`."""
    return AblationSettings(
        dietnerf=DIETNERF_2021,
        nerf=NERF_2021,
        tasks=tasks,
        one_side=one_side,
        encoders=("openai-vit-b-16", "openai-rn50"),
        view_px=(84, 252),
        weights=(0.01, 1.0),
        finetune_steps=BUDGETS["paper"].finetune_steps,
        num_views=num_views,
        metrics=("psnr", "ssim_sk7", "lpips_vgg_01", "lpips_vgg"),
        protocol="dietnerf-2021",
    )


def ablations_of_folders(budget: str, scenes: tuple[FolderScene, ...]) -> tuple[Table, ...]:
    """Make the tables of a budget on scenes in a user's folders."""
    fewest = min(scene.extent().num_train for scene in scenes)
    if budget != "paper":
        num_views = tuple(num for num in (2, 4, 8, 14, 25, 100) if num <= fewest)
        return ablation_tables(small_settings(budget, with_num_views(scenes, NUM_VIEWS), (), num_views))
    tasks = tasks_at_paper(scenes)
    lego = [task for task, scene in zip(tasks, scenes, strict=True) if scene.cluster == "lego" and is_of_paper(scene)]
    one_side = tuple(dataclasses.replace(task, views=LEGO_ONE_SIDE) for task in lego)  # type: ignore[type-var]
    num_views = tuple(num for num in (2, 4, 14, 25, 100) if num <= fewest)
    return ablation_tables(paper_settings(tasks, one_side, num_views))


SPARSE_VIEWS_ABLATIONS = Suite(
    name="sparse-views-ablations",
    question="Which part of DietNeRF matters, and does its gain survive other photographs?",
    tables={
        "smoke": functools.partial(embedded, "smoke", SCENES[:1]),
        "quick": functools.partial(embedded, "quick"),
        "standard": functools.partial(embedded, "standard"),
        "paper": as_published,
    },
    num_seeds={"smoke": 1, "quick": 1, "standard": 1, "paper": 1},
    tables_of_folders=ablations_of_folders,
)
