"""Sets of renders against sets of photographs, from a small store."""

import argparse
import dataclasses

import numpy as np
import pandas as pd
import pytest

from bench.analysis import image_set_distances
from bench.cli import report
from bench.errors import UsageError
from bench.metrics import fid_kid
from bench.storage.record import SCHEMA_VERSION, Outcome, Record
from bench.storage.store import Store
from bench.suites import selection
from bench.suites.suite import Arm, Suite, Table
from models.clip.checkpoints import catalog
from tasks.budgets import BUDGETS
from tasks.sparse_views.nerf_synthetic import BlenderScene
from tests.fixtures.toys import ToyMethod, ToyTask
from tests.tasks.sparse_views.test_nerf_synthetic import write_scene

GUIDE = "embedded-vit-8"

NAMES = ("near", "far", "bare", "absent")


def outcome(trial_id, color, encoders=None):
    record = Record(
        schema_version=SCHEMA_VERSION, trial_id=trial_id, status="finished", variant="a", task="t", cluster="t", seed=0,
        budget="smoke", identity={"encoders": encoders or {}}, environment={}, curves={}, timings={}, num_steps=1,
        num_parameters=1, pack_size=1, first_bad_step=None, reason=None, traceback=None,
    )  # fmt: skip
    views = {} if color is None else {"color": color.astype(np.float16), "ids": np.arange(len(color), dtype=np.int32)}
    return Outcome(record=record, parameters={}, views=views, scores={})


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Two scenes; arm `near` has the true views, `far` noise, `bare` no views of one scene, `absent` no trial of it.

    Features are the mean of each colour channel and of its square.
    """

    def extract(images):
        return np.concatenate([images.mean(axis=(1, 2)), (images**2).mean(axis=(1, 2))], axis=1)

    monkeypatch.setattr(fid_kid, "features", lambda name: extract)
    opened = Store.open(tmp_path)
    arms = {name: Arm(method=ToyMethod(label=name), variant=name, changes=("method.label",)) for name in NAMES}
    table = Table(
        name="some", question="Which?", tasks=tuple(ToyTask(scene=scene, image_px=8) for scene in ("grey", "dark")),
        baseline="near", arms=arms, metrics=("psnr",), protocol="std-v1",
    )  # fmt: skip
    trials, cells = Suite(name="s", question="?", tables={"smoke": (table,)}, num_seeds={"smoke": 1}).expand(
        BUDGETS["smoke"], None
    )
    for trial in trials:
        truth = trial.task.load().test.colors
        noise = np.random.default_rng(0).random(truth.shape)
        color = {"near": truth, "far": noise, "bare": None if trial.task.scene == "dark" else truth}
        if trial.variant in color:
            guides = {GUIDE: {"weights": catalog.EMBEDDED[GUIDE]}} if trial.variant == "far" else None
            opened.write(outcome(trial.id, color[trial.variant], guides))
    return table, cells, trials, opened


def test_arms_are_pooled_over_scenes_and_stand_against_all_photographs(made):
    found = image_set_distances.measure_table(*made).set_index("arm")
    assert list(found.columns) == [name for name in image_set_distances.COLUMNS if name != "arm"]
    assert (found.loc["near", "num_images"], found.loc["near", "num_reference"]) == (6, 2 * (2 + 3))
    assert found.loc["far", "fid"] > 10 * found.loc["near", "fid"]
    assert found.loc[image_set_distances.TRUTH, "fid"] == pytest.approx(found.loc["near", "fid"], abs=1e-3)
    assert found.loc[image_set_distances.TRUTH, "kid"] == pytest.approx(found.loc["near", "kid"], abs=1e-3)


def test_what_has_no_views_says_so(made):
    found = image_set_distances.measure_table(*made).set_index("arm")
    assert found.loc["bare", "missing"] == "no stored views: dark"
    assert found.loc["absent", "missing"] == "not trained: grey, dark"
    assert np.isnan(found.loc["bare", "fid"])
    lines = image_set_distances.format_distances(image_set_distances.measure_table(*made))
    assert "  absent           seed 0 missing, not trained: grey, dark" in lines
    assert "no published FID or KID compares" in lines[-1]


def test_every_training_view_is_a_photograph_however_many_there_are(tmp_path):
    """Two of 5 and of 104 training views are seen; 3 test views."""
    for num_train in (5, 104):
        write_scene(tmp_path / str(num_train), counts=(num_train, 3), height=2, width=2)
        task = BlenderScene(scene=str(num_train), folder=str(tmp_path), num_views=2, image_px=2, test_every=1)
        found = image_set_distances.photographs(task)
        assert len(found) == num_train + 3
        assert len({each.tobytes() for each in found}) == len(found)


def test_without_the_baseline_the_photographs_are_the_same(made):
    table, cells, trials, opened = made
    cells = [cell for cell in cells if cell.arm == "far"]
    trials = [trial for trial in trials if trial.id in {cell.trial_id for cell in cells}]
    found = image_set_distances.measure_table(table, cells, trials, opened).set_index("arm")
    assert list(found.index) == ["far", image_set_distances.TRUTH]
    assert found.loc["far", "fid"] == image_set_distances.measure_table(*made).set_index("arm").loc["far", "fid"]


def test_a_failure_is_not_called_untrained(made):
    table, cells, trials, opened = made
    dark = next(c.trial_id for c in cells if (c.arm, c.cluster) == ("absent", "dark"))
    whole = outcome(dark, None)
    failed = dataclasses.replace(whole.record, status="failed", reason="the loss was not finite")
    opened.write(dataclasses.replace(whole, record=failed))
    found = image_set_distances.measure_table(table, cells, trials, opened).set_index("arm")
    assert found.loc["absent", "missing"] == "not trained: grey; failed: dark"


def test_what_the_numbers_are_of_is_said(made):
    found = image_set_distances.measure_table(*made)
    assert set(found["kid_subset"].dropna()) == {6.0}  # 200 are asked for, 6 renders are there
    assert any(
        "KID is a mean over 100 random subsets of 6 of each" in line
        for line in image_set_distances.format_distances(found)
    )
    said = "\n".join(image_set_distances.format_distances(found.assign(features="inception:weights.pth")))
    assert "against 3,200 photographs: 100 training, 100 validation and 200 test views" in said
    assert "no published FID or KID compares" not in said
    head, *_ = image_set_distances.format_distances(found.assign(features="encoder:efficientnet-lite0"))
    assert head.endswith("features encoder:efficientnet-lite0 (trained on ImageNet's labels, not CLIP)")
    assert "ImageNet" not in image_set_distances.format_distances(found.assign(features="encoder:embedded-vit-8"))[0]


def test_the_verb_prints_and_writes(made, tmp_path, capsys):
    table, cells, trials, opened = made
    suite = Suite(name="s", question="?", tables={"smoke": (table,)}, num_seeds={"smoke": 1})
    chosen = selection.Selection(suite=suite, budget=BUDGETS["smoke"], trials=trials, cells=cells)
    args = argparse.Namespace(distances="lpips-vgg", in_loop=False)
    report.print_distances(chosen, opened, args, tmp_path / "distances.csv")
    assert "some: distance of each arm's renders" in capsys.readouterr().out
    written = pd.read_csv(tmp_path / "distances.csv")
    assert list(written.columns) == list(image_set_distances.COLUMNS)
    assert list(written["arm"]) == [*NAMES, image_set_distances.TRUTH]


def test_the_option_has_a_default():
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    words = ["--suite", "ablations"]
    assert parser.parse_args(words).distances is None
    assert parser.parse_args([*words, "--distances"]).distances == "lpips-vgg"
    assert parser.parse_args([*words, "--distances", "encoder:a"]).distances == "encoder:a"


def test_a_guide_judges_only_when_forced_and_is_stamped(made):
    name = f"encoder:{GUIDE}"
    with pytest.raises(UsageError, match=f"judge {GUIDE}: expected an encoder that guided none of the trials"):
        image_set_distances.measure_table(*made, features=name)
    found = image_set_distances.measure_table(*made, features=name, allow_in_loop=True).set_index("arm")
    assert found.loc["far", "stamp"] == "in-loop"
    assert pd.isna(found.loc["near", "stamp"])
    assert any("[in-loop]" in line for line in image_set_distances.format_distances(found.reset_index()))


def test_renders_are_values_of_a_png():
    """NeRF's to8b: (255 * clip(x, 0, 1)).astype(uint8)."""
    x = np.asarray([-0.5, 0.5, 0.999, 1.5, np.nan]).reshape(1, 1, 5, 1).repeat(3, axis=3).astype(np.float16)
    expected = (255 * np.clip(np.nan_to_num(np.float32(x)), 0, 1)).astype(np.uint8)
    np.testing.assert_array_equal(np.round(255 * image_set_distances.quantize_to_8bit(x)).astype(np.uint8), expected)


def test_spread_over_seeds(made):
    table = image_set_distances.measure_table(*made)
    twice = table[table["arm"] == "near"].copy()
    twice = pd.concat([twice, twice.assign(seed=1, fid=twice["fid"] + 2.0)])
    assert (
        "(" in image_set_distances.format_distances(twice)[1]
        and " to " in image_set_distances.format_distances(twice)[1]
    )
