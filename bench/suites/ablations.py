"""Which part of a radiance field matters when there are eight photos?

    python -m bench run --suite ablations

One table for now: architectures of sparse-view fields. The baseline is NeRF as it was published (positional encoding,
a coarse and a fine network, view directions), trained on 8 of 100 views of each of the eight embedded scenes; every
other arm changes one thing. `100 views` is the upper bound, and at the same time the check of the whole instrument:
a harness that cannot resolve 8 against 100 views can resolve nothing.

Cost: `quick` takes minutes on two cores, `standard` minutes on one accelerator; `python -m bench plan` says how many.
Expected: 100 views far better; raw coordinates worse where there is texture; the rest small, and said to be so
where the eight scenes cannot resolve it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from bench.suite import Arm, Suite, Table
from models.encodings import Raw
from models.nerf import (
    FIELD_2021,
    MIP_NERF,
    NERF,
    NERF_2021,
    NERF_WITHOUT_DIRECTIONS,
    RAW_NERF,
    SIMPLIFIED_NERF,
    SIMPLIFIED_NERF_2021,
    SIMPLIFIED_NERF_2021_HOTDOG,
    SIMPLIFIED_NERF_2021_LEGO,
    SIMPLIFIED_NERF_2021_MATERIALS,
)
from tasks.blender import SCENES as BLENDER_SCENES
from tasks.blender import BlenderScene
from tasks.scenes import SCENES
from tasks.sparse_view import SparseViews

METRICS = ("psnr", "ssim", "lpips_vgg", "psnr_fg", "lpips_alex")


def architectures(scenes: tuple[str, ...], num_all: int = 100) -> Table:
    """The table of sparse-view architectures over some scenes."""
    return Table(
        name="architectures",
        question="What does each part of the field bring when there are eight photos?",
        tasks=tuple(SparseViews(scene=scene, num_views=8) for scene in scenes),
        baseline="NeRF",
        arms={
            "NeRF": Arm(method=NERF, variant="nerf", note="positional encoding, coarse and fine, view directions"),
            "NeRF, 100 views": Arm(
                method=NERF,
                variant="nerf",
                task={"num_views": num_all},
                changes=("task.num_views",),
                note="upper bound",
            ),
            "Simplified NeRF": Arm(
                method=SIMPLIFIED_NERF,
                variant="simplified_nerf",
                changes=("method.field", "method.num_importance"),
                note="one network, one level, six octaves, no view directions",
            ),
            "integrated encoding": Arm(
                method=MIP_NERF,
                variant="mip_nerf",
                changes=("method.field", "method.cones", "method.share_levels", "method.coarse_weight"),
                note="mip-NeRF: cones instead of points, one network for both levels",
            ),
            "raw coordinates": Arm(
                method=RAW_NERF,
                variant="raw_nerf",
                changes=("method.field.encoding",),
                note="positions are not encoded",
            ),
            "no view directions": Arm(
                method=NERF_WITHOUT_DIRECTIONS,
                variant="nerf_without_directions",
                changes=("method.field.view_directions",),
                note="colour depends on the point alone",
            ),
        },
        metrics=METRICS,
        protocol="std-v1",
    )


def architectures_2021() -> Table:
    """The same question with the settings of DietNeRF's released code, on NeRF Realistic Synthetic."""
    field = FIELD_2021

    def arm(variant: str, change: tuple[str, ...], **fields: Any) -> Arm:
        method = dataclasses.replace(NERF_2021, field=dataclasses.replace(field, **fields))
        return Arm(method=method, variant=variant, changes=change)

    return Table(
        name="architectures",
        question="What does each part of the field bring when there are eight photos?",
        tasks=tuple(BlenderScene(scene=scene, resize="straight", pixel_center=0.0) for scene in BLENDER_SCENES),
        baseline="NeRF",
        arms={
            "NeRF": Arm(method=NERF_2021, variant="nerf_2021"),
            "NeRF, 100 views": Arm(
                method=NERF_2021, variant="nerf_2021", task={"num_views": 100}, changes=("task.num_views",)
            ),
            "Simplified NeRF": Arm(
                method=SIMPLIFIED_NERF_2021,
                variant="simplified_nerf_2021",
                changes=("method.field", "method.num_importance", "method.num_samples", "method.learning_rate"),
                note="tuned scene by scene, as published",
                exceptions={
                    "lego": ("simplified_nerf_2021_lego", SIMPLIFIED_NERF_2021_LEGO),
                    "hotdog": ("simplified_nerf_2021_hotdog", SIMPLIFIED_NERF_2021_HOTDOG),
                    "materials": ("simplified_nerf_2021_materials", SIMPLIFIED_NERF_2021_MATERIALS),
                },
            ),
            "raw coordinates": arm("raw_nerf_2021", ("method.field.encoding",), encoding=Raw()),
            "no view directions": arm(
                "nerf_2021_without_directions", ("method.field.view_directions",), view_directions=False
            ),
        },
        metrics=("psnr", "ssim_sk7", "lpips_vgg_01", "lpips_vgg"),
        protocol="dietnerf-2021",
    )


EMBEDDED = (architectures(tuple(SCENES)),)

ABLATIONS = Suite(
    name="ablations",
    question="Which part of a radiance field matters when there are few photos?",
    tables={
        "smoke": (architectures(tuple(SCENES)[:2], num_all=12),),
        "quick": EMBEDDED,
        "standard": EMBEDDED,
        "paper": (architectures_2021(),),
    },
    num_seeds={"smoke": 1, "quick": 1, "standard": 3, "paper": 1},
)
