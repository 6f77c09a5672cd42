"""`--scenes` as a user calls it: their own photographs from a folder to tables and a page, in every command."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from bench import __main__ as command_line
from bench.analysis.table_result import TableResult
from bench.metrics.task_kinds import photos
from bench.plugins import trial_sources
from bench.report import build
from bench.storage.record import Outcome, make_record
from bench.suites import registry
from bench.training import run_suite
from tests.fixtures.photo_scenes import write_scene

LEVELS = {"nerf": 0.2, "simplified_nerf": 0.12, "dietnerf": 0.05, "dietnerf_finetuned": 0.08}
"""How far off the renders of a variant are."""


def make_outcome(trial):
    """Renders that are a little off, scored by what can be computed without a network."""
    truth = trial.task.load().test
    off = LEVELS[trial.variant.split("+")[0]] + 0.01 * np.arange(len(truth.ids))
    color = np.clip(truth.colors - off[:, None, None, None], 0, 1).astype(np.float16)
    psnr = [float(-20 * np.log10(x)) for x in off]
    values = {"psnr": psnr, "ssim": [x / 40 for x in psnr], "lpips_vgg": list(map(float, off))}
    values |= {"psnr_fg": psnr, "floaters": [0.0 for _ in psnr]}
    scores = {
        "protocol": "std-v1", "version": photos.PHOTO_PROTOCOLS["std-v1"].version, "view_ids": list(truth.ids),
        "per_view": values, "reasons": {}, "context": {"angle_to_nearest_deg": [10.0 for _ in psnr]}, "departs": None,
        "field_state": "ok", "about": {},
    }  # fmt: skip
    views = {"color": color, "opacity": color[..., 0], "ids": np.asarray(truth.ids, np.int32)}
    record = make_record(trial, status="finished", timings={"wall_s": 1.0}, num_parameters=7, with_device=False)
    return Outcome(record=record, parameters={}, views=views, scores={"std-v1": scores})


@pytest.fixture(autouse=True)
def quickly(monkeypatch, tmp_path):
    """Nothing is trained, pages are drawn into a folder of the test, and no reference is looked at."""

    def train_packs(packs, protocols, *, on_outcome, **others):
        for pack in packs:
            for trial in pack.trials:
                on_outcome(make_outcome(trial))

    monkeypatch.setattr(run_suite.scheduler, "train_packs", train_packs)
    monkeypatch.setattr(run_suite, "check_scorers", lambda tasks: None)
    monkeypatch.setattr(run_suite, "check_encoders", lambda trials: None)
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(trial_sources, "REFERENCE", tmp_path / "reference")


@pytest.fixture
def scans(tmp_path):
    folder = tmp_path / "scans"
    write_scene(folder / "vase", num_train=5, num_test=17)
    write_scene(folder / "chess", num_train=5, num_test=17, seed=1)
    return folder


def call(tmp_path, verb, *words, suite="sparse-views", budget="smoke"):
    """Call a verb of the command line."""
    told = [verb, "--budget", budget, "--results", tmp_path / "runs", *words]
    return command_line.main([str(word) for word in [*told, *(["--suite", suite] if suite else [])]])


def in_one_line(capsys):
    err = capsys.readouterr().err
    assert err.startswith("bench: ") and err.count("\n") == 1
    return err


def test_from_a_folder_to_a_page(scans, tmp_path, capsys):
    assert call(tmp_path, "run", "--scenes", scans) == 0
    out = capsys.readouterr().out
    said = " ".join(out.split())
    assert "2 scenes: no verdict across scenes; differences by scene below" in said
    assert "minus NeRF, by scene ± over its views arm chess better in vase better in" in said
    gains = 20 * np.log10([0.2 / 0.05, 0.21 / 0.06, 0.22 / 0.07])  # of three test views: 0, 8 and 16 of 17
    half = 4.3027 * np.std(gains, ddof=1) / np.sqrt(3)  # Student's t of two degrees of freedom at 97.5%
    assert f"DietNeRF +{np.mean(gains):.2f} ±{half:.2f} 3 of 3 views" in said
    assert "10 trials trained, 0 found finished" in said
    folder = tmp_path / "reports" / "sparse-views-smoke-chess+vase"
    assert f"report: {folder}/index.html" in out
    page = (folder / "index.html").read_text()
    assert "<h1>sparse-views: chess, vase</h1>" in page
    assert "2 scenes: no verdict across scenes." in page and f"--scenes {scans}" in page
    assert "NeRF, 5 views" in page and "Every view" in page
    rows = (folder / "tables" / "sparse-views-views.csv").read_text().splitlines()
    assert rows[0] == "table,metric,arm,cluster,view,file,difference"
    assert len([row for row in rows if row.startswith("sparse views,psnr,DietNeRF,vase,")]) == 3
    with Image.open(folder / "sheets" / "sparse-views-the-same-view-by-each-arm.png") as sheet:
        assert sheet.size[0] > 500  # the photograph and five arms side by side
    (table, _) = json.loads((folder / "results.json").read_text())
    assert TableResult.from_json(table).view_names["vase"]["8"] == "test/r_8.png"
    assert "8 (r_8.png)" in page and ",8,test/r_8.png," in "".join(rows)
    read = TableResult.from_json(table).scene_differences
    assert {(each.cluster, len(each.by_view)) for each in read} == {("chess", 3), ("vase", 3)}


def test_one_scene_still_has_a_table(scans, tmp_path, capsys):
    assert call(tmp_path, "run", "--scenes", scans / "vase") == 0
    first = capsys.readouterr().out
    assert "1 scene: no verdict across scenes" in first and "3 of 3 views" in first
    assert call(tmp_path, "run", "--scenes", scans, "--only", "scene=vase") == 0
    assert "0 trials trained, 5 found finished" in capsys.readouterr().out
    assert call(tmp_path, "report", "--scenes", scans, "--only", "scene=vase") == 0
    assert "sparse-views-smoke-vase/index.html" in capsys.readouterr().out


def test_compare(scans, tmp_path, capsys):
    words = ["dietnerf", "--against", "nerf", "--scenes", scans, "--out", tmp_path / "page"]
    assert call(tmp_path, "compare", *words) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1].startswith("DietNeRF: PSNR too few scenes for a verdict against NeRF")
    assert "DietNeRF on sparse-views: chess, vase" in (tmp_path / "page" / "index.html").read_text()


def test_import_looks_for_the_views_of_ones_own_scene(scans, tmp_path, capsys):
    (tmp_path / "renders").mkdir()
    for view in (0, 8):
        Image.fromarray(np.full((8, 8, 3), 99, np.uint8)).save(tmp_path / "renders" / f"{view}.png")
    words = [tmp_path / "renders", "--task", "sparse-views:vase", "--name", "theirs", "--scenes", scans]
    assert call(tmp_path, "import", *words, suite=None) == 2
    assert "renders: expected 3 views, 0, 8, 16, got no 16" in in_one_line(capsys)
    words[2] = "sparse-views:vas"
    assert call(tmp_path, "import", *words, suite=None) == 2
    assert "expected a scene or caption of sparse-views, got 'vas'; the nearest is 'vase'" in in_one_line(capsys)


def test_plan_and_archive(scans, tmp_path, capsys):
    assert call(tmp_path, "plan", "--scenes", scans, "--no-pilot") == 0
    assert "10 trials at budget smoke, 0 of them finished" in capsys.readouterr().out
    assert call(tmp_path, "run", "--scenes", scans) == 0
    capsys.readouterr()
    assert call(tmp_path, "archive", "--scenes", scans, "--numbers", "--out", tmp_path) == 0
    assert f"{tmp_path}/sparse-views-smoke-chess+vase.parquet: 10 of 10 trials" in capsys.readouterr().out


def test_plan_without_the_papers_data(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("BENCH_BLENDER_DIR", raising=False)
    monkeypatch.setenv("BENCH_COCO_CAPTIONS", str(tmp_path / "nothing.txt"))
    registry.suite("text-to-3d")._made.clear()  # another test may have made its tables with captions
    assert call(tmp_path, "plan", "--no-pilot", budget="paper") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "40 trials at budget paper, 0 of them finished" in lines
    assert lines[-1].startswith("not here yet: NeRF Realistic Synthetic: expected to be told where it is")
    assert call(tmp_path, "plan", "--no-pilot", "--json", suite="text-to-3d", budget="paper") == 0
    plan = json.loads(capsys.readouterr().out)
    assert len(plan["missing"]) == 1 and "nothing.txt" in plan["missing"][0]
    assert plan["trials"] == [] and len(plan["without_data"]) % 153 == 0 and plan["without_data"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--scenes", "SCANS", "--only", "scene=vas"],
            "expected a scene of .*, got 'vas'; the nearest is 'vase'",
        ),
        (["--scenes", "SCANS/vas"], "which is not there; the nearest is 'vase'"),
        (
            ["--scenes", "SCANS/vase/train"],
            "which is a part of one; name .*scans.vase, which holds transforms_train.json",
        ),
        (["--scenes", ","], "--scenes: expected folders with commas between, got ','"),
        (["--scenes", "SCANS", "--set", "task.num_views=6"], "at least 6 training photographs, got 5"),
        (["--scenes", "SCANS,SCANS/../more"], "'vase' twice"),
        (["--set", "task.scene=vase"], "or name folders of your own photographs with --scenes FOLDER"),
        (["--only", "scene=vase"], "got 'vase'; .*; folders of your own are named with --scenes"),
    ],
)
def test_a_mistake_is_told_in_a_line_before_anything_is_trained(scans, tmp_path, words, message, capsys, monkeypatch):
    monkeypatch.setattr(run_suite, "train_missing", lambda *arguments: pytest.fail("trained"))
    write_scene(tmp_path / "more" / "vase", num_train=5, num_test=2)
    assert call(tmp_path, "run", *(word.replace("SCANS", str(scans)) for word in words)) == 2
    assert re.search(message, in_one_line(capsys))


def test_a_folder_without_its_photographs(scans, tmp_path, capsys):
    for photo in (scans / "vase" / "train").iterdir():
        photo.unlink()
    assert call(tmp_path, "run", "--scenes", scans / "vase") == 2
    assert "train/r_0.png, got 'no such file'; put it there" in in_one_line(capsys)
    assert call(tmp_path, "run", "--scenes", scans / "chess", suite="text-to-3d") == 2
    assert "--scenes: expected a suite that starts from photographs" in in_one_line(capsys)


def test_photographs_that_are_listed_and_lost_are_left_out_and_said(scans, tmp_path, capsys):
    (scans / "vase" / "train" / "r_1.png").unlink()
    assert call(tmp_path, "run", "--scenes", scans / "vase") == 0
    out, err = capsys.readouterr()
    assert "warning: scene vase: 1 of 5 training photographs that are listed are not there; they are left out" in err
    assert "NeRF, 4 views" in out
