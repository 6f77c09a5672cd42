"""What a scene of plain images refuses, because it would read it as something else; and photographs of any name."""

from __future__ import annotations

import shutil
import zlib
from struct import pack

import numpy as np
import pytest
from PIL import Image

from bench.errors import UsageError
from tasks.sparse_views import photo_files
from tasks.sparse_views.nerf_synthetic import BlenderScene
from tests.fixtures.captured_scenes import captured, ring, write_transforms


def plain(tmp_path, radius=4.0, **settings):
    place = write_transforms(tmp_path / "scene", poses=ring(16, radius), **settings)
    return BlenderScene(scene="scene", folder=str(place.parent), num_views=4, image_px=6)


@pytest.mark.parametrize("top", [{"is_fisheye": True}, {"latlong": True}, {"ftheta_p1": 0.1}, {"equirectangular": 1}])
def test_lenses_of_older_spellings(tmp_path, top):
    with pytest.raises(UsageError, match=f"expected a key that is read, got '{next(iter(top))}'="):
        plain(tmp_path, top=top).load()


@pytest.mark.parametrize(
    "settings",
    [
        {"each": lambda i: {"mask_path": "m.png"}},
        {"each": lambda i: {"split": "train"}},
        {"top": {"test_filenames": ["images/001.png"]}},
        {"top": {"train_filenames": ["images/001.png"]}},
    ],
)
def test_masks_and_splits_are_not_passed_over(tmp_path, settings):
    with pytest.raises(
        UsageError, match="which a scene of plain images does not read; give the folder itself as a capt"
    ):
        plain(tmp_path, **settings).load()


def test_a_small_capture_before_near(tmp_path):
    message = "between near=2 and far=6, got cameras that all look at a place 0.5 to 0.5 away; set task.near=0.25 and"
    for ask in (BlenderScene.load, BlenderScene.fingerprint):
        with pytest.raises(UsageError, match=message):
            ask(plain(tmp_path, radius=0.5))


def test_photos_of_both_splits(tmp_path):
    task = plain(tmp_path)
    shutil.copy(task.place() / "images" / "001.png", task.place() / "images" / "008.png")
    with pytest.raises(UsageError, match="expected photos that are either trained on or held out, got 1 of 2 held-out"):
        task.fingerprint()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_names_and_encodings_of_windows(tmp_path, encoding):
    def change(told):
        for i, frame in enumerate(told["frames"]):
            frame["file_path"] = f"images\\{i:03}.PNG" if i % 2 else f".\\images\\{i:03}"

    expected = plain(tmp_path / "a").load()
    task = plain(tmp_path / "b", change=change)
    file = task.place() / "transforms.json"
    file.write_text(file.read_text(), encoding=encoding)
    np.testing.assert_array_equal(task.load().train.colors, expected.train.colors)


# ---- photographs -----------------------------------------------------------------------------------------------------


def test_a_name_is_taken_as_it_is_written_first(tmp_path):
    for name in ("a.png", "A.PNG", "b.jpg", "sub/b.png", "c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    for name, expected in (
        ("a.png", "a.png"),
        ("A.PNG", "A.PNG"),
        ("b", "b.jpg"),
        ("B.JPG", "b.jpg"),
        ("sub\\b.png", "sub/b.png"),
        ("/home/me/scene/sub/b.png", "sub/b.png"),
        ("D:/scene/c", "c.png"),
        ("none", "none.png"),
        ("none.tif", "none.tif"),
        ("sub\\none.png", "sub/none.png"),
    ):
        assert photo_files.find_photo(tmp_path, name) == tmp_path / expected


def huge_png(path, width, height):
    """Write a picture of two colours whose rows are all alike: small on disk, and large in memory."""

    def chunk(kind, content):
        return pack(">I", len(content)) + kind + content + pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    rows = packer.compress(bytes(1 + (width + 7) // 8) * height) + packer.flush()
    head = chunk(b"IHDR", pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0)) + chunk(b"PLTE", bytes(6))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


def test_photos_of_sixteen_bits_are_told_from_their_headers(tmp_path):
    task = plain(tmp_path)
    for path in (task.place() / "images").iterdir():
        Image.fromarray(np.zeros((8, 12), np.uint16)).save(path)
    for each in (task, captured(task.place())):
        with pytest.raises(UsageError, match="expected an image of 8 bits, got mode I;16 in .*; convert it"):
            each.layout()


def test_photos_of_two_hundred_megapixels_are_one_line(tmp_path):
    task = plain(tmp_path)
    huge_png(tmp_path / "huge.png", 16320, 12240)
    for path in (task.place() / "images").iterdir():
        shutil.copy(tmp_path / "huge.png", path)
    for each in (task, captured(task.place())):
        with pytest.raises(
            UsageError, match="at most 179 megapixels, got .* of 16320 x 12240 .200.; make the photos smal"
        ):
            each.layout()


def test_photos_of_a_hundred_megapixels_bring_no_warning(tmp_path):
    huge_png(tmp_path / "large.png", 12000, 9000)  # warnings are errors here
    assert photo_files.read_photo_header(tmp_path / "large.png", "here")[:2] == (12000, 9000)
    assert Image.MAX_IMAGE_PIXELS is not None


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "RGBA", "P", "LA"])
def test_masks_of_any_mode(tmp_path, mode):
    values = np.zeros((4, 6), np.uint8)
    values[1:] = 255
    image = Image.fromarray(values)
    if mode in ("RGBA", "LA"):  # white, cut out by alpha
        image = Image.merge("RGBA", [Image.new("L", (6, 4), 255)] * 3 + [image]).convert(mode)
    else:
        image = image.convert(mode)
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(photo_files.read_mask(tmp_path / "mask.png", "here"), values)
