"""The notebook's cells run from the first to the last, and it is small."""

from __future__ import annotations

import ast
import json

import pytest

from bench.import_paths import ROOT
from bench.storage.store import Store
from tests.bench.cli.test_generate import balls  # noqa: F401 (a fixture)
from tests.fixtures.stored_trials import some_outcome, some_scores

PATH = ROOT / "reports" / "from-a-caption.ipynb"

MOST_BYTES = 300_000


def cells(kind):
    return ["".join(cell["source"]) for cell in json.loads(PATH.read_text())["cells"] if cell["cell_type"] == kind]


def replaced(code, old, new):
    assert old in code, f"expected {old!r} in the notebook"
    return code.replace(old, new)


def run(tmp_path, monkeypatch, resolution=16):
    """Executes all cells at budget smoke, in one namespace, with results of its own; gives the values of last lines."""
    trials = Store.open(tmp_path / "results" / "reference")
    for scene, psnr in (("a", 1.0), ("b", 3.0)):
        scores = {"std-v1": some_scores((psnr, psnr))}
        trials.write(some_outcome(f"nerf__{scene}__s0__0", scores=scores, task=f"{scene}__3v", budget="standard"))
    monkeypatch.chdir(tmp_path)
    code = replaced("\n# ---\n".join(cells("code")), 'budget = "quick"', 'budget = "smoke"')
    code = replaced(code, "root = ROOT", f"import pathlib\nroot = pathlib.Path({str(tmp_path)!r})")
    code = replaced(code, "resolution=48", f"resolution={resolution}")
    code = replaced(code, "num_frames=16", "num_frames=8")
    known, shown = {}, []
    for cell in code.split("\n# ---\n"):
        tree = ast.parse(cell)
        last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell", "exec"), known)
        shown += [eval(compile(last, "cell", "eval"), known)] if last else []
    return known, [value for value in shown if value is not None]  # what a notebook displays


def check(tmp_path, known, shown):
    curves, frames, strip, means = shown
    assert min(*curves.size, *frames.size, *strip.size) > 20
    assert means.to_dict() == {"nerf": 2.0}
    assert known["made"].outcome.record.status == "finished" and known["made"].field is not None
    assert {path.name for path in known["out"].iterdir()} >= {"turntable.webp", "object.glb", "object.ply"}
    assert tmp_path in known["out"].parents


def test_every_cell_runs_where_training_is_that_of_a_ball(balls, tmp_path, monkeypatch, capsys):  # noqa: F811
    known, shown = run(tmp_path, monkeypatch)
    check(tmp_path, known, shown)
    out = capsys.readouterr().out
    assert "train 20/20" in out and ": finished" in out and "mesh of " in out and "rprec1@guide: no number" in out


@pytest.mark.slow
def test_every_cell_runs(tmp_path, monkeypatch, capsys):
    known, shown = run(tmp_path, monkeypatch, resolution=24)
    check(tmp_path, known, shown)
    assert "mesh of " in capsys.readouterr().out


def test_it_is_a_notebook_and_small():
    found = json.loads(PATH.read_text())
    assert found["nbformat"] == 4 and PATH.stat().st_size <= MOST_BYTES
    assert [cell["id"] for cell in found["cells"]] == [f"cell-{i}" for i in range(len(found["cells"]))]
    assert str(ROOT) not in PATH.read_text(), "no paths of this machine"


def test_the_example_of_a_frame_has_five_lines():
    assert len(cells("code")[-1].splitlines()) == 5 and ".frame()" in cells("code")[-1]
