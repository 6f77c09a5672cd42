"""A suite of toys over six scenes, and what its trials may leave, made up instead of trained."""

from __future__ import annotations

import dataclasses

import numpy as np

from bench.record import Outcome, of_trial
from bench.suite import Arm, Suite, Table
from tasks.budgets import BUDGETS
from tests.toys import ToyMethod, ToyTask, toy_photos

SCENES = ("ant", "bee", "cat", "dog", "eel", "fox")

METRICS = ("psnr", "ssim", "lpips_vgg", "floaters")

SMOKE = BUDGETS["smoke"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyScene(ToyTask):
    """One of several colours everywhere."""

    scene: str = SCENES[0]

    def load(self):
        shade = 0.1 + 0.1 * SCENES.index(self.scene)
        photos = [toy_photos(num, self.image_px, shade) for num in (self.num_views, 3)]
        return ToyTask(num_views=self.num_views, image_px=self.image_px).load()._replace(
            train=photos[0], test=photos[1]
        )  # fmt: skip


BASE = ToyMethod(label="base")
FAST = ToyMethod(label="fast", learning_rate=0.2)


def toy_suite(num_seeds=1, num_scenes=6, **arms):
    """A table of three arms, and a second one on other tasks."""
    tasks = tuple(ToyScene(scene=scene) for scene in SCENES[:num_scenes])
    rows = {
        "Base": Arm(method=BASE, variant="toy_base"),
        "Fast": Arm(method=FAST, variant="toy_fast", changes=("method",)),
        "Base, 5 views": Arm(method=BASE, variant="toy_base", task={"num_views": 5}, changes=("task.num_views",)),
        **arms,
    }
    table = Table(
        name="toys", question="?", tasks=tasks, baseline="Base", arms=rows, metrics=METRICS, protocol="std-v1"
    )
    other = dataclasses.replace(
        table, name="others", tasks=tasks[:1],
        arms={"Base": rows["Base"], "Odd": Arm(method=ToyMethod(label="odd"), variant="toy_odd", changes=("method",))},
    )  # fmt: skip
    budgets = {"smoke": (table, other), "quick": (table,)}
    return Suite(name="toys", question="?", tables=budgets, num_seeds=dict.fromkeys(budgets, num_seeds))


def outcome(trial, level=0.0, version="1.1", protocol="std-v1", reason=None, **fields):
    """A trial that scored `20 + level` dB, and more where the scene comes later in the alphabet."""
    place = SCENES.index(trial.task.scene)
    made = of_trial(
        trial, status="failed" if reason else "finished", reason=reason, timings={"wall_s": 2.0}, num_parameters=7,
        with_device=False,
    )  # fmt: skip
    if reason:
        return Outcome(record=made, parameters={}, views={}, scores={})
    psnr = [20.0 + level + place + 0.1 * ((place * 7 + trial.seed * 3) % 5), 21.0 + level + place]
    values = {"psnr": psnr, "ssim": [x / 60 for x in psnr], "lpips_vgg": [1 - x / 60 for x in psnr]}
    scores = {
        "protocol": protocol, "version": version, "view_ids": [0, 1], "per_view": values, "reasons": {},
        "context": {"angle_to_nearest_deg": [10.0, 20.0]}, "departs": None, "field_state": "ok", "about": {},
    }  # fmt: skip
    return Outcome(record=dataclasses.replace(made, **fields), parameters={}, views={}, scores={protocol: scores})


def views(trial):
    """Renders of a trial, all grey."""
    px = trial.task.image_px
    grey = np.full((3, px, px, 3), 0.5, np.float16)
    return {"color": grey, "opacity": grey[..., 0], "distance": grey[..., 0], "ids": np.arange(3, dtype=np.int32)}
