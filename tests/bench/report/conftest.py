"""A made-up study for the reports: three arms, eight scenes, two seeds; one trial failed, one metric is missing."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bench.compare import compare
from bench.record import Record
from bench.suite import Cell

SCENES = tuple(f"scene{i}" for i in range(8))
METRICS = ("psnr", "ssim", "lpips_vgg")


def study(arms=("base", "better", "same"), table="parts", question="What brings what?", num_scenes=8, **others):
    """Everything that a report is made of; the second arm is better by about 3 dB, the others are alike."""
    rng = np.random.default_rng(0)
    cells, rows, records = [], [], []
    for place, arm in enumerate(arms):
        for scene in SCENES[:num_scenes]:
            level = 20 + 2 * SCENES.index(scene) + 3 * (place == 1)
            for seed in (0, 1):
                name = f"v{place}__{scene}__8v__s{seed}__00000000"
                cells.append(Cell(table, arm, name, scene, seed))
                failed = (place, scene, seed) == (2, "scene1", 1)
                reason = "the loss was not finite at step 7" if failed else None
                shared = {
                    "trial_id": name, "status": "failed" if failed else "finished", "budget": "quick", "num_steps": 400,
                    "wall_s": 12.0 + place, "reason": reason,
                }  # fmt: skip
                curve = (0.1 / (1 + np.arange(5) + place) * rng.uniform(0.9, 1.1, 5)).tolist()
                records.append(
                    Record(
                        schema_version=1, trial_id=name, status=shared["status"], variant=f"v{place}", task=scene,
                        cluster=scene, seed=seed, budget="quick", identity={},
                        environment={
                            "packages": {"jax": "0.10.2"}, "python": "3.11.9", "device": None if failed else "cpu",
                            "num_devices": 1, "platform": "Linux-x86_64", "git_commit": "a" * 40,
                            "git_dirty": seed == 1,
                        },
                        curves={"step": [80.0, 160.0, 240.0, 320.0, 400.0], "loss": curve},
                        timings={"wall_s": 12.0 + place}, num_steps=400, num_parameters=10, pack_size=1,
                        first_bad_step=None, reason=reason, traceback=None,
                    )
                )  # fmt: skip
                if failed:
                    empty = {"protocol": None, "metric": None, "view": None, "value": np.nan}
                    rows.append(shared | empty | {"angle_to_nearest_deg": np.nan})
                    continue
                for view in range(4):
                    psnr = level - 2 * view + 0.3 * rng.normal()
                    values = {"psnr": psnr, "ssim": psnr / 60, "lpips_vgg": 1 - psnr / 60}
                    for metric, value in values.items():
                        rows.append(shared | {"protocol": "std-v1", "metric": metric, "view": view, "value": value,
                                              "angle_to_nearest_deg": 4.0 + 10 * view})  # fmt: skip
    frame = pd.DataFrame(rows).astype({"view": "Int64"})
    result = compare(
        frame, cells, table=table, baseline=arms[0], protocol="std-v1", metrics=METRICS, question=question, **others
    )
    return SimpleNamespace(cells=cells, frame=frame, records=records, result=result)


HOSTILE = ("a|b*c*", "<script>alert(1)</script> & $x^2$ [red]\x1b[31m", '50% of #1_{x}~\\ "q"')
"""Names that mean something to Markdown, HTML, LaTeX, matplotlib, rich and terminals."""


@pytest.fixture(scope="session")
def usual():
    """The study with plain names."""
    return study(arm_notes={"same": "changes nothing"}, notes=("scores of an older protocol",))


@pytest.fixture(scope="session")
def hostile():
    """The study with names that try to break out."""
    return study(arms=HOSTILE, table="t<1> $ & | _", question="is x < y & \\alpha?", notes=("<b>note</b>",))


@pytest.fixture(scope="session")
def make_study():
    """The function, for other shapes."""
    return study
