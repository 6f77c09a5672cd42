"""Bad folders of a user's own photographs: transforms.json, LLFF, COLMAP, pictures and masks."""

from __future__ import annotations

import pathlib
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.bad_input.bad_case import BadCase, setup
from tests.bad_input.store_files import DEEP
from tests.fixtures.captured_scenes import FOCAL, ring, row, write_colmap, write_llff, write_transforms

SCENE = "vase"

Change = Callable[[dict[str, Any]], None]


def vase(place: pathlib.Path, change: Change | None = None) -> pathlib.Path:
    """Write a scene of eight photographs with a transforms.json, which is changed at the end."""
    return write_transforms(place / SCENE, poses=ring(8), change=change)


def with_file(place: pathlib.Path, content: bytes) -> None:
    """Write the scene, then other bytes in place of its transforms.json."""
    (vase(place) / "transforms.json").write_bytes(content)


def with_text(place: pathlib.Path, old: str, new: str) -> None:
    """Write the scene, and replace a text in its transforms.json."""
    path = vase(place) / "transforms.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@setup
def transforms_are_empty(place):
    with_file(place, b"")


@setup
def transforms_are_cut(place):
    with_file(place, (vase(place) / "transforms.json").read_bytes()[:300])


@setup
def transforms_are_null_bytes(place):
    with_file(place, b"\0" * 1000)


@setup
def transforms_in_latin1(place):
    with_file(place, b'{"camera_model": "caf\xe9", "frames": []}')


@setup
def transforms_are_half_a_utf16(place):
    with_file(place, b'\xff\xfe{\0"\0\xd8')


@setup
def transforms_are_a_list(place):
    with_file(place, b"[1]")


@setup
def transforms_are_deep(place):
    with_file(place, DEEP)


@setup
def transforms_are_deep_in_a_frame(place):
    with_text(place, '"fl_x"', '"more": ' + DEEP.decode() + ', "fl_x"')


@setup
def transforms_are_far_too_large(place):
    with (vase(place) / "transforms.json").open("wb") as file:
        file.truncate(2**27)


@setup
def transforms_with_a_number_of_5000_digits(place):
    with_text(place, f'"fl_x": {FOCAL}', f'"fl_x": {"9" * 5000}')


@setup
def transforms_are_a_folder(place):
    (vase(place) / "transforms.json").unlink()
    (place / SCENE / "transforms.json").mkdir()


@setup
def frames_are_none(place):
    vase(place, lambda told: told.update(frames=[]))


@setup
def frames_are_an_object(place):
    vase(place, lambda told: told.update(frames={"a": 1}))


@setup
def a_frame_is_a_number(place):
    vase(place, lambda told: told["frames"].__setitem__(3, 7))


@setup
def a_frame_without_a_path(place):
    vase(place, lambda told: told["frames"][3].pop("file_path"))


@setup
def a_frame_whose_path_is_a_number(place):
    vase(place, lambda told: told["frames"][3].update(file_path=3))


@setup
def a_frame_whose_path_is_empty(place):
    vase(place, lambda told: told["frames"][3].update(file_path=""))


@setup
def a_frame_whose_path_has_a_null(place):
    vase(place, lambda told: told["frames"][3].update(file_path="images/\0.png"))


@setup
def a_frame_whose_path_is_endless(place):
    vase(place, lambda told: told["frames"][3].update(file_path="x" * 5000))


@setup
def a_frame_whose_path_has_a_surrogate(place):
    vase(place, lambda told: told["frames"][3].update(file_path="images/\ud800.png"))


@setup
def a_frame_whose_path_has_a_terminals_codes(place):
    vase(place, lambda told: told["frames"][3].update(file_path="\x1b[31m.png"))


@setup
def a_frame_without_a_pose(place):
    vase(place, lambda told: told["frames"][3].pop("transform_matrix"))


@setup
def a_pose_of_three_numbers(place):
    vase(place, lambda told: told["frames"][3].update(transform_matrix=[1, 2, 3]))


@setup
def a_pose_of_words(place):
    vase(place, lambda told: told["frames"][3].update(transform_matrix=[["a"] * 4] * 4))


@setup
def a_pose_of_uneven_rows(place):
    vase(place, lambda told: told["frames"][3].update(transform_matrix=[[1, 2], [3]]))


@setup
def a_pose_with_nan(place):
    def change(told):
        told["frames"][3]["transform_matrix"][0][3] = float("nan")

    vase(place, change)


@setup
def a_pose_with_1e999(place):
    def change(told):
        told["frames"][3]["transform_matrix"][0][3] = 12345.5

    vase(place, change)
    with_text_kept(place, "12345.5", "1e999")


@setup
def a_pose_with_a_huge_int(place):
    def change(told):
        told["frames"][3]["transform_matrix"][0][3] = 10**400

    vase(place, change)


def with_text_kept(place: pathlib.Path, old: str, new: str) -> None:
    """Replace a text in a transforms.json that was written before."""
    path = place / SCENE / "transforms.json"
    path.write_text(path.read_text().replace(old, new, 1))


@setup
def a_pose_that_mirrors(place):
    def change(told):
        told["frames"][3]["transform_matrix"] = np.diag([1.0, 1.0, -1.0, 1.0]).tolist()

    vase(place, change)


@setup
def a_pose_that_scales(place):
    def change(told):
        told["frames"][3]["transform_matrix"] = np.diag([2.0, 2.0, 2.0, 1.0]).tolist()

    vase(place, change)


@setup
def cameras_far_beyond_all_measure(place):
    def change(told):
        for frame in told["frames"]:
            frame["transform_matrix"][0][3] *= 1e38

    vase(place, change)


@setup
def cameras_at_one_place(place):
    def change(told):
        for frame in told["frames"]:
            frame["transform_matrix"] = told["frames"][0]["transform_matrix"]

    vase(place, change)


@setup
def focal_length_is_a_word(place):
    vase(place, lambda told: told.update(fl_x="long"))


@setup
def focal_length_is_zero(place):
    vase(place, lambda told: told.update(fl_x=-0.0))


@setup
def focal_length_is_true(place):
    vase(place, lambda told: told.update(fl_x=True))


@setup
def focal_length_is_nan(place):
    vase(place, lambda told: told.update(fl_x=float("nan")))


@setup
def focal_length_is_a_huge_int(place):
    vase(place, lambda told: told.update(fl_x=10**400))


@setup
def focal_length_is_missing(place):
    def change(told):
        del told["fl_x"], told["fl_y"]

    vase(place, change)


@setup
def width_is_negative(place):
    vase(place, lambda told: told.update(w=-12))


@setup
def width_is_another(place):
    vase(place, lambda told: told.update(w=7))


@setup
def camera_model_is_unknown(place):
    vase(place, lambda told: told.update(camera_model="PERISCOPE"))


@setup
def camera_model_is_a_list(place):
    vase(place, lambda told: told.update(camera_model=["OPENCV"]))


@setup
def lens_is_an_old_fisheye(place):
    vase(place, lambda told: told.update(is_fisheye=True))


@setup
def lens_is_a_panorama(place):
    vase(place, lambda told: told.update(latlong=True))


@setup
def lens_is_ftheta(place):
    vase(place, lambda told: told.update(ftheta_p0=0.1))


@setup
def lens_bends_beyond_reason(place):
    vase(place, lambda told: told.update(camera_model="OPENCV", k1=1e30))


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


# ---- LLFF ------------------------------------------------------------------------------------------------------------


def llff(place: pathlib.Path, change: Callable[[np.ndarray], np.ndarray] | None = None) -> pathlib.Path:
    """Write a scene of LLFF; its table is changed at the end."""
    folder = write_llff(place / SCENE, row(6), (10.0, 40.0))
    if change:
        np.save(folder / "poses_bounds.npy", change(np.load(folder / "poses_bounds.npy")))
    return folder


@setup
def llff_is_empty(place):
    (llff(place) / "poses_bounds.npy").write_bytes(b"")


@setup
def llff_is_text(place):
    (llff(place) / "poses_bounds.npy").write_text("1 2 3")


@setup
def llff_is_cut(place):
    path = llff(place) / "poses_bounds.npy"
    path.write_bytes(path.read_bytes()[:200])


@setup
def llff_is_pickled(place):
    np.save(llff(place) / "poses_bounds.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


@setup
def llff_of_another_shape(place):
    llff(place, lambda table: table[:, :15])


@setup
def llff_of_words(place):
    llff(place, lambda table: table.astype("U8"))


@setup
def llff_with_nan(place):
    llff(place, lambda table: np.where(table == table[0, 3], np.nan, table))


@setup
def llff_with_near_beyond_far(place):
    llff(place, lambda table: np.concatenate([table[:, :15], [[40.0, 10.0]] * 6], axis=1))


@setup
def llff_of_more_rows_than_photographs(place):
    llff(place, lambda table: np.concatenate([table, table]))


@setup
def llff_of_no_rows(place):
    llff(place, lambda table: table[:0])


@setup
def llff_header_of_a_huge_table(place):
    path = llff(place) / "poses_bounds.npy"
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000, 17), }"
    head += b" " * (118 - len(head) - 1) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)


# ---- COLMAP ----------------------------------------------------------------------------------------------------------


def colmap(place: pathlib.Path, *, binary: bool) -> pathlib.Path:
    """Write a scene of COLMAP; return the folder of its model."""
    points = np.random.RandomState(0).uniform(-0.1, 0.1, (20, 3))
    folder = write_colmap(place / SCENE, poses=ring(8), points=points, binary=binary)
    return folder / "sparse" / "0"


def change_text(place: pathlib.Path, name: str, old: str, new: str) -> None:
    """Write a model as text, and replace a text in one of its files."""
    path = colmap(place, binary=False) / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@setup
def colmap_cameras_are_empty(place):
    (colmap(place, binary=True) / "cameras.bin").write_bytes(b"")


@setup
def colmap_cameras_are_cut(place):
    path = colmap(place, binary=True) / "cameras.bin"
    path.write_bytes(path.read_bytes()[:20])


@setup
def colmap_cameras_claim_a_billion(place):
    path = colmap(place, binary=True) / "cameras.bin"
    path.write_bytes(struct.pack("<Q", 2**60) + path.read_bytes()[8:])


@setup
def colmap_cameras_of_an_unknown_model(place):
    path = colmap(place, binary=True) / "cameras.bin"
    path.write_bytes(path.read_bytes().replace(struct.pack("<ii", 1, 1), struct.pack("<ii", 1, 77), 1))


@setup
def colmap_cameras_of_no_size(place):
    path = colmap(place, binary=True) / "cameras.bin"
    path.write_bytes(path.read_bytes().replace(struct.pack("<QQ", 12, 8), struct.pack("<QQ", 0, 0), 1))


@setup
def colmap_images_are_gone(place):
    (colmap(place, binary=True) / "images.bin").unlink()


@setup
def colmap_images_are_cut(place):
    path = colmap(place, binary=True) / "images.bin"
    path.write_bytes(path.read_bytes()[:-30])


@setup
def colmap_images_claim_a_billion(place):
    path = colmap(place, binary=True) / "images.bin"
    path.write_bytes(struct.pack("<Q", 2**60) + path.read_bytes()[8:])


@setup
def colmap_images_with_nan(place):
    path = colmap(place, binary=True) / "images.bin"
    content = path.read_bytes()
    path.write_bytes(content[:12] + struct.pack("<d", float("nan")) + content[20:])


@setup
def colmap_images_without_an_end(place):
    path = colmap(place, binary=True) / "images.bin"
    path.write_bytes(path.read_bytes().replace(b"\0", b"x"))


@setup
def colmap_points_are_cut(place):
    path = colmap(place, binary=True) / "points3D.bin"
    path.write_bytes(path.read_bytes()[:100])


@setup
def colmap_points_claim_a_billion(place):
    path = colmap(place, binary=True) / "points3D.bin"
    path.write_bytes(struct.pack("<Q", 2**60) + path.read_bytes()[8:])


@setup
def colmap_text_in_utf16(place):
    path = colmap(place, binary=False) / "cameras.txt"
    path.write_bytes(path.read_text().encode("utf-16")[2:])


@setup
def colmap_text_in_latin1(place):
    path = colmap(place, binary=False) / "images.txt"
    path.write_bytes(path.read_text().replace("IMG_0003", "caf\xe9").encode("latin-1"))


@setup
def colmap_text_without_numbers(place):
    change_text(place, "cameras.txt", f" {FOCAL}", " long")


@setup
def colmap_text_with_too_few_numbers(place):
    change_text(place, "cameras.txt", f" {FOCAL} {FOCAL}", "")


@setup
def colmap_text_of_an_unknown_camera(place):
    change_text(place, "images.txt", " 1 IMG_0003", " 9 IMG_0003")


@setup
def colmap_text_of_a_photograph_that_is_missing(place):
    change_text(place, "images.txt", "IMG_0003", "IMG_9999")


@setup
def colmap_text_with_a_huge_int(place):
    change_text(place, "cameras.txt", " 12 8 ", f" {'9' * 5000} 8 ")


@setup
def colmap_text_with_infinity(place):
    change_text(place, "cameras.txt", f" {FOCAL}", " inf")


@setup
def colmap_text_is_empty(place):
    (colmap(place, binary=False) / "images.txt").write_text("# nothing\n")


@setup
def colmap_points_of_words(place):
    change_text(place, "points3D.txt", "1 ", "one ")


NAMES = {
    "transforms_are_empty": "transforms.json: expected JSON",
    "transforms_are_cut": "transforms.json: expected JSON",
    "transforms_are_null_bytes": "transforms.json: expected JSON",
    "transforms_in_latin1": "transforms.json: expected",
    "transforms_are_half_a_utf16": "transforms.json: expected",
    "transforms_are_a_list": "transforms.json: expected a key 'frames'",
    "transforms_are_deep": "transforms.json: expected JSON of at most 64 levels",
    "transforms_are_deep_in_a_frame": "transforms.json: expected JSON",
    "transforms_are_far_too_large": "transforms.json: expected",
    "transforms_with_a_number_of_5000_digits": "transforms.json",
    "transforms_are_a_folder": "transforms.json",
    "frames_are_none": "transforms.json: expected a key 'frames' with at least one frame",
    "frames_are_an_object": "transforms.json: expected a key 'frames'",
    "a_frame_is_a_number": "transforms.json, frame 3: expected an object",
    "a_frame_without_a_path": "transforms.json, frame 3: expected a key 'file_path'",
    "a_frame_whose_path_is_a_number": "transforms.json, frame 3: expected a key 'file_path'",
    "a_frame_without_a_pose": "transforms.json, frame 3: expected a key 'transform_matrix'",
    "a_pose_of_three_numbers": "frame 3: expected transform_matrix of 4 x 4 numbers",
    "a_pose_of_words": "frame 3: expected transform_matrix of 4 x 4 numbers",
    "a_pose_of_uneven_rows": "frame 3: expected transform_matrix of 4 x 4 numbers",
    "a_pose_with_nan": "frame 3: expected transform_matrix of 4 x 4 numbers",
    "a_pose_with_1e999": "frame 3: expected transform_matrix of 4 x 4 numbers",
    "a_pose_with_a_huge_int": "frame 3: expected transform_matrix of 4 x 4 numbers",
    "a_pose_that_mirrors": "frame 3: expected transform_matrix to be a rotation",
    "cameras_at_one_place": "vase",
    "focal_length_is_a_word": "expected a number for 'fl_x', got 'long'",
    "focal_length_is_zero": "expected focal lengths above 0",
    "focal_length_is_true": "expected a number for 'fl_x', got True",
    "focal_length_is_nan": "expected a number for 'fl_x', got nan",
    "focal_length_is_a_huge_int": "expected a number for 'fl_x'",
    "focal_length_is_missing": "expected a key 'camera_angle_x' or 'fl_x'",
    "width_is_negative": "expected w and h of at least 1, got -12",
    "width_is_another": "expected a photo of the shape 7 x 8",
    "camera_model_is_unknown": "PERISCOPE",
    "camera_model_is_a_list": "camera_model",
    "lens_is_an_old_fisheye": "is_fisheye",
    "lens_is_a_panorama": "latlong",
    "lens_is_ftheta": "ftheta_p0",
    "lens_bends_beyond_reason": "expected a lens that gives every pixel one ray",
    "split_names_no_photograph": "train_filenames",
    "split_is_a_word": "train_filenames",
    "a_photograph_is_trained_on_and_held_out": "expected a photo that is either trained on or held out",
    "a_photograph_is_empty": "003.png",
    "a_photograph_is_text": "003.png",
    "a_photograph_says_it_is_huge": "003.png",
    "a_photograph_has_no_size": "003.png",
    "a_mask_is_missing": "003.png",
    "a_mask_is_a_number": "mask_path",
    "only_one_photograph": "vase",
    "a_test_split_without_frames": "transforms_test.json",
    "llff_is_empty": "poses_bounds.npy",
    "llff_is_text": "poses_bounds.npy",
    "llff_is_cut": "poses_bounds.npy",
    "llff_is_pickled": "poses_bounds.npy",
    "llff_of_another_shape": "poses_bounds.npy",
    "llff_of_words": "poses_bounds.npy",
    "llff_with_nan": "poses_bounds.npy",
    "llff_with_near_beyond_far": "poses_bounds.npy",
    "llff_of_more_rows_than_photographs": "poses_bounds.npy",
    "llff_of_no_rows": "poses_bounds.npy",
    "llff_header_of_a_huge_table": "poses_bounds.npy",
    "colmap_cameras_are_empty": "cameras.bin",
    "colmap_cameras_are_cut": "cameras.bin",
    "colmap_cameras_claim_a_billion": "cameras.bin",
    "colmap_cameras_of_an_unknown_model": "cameras.bin",
    "colmap_cameras_of_no_size": "cameras.bin",
    "colmap_images_are_gone": "images",
    "colmap_images_are_cut": "images.bin",
    "colmap_images_claim_a_billion": "images.bin",
    "colmap_images_with_nan": "images.bin",
    "colmap_images_without_an_end": "images.bin",
    "colmap_points_are_cut": "points3D.bin",
    "colmap_points_claim_a_billion": "points3D.bin",
    "colmap_text_in_utf16": "cameras.txt",
    "colmap_text_in_latin1": "images.txt",
    "colmap_text_without_numbers": "cameras.txt",
    "colmap_text_with_too_few_numbers": "cameras.txt",
    "colmap_text_of_an_unknown_camera": "images.txt",
    "colmap_text_with_a_huge_int": "cameras.txt",
    "colmap_text_with_infinity": "cameras.txt",
    "colmap_text_is_empty": "images.txt",
    "colmap_points_of_words": "points3D.txt",
}
"""What each folder's line names."""

DOUBTS = {
    "a_frame_whose_path_is_empty": "1 of 8 frames have no photo and are left out",
    "a_frame_whose_path_has_a_null": "the first is images/?.png",
    "a_frame_whose_path_is_endless": "1 of 8 frames have no photo and are left out; the first is xxx",
    "a_frame_whose_path_has_a_surrogate": "the first is images/\\ud800.png",
    "a_frame_whose_path_has_a_terminals_codes": "the first is \\x1b[31m.png",
    "a_pose_that_scales": "transform_matrix holds a scale of 2",
    "cameras_far_beyond_all_measure": "vase",
    "a_photograph_is_named_twice": "002.png",
    "a_photograph_is_missing": "003.png",
    "a_photograph_is_a_folder": "003.png",
    "photographs_of_two_sizes": "8 photos of 5 x 4, 12 x 8",
    "masks_leave_nothing": "mask",
    "colmap_text_of_a_photograph_that_is_missing": "IMG_9999",
}
"""What can be used without the bad part: the part is named among the doubts."""

TABLE = (
    *(BadCase("scene vase", says, name) for name, says in NAMES.items()),
    *(BadCase("scene vase", says, name, code=0, writes="scene-vase.png") for name, says in DOUBTS.items()),
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
