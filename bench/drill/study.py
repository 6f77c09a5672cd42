"""The suite `drill`: two scenes, three arms that are trained in seconds, and one encoder whose weights can be damaged.

python -m bench run --suite drill --budget smoke --pack-size 2
"""

from __future__ import annotations

from bench.drill.mean_color import MeanColor
from bench.suites.suite import Arm, Suite, Table
from tasks.sparse_views.embedded import SparseViews

SCENES = ("kettle", "lotus")

NUM_SEEDS = 4

NUM_STEPS = 8_000_000
"""Of a trial: a few seconds on a core, so that faults find it in training."""

ENCODER = "embedded-vit-16"

SLOW = MeanColor(num_steps=NUM_STEPS, learning_rate=1e-7)

FAST = MeanColor(num_steps=NUM_STEPS, learning_rate=1e-6)

GUIDED = MeanColor(num_steps=NUM_STEPS, learning_rate=1e-7, encoder=ENCODER)

DRILL = Suite(
    name="drill",
    question="What do faults of machines change?",
    tables={
        "smoke": (
            Table(
                name="mean colour",
                question="How near does one colour come?",
                tasks=tuple(SparseViews(scene=scene, num_views=3) for scene in SCENES),
                baseline="slow",
                arms={
                    "slow": Arm(method=SLOW, variant="mean_color"),
                    "fast": Arm(method=FAST, variant="mean_color_fast", changes=("method.learning_rate",)),
                    "with encoder": Arm(method=GUIDED, variant="mean_color_guided", changes=("method.encoder",)),
                },
                metrics=("psnr", "ssim"),
                protocol="std-v1",
            ),
        )
    },
    num_seeds={"smoke": NUM_SEEDS},
)
