"""A browser without a window, and a report from disk for it: made-up captions, two of them hostile, with pictures."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bench.analysis.paired_comparison import compare
from bench.analysis.table_result import ReferenceRow
from bench.export import surface
from bench.report.images import turntables
from bench.report.images.interactive_media import InteractiveMedia, MeshViewer
from bench.report.page import report_files
from bench.report.report_contents import DeferredDrawing, ReportContents
from bench.storage.record import SCHEMA_VERSION, Record
from bench.suites.suite import TrialSlot

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))

CAPTIONS = (
    "<script>alert(1)</script>",
    "a \"red\" 'kite' & <b>bold</b>",
    *(f"a blue thing number {i}" for i in range(5)),
    "a blue hat",
)
"""The last one is of the closed world, so that a blind quiz may ask about it."""

ARMS = ("full", "bare </script><script>alert(2)</script>", "other")

BESIDE = "true renders"
"""A row below the arms; its number lies among theirs."""

METRICS = ("psnr", "ssim")

LEVELS = (20.0, 25.0, 20.0)


def study():
    """Eight clusters, three arms, two seeds; the second arm is better; one trial failed."""
    rng, cells, rows, records = np.random.default_rng(0), [], [], []
    for place, arm in enumerate(ARMS):
        for number, caption in enumerate(CAPTIONS):
            for seed in (0, 1):
                name, failed = f"v{place}__thing-{number}__s{seed}__00000000", (place, number, seed) == (2, 3, 1)
                cells.append(TrialSlot("parts", arm, name, caption, seed))
                reason = "the loss was <i>not</i> finite" if failed else None
                curves = {"step": [10.0, 20.0], "loss": [0.5, 0.1 + place], "transmittance": [0.9, 0.8]}
                records.append(
                    Record(
                        schema_version=SCHEMA_VERSION,
                        trial_id=name, status="failed" if failed else "finished", variant=f"v{place}",
                        task=caption, cluster=caption, seed=seed, budget="quick", environment={},
                        identity={"task": {"type": "T"}, "method": {"type": "M", "width": 64 - place}}, curves=curves,
                        timings={"wall_s": 5.0 + place}, num_steps=20, num_parameters=10, pack_size=1,
                        first_bad_step=None, reason=reason, traceback=None,
                    )
                )  # fmt: skip
                psnr = LEVELS[place] + 0.1 * number + 0.01 * rng.normal()
                for metric, value in zip(METRICS, (psnr, psnr / 60), strict=True):
                    known = {"protocol": "std-v1", "metric": metric, "view": 0, "value": value}
                    absent = {"protocol": None, "metric": None, "view": None, "value": np.nan}
                    rows.append({
                        "trial_id": name, "status": "failed" if failed else "finished", "budget": "quick",
                        "num_steps": 20, "wall_s": 5.0 + place, "reason": reason, "angle_to_nearest_deg": np.nan,
                        "azimuth_deg": np.nan, "elevation_deg": np.nan, **(absent if failed else known),
                    })  # fmt: skip
                    if failed:
                        break
    return SimpleNamespace(cells=cells, frame=pd.DataFrame(rows).astype({"view": "Int64"}), records=records)


def exhibits(cells):
    """Eight shades a trial of the first seed, and a ball to turn."""
    import trimesh

    from bench.export import mesh_viewer

    labels = [f"azimuth {45 * i}°" for i in range(8)]
    reels = {}
    for i, cell in enumerate(cell for cell in cells if cell.seed == 0):
        shades = np.linspace(0.1, 0.9, 8, dtype=np.float32)[:, None, None, None] * np.float32([1, i / 20, 0.5])
        frames = np.broadcast_to(shades, (8, 16, 16, 3)).copy()
        frames[:, 4:8, 2:6] = 1.0
        reels[cell.trial_id] = (
            turntables.encode_reel("views", cell.trial_id, labels, frames)._replace(views=tuple(range(8))),
            turntables.encode_reel("training", cell.trial_id, ["step 10", "step 20"], frames[:2]),
        )
    ball = trimesh.creation.icosphere(subdivisions=3)
    shades = (255 * (ball.vertices + 1) / 2).astype(np.uint8)
    ball.visual = trimesh.visual.ColorVisuals(ball, vertex_colors=shades)
    model, first = surface.glb(ball), cells[0]
    contents = {
        "objects/ball.html": mesh_viewer.render_viewer(
            mesh_viewer.add_viewer_settings(model, 1.0), first.cluster
        ).encode(),
        "objects/ball.glb": model,
    }
    return InteractiveMedia(
        reels=reels, viewers=(MeshViewer(first.trial_id, first.cluster, first.arm, "mesh of a ball", contents),)
    )


def written(out: pathlib.Path) -> pathlib.Path:
    """The report's page."""
    made = study()
    result = compare(made.frame, made.cells, table="parts", baseline=ARMS[0], protocol="std-v1", metrics=METRICS)
    result = result.with_text(cluster_noun="caption", question="Which part?")
    result = dataclasses.replace(result, references=(ReferenceRow(BESIDE, "psnr", 21.0),))
    contents = ReportContents(
        title="made <up>",
        command="c",
        results=(result,),
        frame=made.frame,
        cells=tuple(made.cells),
        records=tuple(made.records),
        media=DeferredDrawing("shades and a ball", lambda: exhibits(made.cells)),
    )
    report_files.write_report(contents, out)
    return out / report_files.PAGE


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    """Path of the page, in a folder whose name needs care in an address."""
    return written(tmp_path_factory.mktemp("a report #1"))


def chromium(downloads: pathlib.Path):
    """Chromium without a window and without a network."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader",
                 "--window-size=1400,1000"):  # fmt: skip
        options.add_argument(word)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
    )
    return driver


@pytest.fixture(scope="session")
def started(tmp_path_factory):
    """Chromium, once for all tests."""
    pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if not CHROMIUM or not DRIVER:
        pytest.skip("chromium and chromedriver are not installed")
    downloads = tmp_path_factory.mktemp("downloads")
    driver = chromium(downloads)
    yield SimpleNamespace(driver=driver, downloads=downloads)
    driver.quit()


class Reader:
    """A person before the page."""

    def __init__(self, started, path):
        self.driver, self.downloads, self.path = started.driver, started.downloads, path
        self.driver.get(path.as_uri())

    def all(self, selector):
        from selenium.webdriver.common.by import By

        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector, text=None):
        found = [x for x in self.all(selector) if text is None or x.text.strip().startswith(text)]
        assert found, f"{selector}, {text}: there is none"
        return found[0]

    def js(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    def wait(self, what, seconds=20):
        end = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < end, "waited for too long"
            time.sleep(0.05)
        return found

    def column(self, number, selector="section[data-table] table"):
        """Texts of a column of the first table, rows that are shown."""
        code = "return [...document.querySelector(arguments[0]).tBodies[0].rows].filter(r => !r.hidden)" \
               ".map(r => r.cells[arguments[1]].firstChild.textContent)"  # fmt: skip
        return self.js(code, selector, number)

    def data(self):
        return json.loads(self.js("return document.getElementById('data').textContent"))


@pytest.fixture
def reader(started, report):
    """The page, newly opened; nothing may have gone wrong in it at the end."""
    it = Reader(started, report)
    it.js("localStorage.clear()")
    it.driver.get(report.as_uri())
    yield it
    wrong = [line for line in it.driver.get_log("browser") if line["level"] == "SEVERE"]
    assert not wrong


def contents(folder):
    """All files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
