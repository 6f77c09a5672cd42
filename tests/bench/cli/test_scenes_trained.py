"""`--scenes` with nothing made up: trained, scored, scored again and drawn from a folder of photographs."""

from __future__ import annotations

import pytest

from bench import __main__ as command_line
from bench.report import build
from tests.fixtures.photo_scenes import write_scene

pytestmark = pytest.mark.slow


def test_from_a_folder_to_numbers_and_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(build, "ROOT", tmp_path)
    write_scene(tmp_path / "scans" / "vase", num_train=4, num_test=9, px=16)
    chosen = ["--suite", "sparse-views", "--budget", "smoke", "--scenes", str(tmp_path / "scans")]
    chosen += ["--only", "variant=nerf", "--only", "table=sparse views", "--results", str(tmp_path / "runs")]
    assert command_line.main(["run", "--executor", "inline", *chosen]) == 0
    out = capsys.readouterr().out
    assert "1 scene: no verdict across scenes" in out and "2 trials trained" in out
    assert "of 2 views" in out  # test views 0 and 8
    folder = tmp_path / "reports" / "sparse-views-smoke-vase"
    assert (folder / "sheets" / "sparse-views-the-same-view-by-each-arm.png").stat().st_size > 500
    assert command_line.main(["rescore", "--protocol", "dietnerf-2021", *chosen]) == 0
    assert capsys.readouterr().out.count(": dietnerf-2021") == 2
    assert command_line.main(["report", *chosen]) == 0
    assert "NeRF, 4 views" in (folder / "index.md").read_text()
