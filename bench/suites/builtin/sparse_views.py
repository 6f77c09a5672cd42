"""The suite `sparse-views`: the main table of DietNeRF, novel views from few photographs.

    python -m bench run --suite sparse-views

Five arms on the same scenes: NeRF, Simplified NeRF, DietNeRF, DietNeRF with a last phase on pixels alone, and NeRF with
100 photographs as the upper bound. The last phase continues DietNeRF's trial, which is not trained again.

Budget `paper` takes the paper's settings, protocol and 8 views of NeRF Realistic Synthetic. The embedded scenes are
simpler: NeRF succeeds on 8 of their views, and nothing is left to improve. They therefore have `NUM_VIEWS` views.

`--scenes FOLDER` puts the same tables on a user's photographs (`of_folders`): as many views as at the budget otherwise,
and all that there are for the upper bound. At `paper` a scene of NeRF Realistic Synthetic, told by its name and its 100
photographs, has the settings that were published for it, and its published numbers.

Cost: `standard` has 120 trials; `python -m bench plan` says what they take.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

from bench.suites.builtin import published_numbers
from bench.suites.suite import Arm, Published, Suite, Table
from models.dietnerf import DIETNERF, DIETNERF_2021, DIETNERF_FINETUNED, DIETNERF_FINETUNED_2021
from models.nerf import (
    NERF,
    NERF_2021,
    SIMPLIFIED_NERF,
    SIMPLIFIED_NERF_2021,
    SIMPLIFIED_NERF_2021_HOTDOG,
    SIMPLIFIED_NERF_2021_LEGO,
    SIMPLIFIED_NERF_2021_MATERIALS,
    NeRF,
)
from tasks.scenes.scenes import SCENES
from tasks.sparse_views.embedded import SparseViews
from tasks.sparse_views.nerf_synthetic import SCENES as BLENDER_SCENES
from tasks.sparse_views.nerf_synthetic import BlenderScene
from tasks.task import FolderScene, SceneTask

NUM_VIEWS = 3

PUBLISHED_VIEWS = 8

NUM_PUBLISHED = 100
"""Training photographs of each scene of NeRF Realistic Synthetic."""

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
    "method.rays_at_once",
    "method.finetune_steps",
)
"""Fields in which DietNeRF differs from the NeRF that it is made of."""

SIMPLER = ("method.field", "method.num_importance", "method.num_samples", "method.learning_rate")

TUNED = {
    "lego": ("simplified_nerf_2021_lego", SIMPLIFIED_NERF_2021_LEGO),
    "hotdog": ("simplified_nerf_2021_hotdog", SIMPLIFIED_NERF_2021_HOTDOG),
    "materials": ("simplified_nerf_2021_materials", SIMPLIFIED_NERF_2021_MATERIALS),
}
"""Scenes for which the paper tuned Simplified NeRF by itself."""

METRICS = ("psnr", "ssim", "lpips_vgg", "psnr_fg")
"""Columns at our own budgets."""

PUBLISHED_METRICS = ("psnr", "ssim_sk7", "lpips_vgg_01", "lpips_vgg")
"""Columns at `paper`: those of DietNeRF's code, and LPIPS as it is meant."""

QUESTION = "What does semantic consistency bring where there are few photographs?"


def arms(all_views: Mapping[str, Arm]) -> dict[str, Arm]:
    """Make the five arms of our own recipes.

    Args:
        all_views: The last arm, as `with_all_views` makes it.
    """
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
        **all_views,
    }


def published_arms(all_views: Mapping[str, Arm], tuned: Mapping[str, tuple[str, NeRF]] = TUNED) -> dict[str, Arm]:
    """Make the five arms with the settings of the paper's code.

    Args:
        all_views: The last arm, as `with_all_views` makes it.
        tuned: Scenes for which Simplified NeRF was tuned by itself.
    """
    return {
        "NeRF": Arm(method=NERF_2021, variant="nerf_2021"),
        "Simplified NeRF": Arm(
            method=SIMPLIFIED_NERF_2021,
            variant="simplified_nerf_2021",
            changes=SIMPLER,
            note="tuned scene by scene, as published" if tuned else "",
            exceptions=tuned,
        ),
        "DietNeRF": Arm(method=DIETNERF_2021, variant="dietnerf_2021", changes=CONSISTENCY),
        "DietNeRF, fine-tuned": Arm(
            method=DIETNERF_FINETUNED_2021, variant="dietnerf_finetuned_2021", changes=CONSISTENCY
        ),
        **all_views,
    }


def with_all_views(
    method: NeRF, variant: str, counts: Mapping[str, int], num_views: int, note: str = ""
) -> dict[str, Arm]:
    """Make the arm that sees all photographs of a scene; none where other arms see them all already.

    Args:
        method: NeRF.
        variant: Its short name.
        counts: Photographs that there are, by scene.
        num_views: Photographs that other arms see.
        note: A sentence on the arm.
    """
    nums = set(counts.values())
    if nums == {num_views}:
        return {}
    if len(nums) == 1:
        (num,) = nums
        task = {"num_views": num}
        return {
            f"NeRF, {num} views": Arm(method=method, variant=variant, task=task, changes=("task.num_views",), note=note)
        }
    each = {scene: {"num_views": num} for scene, num in counts.items()}
    told = ", ".join(f"{scene} {num}" for scene, num in counts.items())
    note = "; ".join(filter(None, (note, f"all photographs of each scene: {told}")))
    return {
        "NeRF, all views": Arm(
            method=method, variant=variant, task_exceptions=each, changes=("task.num_views",), note=note
        )
    }


def embedded(scenes: tuple[str, ...], num_all: int = 100) -> tuple[Table, ...]:
    """Make the tables on embedded scenes."""
    tasks = tuple(SparseViews(scene=scene, num_views=NUM_VIEWS) for scene in scenes)
    return small_tables(tasks, dict.fromkeys(scenes, num_all))


def small_tables(tasks: tuple[SceneTask, ...], counts: Mapping[str, int]) -> tuple[Table, ...]:
    """Make two tables of the same trials, one against NeRF and one against Simplified NeRF.

    Args:
        tasks: The scenes, with few photographs.
        counts: Photographs that there are, by scene.
    """
    rows = arms(with_all_views(NERF, "nerf", counts, NUM_VIEWS, note="upper bound"))
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
        metrics=METRICS,
        protocol="std-v1",
    )
    return main, simpler


def as_published() -> tuple[Table, ...]:
    """Make the paper's table with the settings of its code."""
    tasks = list_published_tasks()
    counts = dict.fromkeys(BLENDER_SCENES, NUM_PUBLISHED)
    rows = published_arms(with_all_views(NERF_2021, "nerf_2021", counts, PUBLISHED_VIEWS))
    return (published_table(tasks, rows, published_numbers.dietnerf_main()),)


def published_table(tasks: tuple[SceneTask, ...], rows: Mapping[str, Arm], published: tuple[Published, ...]) -> Table:
    """Make a table under the paper's protocol."""
    return Table(
        name="sparse views",
        question=QUESTION,
        tasks=tasks,
        baseline="NeRF",
        arms=rows,
        metrics=PUBLISHED_METRICS,
        protocol="dietnerf-2021",
        published=published,
    )


def list_published_tasks() -> tuple[BlenderScene, ...]:
    """List the paper's scenes with the settings that its code reads them with."""
    return tuple(as_in_paper(BlenderScene(scene=scene)) for scene in BLENDER_SCENES)


def as_in_paper(task: BlenderScene) -> BlenderScene:
    """Give a scene of NeRF Realistic Synthetic the settings that the paper's code reads it with."""
    return dataclasses.replace(task, resize="straight", pixel_center=0.0)


# --- on a user's photographs ------------------------------------------------------------------------------------------


def of_folders(budget: str, scenes: tuple[FolderScene, ...]) -> tuple[Table, ...]:
    """Make the tables of a budget on scenes in a user's folders."""
    counts = {scene.cluster: scene.extent().num_train for scene in scenes}
    if budget != "paper":
        return small_tables(with_num_views(scenes, NUM_VIEWS), counts)
    of_paper = tuple(scene.cluster for scene in scenes if is_of_paper(scene))
    tuned = {scene: method for scene, method in TUNED.items() if scene in of_paper}
    rows = published_arms(with_all_views(NERF_2021, "nerf_2021", counts, PUBLISHED_VIEWS), tuned)
    tasks = tasks_at_paper(scenes)
    return (published_table(tasks, rows, published_numbers.dietnerf_by_scene(of_paper)),)


def tasks_at_paper(scenes: tuple[FolderScene, ...]) -> tuple[SceneTask, ...]:
    """Give scenes the paper's number of views, and those of the paper its other settings."""
    few = with_num_views(scenes, PUBLISHED_VIEWS)
    return tuple(as_in_paper(task) if isinstance(task, BlenderScene) and is_of_paper(task) else task for task in few)


def with_num_views(scenes: Sequence[FolderScene], num_views: int) -> tuple[FolderScene, ...]:
    """Give scenes so many training photographs."""
    return tuple(dataclasses.replace(scene, num_views=num_views) for scene in scenes)  # type: ignore[type-var]


def is_of_paper(scene: FolderScene) -> bool:
    """Tell whether a scene is one of NeRF Realistic Synthetic: by its layout, name and number of listed photographs."""
    if not isinstance(scene, BlenderScene) or scene.scene not in BLENDER_SCENES:
        return False
    extent = scene.extent()
    return extent.num_train + extent.num_absent == NUM_PUBLISHED


SPARSE_VIEWS = Suite(
    name="sparse-views",
    question=QUESTION,
    tables={
        "smoke": functools.partial(embedded, tuple(SCENES)[:2], num_all=12),
        "quick": functools.partial(embedded, tuple(SCENES)),
        "standard": functools.partial(embedded, tuple(SCENES)),
        "fine": functools.partial(embedded, tuple(SCENES)),
        "paper": as_published,
    },
    num_seeds={"smoke": 1, "quick": 1, "standard": 3, "fine": 1, "paper": 1},
    tables_of_folders=of_folders,
)
