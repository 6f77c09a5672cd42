"""Arms on captured scenes: they are sampled as their scene asks for, last, so that what the user sets counts."""

from __future__ import annotations

import dataclasses

import pytest

from bench.suites import captured_arms
from bench.suites.selection import SelectionOptions, select_trials
from models.dietnerf import DIETNERF
from models.dream_fields import DREAM_FIELDS
from models.nerf import NERF, NERF_2021
from tasks.budgets import BUDGETS
from tasks.task import photos_have_alpha, scene_surroundings
from tests.fixtures.captured_scenes import captured, ring, row, write_transforms
from tests.fixtures.photo_scenes import write_scene


def test_methods_are_fitted_as_they_say_themselves():
    for method in (NERF, DIETNERF, NERF_2021):
        for world in ("unbounded", "forward-facing"):
            expected = (f"a+world={world}", method.fit_to_world(world, has_alpha=False))
            assert captured_arms.fitted_method("a", method, world, False) == expected
        assert captured_arms.fitted_method("a", method, "bounded", True) == ("a", method)
    variant, method = captured_arms.fitted_method("a", NERF, "bounded", False)
    assert variant == "a+opaque_end=True" and method == dataclasses.replace(NERF, opaque_end=True)
    variant, method = captured_arms.fitted_method("a", NERF, "unbounded", True)
    assert variant == "a+world=unbounded" and method.contraction and not method.opaque_end


def test_what_is_no_nerf_stays_and_so_does_an_observed_pose():
    assert captured_arms.fitted_method("a", DREAM_FIELDS, "unbounded") == ("a", DREAM_FIELDS)
    observed = dataclasses.replace(DIETNERF, pose_distribution="observed")
    assert captured_arms.fitted_method("a", observed, "unbounded")[1].pose_distribution == "observed"


def test_what_the_user_chose_stays():
    mine = dataclasses.replace(NERF, lindisp=True)
    assert captured_arms.fitted_method("mine", mine, "unbounded", False) == ("mine", mine)
    variant, method = captured_arms.fitted_method("nerf+contraction=False", NERF, "unbounded", False)
    assert variant == "nerf+contraction=False+world=unbounded" and not method.contraction and method.lindisp
    of_hemisphere = captured_arms.fitted_method("dietnerf+pose_distribution=hemisphere", DIETNERF, "unbounded", False)[
        1
    ]
    assert of_hemisphere.pose_distribution == "hemisphere" and of_hemisphere.contraction


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A folder of scenes with other surroundings each."""
    folder = tmp_path_factory.mktemp("scans")
    write_transforms(folder / "room", poses=ring(16))
    write_transforms(folder / "vase", channels=4)
    write_transforms(folder / "wall", poses=row(16, width=3.0))
    write_scene(folder / "lego", num_train=5, num_test=2)
    return folder


def methods(scans, arm, **options):
    options = SelectionOptions(
        suite="sparse-views", budget=BUDGETS["smoke"], scenes=str(scans), only=(f"arm={arm}",), **options
    )
    return {trial.task.cluster: trial for trial in select_trials(options).trials}


def test_a_table_of_scenes_of_several_kinds(scans):
    names = ("room", "vase", "wall")
    tasks = [captured(scans / name) for name in names]
    assert [scene_surroundings(task) for task in tasks] == ["unbounded", "bounded", "forward-facing"]
    assert [photos_have_alpha(task) for task in tasks] == [False, True, False]
    found = {scene: trial.variant for scene, trial in methods(scans, "NeRF").items()}
    fitted = {"room": "nerf+world=unbounded", "wall": "nerf+world=forward-facing"}
    assert found == {"lego": "nerf", "vase": "nerf"} | fitted
    poses = {scene: trial.method.pose_distribution for scene, trial in methods(scans, "DietNeRF").items()}
    assert poses == {"lego": "hemisphere", "vase": "hemisphere", "room": "interpolated", "wall": "interpolated"}
    room = methods(scans, "NeRF")["room"].method
    assert room.contraction and room.lindisp and room.opaque_end


def test_settings_reach_every_scene(scans):
    for trial in methods(scans, "NeRF", settings=("nerf.num_rays=17", "nerf.lindisp=false")).values():
        assert trial.method.num_rays == 17 and not trial.method.lindisp
        assert "+num_rays=17" in trial.variant


def test_an_ablation_whose_arms_are_fitted_otherwise(scans):
    options = SelectionOptions(
        suite="sparse-views-ablations", budget=BUDGETS["smoke"], scenes=f"{scans}/room,{scans}/wall"
    )
    assert {trial.task.cluster for trial in select_trials(options).trials} == {"room", "wall"}
