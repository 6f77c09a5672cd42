"""Pictures of the closed world: which shows what, and that they are taken once, whole, and go on after a fall."""

import json
import os
import pathlib

import numpy as np
import pytest

from bench.errors import UsageError
from tasks.cameras import BLENDER_FOV_DEG
from tasks.closed_world import appearance, dataset, meanings
from tasks.closed_world import pictures as pictures_module
from tasks.closed_world.meanings import ObjectPairSpec, ObjectSpec
from tasks.path_tracing import mitsuba_renderer

PX = 4


class Painter:
    """Stands in for the renderer: noise that tells its seed. It may fall down after some shots."""

    def __init__(self):
        self.shots = []
        self.falls_after = None

    def __call__(self, shots, *, num_workers=None, on_view=None):
        assert num_workers == 1
        images = []
        for shot in shots:
            if self.falls_after is not None and len(self.shots) >= self.falls_after:
                raise KeyboardInterrupt
            self.shots.append(shot)
            images.append(paint(shot.seed, shot.image_px))
        return np.stack(images)


def paint(seed, image_px):
    return np.random.RandomState(seed).randint(0, 256, (image_px, image_px, 4)).astype(np.uint8)


@pytest.fixture
def painter(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(dataset, "PIECE", 10)
    monkeypatch.setattr(dataset, "pictures_fingerprint", lambda *fields: fingerprint_of(*fields))
    painter = Painter()
    monkeypatch.setattr(mitsuba_renderer, "photograph_all", painter)
    dataset.config.cache_clear()
    yield painter
    dataset.config.cache_clear()


def fingerprint_of(family, image_px, num_spp):
    """Any that differs; the true one builds every kind."""
    return f"{len(family):06x}{image_px:05d}{num_spp:05d}"


def prepare(num_renders, **fields):
    return dataset.prepare_pictures(num_renders, PX, 2, **{"num_workers": 1, "show": False, "dataset": False} | fields)


def read(num_renders, **fields):
    return dataset.read_arrays(num_renders, PX, 2, **{"split": None} | fields)


# Which picture shows what


def test_nine_in_ten_are_of_training_and_no_split_sees_the_other():
    for family in appearance.FAMILIES:
        pictures = [pictures_module.plan_picture(family, i) for i in range(400)]
        assert [p.split for p in pictures].count("held_out") == 40
        for p in pictures:
            assert meanings.split_of(p.meaning) == p.split and p.number == pictures.index(p)
        for split, num_things in (("train", 200), ("held_out", 20)):
            shown = [p.meaning for p in pictures if p.split == split]
            assert sum(isinstance(m, ObjectSpec) for m in shown) == num_things
            assert sum(isinstance(m, ObjectPairSpec) for m in shown) == {"train": 160, "held_out": 20}[split]


def test_all_things_have_their_turn_before_any_comes_again():
    num_train = len(meanings.things("train"))
    turns = [pictures_module._thing("guide", "train", i) for i in range(num_train + 500)]
    assert set(turns[:num_train]) == set(meanings.things("train"))
    assert turns[num_train:] != turns[:500] and len(set(turns[num_train:])) == 500


def test_families_differ_in_meaning_place_and_noise():
    guide, judge = ([pictures_module.plan_picture(family, i) for i in range(60)] for family in appearance.FAMILIES)
    assert sum(a.meaning == b.meaning for a, b in zip(guide, judge, strict=True)) < 5
    assert len({p.seed for p in guide + judge}) == 120
    assert all(not np.allclose(a.pose, b.pose, atol=1e-3) for a, b in zip(guide, judge, strict=True))


def test_cameras_are_all_round_above_the_horizon_and_see_all_of_the_ball():
    places = np.stack([pictures_module.plan_picture("guide", i).pose[:3, 3] for i in range(400)]).astype(float)
    radius = np.linalg.norm(places, axis=1)
    elevation = np.degrees(np.arcsin(places[:, 2] / radius))
    azimuth = np.degrees(np.arctan2(places[:, 1], places[:, 0])) % 360
    assert elevation.min() >= 0 and elevation.max() <= 80 and elevation.max() > 70 and elevation.min() < 3
    assert np.histogram(azimuth, 8, (0, 360))[0].min() > 30
    assert np.histogram(np.sin(np.radians(elevation)), 4, (0, np.sin(np.radians(80))))[0].min() > 70  # even over area
    assert radius.min() >= 3.6 - 1e-6 and radius.max() <= 4.4 + 1e-6
    assert 1.2 / radius.min() < np.sin(np.radians(BLENDER_FOV_DEG / 2))


def test_shots_are_of_their_pictures_and_take_the_samples_of_their_finish():
    finishes = set()
    for i in range(60):
        picture = pictures_module.plan_picture("judge", i)
        shot = pictures_module.shot(picture, 7, 40)
        parts = (
            [picture.meaning]
            if isinstance(picture.meaning, ObjectSpec)
            else [picture.meaning.first, picture.meaning.second]
        )
        assert shot.args == (picture.meaning.id, "judge", i) and shot.seed == picture.seed and shot.image_px == 7
        assert shot.num_spp == max(round(40 * appearance.NOISE_SAMPLES[part.finish]) for part in parts)
        np.testing.assert_array_equal(shot.pose, picture.pose)
        finishes |= {part.finish for part in parts}
    assert finishes == set(meanings.FINISHES)


def test_pictures_stay_what_they_were():
    # Taken from version 1. If this fails because pictures were changed, raise WORLD_VERSION and take them again.
    assert pictures_module.WORLD_VERSION == 1
    pictures = [pictures_module.plan_picture("guide", i) for i in (0, 5, 9)]
    assert [p.meaning.id for p in pictures] == PICTURES_1
    np.testing.assert_allclose(pictures[0].pose[:3, 3], PLACE_1, atol=1e-4)


PICTURES_1 = ["orange-metallic-rocket", "orange-metallic-duck--on--brown-metallic-bench", "orange-dotted-house"]
PLACE_1 = [-1.9427, -2.4892, 2.1630]


def test_fingerprint_tells_pictures_apart(monkeypatch):
    monkeypatch.setattr(meanings, "KINDS", ("ball", "mug"))  # building all kinds takes longer than this file
    monkeypatch.setattr(appearance, "build_object", lambda meaning: {"mesh": meaning.id})
    compute = pictures_module.pictures_fingerprint.__wrapped__
    base = compute("guide", 4, 2)
    assert base == compute("guide", 4, 2)
    found = {base, compute("judge", 4, 2), compute("guide", 5, 2), compute("guide", 4, 3)}
    monkeypatch.setitem(appearance.TONES, "red", "#c4161d")
    found.add(compute("guide", 4, 2))
    monkeypatch.setattr(pictures_module, "NEAREST", 3.7)
    found.add(compute("guide", 4, 2))
    assert len(found) == 6


# Taking and reading them


def test_arrays_against_slow_twin(painter):
    prepare(35)
    assert len(painter.shots) == 40  # whole pieces
    everything = read(35)
    assert everything.numbers == tuple(range(35))
    for i in range(35):
        picture = pictures_module.plan_picture("guide", i)
        np.testing.assert_array_equal(everything.images[i], paint(picture.seed, PX))
        np.testing.assert_array_equal(everything.poses[i], picture.pose)
        assert everything.meanings[i] == picture.meaning
    for split in meanings.SPLITS:
        part = read(35, split=split)
        wanted = [i for i in range(35) if (i % 10 == 9) == (split == "held_out")]
        assert list(part.numbers) == wanted
        np.testing.assert_array_equal(part.images, everything.images[wanted])
        np.testing.assert_array_equal(part.poses, everything.poses[wanted])
        assert all(meanings.split_of(meaning) == split for meaning in part.meanings)


def test_an_interrupted_rendering_goes_on_where_it_was(painter, tmp_path):
    painter.falls_after = 37
    with pytest.raises(KeyboardInterrupt):
        prepare(60)
    with pytest.raises(
        UsageError, match=r"expected 60 pictures, got no 00003\.safetensors; .*prepare_pictures\(60, 4, 2, "
    ):
        read(60)
    (left,) = {path.parent for path in (tmp_path / "cache").rglob("*.safetensors")}
    assert len(list(left.glob("*.safetensors"))) == 3
    (left / "00003.safetensors.99.tmp").write_bytes(b"half")  # of a process that was killed while it wrote
    painter.falls_after = None
    prepare(60)
    assert len(painter.shots) == 37 + 30 and not list(left.glob("*.tmp"))
    for i, image in enumerate(read(60).images):
        np.testing.assert_array_equal(image, paint(pictures_module.plan_picture("guide", i).seed, PX))
    prepare(60)
    assert len(painter.shots) == 37 + 30


def test_more_pictures_continue_from_fewer(painter):
    prepare(25)
    prepare(50)
    assert len(painter.shots) == 50 and len({shot.seed for shot in painter.shots}) == 50
    np.testing.assert_array_equal(read(50).images[:25], read(25).images)
    prepare(25, family="judge")
    assert len(painter.shots) == 80


def test_a_damaged_piece_is_told_and_taken_anew(painter, tmp_path):
    prepare(30)
    path = sorted((tmp_path / "cache").rglob("*.safetensors"))[1]
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(
        UsageError, match=r"00001\.safetensors: expected 10 pictures, got .*; delete this file and prep"
    ):
        read(30)
    path.unlink()
    prepare(30)
    assert len(painter.shots) == 40 and len(read(30).images) == 30


def test_anyone_may_open_the_data_with_tfds(painter, capfd):
    import tensorflow_datasets as tfds

    place = prepare(40, dataset=True)
    assert capfd.readouterr() == ("", "")
    for split, numbers in (("train", [i for i in range(40) if i % 10 != 9]), ("held_out", [9, 19, 29, 39])):
        pictures = tfds.data_source(
            "closed_world/guide_40x4px_2spp", split=split, data_dir=os.environ["BENCH_DATA_DIR"]
        )
        assert [example["id"] for example in pictures] == numbers
        for example in pictures:
            picture = pictures_module.plan_picture("guide", int(example["id"]))
            np.testing.assert_array_equal(example["image"], paint(picture.seed, PX))
            np.testing.assert_array_equal(example["pose"], picture.pose)
            assert meanings.meaning_of(example["meaning"].decode()) == picture.meaning
    assert json.loads((place / "metadata.json").read_text())["family"] == "guide"
    before = {path: path.stat().st_mtime_ns for path in place.iterdir()}
    assert prepare(40, dataset=True) == place and len(painter.shots) == 40
    assert before == {path: path.stat().st_mtime_ns for path in place.iterdir()}


def test_an_interrupted_dataset_is_never_taken_as_finished(painter, monkeypatch):
    written = dataset.ClosedWorld._generate_examples

    def fall(self, split):
        yield from list(written(self, split))[:5]
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset.ClosedWorld, "_generate_examples", fall)
    with pytest.raises(KeyboardInterrupt):
        prepare(40, dataset=True)
    folder = pathlib.Path(os.environ["BENCH_DATA_DIR"]) / "closed_world" / "guide_40x4px_2spp"
    assert not list(folder.rglob("dataset_info.json"))
    (folder / "incomplete.ABC_1.0.1").mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(dataset.ClosedWorld, "_generate_examples", written)
    place = prepare(40, dataset=True)
    assert (place / "dataset_info.json").exists() and not list(folder.glob("incomplete.*"))


def test_configs_are_found_by_name(painter):
    configs = dataset.ClosedWorld.builder_configs
    found = configs["judge_33x5px_2spp"]
    assert (found.family, found.num_renders, found.image_px, found.num_spp) == ("judge", 33, 5, 2)
    assert found is dataset.config("judge", 33, 5, 2)
    for name in ("nobody_33x5px_2spp", "judge_33x5px", "judge"):
        assert name not in configs
    assert len(list(configs)) == len(configs) == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: prepare(30, family="gide"), "expected a family, got 'gide'; the nearest is 'guide'"),
        (lambda: prepare(3), "expected num_renders of at least 20, got 3"),
        (lambda: dataset.prepare_pictures(30, 0, 2), "expected image_px of at least 1, got 0"),
        (lambda: read(30, split="test"), "expected a split of the closed world, got 'test'"),
    ],
)
def test_mistakes_are_told(painter, call, message):
    with pytest.raises(UsageError, match=message):
        call()
    assert not painter.shots


def test_a_full_disk_is_told_before_rendering(painter, monkeypatch):
    monkeypatch.setattr(dataset.shutil, "disk_usage", lambda _: type("", (), {"free": 1000})())
    with pytest.raises(
        UsageError, match="expected 0 MB free, got 0 MB; free some, or choose another folder with BENCH"
    ):
        prepare(40)
    assert not painter.shots


def test_pieces_are_the_same_bytes_whatever_the_number_of_processes(monkeypatch, tmp_path):
    monkeypatch.setattr(dataset, "PIECE", 10)
    monkeypatch.setattr(dataset, "pictures_fingerprint", fingerprint_of)
    images = {}
    for num_workers in (1, 2):
        monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path / str(num_workers)))
        dataset.prepare_pictures(20, 6, 1, "judge", num_workers, dataset=False, show=False)
        images[num_workers] = dataset.read_arrays(20, 6, 1, "judge", None).images
    np.testing.assert_array_equal(images[1], images[2])
    assert images[1][..., 3].any(axis=(1, 2)).all()  # there is something in every picture
