"""Bad folders of a user's own photographs whose cameras come from LLFF or COLMAP."""

from __future__ import annotations

import pathlib
import struct
from collections.abc import Callable

import numpy as np

from tests.bad_input.bad_case import BadCase, setup
from tests.bad_input.own_scenes import SCENE
from tests.fixtures.captured_scenes import FOCAL, ring, row, write_colmap, write_llff

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
    "colmap_text_of_a_photograph_that_is_missing": "IMG_9999",
}
"""What can be used without the bad part: the part is named among the doubts."""

TABLE = (
    *(BadCase("scene vase", says, name) for name, says in NAMES.items()),
    *(BadCase("scene vase", says, name, code=0, writes="scene-vase.png") for name, says in DOUBTS.items()),
)
