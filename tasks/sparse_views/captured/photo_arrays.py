"""Reads photographs of a captured scene into arrays: shrunk, on the background, with their masks and cameras.

n: views, h and w: pixels of a view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from bench.errors import UsageError
from tasks.cameras import Intrinsics
from tasks.lens_distortion import Distortion, check_lens, lens_distortion, stack_distortions
from tasks.sparse_views import photo_files
from tasks.sparse_views.captured.capture import Capture, CapturedFrame, PhotoCamera
from tasks.sparse_views.captured.placement import ScenePlacement, place_poses
from tasks.sparse_views.captured.transforms_camera import is_same_shape
from tasks.sparse_views.transforms_json import area_filter
from tasks.task import Photos


class ViewArrays(NamedTuple):
    """One photograph, shrunk.

    Attributes:
        colors: On the background.
        alphas: 1 where the photograph has none.
        mask: Share of each pixel that counts; None where all do.
    """

    colors: Float[np.ndarray, "h w 3"]
    alphas: Float[np.ndarray, "h w"]
    mask: Float[np.ndarray, "h w"] | None


def view_size(capture: Capture, image_px: int) -> tuple[int, int]:
    """Return the height and width that photographs are shrunk to, and refuse photographs of several shapes.

    Photographs that are smaller than `image_px` keep their size: they are only made smaller.

    Raises:
        UsageError: Some lie on their sides, or are cut otherwise.
    """
    first = capture.frames[0].camera
    smallest = min((frame.camera for frame in capture.frames), key=lambda camera: camera.width)
    width = min(image_px, smallest.width)
    for frame in capture.frames:
        if not is_same_shape((first.width, first.height), (frame.camera.width, frame.camera.height)):
            raise UsageError(
                f"{frame.where}: expected a photo of the shape {first.width} x {first.height} like the first one, got "
                f"{frame.camera.width} x {frame.camera.height} in {frame.image.name}; leave out those that lie on "
                "their sides, or cut all to one shape"
            )
    return max(1, round(first.height * width / first.width)), width


def read_photos(
    frames: Sequence[CapturedFrame],
    placement: ScenePlacement,
    size: tuple[int, int],
    background: float,
    optional_arrays: Sequence[str] = (),
) -> Photos:
    """Read photographs with their cameras in the world of `tasks.cameras`.

    Args:
        frames: Photographs to read.
        placement: Where the scene lies.
        size: Height and width that they are shrunk to.
        background: Grey behind photographs that have alpha: 1 is white.
        optional_arrays: Those that the scene has, though these photographs may do without: see `tasks.task`.

    Raises:
        UsageError: A photograph or a mask is missing, damaged or of another shape.
    """
    views = [_read_view(frame, size, background) for frame in frames]
    masks = None
    if "masks" in optional_arrays:
        masks = np.stack([np.ones(size, np.float32) if view.mask is None else view.mask for view in views])
    colors = [view.colors for view in views]
    alphas = [view.alphas for view in views]
    poses = [frame.pose for frame in frames]
    cameras = [(frame.where, frame.camera.resized(size[1], size[0])) for frame in frames]
    return Photos(
        ids=tuple(frame.id for frame in frames),
        colors=np.stack(colors),
        alphas=np.stack(alphas),
        poses=place_poses(placement, np.stack(poses)),
        intrinsics=stack_cameras(cameras, with_distortion="distortion" in optional_arrays),
        masks=masks,
    )


def stack_cameras(cameras: Sequence[tuple[str, PhotoCamera]], with_distortion: bool) -> Intrinsics:
    """Make intrinsics of cameras, each with its file for messages.

    Args:
        cameras: Of photographs of one size.
        with_distortion: Whether there is an array of distortions, of zeros where no lens has any.
    """

    def stacked(name: str) -> Any:
        return np.array([getattr(camera, name) for _, camera in cameras], np.float32)

    none = Distortion(np.zeros(6), np.zeros(2), np.zeros(()))
    lenses = [lens_distortion(where, camera.model, dict(camera.coefficients)) or none for where, camera in cameras]
    return Intrinsics(
        focal_x=stacked("focal_x"),
        focal_y=stacked("focal_y"),
        center_x=stacked("center_x"),
        center_y=stacked("center_y"),
        distortion=stack_distortions(lenses) if with_distortion else None,  # type: ignore[arg-type]
    )


def has_distortion(frame: CapturedFrame) -> bool:
    """Tell whether a photograph's lens bends light."""
    return lens_distortion(frame.where, frame.camera.model, dict(frame.camera.coefficients)) is not None


def check_lenses(frames: Sequence[CapturedFrame]) -> None:
    """Refuse lenses that do not map rays to pixels one to one, where pixels count.

    Raises:
        UsageError: There is one.
    """
    checked = set()
    for frame in frames:
        camera = frame.camera
        lens = lens_distortion(frame.where, camera.model, dict(camera.coefficients))
        if lens is None or (camera, frame.mask) in checked:
            continue
        checked.add((camera, frame.mask))
        shape = (camera.height, camera.width)
        mask = _read_mask(frame, shape)
        check_lens(frame.where, lens, (camera.focal_x, camera.focal_y), (camera.center_x, camera.center_y), shape, mask)


def _read_view(frame: CapturedFrame, size: tuple[int, int], background: float) -> ViewArrays:
    image = photo_files.read_photo(frame.image, frame.where).astype(np.float32) / 255
    mask = _read_mask(frame, image.shape[:2])
    if not frame.has_alpha:
        image = image[..., :3]
    if mask is None and image.shape[-1] == 3:
        return ViewArrays(area_filter(image, *size), np.ones(size, np.float32), None)
    alpha = image[..., 3:] if image.shape[-1] == 4 else np.ones((*image.shape[:2], 1), np.float32)
    # Colours count by their alpha, and by the mask: a pixel at its edge shows what lies inside of it.
    counts = np.ones_like(alpha) if mask is None else mask[..., None]
    layers = np.concatenate([image[..., :3] * alpha * counts, alpha * counts, counts], axis=-1)
    small = area_filter(layers, *size)
    share = small[..., 4]
    divisor = np.where(share > 0, share, 1)
    colors = small[..., :3] / divisor[..., None]
    alphas = small[..., 3] / divisor
    if mask is None:
        return ViewArrays(colors + background * (1 - alphas[..., None]), alphas, None)
    return ViewArrays(colors + background * (1 - alphas[..., None]), alphas, np.clip(share, 0, 1))


def _read_mask(frame: CapturedFrame, shape: tuple[int, int]) -> Float[np.ndarray, "h w"] | None:
    """Read a mask: 1 where pixels count. One of another size is brought to the photograph's.

    Raises:
        UsageError: It has another shape, or no pixel counts.
    """
    if frame.mask is None:
        return None
    mask = photo_files.read_mask(frame.mask, frame.where)
    height, width = shape
    if mask.shape != shape:
        if not is_same_shape((width, height), (mask.shape[1], mask.shape[0])):
            raise UsageError(
                f"{frame.where}: expected a mask of the shape of its photo, {width} x {height}, got {mask.shape[1]} x "
                f"{mask.shape[0]} in {frame.mask.name}; make it again"
            )
        rows = np.minimum((np.arange(height) + 0.5) * mask.shape[0] / height, mask.shape[0] - 1).astype(int)
        columns = np.minimum((np.arange(width) + 0.5) * mask.shape[1] / width, mask.shape[1] - 1).astype(int)
        mask = mask[rows][:, columns]
    if not mask.any():
        raise UsageError(
            f"{frame.where}: expected a mask in which pixels count (white), got black all over in {frame.mask.name}; "
            "leave the photo out, or correct the mask"
        )
    return (mask > 0).astype(np.float32)


def describe_lens(camera: PhotoCamera) -> str:
    """Describe a camera's model for people: `OPENCV, k1=0.06, k2=-0.08`."""
    told = [f"{name}={value:.4g}" for name, value in camera.coefficients]
    return ", ".join([camera.model, *told])
