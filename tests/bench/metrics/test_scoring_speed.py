"""How fast views are scored: the table is whole, with torchmetrics or without."""

import importlib.util
import json

import numpy as np
import pytest

from bench import __main__ as command_line
from bench.metrics import scoring_speed


def test_the_command_prints_and_writes_the_whole_table(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(scoring_speed.lpips, "PRECISIONS", ("float32",))  # each is a network to compile
    monkeypatch.setattr(scoring_speed.photo_scorers, "METRIC_NAMES", ("psnr", "ssim"))
    monkeypatch.setattr(scoring_speed.catalog, "EMBEDDED", {})
    file = tmp_path / "scoring.json"
    words = ["profile", "--scoring", "--image-px", "16", "--views", "2", "--out", str(file)]
    assert command_line.main(words) == 0
    rows = {row["what"]: row for row in json.loads(file.read_text())["rows"]}
    timed = [row for row in rows.values() if not row["note"]]
    assert {"here, float32", "psnr", "ssim"} <= {row["what"] for row in timed}
    assert all(row["views_a_second"] > 0 for row in timed)
    for name in ("here, float32", "here, photographs known"):
        assert set(rows[name]["largest_differences"].values()) == {0.0}
    told = capsys.readouterr().out
    assert "2 views of 16 px on" in told and "here, float32" in told
    if importlib.util.find_spec("torchmetrics") is None:
        assert "not installed" in told


def test_views_are_the_same_each_time_and_no_truth():
    views = scoring_speed.make_views(2, 12)
    assert (views.color == scoring_speed.make_views(2, 12).color).all() and (views.color != views.truth).any()
    assert views.color.dtype == np.float16 and views.truth.dtype == np.float32
    assert views.color.min() >= 0 and views.color.max() <= 1


def test_torchmetrics_gets_our_weights_and_agrees():
    pytest.importorskip("torch")
    pytest.importorskip("torchmetrics")
    views = scoring_speed.make_views(2, 32)
    views = views._replace(color=views.color.astype(np.float32))
    exact = scoring_speed.score_here(views, "float32")
    theirs = scoring_speed.torchmetrics_scorer(is_exact=True)(views)
    worst = scoring_speed.largest_differences(theirs, exact)
    assert worst["psnr"] < 1e-4 and worst["ssim"] < 1e-5 and worst["lpips_vgg"] < 1e-5
