"""A stored ball comes out as files; what is not stored is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh

from bench import __main__ as command_line
from bench.cli import export, export_options
from bench.cli.argument_parser import ArgumentParser
from bench.export import object_files
from bench.storage import record
from bench.storage.store import Store
from bench.suites import registry
from bench.suites.suite import Arm, Suite, Table
from tasks.budgets import BUDGETS
from tests.fixtures.balls import Ball
from tests.fixtures.toys import ToyTask

SUITE = Suite(
    name="balls",
    question="?",
    tables={
        "smoke": (
            Table(
                name="balls", question="?", tasks=(ToyTask(),), baseline="ball", metrics=(), protocol="std-v1",
                arms={
                    "ball": Arm(method=Ball(), variant="ball"),
                    "air": Arm(method=Ball(density=0.0), variant="air", changes=("method.density",)),
                },
            ),
        )
    },
    num_seeds={"smoke": 2},
)  # fmt: skip

HALF_WIDTH = 2 / 3**0.5
"""Of the cube between near and far of the toy's cameras."""

TRIALS = {(trial.variant, trial.seed): trial for trial in SUITE.expand(BUDGETS["smoke"])[0]}


def outcome(trial, **changes):
    made = record.make_record(trial, status="finished", curves={"step": [1.0], "loss": [0.5]}, **changes)
    views = {"strip": np.ones((1, 4, 4, 3), np.float16), "strip_steps": np.int32([1])}
    return record.Outcome(
        record=made, parameters={"params/radius": np.asarray(0.5, np.float32)}, views=views, scores={}
    )


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "suite", {"balls": SUITE}.__getitem__)
    monkeypatch.setitem(registry.SUITES, "balls", "tests:SUITE")
    trials = Store.open(tmp_path / "runs")
    trials.write(outcome(TRIALS["ball", 0]))
    trials.write(outcome(TRIALS["air", 0]))
    trials.write(record.make_failed_outcome(TRIALS["ball", 1], "why"))
    return tmp_path


def run(root, trial, *words):
    sizes = ("--image-px", "16", "--resolution", "24")
    selected = ("--suite", "balls", "--budget", "smoke", "--results", str(root / "runs"))
    return command_line.main(["export", trial, *selected, *sizes, *words])


def test_a_stored_trial(root, capsys):
    assert run(root, "ball__grey__2v__s0", "--out", str(root / "out")) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{root / 'out'}: turntable.") and "faces, watertight, surface at a density of" in said
    names = {path.name for path in (root / "out").iterdir()}
    assert names == {*object_files.FILES} - ({"turntable.mp4"} - names)
    ball = trimesh.load(root / "out" / "object.ply")
    np.testing.assert_allclose(np.linalg.norm(ball.vertices, axis=-1), 0.5, atol=2 * HALF_WIDTH / 23)


def test_where_it_lies_if_nobody_says(root, monkeypatch, capsys):
    monkeypatch.setattr(export_options, "OUT", root / "generated")
    assert run(root, "air", "--seeds", "0", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["trial_id"] == TRIALS["air", 0].id
    assert (root / "generated" / told["trial_id"] / "turntable.webp").is_file()
    assert told["mesh"]["reason"].startswith("expected a field that stops half of the light somewhere")
    assert told["notes"] == [f"no mesh: {told['mesh']['reason']}"]


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (
            "ball",
            "export: expected the start or a part of one id, got 'ball', which 2 share; say more: ball__grey__2v__s0__",
        ),
        (
            "bald__grey__2v__s0",
            "export: expected a trial of the suite at this budget, got 'bald__grey__2v__s0'; the ne",
        ),
        ("ball__grey__2v__s1", ", got one that failed; retry it with python -m bench run --suite balls"),
        ("air__grey__2v__s1", ", got none; train it with python -m bench run --suite balls"),
    ],
)
def test_what_cannot_be_exported(root, capsys, start, told):
    assert run(root, start) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--resolution", "3"), "expected a whole number from 8 to 1024, got '3'"),
        (("--resolution", "5000000"), "expected a whole number from 8 to 1024, got '5000000'"),
        (("--image-px", "9" * 5000), "expected a whole number from 8 to 2048, got '9"),
        (("--level", "nan"), "expected a number above 0, got 'nan'"),
        (("--box", "-1,0,0,1,1"), "expected x0,y0,z0,x1,y1,z1 with x0 < x1, y0 < y1, z0 < z1, got '-1,0,0,1,1'"),
        (("--box", "1,0,0,-1,1,1"), "got '1,0,0,-1,1,1'; write the lower corner first"),
        (("--box", "0,0,0,1,1,inf"), "got '0,0,0,1,1,inf'"),
    ],
)
def test_sizes_are_sizes(root, capsys, words, told):
    assert run(root, "air", *words) == 2
    said = capsys.readouterr().err
    assert told in said and said.count("\n") == 1


def test_a_box_may_begin_with_a_minus():
    parser = ArgumentParser("export", "?", "?")
    export_options.add_box(parser)
    assert parser.parse_words(["--box", "-1,-2,-3e-1,.5,2,3"]).box == (-1, -2, -0.3, 0.5, 2, 3)


def test_a_hash_is_enough(root):
    trial = TRIALS["air", 0]
    words = ["export", trial.id[-6:], "--suite", "balls", "--budget", "smoke", "--results", str(root / "runs")]
    parser = ArgumentParser("export", "?", "?")
    export.add_arguments(parser)
    trials = Store.open(root / "runs")
    assert export.find_stored(parser.parse_words(words[1:]), trials) == trial
    assert trials.find(trial.id[-6:]) == trial.id  # as `show` asks
