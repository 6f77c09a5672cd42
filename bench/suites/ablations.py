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

from bench.suite import Arm, Suite, Table
from models.nerf import (
    MIP_NERF,
    NERF,
    NERF_2021,
    NERF_WITHOUT_DIRECTIONS,
    RAW_NERF,
    SIMPLIFIED_NERF,
    SIMPLIFIED_NERF_2021,
)
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
                method=NERF, variant="nerf", task={"num_views": num_all}, changes=("task.num_views",),
                note="upper bound",
            ),
            "Simplified NeRF": Arm(
                method=SIMPLIFIED_NERF,
                variant="simplified_nerf",
                changes=("method.field", "method.num_importance", "method.num_samples"),
                note="one network, fewer octaves, no view directions, as many samples in all",
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


EMBEDDED = (architectures(tuple(SCENES)),)

ABLATIONS = Suite(
    name="ablations",
    question="Which part of a radiance field matters when there are few photos?",
    tables={
        "smoke": (architectures(tuple(SCENES)[:2], num_all=12),),
        "quick": EMBEDDED,
        "standard": EMBEDDED,
        "paper": EMBEDDED,
    },
    num_seeds={"smoke": 1, "quick": 1, "standard": 3, "paper": 3},
)
