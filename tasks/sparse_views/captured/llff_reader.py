"""Reads a scene of LLFF: `poses_bounds.npy` beside the folders `images`, `images_4`, `images_8`.

Row i belongs to the i-th photograph by name. It holds a matrix of 3 x 5, whose columns are the camera's axes down,
right and backward, its position, and height, width and focal length of the full-size photograph; then the nearest and
the farthest depth of what the photograph shows.

References:
    LLFF: Mildenhall et al. 2019, https://github.com/Fyusion/LLFF, "Using your own poses without running COLMAP".
"""

from __future__ import annotations

import io
import pathlib

import numpy as np
from jaxtyping import Float

from bench.errors import UsageError
from tasks.data_dir.guarded_files import read_plain_file
from tasks.sparse_views import photo_files, transforms_json
from tasks.sparse_views.captured.capture import Capture, CapturedFrame, PhotoCamera
from tasks.sparse_views.captured.doubts import Doubts
from tasks.sparse_views.captured.photo_folders import PhotoFolder, choose_photo_folder
from tasks.sparse_views.captured.transforms_camera import fit_camera, is_same_shape

FILE = "poses_bounds.npy"


def has_poses_bounds(folder: pathlib.Path) -> bool:
    """Tell whether a folder has LLFF's file of cameras."""
    return (folder / FILE).is_file()


def read_llff(folder: pathlib.Path, image_px: int | None) -> Capture:
    """Read a scene of LLFF.

    Args:
        folder: The scene's folder.
        image_px: The width that photographs will be shrunk to; it chooses their folder.

    Raises:
        UsageError: The file or a photograph is not what it should be.
    """
    rows = _read_rows(folder / FILE)
    chosen = choose_photo_folder(folder, image_px)
    if len(chosen.photos) != len(rows):
        raise UsageError(
            f"{folder / FILE}: expected a row for each photo, got {len(rows)} rows and {len(chosen.photos)} photos in "
            f"{chosen.path.name}; put back the photos that LLFF was run on, or run it again"
        )
    doubts = Doubts()
    frames = [_read_frame(folder, place, row, chosen, doubts) for place, row in enumerate(rows)]
    return Capture(
        kind="LLFF",
        folder=folder,
        files=(folder / FILE,),
        frames=tuple(frames),
        points=None,
        bounds=rows[:, 15:17],
        world=None,
        box=None,
        read=(FILE, chosen.path.name),
        ignored=("sparse (poses_bounds.npy was made of it)",) if (folder / "sparse").is_dir() else (),
        doubts=doubts.lines(),
        numbers=rows.tolist(),
    )


def _read_rows(file: pathlib.Path) -> Float[np.ndarray, "n 17"]:
    try:
        content = read_plain_file(file)
        if not content.startswith(b"\x93NUMPY"):  # NumPy would unpack a zip, and unpickle others
            raise ValueError("another or an empty file")
        rows = np.load(io.BytesIO(content), allow_pickle=False)
    except UsageError:
        raise
    except Exception as error:  # of NumPy's parser of headers, as it comes
        raise UsageError(f"{file}: expected an array of NumPy, got {str(error)[:60]!r}; run LLFF again") from error
    if rows.ndim != 2 or rows.shape[1] != 17 or not len(rows) or not np.issubdtype(rows.dtype, np.number):
        raise UsageError(f"{file}: expected rows of 17 numbers, got an array of {rows.shape}; run LLFF again")
    rows = rows.astype(np.float64)
    if not np.isfinite(rows).all() or (rows[:, 15] <= 0).any() or (rows[:, 16] <= rows[:, 15]).any():
        raise UsageError(f"{file}: expected finite numbers, 0 < nearest depth < farthest, got others; run LLFF again")
    return rows


def _read_frame(
    folder: pathlib.Path, place: int, row: Float[np.ndarray, " 17"], chosen: PhotoFolder, doubts: Doubts
) -> CapturedFrame:
    where = f"{folder / FILE}, row {place}"
    image = chosen.photos[place]
    header = photo_files.read_photo_header(image, where)
    matrix = row[:15].reshape(3, 5)
    down, right, backward, position, size = matrix.T
    height, width, focal = size
    pose = np.stack([right, -down, backward, position], axis=-1)
    camera = PhotoCamera(round(width), round(height), focal, focal, width / 2, height / 2)
    is_copy = chosen.path.name != "images"  # smaller copies are what is expected
    if is_copy and is_same_shape((camera.width, camera.height), (header.width, header.height)):
        camera = camera.resized(header.width, header.height)
    return CapturedFrame(
        id=place,
        where=where,
        image=image,
        mask=None,
        pose=transforms_json.read_pose(where, pose.tolist()).astype(np.float64),
        camera=fit_camera(where, camera, image.name, header, doubts),
        has_alpha=header.has_alpha,
    )
