"""The suite `sparse-views`: the main table of DietNeRF, novel views from few photographs.

    python -m bench run --suite sparse-views

Five arms on the same scenes: NeRF, Simplified NeRF, DietNeRF, DietNeRF with a last phase on pixels alone, and NeRF with
100 photographs as the upper bound. The last phase continues DietNeRF's trial, which is not trained again.

Budget `paper` takes the paper's settings, protocol and 8 views of NeRF Realistic Synthetic. The embedded scenes are
simpler: NeRF succeeds on 8 of their views, and nothing is left to improve. They therefore have `NUM_VIEWS` views.

Cost: `standard` has 120 trials; `python -m bench plan` says what they take.
"""

from __future__ import annotations

import functools

from bench.suites.builtin import published_numbers
from bench.suites.suite import Arm, Suite, Table
from models.dietnerf import DIETNERF, DIETNERF_2021, DIETNERF_FINETUNED, DIETNERF_FINETUNED_2021
from models.nerf import (
    NERF,
    NERF_2021,
    SIMPLIFIED_NERF,
    SIMPLIFIED_NERF_2021,
    SIMPLIFIED_NERF_2021_HOTDOG,
    SIMPLIFIED_NERF_2021_LEGO,
    SIMPLIFIED_NERF_2021_MATERIALS,
)
from tasks.scenes.scenes import SCENES
from tasks.sparse_views.embedded import SparseViews
from tasks.sparse_views.nerf_synthetic import SCENES as BLENDER_SCENES
from tasks.sparse_views.nerf_synthetic import BlenderScene

NUM_VIEWS = 3

CONSISTENCY = (
    "method.type",
    "method.encoder",
    "method.feature",
    "method.consistency_weight",
    "method.coarse_consistency_weight",
    "method.consistency_every",
    "method.consistency_px",
    "method.view_share",
    "method.pose_distribution",
    "method.encoder_dtype",
    "method.finetune_steps",
)
"""Fields in which DietNeRF differs from the NeRF that it is made of."""

SIMPLER = ("method.field", "method.num_importance", "method.num_samples", "method.learning_rate")

QUESTION = "What does semantic consistency bring where there are few photographs?"


def arms(num_all: int = 100) -> dict[str, Arm]:
    """Make the five arms on embedded scenes."""
    return {
        "NeRF": Arm(method=NERF, variant="nerf"),
        "Simplified NeRF": Arm(
            method=SIMPLIFIED_NERF,
            variant="simplified_nerf",
            changes=SIMPLER,
            note="one network, one level, six octaves, no view directions",
        ),
        "DietNeRF": Arm(method=DIETNERF, variant="dietnerf", changes=CONSISTENCY),
        "DietNeRF, fine-tuned": Arm(
            method=DIETNERF_FINETUNED,
            variant="dietnerf_finetuned",
            changes=CONSISTENCY,
            note="goes on from DietNeRF with a quarter of its steps on pixels alone",
        ),
        f"NeRF, {num_all} views": Arm(
            method=NERF, variant="nerf", task={"num_views": num_all}, changes=("task.num_views",), note="upper bound"
        ),
    }


def embedded(scenes: tuple[str, ...], num_all: int = 100) -> tuple[Table, ...]:
    """Make two tables of the same trials, one against NeRF and one against Simplified NeRF."""
    tasks = tuple(SparseViews(scene=scene, num_views=NUM_VIEWS) for scene in scenes)
    rows = arms(num_all)
    main = Table(
        name="sparse views",
        question=QUESTION,
        tasks=tasks,
        baseline="NeRF",
        arms=rows,
        metrics=("psnr", "ssim", "lpips_vgg", "psnr_fg", "floaters"),
        protocol="std-v1",
    )
    simpler_arms = {}
    for name in ("Simplified NeRF", "DietNeRF", "DietNeRF, fine-tuned"):
        arm = rows[name]
        simpler_arms[name] = Arm(method=arm.method, variant=arm.variant, changes=(*CONSISTENCY, *SIMPLER))
    simpler = Table(
        name="against Simplified NeRF",
        question="Does it bring more than a simpler field does?",
        tasks=tasks,
        baseline="Simplified NeRF",
        arms=simpler_arms,
        metrics=("psnr", "ssim", "lpips_vgg", "psnr_fg"),
        protocol="std-v1",
    )
    return main, simpler


def as_published() -> tuple[Table, ...]:
    """Make the paper's table with the settings of its code."""
    table = Table(
        name="sparse views",
        question=QUESTION,
        tasks=tuple(BlenderScene(scene=scene, resize="straight", pixel_center=0.0) for scene in BLENDER_SCENES),
        baseline="NeRF",
        arms={
            "NeRF": Arm(method=NERF_2021, variant="nerf_2021"),
            "Simplified NeRF": Arm(
                method=SIMPLIFIED_NERF_2021,
                variant="simplified_nerf_2021",
                changes=SIMPLER,
                note="tuned scene by scene, as published",
                exceptions={
                    "lego": ("simplified_nerf_2021_lego", SIMPLIFIED_NERF_2021_LEGO),
                    "hotdog": ("simplified_nerf_2021_hotdog", SIMPLIFIED_NERF_2021_HOTDOG),
                    "materials": ("simplified_nerf_2021_materials", SIMPLIFIED_NERF_2021_MATERIALS),
                },
            ),
            "DietNeRF": Arm(method=DIETNERF_2021, variant="dietnerf_2021", changes=CONSISTENCY),
            "DietNeRF, fine-tuned": Arm(
                method=DIETNERF_FINETUNED_2021, variant="dietnerf_finetuned_2021", changes=CONSISTENCY
            ),
            "NeRF, 100 views": Arm(
                method=NERF_2021, variant="nerf_2021", task={"num_views": 100}, changes=("task.num_views",)
            ),
        },
        metrics=("psnr", "ssim_sk7", "lpips_vgg_01", "lpips_vgg"),
        protocol="dietnerf-2021",
        published=published_numbers.dietnerf_main(),
    )
    return (table,)


SPARSE_VIEWS = Suite(
    name="sparse-views",
    question=QUESTION,
    tables={
        "smoke": functools.partial(embedded, tuple(SCENES)[:2], num_all=12),
        "quick": functools.partial(embedded, tuple(SCENES)),
        "standard": functools.partial(embedded, tuple(SCENES)),
        "paper": as_published,
    },
    num_seeds={"smoke": 1, "quick": 1, "standard": 3, "paper": 1},
)
