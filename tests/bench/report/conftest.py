"""Made-up studies for the reports: three arms, eight scenes, two seeds, one trial failed; and one of captions."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bench.analysis.paired_comparison import compare
from bench.report.caption_context import CaptionTableContext
from bench.report.caption_results import confused
from bench.report.caption_results import notes as captions_notes
from bench.storage.record import Record
from bench.suites.suite import TrialSlot
from tasks.captions.caption_sets import CaptionSet

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
                cells.append(TrialSlot(table, arm, name, scene, seed))
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


JUDGE = "embedded-judge-rn"
GUIDES = {"full": "embedded-vit-8", "bare": "embedded-vit-8", "other guide": "embedded-vit-16"}


def caption_study(guides=GUIDES, num_captions=6, table="who guides", baseline="full", names=None):
    """A table of captions: the baseline is found in every second view, others less; the last arm has two captions."""
    captions = CaptionSet("file:mine", names or tuple(f"a red thing number {i}" for i in range(8)), "ab" * 32)
    cells, rows, records, scores = [], [], [], {}
    for place, (arm, guide) in enumerate(guides.items()):
        for i in range(2 if arm == list(guides)[-1] and place else num_captions):
            name, cluster = f"v{place}__thing-{i}__s0__00000000", captions.captions[i]
            cells.append(TrialSlot(table, arm, name, cluster, 0))
            ranks = [1 if view % 2 == 0 and view % 8 >= 2 * place else 2 + (view + i) % 7 for view in range(16)]
            wrong = [(i + 1 + view % 2) % 8 for view in range(16)]
            first = [i if rank == 1 else other for rank, other in zip(ranks, wrong, strict=True)]
            scores[name] = {
                "view_ids": list(range(16)), "field_state": "ok", "departs": None, "about": {"place": i},
                "context": {f"wrong@{JUDGE}": wrong, f"predicted@{JUDGE}": first},
            }  # fmt: skip
            for view, rank in enumerate(ranks):
                hit = float(rank == 1)
                values = {
                    f"rprec1@{JUDGE}": hit, f"rank@{JUDGE}": float(rank), f"margin@{JUDGE}": 0.1 * hit - 0.02 * i,
                    "rprec1@embedded-vit-16": None if guide == "embedded-vit-16" else hit, "rprec1@guide": 1.0,
                    "opacity": 0.2 + 0.1 * place + 0.01 * i,
                }  # fmt: skip
                for metric, value in values.items():
                    rows.append({
                        "trial_id": name, "status": "finished", "budget": "quick", "num_steps": 40, "wall_s": 1.0,
                        "reason": "in-loop" if value is None else None, "protocol": "std-v1", "metric": metric,
                        "view": view, "value": np.nan if value is None else value, "angle_to_nearest_deg": np.nan,
                        "azimuth_deg": 45.0 * (view % 8), "elevation_deg": 15.0 if view < 8 else 45.0,
                    })  # fmt: skip
            curves = {"loss": [-0.1, -0.3 + 0.1 * place], "negative_cosine": [-0.2, -0.4], "transmittance": [0.9, 0.8]}
            records.append(
                Record(
                    schema_version=1, trial_id=name, status="finished", variant=f"v{place}", task=f"thing-{i}",
                    cluster=cluster, seed=0, budget="quick", identity={"encoders": {guide: None}}, environment={},
                    curves={"step": [20.0, 40.0], **curves}, timings={"wall_s": 1.0}, num_steps=40, num_parameters=9,
                    pack_size=1, first_bad_step=None, reason=None, traceback=None,
                )
            )  # fmt: skip
    frame = pd.DataFrame(rows).astype({"view": "Int64"})
    metrics = (f"margin@{JUDGE}", f"rprec1@{JUDGE}", "rprec1@embedded-vit-16", "rprec1@guide", "opacity",
               f"cosine@{JUDGE}")  # fmt: skip
    confusions = tuple(confused(cells, scores, JUDGE, captions))
    judged = CaptionTableContext(captions, JUDGE, confusions, ("views of 16 px",))
    notes = captions_notes(judged, metrics, [cell.cluster for cell in cells])
    result = compare(
        frame, cells, table=table, baseline=baseline, protocol="std-v1", metrics=metrics, cluster_noun="caption",
        notes=notes,
    )  # fmt: skip
    return SimpleNamespace(cells=cells, frame=frame, records=records, result=result, judged=judged, scores=scores)


@pytest.fixture(scope="session")
def captioned():
    """The study of captions."""
    return caption_study()


@pytest.fixture(scope="session")
def make_caption_study():
    """The function, for other shapes."""
    return caption_study
