"""Reads the files of a COLMAP model: cameras, images and points, as text or binary.

Nothing is interpreted here: rotations are quaternions from world to camera, as COLMAP stores them.

References:
    COLMAP's documentation, "Output format", and its src/colmap/scene/reconstruction_io.cc.
"""

from __future__ import annotations

import math
import pathlib
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float, Int

from bench.errors import UsageError
from tasks.data_dir.guarded_files import MIB, read_plain_file, read_plain_text

T = TypeVar("T")

MODELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("SIMPLE_PINHOLE", ("f", "cx", "cy")),
    ("PINHOLE", ("fx", "fy", "cx", "cy")),
    ("SIMPLE_RADIAL", ("f", "cx", "cy", "k1")),
    ("RADIAL", ("f", "cx", "cy", "k1", "k2")),
    ("OPENCV", ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2")),
    ("OPENCV_FISHEYE", ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4")),
    ("FULL_OPENCV", ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")),
    ("FOV", ("fx", "fy", "cx", "cy", "omega")),
    ("SIMPLE_RADIAL_FISHEYE", ("f", "cx", "cy", "k1")),
    ("RADIAL_FISHEYE", ("f", "cx", "cy", "k1", "k2")),
    ("THIN_PRISM_FISHEYE", ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "sx1", "sy1")),
)
"""Camera models with the names of their parameters; a model's number in binary files is its place."""

PARTS = ("cameras", "images", "points3D")


class ColmapCamera(NamedTuple):
    """A camera of the model.

    Attributes:
        id: Number in the model.
        model: Name of the camera model.
        width: Pixels across.
        height: Pixels down.
        parameters: By their names in `MODELS`.
    """

    id: int
    model: str
    width: int
    height: int
    parameters: dict[str, float]


class ColmapImage(NamedTuple):
    """A photograph of the model.

    Attributes:
        name: Path of the file in the folder of images.
        camera_id: Number of its camera.
        rotation: Quaternion from world to camera, the real part first.
        translation: From world to camera.
        point_ids: Numbers of the points that it shows.
    """

    name: str
    camera_id: int
    rotation: tuple[float, float, float, float]
    translation: tuple[float, float, float]
    point_ids: Int[np.ndarray, " k"]


class ColmapPoints(NamedTuple):
    """The sparse points of the model.

    Attributes:
        ids: Numbers in the model, rising.
        positions: In COLMAP's world.
    """

    ids: Int[np.ndarray, " k"]
    positions: Float[np.ndarray, "k 3"]


def find_model(folder: pathlib.Path) -> pathlib.Path | None:
    """Find the folder of a COLMAP model under a scene's folder; None if there is none."""
    for place in ("sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse", "colmap", ""):
        if part_file(folder / place, "cameras") and part_file(folder / place, "images"):
            return folder / place
    return None


def part_file(model: pathlib.Path, part: str) -> pathlib.Path | None:
    """Find one file of a model, binary before text; None if there is none."""
    files = (model / f"{part}{suffix}" for suffix in (".bin", ".txt"))
    return next((file for file in files if file.is_file()), None)


def read_cameras(file: pathlib.Path) -> dict[int, ColmapCamera]:
    """Read the cameras, by number.

    Raises:
        UsageError: The file is damaged, or a camera model is not known.
    """
    cameras = {camera.id: camera for camera in _parsed(file, _binary_cameras, _text_cameras)}
    for camera in cameras.values():
        numbers = camera.parameters.values()
        if min(camera.width, camera.height) < 1 or not all(map(math.isfinite, numbers)):
            raise UsageError(
                f"{file}, camera {camera.id}: expected a width and height of at least 1 and finite parameters, got "
                f"{camera.width} x {camera.height} and {', '.join(f'{number:g}' for number in numbers)}; export the "
                "model again"
            )
    return cameras


def read_image_list(file: pathlib.Path) -> list[ColmapImage]:
    """Read the photographs, sorted by name.

    Raises:
        UsageError: The file is damaged.
    """
    return sorted(_parsed(file, _binary_images, _text_images), key=lambda image: image.name)


def read_point_file(file: pathlib.Path) -> ColmapPoints:
    """Read the sparse points.

    Raises:
        UsageError: The file is damaged.
    """
    rows = _parsed(file, _binary_points, _text_points)
    rows.sort()
    most = np.iinfo(np.int64).max
    if rows and not 0 <= rows[0][0] <= rows[-1][0] <= most:
        got = f"{rows[0][0]!s:.24} to {rows[-1][0]!s:.24}"
        raise UsageError(f"{file}: expected points with numbers from 0 to {most}, got {got}; export the model again")
    ids = np.array([row[0] for row in rows], np.int64)
    positions = np.array([row[1:] for row in rows], np.float64).reshape(-1, 3)
    return ColmapPoints(ids, positions)


def _parsed(
    file: pathlib.Path,
    binary: Callable[[pathlib.Path, _Bytes], Iterator[T]],
    text: Callable[[pathlib.Path, list[str]], Iterator[T]],
) -> list[T]:
    """Read a file by its kind; whatever does not fit is damage."""
    try:
        if file.suffix == ".bin":
            return list(binary(file, _Bytes(read_plain_file(file, MAX_MODEL_BYTES))))
        return list(text(file, read_plain_text(file, MAX_MODEL_BYTES).splitlines()))
    except (OSError, ValueError, IndexError, struct.error, OverflowError) as error:
        got = error.strerror if isinstance(error, OSError) else "a damaged file or another format"
        raise UsageError(f"{file}: expected a file of a COLMAP model, got {got}; export the model again") from error


MAX_MODEL_BYTES = 4 * 1024 * MIB
"""Largest file of a model that is read."""


class _Bytes:
    """The content of a binary file, read from its front; COLMAP writes little-endian numbers."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.place = 0

    def take(self, kinds: str) -> tuple[Any, ...]:
        found = struct.unpack_from("<" + kinds, self.content, self.place)
        self.place += struct.calcsize("<" + kinds)
        return found

    def word(self) -> str:
        end = self.content.index(b"\0", self.place)
        found = self.content[self.place : end].decode("utf-8", "surrogateescape")
        self.place = end + 1
        return found

    def skip(self, num_bytes: int) -> bytes:
        if num_bytes < 0 or self.place + num_bytes > len(self.content):
            raise ValueError("too short")
        found = self.content[self.place : self.place + num_bytes]
        self.place += num_bytes
        return found


def _named(file: pathlib.Path, model: str, numbers: list[float] | tuple[float, ...]) -> dict[str, float]:
    names = dict(MODELS).get(model)
    if names is None:
        known = ", ".join(name for name, _ in MODELS)
        raise UsageError(
            f"{file}: expected a camera model among {known}, got {model!r}; undistort the photos first (colmap "
            "image_undistorter)"
        )
    if len(numbers) != len(names):
        raise ValueError(f"{len(numbers)} parameters")
    return dict(zip(names, map(float, numbers), strict=True))


def _binary_cameras(file: pathlib.Path, content: _Bytes) -> Iterator[ColmapCamera]:
    (count,) = content.take("Q")
    for _ in range(count):
        number, model, width, height = content.take("iiQQ")
        if not 0 <= model < len(MODELS):
            _named(file, f"number {model}", ())
        name, parameters = MODELS[model]
        yield ColmapCamera(number, name, width, height, _named(file, name, content.take("d" * len(parameters))))


def _text_cameras(file: pathlib.Path, lines: list[str]) -> Iterator[ColmapCamera]:
    for line in lines:
        if line.strip() and not line.startswith("#"):
            number, model, width, height, *parameters = line.split()
            numbers = [float(word) for word in parameters]
            yield ColmapCamera(int(number), model, int(width), int(height), _named(file, model, numbers))


def _binary_images(file: pathlib.Path, content: _Bytes) -> Iterator[ColmapImage]:
    point = np.dtype([("xy", "<f8", 2), ("id", "<i8")])
    (count,) = content.take("Q")
    for _ in range(count):
        _, *pose, camera_id = content.take("i7di")
        name = content.word()
        (num_points,) = content.take("Q")
        ids = np.frombuffer(content.skip(num_points * point.itemsize), point)["id"]
        yield ColmapImage(name, camera_id, tuple(pose[:4]), tuple(pose[4:]), ids[ids >= 0].astype(np.int64))


def _text_images(file: pathlib.Path, lines: list[str]) -> Iterator[ColmapImage]:
    place = 0
    while place < len(lines):
        line = lines[place]
        place += 1
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split(maxsplit=9)
        w, x, y, z, *translation = (float(word) for word in words[1:8])
        along_x, along_y, along_z = translation
        points = lines[place].split() if place < len(lines) else []  # the line is there, and empty where none was seen
        place += 1
        ids = np.array(points[2::3], np.int64)
        yield ColmapImage(words[9].strip(), int(words[8]), (w, x, y, z), (along_x, along_y, along_z), ids[ids >= 0])


def _binary_points(file: pathlib.Path, content: _Bytes) -> Iterator[tuple[float, ...]]:
    (count,) = content.take("Q")
    for _ in range(count):
        number, x, y, z, *_ = content.take("Q3d3Bd")
        (length,) = content.take("Q")
        content.skip(8 * length)
        yield number, x, y, z


def _text_points(file: pathlib.Path, lines: list[str]) -> Iterator[tuple[float, ...]]:
    for line in lines:
        if line.strip() and not line.startswith("#"):
            number, x, y, z, *_ = line.split(maxsplit=4)
            yield int(number), float(x), float(y), float(z)
