"""Bad photographs, masks and splits of a user's own scenes."""

from __future__ import annotations

import struct

from tests.bad_input.bad_case import BadCase, setup
from tests.bad_input.own_scenes import SCENE, vase
from tests.fixtures.captured_scenes import ring, write_transforms


@setup
def split_names_no_photograph(place):
    vase(place, lambda told: told.update(train_filenames=["x.png"], test_filenames=["y.png"]))


@setup
def split_is_a_word(place):
    vase(place, lambda told: told.update(train_filenames="all"))


@setup
def a_photograph_is_trained_on_and_held_out(place):
    names = [f"images/{i:03}.png" for i in range(8)]
    vase(place, lambda told: told.update(train_filenames=names, test_filenames=names[:2]))


@setup
def a_photograph_is_named_twice(place):
    vase(place, lambda told: told["frames"][3].update(file_path="images/002.png"))


@setup
def a_photograph_is_missing(place):
    (vase(place) / "images" / "003.png").unlink()


@setup
def a_photograph_is_empty(place):
    (vase(place) / "images" / "003.png").write_bytes(b"")


def cut_picture(path, share=0.5):
    """Leave the first part of a file, as a copy that broke off does."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@setup
def a_photograph_is_cut(place):
    cut_picture(vase(place) / "images" / "003.png")


@setup
def a_jpeg_is_cut(place):
    from PIL import Image

    image = vase(place, lambda told: told["frames"][3].update(file_path="images/003.jpg")) / "images" / "003.png"
    Image.open(image).convert("RGB").save(image.with_suffix(".jpg"))
    cut_picture(image.with_suffix(".jpg"), 0.9)


@setup
def a_mask_is_cut(place):
    from PIL import Image

    (place / SCENE / "masks").mkdir(parents=True)
    Image.new("L", (12, 8), 255).save(place / SCENE / "masks" / "0.png")
    cut_picture(place / SCENE / "masks" / "0.png", 0.7)
    vase(place, lambda told: [frame.update(mask_path="masks/0.png") for frame in told["frames"]])


@setup
def a_synthetic_photograph_is_cut(place):
    import json

    folder = write_transforms(place / SCENE, poses=ring(16, 4.0))
    told = json.loads((folder / "transforms.json").read_text())
    (folder / "transforms.json").unlink()
    known = {"camera_angle_x": 1.0}
    frames = [{key: frame[key] for key in ("file_path", "transform_matrix")} for frame in told["frames"]]
    (folder / "transforms_train.json").write_text(json.dumps(known | {"frames": frames[:12]}))
    (folder / "transforms_test.json").write_text(json.dumps(known | {"frames": frames[12:]}))
    cut_picture(folder / "images" / "012.png")


@setup
def a_photograph_is_text(place):
    (vase(place) / "images" / "003.png").write_text("a photograph")


@setup
def a_photograph_is_a_folder(place):
    (vase(place) / "images" / "003.png").unlink()
    (place / SCENE / "images" / "003.png").mkdir()


@setup
def a_photograph_says_it_is_huge(place):
    path = vase(place) / "images" / "003.png"
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    path.write_bytes(content)


@setup
def a_photograph_has_no_size(place):
    path = vase(place) / "images" / "003.png"
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 0, 0)
    path.write_bytes(content)


@setup
def photographs_of_two_sizes(place):
    from PIL import Image

    Image.new("RGB", (5, 4)).save(vase(place) / "images" / "003.png")


@setup
def a_mask_is_missing(place):
    vase(place, lambda told: told["frames"][3].update(mask_path="masks/003.png"))


@setup
def a_mask_is_a_number(place):
    vase(place, lambda told: told["frames"][3].update(mask_path=3))


@setup
def masks_leave_nothing(place):
    from PIL import Image

    (place / SCENE / "masks").mkdir(parents=True)
    Image.new("L", (12, 8), 0).save(place / SCENE / "masks" / "0.png")
    vase(place, lambda told: [frame.update(mask_path="masks/0.png") for frame in told["frames"]])


@setup
def only_one_photograph(place):
    write_transforms(place / SCENE, poses=ring(1))


@setup
def a_test_split_without_frames(place):
    folder = vase(place)
    (folder / "transforms.json").rename(folder / "transforms_train.json")
    (folder / "transforms_test.json").write_text('{"camera_angle_x": 1, "frames": []}')


@setup
def two_scenes(place):
    for name in ("a", "b"):
        write_transforms(place / "scenes" / name, poses=ring(2))


OWN = "--suite sparse-views --budget smoke --scenes vase --results runs"

NAMES = {
    "split_names_no_photograph": "train_filenames",
    "split_is_a_word": "train_filenames",
    "a_photograph_is_trained_on_and_held_out": "expected a photo that is either trained on or held out",
    "a_photograph_is_empty": "003.png",
    "a_photograph_is_text": "003.png",
    "a_photograph_is_cut": "003.png, got 'image file is truncated'; is it whole? copy it again",
    "a_jpeg_is_cut": "003.jpg, got 'image file is truncated",
    "a_mask_is_cut": "0.png, got",
    "a_synthetic_photograph_is_cut": "012.png, got",
    "a_photograph_says_it_is_huge": "003.png",
    "a_photograph_has_no_size": "003.png",
    "a_mask_is_missing": "003.png",
    "a_mask_is_a_number": "mask_path",
    "only_one_photograph": "vase",
    "a_test_split_without_frames": "transforms_test.json",
}
"""What each folder's line names."""

DOUBTS = {
    "a_photograph_is_named_twice": "002.png",
    "a_photograph_is_missing": "003.png",
    "a_photograph_is_a_folder": "003.png",
    "photographs_of_two_sizes": "8 photos of 5 x 4, 12 x 8",
    "masks_leave_nothing": "mask",
}
"""What can be used without the bad part: the part is named among the doubts."""

TABLE = (
    *(BadCase("scene vase", says, name) for name, says in NAMES.items()),
    *(BadCase("scene vase", says, name, code=0, writes="scene-vase.png") for name, says in DOUBTS.items()),
    *(
        BadCase(f"run {OWN} --executor inline", says, name)
        for name, says in {
            "a_photograph_is_cut": "003.png, got 'image file is truncated'",
            "a_synthetic_photograph_is_cut": "012.png, got 'image file is truncated'",
        }.items()
    ),
    BadCase(f"plan {OWN} --no-pilot", "003.png, got 'image file is truncated'", "a_photograph_is_cut", code=0),
    BadCase("scene scenes", "scene: expected one scene, got a folder of 2: a, b", "two_scenes"),
    BadCase("plan --suite sparse-views --budget smoke --no-pilot --scenes none --results runs", "--scenes"),
    BadCase("plan --suite sparse-views --budget smoke --no-pilot --scenes '' --results runs", "--scenes"),
    BadCase(
        "run --suite sparse-views --budget smoke --executor inline --scenes scenes,scenes/a --results runs",
        "scene a: expected at least 3 training photographs, got 1",
        "two_scenes",
    ),
    BadCase(
        "run --suite ablations --budget smoke --executor inline --scenes scenes --results runs",
        "--scenes",
        "two_scenes",
    ),
    BadCase("scene vase --near nan", "near", "only_one_photograph"),
    BadCase("scene vase --near 3 --far 1", "near", "only_one_photograph"),
    BadCase("scene vase --far -1", "far", "only_one_photograph"),
    BadCase("scene vase --world flat", "--world: expected one of", "only_one_photograph"),
)
