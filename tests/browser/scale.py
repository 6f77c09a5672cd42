"""Times a report of 2,000 made-up trials: to write it, and to open it in Chromium. A command, no test.

python -m tests.browser.scale
"""

from __future__ import annotations

import pathlib
import tempfile
import time

import numpy as np
import pandas as pd

from bench.analysis.paired_comparison import compare
from bench.report.images import turntables
from bench.report.images.interactive_media import InteractiveMedia
from bench.report.page import report_files
from bench.report.report_contents import DeferredDrawing, ReportContents
from bench.storage.record import SCHEMA_VERSION, Record
from bench.suites.suite import TrialSlot
from tests.browser.conftest import chromium

NUM_ARMS, NUM_SCENES, NUM_SEEDS, NUM_VIEWS, NUM_POINTS = 10, 50, 4, 16, 200

METRICS = ("psnr", "ssim", "lpips_vgg")

TIMES_OPENED = 3


def study(rng: np.random.Generator) -> tuple[list[TrialSlot], list[Record], pd.DataFrame]:
    """Places, records with curves and a row a view and metric, of all arms, scenes and seeds."""
    cells, records, rows = [], [], []
    steps = np.linspace(50, 10_000, NUM_POINTS)
    for arm in range(NUM_ARMS):
        for scene in range(NUM_SCENES):
            for seed in range(NUM_SEEDS):
                name, cluster = f"v{arm}__scene-{scene}__8v__s{seed}__{arm:04x}{seed:04x}", f"scene {scene}"
                cells.append(TrialSlot("parts", f"arm {arm}", name, cluster, seed))
                terms = ("loss", "negative_cosine", "transmittance")
                curves = {term: (np.exp(-steps / 3000) + rng.normal(0, 0.01, NUM_POINTS)).tolist() for term in terms}
                records.append(
                    Record(
                        schema_version=SCHEMA_VERSION,
                        trial_id=name,
                        status="finished",
                        variant=f"v{arm}",
                        task=cluster,
                        cluster=cluster,
                        seed=seed,
                        budget="standard",
                        identity={"task": {"type": "S"}, "method": {"type": "M", "width": 64 + arm}},
                        environment={"packages": {"jax": "0"}, "device": "cpu"},
                        curves={"step": steps.tolist(), **curves},
                        timings={"wall_s": 10.0 + arm},
                        num_steps=10_000,
                        num_parameters=10,
                        pack_size=1,
                        first_bad_step=None,
                        reason=None,
                        traceback=None,
                    )  # fmt: skip
                )
                for view, psnr in enumerate(20 + 0.1 * arm + rng.normal(size=NUM_VIEWS)):
                    for metric, value in zip(METRICS, (psnr, psnr / 60, 1 - psnr / 60), strict=True):
                        rows.append(
                            {
                                "trial_id": name,
                                "status": "finished",
                                "budget": "standard",
                                "protocol": "std-v1",
                                "metric": metric,
                                "view": view,
                                "value": value,
                                "reason": None,
                                "num_steps": 10_000,
                                "wall_s": 10.0,
                                "angle_to_nearest_deg": 4.0 + view,
                                "azimuth_deg": np.nan,
                                "elevation_deg": np.nan,
                                "cluster": cluster,
                                "seed": seed,
                            }  # fmt: skip
                        )
    return cells, records, pd.DataFrame(rows).astype({"view": "Int64"})


def main() -> None:
    """Writes and opens it, and prints the seconds."""
    rng = np.random.default_rng(0)
    cells, records, frame = study(rng)
    result = compare(frame, cells, table="parts", baseline="arm 0", protocol="std-v1", metrics=METRICS)
    names = [f"view {i}" for i in range(12)]
    reels = {
        cell.trial_id: (turntables.encode_reel("views", cell.trial_id, names, rng.uniform(size=(12, 64, 64, 3))),)
        for cell in turntables.choose_cells([cell for cell in cells if cell.seed == 0])
    }
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        contents = ReportContents(
            title="made up",
            command="none",
            results=(result,),
            frame=frame,
            cells=tuple(cells),
            records=tuple(records),
            media=DeferredDrawing("noise", lambda: InteractiveMedia(reels=reels)),
        )
        written = pathlib.Path(folder) / "report" / report_files.PAGE
        report_files.write_report(contents, written.parent)
        size = written.stat().st_size / 2**20
        print(f"{len(records)} trials: written in {time.perf_counter() - start:.1f} s, index.html {size:.1f} MiB")
        for _ in range(TIMES_OPENED):
            driver = chromium(pathlib.Path(folder))
            driver.get(written.as_uri())
            of = "const t = performance.getEntriesByType('navigation')[0]; return [t.domInteractive, t.loadEventEnd]"
            interactive, loaded = driver.execute_script(of)
            print(f"opened: can be used after {interactive / 1000:.2f} s, loaded after {loaded / 1000:.2f} s")
            driver.quit()


if __name__ == "__main__":
    main()
