"""`scene`: what is said of a folder before anything is trained, its drawing, and what is refused."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from bench.__main__ import main
from tests.fixtures.captured_scenes import ring, row, write_colmap, write_llff, write_transforms
from tests.fixtures.photo_scenes import write_scene


def look(capsys, *words):
    code = main(["scene", *map(str, words)])
    said = capsys.readouterr()
    assert code == 0, said.err
    return said.out


def drawn(path):
    image = Image.open(io.BytesIO(path.read_bytes()))
    assert image.format == "PNG" and min(image.size) > 500
    pixels = np.asarray(image.convert("RGB"))
    return {tuple(color) for color in pixels.reshape(-1, 3)[::7].tolist()}


def test_a_capture_from_the_folder_to_the_drawing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = write_transforms(tmp_path / "garden", top={"k1": 0.01, "mask_folder": "x", "sharpen": 1})
    lines = look(capsys, place).splitlines()
    assert lines[0] == "garden: transforms.json of instant-ngp, 16 photos of 12 x 8"
    said = "\n".join(lines)
    for part in (
        "split     14 to train on, 2 held out: every 8th photo is held out",
        "trained on by default: 10 (010.png), 7 (007.png), 5 (005.png); at paper also 13 (013.png), ",
        "held out: ids 0, 8: 000.png, 008.png",
        "cameras   OPENCV, k1=0.01; focal length 14 px, 46.4 degrees across, centre 6, 4",
        "world     unbounded: the photos have no alpha",
        "up        (0, 0, 1): +z of the file, as the cameras are held",
        "near, far 0.125, 20 in the poses' unit: the cameras: the place where their axes meet",
        "scale     1 of the poses' unit is 2 of the field's, so near, far are 0.25, 40 there",
        "not read  sharpen (a setting of instant-ngp's training), mask_folder (not known)",
        "doubt     the key 'mask_folder' is not known and not read",
        "drawn     scene-garden.png",
    ):
        assert part in said
    assert len(drawn(tmp_path / "scene-garden.png")) > 20


def test_as_json(tmp_path, capsys):
    place = write_transforms(tmp_path / "vase", channels=4)
    found = json.loads(look(capsys, place, "--json", "--out", tmp_path / "a.png"))
    assert found["task"] == "CapturedScene" and found["world"] == "bounded" and found["doubts"] == []
    assert (found["near"], found["far"]) == pytest.approx((0.25, 0.75), rel=1e-3)
    assert found["test_ids"] == [0, 8] and found["with_alpha"] == 16 and found["photo_px"] == [[12, 8]]
    assert found["drawing"] == str(tmp_path / "a.png")


def test_near_far_and_world_may_be_tried(tmp_path, capsys):
    place = write_transforms(tmp_path / "vase")
    words = (place, "--out", tmp_path / "a.png", "--near", 0.2, "--far", 1, "--world", "bounded")
    said = look(capsys, *words)
    assert "near, far 0.2, 1 in the poses' unit: as given" in said and "world     bounded: as given" in said


@pytest.mark.parametrize("kind", ["llff", "colmap", "synthetic"])
def test_other_formats(tmp_path, capsys, kind):
    if kind == "llff":
        place = write_llff(tmp_path / "scene", row(9), (10.0, 40.0))
        expected = ("scene: LLFF, 9 photos of 48 x 32", "near, far 9, 44 in the poses' unit: the bounds in the file")
    elif kind == "colmap":
        points = np.random.RandomState(0).uniform(-0.1, 0.1, (30, 3))
        place = write_colmap(tmp_path / "scene", poses=ring(9), points=points, binary=True)
        expected = ("scene: COLMAP model, binary, 9 photos of 12 x 8", "30 points of COLMAP", "points3D.bin")
    else:
        place = write_scene(tmp_path / "scene", num_train=9, num_test=9)
        (place / "test" / "r_3.png").unlink()
        (place / "train" / "r_2.png").unlink()
        expected = (
            "of NeRF, 16 photos of 8 x 8; 16 with alpha",
            "near, far 2, 6 in the poses' unit: as published",
            "split     8 to train on, 2 held out: every 8th view of transforms_test.json",
            "held out: ids 0, 8",
        )
    said = look(capsys, place, "--out", tmp_path / "a.png")
    for part in expected:
        assert part in said
    assert len(drawn(tmp_path / "a.png")) > 20


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{}/none"], "scene: expected a folder, got .*none, which is not there"),
        (["{}/two"], "scene: expected one scene, got a folder of 2: a, b; name one of them"),
        (["{}/empty"], "scene: expected a scene, or a folder of scenes, got .*empty, where no folder holds"),
        (
            ["{}/two/a", "--near", "5", "--far", "9"],
            "expected something between near=5 and far=9, got cameras that look",
        ),
        (
            ["{}/two/a", "--out", "{}/two/a/transforms.json/x.png"],
            "--out .*x.png: expected folders above it, got .*transforms.json, which is a file",
        ),
        (["{}/two/a", "--world", "flat"], "--world: expected one of bounded, unbounded, forward-facing, got 'flat'"),
    ],
)
def test_what_is_refused(tmp_path, capsys, words, message):
    for name in "ab":
        write_transforms(tmp_path / "two" / name)
    (tmp_path / "empty").mkdir()
    assert main(["scene", *(word.format(tmp_path) for word in words)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error), error
