"""The task on a folder of photographs: its split, its arrays, its identity, and what it refuses and doubts."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from bench.errors import UsageError
from bench.storage.record import Record, make_record
from bench.suites.trial import Trial
from models.nerf import NERF
from tasks.budgets import BUDGETS, sized
from tasks.sparse_views.captured.captured_scene import CapturedScene
from tasks.task import FolderScene, SceneTask
from tests.fixtures.captured_scenes import captured, noise, ring, write_photos, write_transforms


def names(*places):
    return [f"images/{place:03}.png" for place in places]


# ---- the split -------------------------------------------------------------------------------------------------------


def test_what_the_file_holds_out_is_held_out(tmp_path):
    # The case "split-keys-ignored": 4 to 7 are held out, and every eighth is not.
    top = {"train_filenames": names(0, 1, 2, 3, *range(8, 16)), "val_filenames": names(4, 5, 6, 7)}
    task = captured(write_transforms(tmp_path / "splits", top=top | {"test_filenames": names(4, 5, 6, 7)}))
    data = task.load()
    assert data.test.ids == (4, 5, 6, 7)
    assert set(data.train.ids) <= {0, 1, 2, 3, *range(8, 16)} and len(data.all_train_poses) == 12
    assert task.split(task.capture()).source == "as the files say"
    of_val = write_transforms(tmp_path / "val", top=top).joinpath()
    assert captured(of_val).load().test.ids == (4, 5, 6, 7)


@pytest.mark.parametrize(
    ("lists", "train", "test"),
    [
        ({"test_filenames": names(1, 2)}, [0, *range(3, 16)], [1, 2]),
        ({"train_filenames": names(*range(12))}, list(range(12)), [12, 13, 14, 15]),
        ({"train_filenames": names(*range(12)), "test_filenames": names(12)}, list(range(12)), [12]),
        ({"train_filenames": ["./" + name for name in names(1, 2)], "val_filenames": names(3)}, [1, 2], [3]),
        ({"test_filenames": ["images\\003.png"], "val_filenames": names(4)}, [0, 1, 2, *range(5, 16)], [3]),
    ],
)
def test_lists_of_a_part_of_the_photos(tmp_path, lists, train, test):
    task = captured(write_transforms(tmp_path / "lists", top=lists), num_views=2)
    split = task.split(task.capture())
    assert (list(split.train), list(split.test)) == (train, test)


def test_a_word_in_each_frame(tmp_path):
    task = captured(write_transforms(tmp_path / "words", each=lambda i: {"split": "eval" if i in (3, 5) else "train"}))
    assert list(task.split(task.capture()).test) == [3, 5]
    with pytest.raises(UsageError, match="frame 0: expected split 'train', 'val' or 'test', got 'maybe'"):
        captured(write_transforms(tmp_path / "odd", each=lambda i: {"split": "maybe"})).layout()


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"test_filenames": ["other/000.png"]}, "expected 'test_filenames' to name photos of its frames, got 'other"),
        ({"test_filenames": "images"}, "expected a list of file names as 'test_filenames', got 'images'"),
        ({"train_filenames": names(0, 1), "test_filenames": names(1)}, "either trained on or held out, got images/001"),
    ],
)
def test_lists_that_are_wrong(tmp_path, lists, message):
    with pytest.raises(UsageError, match=message):
        captured(write_transforms(tmp_path / "lists", top=lists)).layout()


def test_files_of_each_split(tmp_path):
    place = write_transforms(tmp_path / "two")
    told = json.loads((place / "transforms.json").read_text())
    for split, part in (("train", told["frames"][:10]), ("test", told["frames"][10:]), ("val", told["frames"][:0])):
        if part:
            (place / f"transforms_{split}.json").write_text(json.dumps(told | {"frames": part}))
    task = captured(place, test_every=4)
    split = task.split(task.capture())
    assert list(split.train) == list(range(10)) and list(split.test) == [0, 4]
    assert any("transforms.json is not read, because transforms_train.json" in doubt for doubt in task.doubts())


def test_more_views_than_there_are(tmp_path):
    place = write_transforms(tmp_path / "few", poses=ring(3))
    with pytest.raises(
        UsageError, match=r"expected 8 photos to train on, got 2, besides 1 .* \(--set task.num_views=2\)"
    ):
        captured(place, num_views=8).layout()
    task = captured(place, num_views=2)
    assert task.layout()[:2] == (2, 1) and "only 2 photos are left to train on" in task.doubts()
    with pytest.raises(UsageError, match="among its 2 training views .*, got 0, which is held out; correct `views`"):
        captured(place, num_views=2, views=(0, 1)).layout()


# ---- photographs of both splits --------------------------------------------------------------------------------------


def test_a_photo_under_two_names_is_refused_in_both_splits(tmp_path):
    place = write_transforms(tmp_path / "dups")
    shutil.copy(place / "images" / "001.png", place / "images" / "008.png")
    for ask in (CapturedScene.load, CapturedScene.fingerprint, CapturedScene.doubts):
        with pytest.raises(UsageError, match="008.png .held out, id 8. is 001.png .id 1.; take them out of one split"):
            ask(captured(place))


def test_a_photo_twice_among_those_to_train_on_is_doubted(tmp_path):
    place = write_transforms(tmp_path / "dups")
    shutil.copy(place / "images" / "001.png", place / "images" / "002.png")
    assert "a photo to train on is there twice (002.png)" in captured(place).doubts()


def test_photos_of_one_colour_may_be_equal(tmp_path):
    place = write_transforms(tmp_path / "dark")
    for name in ("000.png", "001.png"):
        Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(place / "images" / name)
    assert captured(place).load().test.ids == (0, 8)


def test_a_camera_of_both_splits_is_doubted(tmp_path):
    poses = ring(16)
    poses[8] = poses[1]
    assert any("held-out photo is taken by a camera of" in doubt and "(008.png)" in doubt
               for doubt in captured(write_transforms(tmp_path / "twin", poses=poses)).doubts())  # fmt: skip


# ---- arrays ----------------------------------------------------------------------------------------------------------


def masked(tmp_path, width=12):
    place = write_transforms(tmp_path / "masks", each=lambda i: {"mask_path": f"masks/{i:03}.png"} if i != 8 else {})
    (place / "masks").mkdir()
    for i in range(16):
        mask = np.zeros((8 * width // 12, width), np.uint8)
        mask[:, width // 4 :] = 1 + i  # whatever is not black counts
        Image.fromarray(mask).save(place / "masks" / f"{i:03}.png")
    return captured(place)


@pytest.mark.parametrize("width", [12, 24])
def test_masks_leave_out_what_they_cover(tmp_path, width):
    task = masked(tmp_path, width)
    photos = task.load().train
    assert task.optional_arrays == ("masks",)
    np.testing.assert_allclose(photos.masks[0, 0], [0, 0.5, 1, 1, 1, 1])
    image = noise(photos.ids[0]) / 255
    # Pixel 1 of 6 shows columns 2 and 3, of which 3 counts.
    np.testing.assert_allclose(photos.colors[0, 0, 1], image[0:2, 3].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(photos.colors[0, 0, 2], image[0:2, 4:6].mean(axis=(0, 1)), atol=1e-6)
    np.testing.assert_array_equal(task.load().test.masks[1], np.ones((4, 6)))  # id 8 has none
    assert "15 of 16 photos have a mask; of the others all pixels count" in task.doubts()


def test_masks_that_are_wrong(tmp_path):
    task = masked(tmp_path)
    file = task.place() / "masks" / "000.png"
    Image.fromarray(np.zeros((8, 12), np.uint8)).save(file)
    with pytest.raises(
        UsageError, match="expected a mask in which pixels count .white., got black all over in 000.png"
    ):
        task.load()
    Image.fromarray(np.ones((8, 8), np.uint8)).save(file)
    with pytest.raises(UsageError, match="expected a mask of the shape of its photo, 12 x 8, got 8 x 8 in 000.png"):
        task.load()


def test_masks_that_no_file_names_are_doubted(tmp_path):
    place = write_transforms(tmp_path / "masks")
    (place / "masks").mkdir()
    assert "masks lies in the folder, but no camera file names masks: all pixels count" in captured(place).doubts()
    of_instant_ngp = write_transforms(tmp_path / "ngp")
    Image.fromarray(np.zeros((8, 12), np.uint8)).save(of_instant_ngp / "images" / "dynamic_mask_000.png")
    assert any(doubt.startswith("dynamic_mask_000.png lies in") for doubt in captured(of_instant_ngp).doubts())


def test_alpha_goes_on_the_background(tmp_path):
    place = write_transforms(tmp_path / "alpha", channels=4)
    task = captured(place, background=0.25)
    photos = task.load().train
    image = noise(photos.ids[0], 4) / 255
    block = image[:2, :2].reshape(4, 4)
    expected = (block[:, :3] * block[:, 3:] + 0.25 * (1 - block[:, 3:])).mean(axis=0)
    np.testing.assert_allclose(photos.colors[0, 0, 0], expected, atol=1e-6)
    np.testing.assert_allclose(photos.alphas[0, 0, 0], block[:, 3].mean(), atol=1e-6)
    # Photographs with alpha are of a thing alone: cameras are brought to 4 from it, near and far to 2 and 6.
    assert task.surroundings == "bounded"
    data = task.load()
    assert (data.near, data.far) == pytest.approx((2, 6), rel=1e-4)
    np.testing.assert_allclose(np.linalg.norm(data.all_train_poses[:, :3, 3], axis=1), 4, rtol=1e-4)


def test_alpha_that_says_nothing_is_none(tmp_path):
    place = write_transforms(tmp_path / "phone", channels=4)
    for path in (place / "images").iterdir():
        image = np.asarray(Image.open(path)).copy()
        image[..., 3] = 255
        Image.fromarray(image).save(path)
    task = captured(place)
    assert task.surroundings == "unbounded" and not task.has_alpha
    assert any("an alpha channel that is 1 everywhere" in doubt for doubt in task.doubts())
    np.testing.assert_array_equal(task.load().train.alphas, 1)


def test_photos_keep_their_size_where_a_budget_is_larger(tmp_path):
    place = write_transforms(tmp_path / "small")
    task = captured(place, image_px=400)
    assert task.layout() == (4, 2, 8, 12) == (4, 2, *task.load().train.colors.shape[1:3])
    assert task.extent() == (14, 12, 0)
    assert isinstance(task, FolderScene) and isinstance(task, SceneTask)


def test_sizes_of_one_shape_are_brought_together(tmp_path):
    place = write_transforms(tmp_path / "sizes", change=lambda told: [told.pop(key) for key in ("w", "h", "cx", "cy")])
    write_photos(place, ["images/003.png"], width=24, height=16)
    data = captured(place, image_px=400).load()
    assert data.train.colors.shape[1:3] == (8, 12)


# ---- identity --------------------------------------------------------------------------------------------------------


def test_fingerprint_is_of_what_files_hold_not_of_places(tmp_path):
    first = write_transforms(tmp_path / "a" / "scene", each=lambda i: {"mask_path": "mask.png"})
    Image.fromarray(np.full((8, 12), 255, np.uint8)).save(first / "mask.png")
    second = tmp_path / "b" / "scene"
    shutil.copytree(first, second)
    base = captured(first).fingerprint()
    assert captured(second).fingerprint() == base
    told = (second / "transforms.json").read_text()
    (second / "transforms.json").write_text(" " + told.replace('"frames"', '"created_by": "me", "frames"'))
    assert captured(second).fingerprint() == base  # nothing that is read has changed
    (second / "transforms.json").write_text(told.replace('"fl_x": 14.0', '"fl_x": 14.5'))
    assert captured(second).fingerprint() != base
    (second / "transforms.json").write_text(told)
    Image.fromarray(noise(77)).save(second / "images" / "004.png")
    assert captured(second).fingerprint() != base
    shutil.copy(first / "images" / "004.png", second / "images" / "004.png")
    assert captured(second).fingerprint() == base
    mask = np.full((8, 12), 255, np.uint8)
    mask[0] = 0
    Image.fromarray(mask).save(second / "mask.png")
    assert captured(second).fingerprint() != base


def test_what_places_a_scene_is_in_its_identity():
    identity = {f.name for f in dataclasses.fields(CapturedScene) if f.metadata.get("identity", True)}
    assert "folder" not in identity
    assert {"near", "far", "world", "center", "scale", "test_every", "background", "image_px", "views"} <= identity


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scene": "a/b"}, "expected the name of one folder, got 'a/b'; the path before it is `folder`"),
        ({"test_every": 1}, "expected test_every of at least 2 and image_px of at least 1, got 1"),
        ({"background": 2.0}, "expected a background from 0 .black. to 1 .white., got 2.0"),
        ({"near": 3.0, "far": 2.0}, "expected near below far, got near=3.0, far=2.0"),
        ({"near": -1.0}, "expected near above 0, got -1.0; leave it out to have it estimated"),
        ({"scale": 0.0}, "expected scale above 0, got 0.0"),
        ({"subset_seed": -1}, "expected a subset_seed from 0"),
        ({"num_views": 0}, "expected num_views of at least 1, got 0"),
    ],
)
def test_mistakes_in_fields_are_told(fields, message):
    with pytest.raises(UsageError, match=message):
        CapturedScene(**{"scene": "garden", "folder": "."} | fields)


def test_a_world_that_is_none_and_a_center_of_two_numbers():
    task = object.__new__(CapturedScene)  # past the type checker of the tests, which users do not have
    for field in dataclasses.fields(CapturedScene):
        object.__setattr__(
            task, field.name, {"scene": "a", "folder": ".", "world": "flat"}.get(field.name, field.default)
        )
    with pytest.raises(UsageError, match="expected a world among bounded, unbounded, forward-facing, got 'flat'"):
        task.__post_init__()
    object.__setattr__(task, "world", None)
    object.__setattr__(task, "center", (1.0, 2.0))
    with pytest.raises(UsageError, match="expected center as three numbers, got .1.0, 2.0.; write task.center=0,0,0.5"):
        task.__post_init__()


def test_where_it_lies_is_written_into_records(tmp_path):
    budget = BUDGETS["smoke"]
    task = captured(write_transforms(tmp_path / "garden"), near=0.2)
    trial = Trial(task=task, method=sized(NERF, budget), budget=budget, seed=0, variant="nerf")
    record = Record.from_json(make_record(trial, status="finished", with_device=False).to_json())
    assert record.scene["near"] == pytest.approx(0.2) and record.scene["far"] == pytest.approx(20, rel=1e-3)
    assert record.scene["world"] == "unbounded" and record.scene["scale"] == pytest.approx(2, rel=1e-3)
    assert record.identity["task"]["near"] == 0.2 and record.identity["task"]["far"] is None


def test_names_and_arrays_that_cannot_be_written(tmp_path):
    task = captured(write_transforms(tmp_path / "garden"))
    assert (task.name, task.cluster) == ("garden__4v", "garden")
    assert task.load() is task.load()
    with pytest.raises(ValueError, match="read-only"):
        task.load().train.colors[0] = 0
    with pytest.raises(AssertionError, match="its size is open"):
        dataclasses.replace(task, image_px=None).layout()


def test_folders_without_cameras_or_photos(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty: expected cameras: transforms.json .*; run COLMAP on the photos first"):
        captured(tmp_path / "empty").layout()
    with pytest.raises(UsageError, match="none: expected a folder of photos with their cameras, got none"):
        captured(tmp_path / "none").layout()
