"""Arms on captured scenes: how samples lie, and where DietNeRF looks from, follow what lies around a scene."""

from __future__ import annotations

import dataclasses

import pytest

from bench.suites import captured_arms
from bench.suites.selection import SelectionOptions, select_trials
from models.dietnerf import DIETNERF, DIETNERF_2021, DietNeRF
from models.dream_fields import DREAM_FIELDS
from models.nerf import NERF
from tasks.budgets import BUDGETS
from tasks.task import scene_surroundings
from tests.fixtures.captured_scenes import captured, ring, row, write_transforms
from tests.fixtures.photo_scenes import write_scene


@pytest.mark.parametrize("surroundings", ["unbounded", "forward-facing"])
def test_dietnerf_on_scenes_that_are_not_bounded(surroundings):
    for variant, method in (("dietnerf", DIETNERF), ("dietnerf_2021", DIETNERF_2021)):
        fitted = captured_arms.fitted_method(variant, method, surroundings)
        assert fitted == (f"{variant}+world={surroundings}", method.fit_to_world(surroundings))
        assert fitted[1].pose_distribution == "interpolated"
        assert captured_arms.fitted_method(variant, method, "bounded") == (variant, method)
    observed = dataclasses.replace(DIETNERF, pose_distribution="observed")
    assert captured_arms.fitted_method("a", observed, surroundings)[1].pose_distribution == "observed"
    variant, method = captured_arms.fitted_method("nerf", NERF, surroundings)
    assert variant == f"nerf+world={surroundings}" and method.lindisp and method.opaque_end
    assert method.contraction == (surroundings == "unbounded")


def test_bounded_scenes_stay_as_they_are_unless_nothing_says_what_is_behind():
    assert captured_arms.fitted_method("nerf", NERF, "bounded", has_alpha=True) == ("nerf", NERF)
    variant, method = captured_arms.fitted_method("nerf", NERF, "bounded", has_alpha=False)
    assert variant == "nerf+opaque_end=True" and method == dataclasses.replace(NERF, opaque_end=True)
    assert captured_arms.fitted_method("a", DREAM_FIELDS, "unbounded") == ("a", DREAM_FIELDS)


def test_a_table_of_scenes_of_several_kinds(tmp_path):
    write_transforms(tmp_path / "room", poses=ring(16))
    write_transforms(tmp_path / "vase", channels=4)
    write_transforms(tmp_path / "wall", poses=row(16, width=3.0))
    write_scene(tmp_path / "lego", num_train=5, num_test=2)
    names = ("room", "vase", "wall")
    around = [scene_surroundings(captured(tmp_path / name)) for name in names]
    assert around == ["unbounded", "bounded", "forward-facing"]
    options = SelectionOptions(suite="sparse-views", budget=BUDGETS["smoke"], scenes=str(tmp_path))
    found = {
        trial.task.cluster: (trial.variant, trial.method.pose_distribution)
        for trial in select_trials(options).trials
        if isinstance(trial.method, DietNeRF) and not trial.method.finetune_steps
    }
    hemisphere = ("dietnerf", "hemisphere")
    assert found == {
        "lego": hemisphere,
        "vase": hemisphere,
        "room": ("dietnerf+world=unbounded", "interpolated"),
        "wall": ("dietnerf+world=forward-facing", "interpolated"),
    }
