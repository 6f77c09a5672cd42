"""Bad folders of a user's own photographs: transforms.json."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.bad_input.bad_case import BadCase, setup
from tests.bad_input.records import DEEP
from tests.fixtures.captured_scenes import FOCAL, ring, write_transforms

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
}
"""What can be used without the bad part: the part is named among the doubts."""

TABLE = (
    *(BadCase("scene vase", says, name) for name, says in NAMES.items()),
    *(BadCase("scene vase", says, name, code=0, writes="scene-vase.png") for name, says in DOUBTS.items()),
)
