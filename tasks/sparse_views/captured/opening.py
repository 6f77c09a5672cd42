"""Decides which format a folder of photographs has, and reads it once while its files of cameras stay the same.

A transforms file comes first, because whoever made it corrected what lay there before; then LLFF, then COLMAP.
"""

from __future__ import annotations

import functools
import pathlib

from bench.errors import UsageError
from tasks.sparse_views import photo_files
from tasks.sparse_views.captured.capture import Capture
from tasks.sparse_views.captured.colmap_reader import has_colmap_model, read_colmap
from tasks.sparse_views.captured.llff_reader import has_poses_bounds, read_llff
from tasks.sparse_views.captured.transforms_reader import has_transforms, read_transforms

CAMERA_FILES = (
    "transforms*.json", "poses_bounds.npy", "sparse/*.*", "sparse/0/*.*", "colmap/sparse/0/*.*", "*.bin", "*.txt",
    "*.ply", "images", "images_*",
)  # fmt: skip
"""What a scene is read from besides the bytes of its photographs."""


def open_capture(folder: pathlib.Path, image_px: int | None) -> Capture:
    """Read a folder of photographs with their cameras.

    Args:
        folder: The scene's folder.
        image_px: The width that photographs will be shrunk to; it chooses among folders of several sizes.

    Raises:
        UsageError: It has no cameras, or something in it is not what it should be.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder of photos with their cameras, got none; correct the path")
    states = []
    for pattern in CAMERA_FILES:
        states += [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(folder.glob(pattern))]
    if has_transforms(folder):
        image_px = None  # such a file names the photographs themselves
    return _open(folder.absolute(), image_px, tuple(states))


@functools.lru_cache(maxsize=64)  # every trial asks for the shapes
def _open(folder: pathlib.Path, image_px: int | None, _states: tuple[tuple[str, int, int], ...]) -> Capture:
    if has_transforms(folder):
        return without_idle_alpha(read_transforms(folder))
    if has_poses_bounds(folder):
        return without_idle_alpha(read_llff(folder, image_px))
    if has_colmap_model(folder):
        return without_idle_alpha(read_colmap(folder, image_px))
    half = [path for pattern in ("cameras.*", "sparse/**/cameras.*") for path in sorted(folder.glob(pattern))]
    if half:
        raise UsageError(
            f"{half[0].parent}: expected a whole COLMAP model, got {half[0].name} without images.bin or images.txt; "
            "copy all files of the model"
        )
    raise UsageError(
        f"{folder}: expected cameras: transforms.json (NeRF, instant-ngp, nerfstudio), poses_bounds.npy (LLFF) or "
        "sparse/0 (COLMAP), got none; run COLMAP on the photos first"
    )


def without_idle_alpha(capture: Capture) -> Capture:
    """Take photographs for ones without alpha where it is 1 everywhere, as in the PNG files of many phones.

    Three of them are read for it. Else a room would be taken for a thing that stands before nothing.
    """
    frames = capture.frames
    if not all(frame.has_alpha for frame in frames):
        return capture
    for frame in (frames[0], frames[len(frames) // 2], frames[-1]):
        if photo_files.read_photo(frame.image, frame.where)[..., 3].min() < 255:
            return capture
    doubt = "the photos have an alpha channel that is 1 everywhere: they are taken for photos without alpha"
    opaque = tuple(frame._replace(has_alpha=False) for frame in frames)
    return capture._replace(frames=opaque, doubts=(*capture.doubts, doubt))
