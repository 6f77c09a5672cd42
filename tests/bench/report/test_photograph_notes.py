"""A report names the photographs of a user's scene that are trained on and held out, by id and file."""

from __future__ import annotations

import pytest

from bench.report.photograph_notes import describe_photographs, name_held_out
from bench.storage.record import make_record
from bench.suites.trial import Trial
from tasks.sparse_views.captured.captured_scene import CapturedScene
from tasks.sparse_views.nerf_synthetic import BlenderScene
from tests.fixtures.captured_scenes import ring, write_transforms
from tests.fixtures.toy_studies import BASE, SMOKE

HELD_OUT = "2 held out: 0 images/000.png, 8 images/008.png; all at 6 x 4 px of 12 x 8"


@pytest.fixture(scope="module")
def garden(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    write_transforms(folder / "garden")

    def task(num_views):
        return CapturedScene(scene="garden", folder=str(folder), num_views=num_views, image_px=6)

    return task


def test_one_choice_for_all_arms(garden):
    said = describe_photographs("garden", {"NeRF": garden(2), "DietNeRF": garden(2)})
    assert said == f"garden: trained on 2 photos: 10 images/010.png, 7 images/007.png; {HELD_OUT}"


def test_an_arm_of_all_photographs_is_told_apart(garden):
    said = describe_photographs("garden", {"NeRF": garden(1), "NeRF, 14 views": garden(14), "DietNeRF": garden(1)})
    assert said.startswith("garden: trained on 1 photo (NeRF · DietNeRF): 10 images/010.png; trained on 14 photos (")
    assert "(NeRF, 14 views): 10 images/010.png, " in said and f" and 2 more; {HELD_OUT}" in said


def test_a_listed_frame_without_a_photo_is_counted(garden, tmp_path):
    folder = write_transforms(tmp_path / "plot")
    (folder / "images" / "003.png").unlink()
    said = describe_photographs("plot", {"NeRF": CapturedScene(scene="plot", folder=str(tmp_path), image_px=6)})
    assert said.endswith("; all at 6 x 4 px of 12 x 8; 1 listed frame without a photo left out")


def test_a_synthetic_folder_is_named_too(tmp_path):
    write_transforms(tmp_path / "toy", poses=ring(16, 4.0))
    task = BlenderScene(scene="toy", folder=str(tmp_path), num_views=2, image_px=6)
    said = describe_photographs("toy", {"NeRF": task})
    chosen = [f"{number} images/{number:03}.png" for number in task.load().train.ids]
    assert said == f"toy: trained on 2 photos: {', '.join(chosen)}; {HELD_OUT}"
    assert name_held_out(task) == {0: "images/000.png", 8: "images/008.png"}


def test_a_record_names_them(garden):
    trial = Trial(task=garden(2), method=BASE, budget=SMOKE, seed=0, variant="toy_base")
    record = make_record(trial, status="finished", timings={}, num_parameters=1, with_device=False)
    assert record.scene["trained_on"] == {"10": "images/010.png", "7": "images/007.png"}
    assert record.scene["held_out"] == {"0": "images/000.png", "8": "images/008.png"}
