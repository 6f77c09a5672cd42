"""Which part of DietNeRF matters, and does its gain survive other photographs?

    python -m bench run --suite sparse-views-ablations --only encoders

Fifteen tables on the embedded scenes. Most have DietNeRF as their baseline and change one thing: what compares
(`encoders`), what of it (`features`), how often (`interval`), how strongly (`weight`), on how large a view
(`view size`), from where (`poses`), and how long the last phase is (`fine-tuning`). The others compare it with NeRF: by
number of photographs (`N views`), on other choices of as many (`other photographs`), and where one side was never
photographed (`unseen side`).

Arms that are equal are trained once, and fine-tuning of three lengths continues one trial.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from bench.suites.builtin.sparse_views import CONSISTENCY, NUM_VIEWS
from bench.suites.suite import Arm, Suite, Table
from models.dietnerf import DIETNERF, DIETNERF_2021, DietNeRF
from models.nerf import NERF, NERF_2021
from tasks.budgets import BUDGETS
from tasks.scenes.scenes import SCENES as EMBEDDED_SCENES
from tasks.sparse_views.embedded import SparseViews
from tasks.sparse_views.nerf_synthetic import SCENES as BLENDER_SCENES
from tasks.sparse_views.nerf_synthetic import BlenderScene
from tasks.task import SceneTask

SCENES = tuple(EMBEDDED_SCENES)

ONE_SIDE = (0, 2, 5, 16, 23, 24, 39, 47, 50, 58, 60, 63, 76, 87)
"""Fourteen of the embedded photographs, all from within 90 degrees of one side."""

LEGO_ONE_SIDE = (2, 5, 8, 9, 10, 16, 34, 35, 40, 52, 53, 54, 58, 60)
"""The fourteen of the released code."""

METRICS = ("psnr", "ssim", "lpips_vgg", "psnr_fg")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AblationSettings:
    """What differs between the embedded study and the paper's.

    Attributes:
        dietnerf: The baseline of most tables.
        nerf: What it is made of.
        tasks: Scenes with few photographs.
        one_side: Scenes photographed from one side only.
        others: The same scenes with other choices of photographs.
        encoders: What may compare.
        view_px: Sizes of the small view.
        weights: Of the consistency loss.
        finetune_steps: Of the common last phase.
        num_views: By how many photographs the two methods are compared.
        metrics: Columns.
        protocol: How numbers are made.
    """

    dietnerf: DietNeRF
    nerf: Any
    tasks: tuple[SceneTask, ...]
    one_side: tuple[SceneTask, ...]
    others: tuple[SceneTask, ...]
    encoders: tuple[str, ...]
    view_px: tuple[int, ...]
    weights: tuple[float, ...]
    finetune_steps: int
    num_views: tuple[int, ...]
    metrics: tuple[str, ...] = METRICS
    protocol: str = "std-v1"


def tables(setting: AblationSettings) -> tuple[Table, ...]:
    """All of them."""
    base = setting.dietnerf

    def against(name: str, question: str, field: str, changed: dict[str, dict[str, Any]]) -> Table:
        """A table whose arms change fields of the baseline."""
        fields = tuple(dict.fromkeys(f"method.{key}" for change in changed.values() for key in change))
        rows = {
            label: Arm(method=dataclasses.replace(base, **change), variant=f"dietnerf_{slug(label)}", changes=fields)
            for label, change in changed.items()
        }
        return Table(
            name=name, question=question, tasks=setting.tasks, baseline="DietNeRF",
            arms={"DietNeRF": Arm(method=base, variant="dietnerf", note=field), **rows},
            metrics=setting.metrics, protocol=setting.protocol,
        )  # fmt: skip

    def with_nerf(name: str, question: str, tasks: tuple[SceneTask, ...]) -> Table:
        """A table of the two methods."""
        return Table(
            name=name, question=question, tasks=tasks, baseline="NeRF",
            arms={
                "NeRF": Arm(method=setting.nerf, variant="nerf"),
                "DietNeRF": Arm(method=base, variant="dietnerf", changes=CONSISTENCY),
            },
            metrics=setting.metrics, protocol=setting.protocol,
        )  # fmt: skip

    def weighted(weight: float) -> dict[str, float]:
        return {"consistency_weight": weight, "coarse_consistency_weight": weight}

    steps = setting.finetune_steps
    return (
        against(
            "encoders", "Does it matter what compares?", "its encoder is the budget's",
            {name: {"encoder": name} for name in setting.encoders},
        ),
        against(
            "features", "Which of the encoder's features should agree?", "a ViT's class token after the last block",
            {
                "embedding": {"feature": "embedding"},
                "spatial": {"feature": "spatial"},
                "an early block": {"feature": "block_2"},
            },
        ),
        against(
            "interval", "How often?", f"every {base.consistency_every} steps",
            {f"every {every} steps": {"consistency_every": every} for every in (3, 30)},
        ),
        against(
            "weight", "How strongly?", f"weight {base.consistency_weight}",
            {f"weight {weight}": weighted(weight) for weight in setting.weights},
        ),
        against(
            "view size", "On how large a view?", "the budget's size",
            {f"{px} pixels": {"consistency_px": px} for px in setting.view_px},
        ),
        against(
            "poses", "From where?", "hemisphere, even in angle",
            {
                "even in area": {"pose_distribution": "hemisphere area"},
                "interpolated": {"pose_distribution": "interpolated"},
                "observed": {"pose_distribution": "observed"},
            },
        ),
        against(
            "fine-tuning", "How long should pixels have the last word?", "no last phase",
            {f"{num} steps": {"finetune_steps": num} for num in (steps // 2, steps, 2 * steps)},
        ),
        *(
            with_nerf(
                f"{num} views", f"What does consistency bring with {num} photographs?",
                tuple(dataclasses.replace(task, num_views=num) for task in setting.tasks),  # type: ignore[type-var]
            )
            for num in setting.num_views
        ),
        with_nerf("other photographs", "Does a gain survive another choice of photographs?", setting.others),
        with_nerf("unseen side", "What becomes of the side that no photograph shows?", setting.one_side),
    )  # fmt: skip


def slug(label: str) -> str:
    """A label as a part of a variant's name."""
    return "".join(letter if letter.isalnum() else "_" for letter in label)


def embedded(budget: str, scenes: tuple[str, ...] = SCENES) -> tuple[Table, ...]:
    """The study on embedded scenes."""
    px = BUDGETS[budget].consistency_px
    return tables(
        AblationSettings(
            dietnerf=DIETNERF,
            nerf=NERF,
            tasks=tuple(SparseViews(scene=scene, num_views=NUM_VIEWS) for scene in scenes),
            one_side=tuple(SparseViews(scene=scene, views=ONE_SIDE) for scene in scenes),
            others=tuple(
                SparseViews(scene=scene, num_views=NUM_VIEWS, subset_seed=seed) for scene in scenes for seed in (1, 2)
            ),
            encoders=("embedded-vit-16", "embedded-vit-8-labels"),
            view_px=(px // 2, 3 * px // 2),
            weights=(0.01, 0.1),
            finetune_steps=BUDGETS[budget].finetune_steps,
            num_views=(2, 4, 8) if budget == "smoke" else (2, 4, 8, 14, 25, 100),
        )
    )


def as_published() -> tuple[Table, ...]:
    """The same study with the settings of the paper's code, on its scenes, with OpenAI's encoders."""
    tasks = tuple(BlenderScene(scene=scene, resize="straight", pixel_center=0.0) for scene in BLENDER_SCENES)
    return tables(
        AblationSettings(
            dietnerf=DIETNERF_2021,
            nerf=NERF_2021,
            tasks=tasks,
            one_side=(dataclasses.replace(tasks[BLENDER_SCENES.index("lego")], views=LEGO_ONE_SIDE),),
            others=tuple(dataclasses.replace(task, subset_seed=seed) for task in tasks for seed in (1, 2)),
            encoders=("openai-vit-b-16", "openai-rn50"),
            view_px=(84, 252),
            weights=(0.01, 1.0),
            finetune_steps=BUDGETS["paper"].finetune_steps,
            num_views=(2, 4, 14, 25, 100),
            metrics=("psnr", "ssim_sk7", "lpips_vgg_01", "lpips_vgg"),
            protocol="dietnerf-2021",
        )
    )


SPARSE_VIEWS_ABLATIONS = Suite(
    name="sparse-views-ablations",
    question="Which part of DietNeRF matters, and does its gain survive other photographs?",
    tables={
        "smoke": lambda: embedded("smoke", SCENES[:1]),
        "quick": lambda: embedded("quick"),
        "standard": lambda: embedded("standard"),
        "paper": as_published,
    },
    num_seeds={"smoke": 1, "quick": 1, "standard": 1, "paper": 1},
)
