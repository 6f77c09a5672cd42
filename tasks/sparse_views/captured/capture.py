"""Defines what every reader of a folder of photographs gives, whatever format the folder has.

Poses are camera to world with OpenGL's camera axes, as in `tasks.cameras`. The world is the file's own: of any unit,
any centre, and any axis up. `tasks.sparse_views.captured.placement` brings it to the axes of `tasks.cameras`.

k: sparse points.
"""

from __future__ import annotations

import pathlib
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from tasks.task import World

Split = Literal["train", "test", "val"]


class PhotoCamera(NamedTuple):
    """The camera of one photograph.

    Attributes:
        width: Pixels across of the picture that the numbers are meant for.
        height: Pixels down.
        focal_x: Focal length across, in pixels.
        focal_y: Focal length down.
        center_x: Principal point across; a pixel's middle is its index plus 0.5.
        center_y: Principal point down.
        model: COLMAP's name of the camera model, one of `tasks.lens_distortion`.
        coefficients: Of the lens, by name: k1, k2, ...
    """

    width: int
    height: int
    focal_x: float
    focal_y: float
    center_x: float
    center_y: float
    model: str = "PINHOLE"
    coefficients: tuple[tuple[str, float], ...] = ()

    def resized(self, width: int, height: int) -> PhotoCamera:
        """Return the camera of the same photograph with another number of pixels."""
        across = width / self.width
        down = height / self.height
        return self._replace(
            width=width,
            height=height,
            focal_x=self.focal_x * across,
            focal_y=self.focal_y * down,
            center_x=self.center_x * across,
            center_y=self.center_y * down,
        )


class CapturedFrame(NamedTuple):
    """One photograph with its camera.

    Attributes:
        id: Place in the file, or in the sorted list of photographs.
        where: File and frame, for messages.
        image: The photograph, which is there.
        mask: Picture of the pixels that count; None if all do.
        pose: Camera to world, in the file's world.
        camera: For the picture's own size.
        split: The part that the file puts it in; None where it says nothing.
        has_alpha: Whether the picture has an alpha channel.
    """

    id: int
    where: str
    image: pathlib.Path
    mask: pathlib.Path | None
    pose: Float[np.ndarray, "4 4"]
    camera: PhotoCamera
    split: Split | None = None
    has_alpha: bool = False


class SparsePoints(NamedTuple):
    """Points that were matched between photographs.

    Attributes:
        positions: In the file's world.
        seen_by: For each frame, the places of the points that it shows; None where that is not known.
        source: Where they come from, for messages: "1234 points of COLMAP".
    """

    positions: Float[np.ndarray, "k 3"]
    seen_by: tuple[np.ndarray, ...] | None
    source: str


class Capture(NamedTuple):
    """Holds the photographs, cameras and points of a folder.

    Attributes:
        kind: Format, for people: "transforms.json of nerfstudio".
        folder: The folder.
        files: Files of cameras that were read.
        frames: Photographs in order of their ids; those without a file are left out.
        points: Sparse points; None if there are none.
        bounds: Nearest and farthest depth of what each frame shows, in the file's units; None where not known.
        world: What the file says of the scene's surroundings; None if nothing.
        box: Lowest and highest corner of all that is of interest, in the file's world; None where it does not say.
        read: Keys or files that were read.
        ignored: Keys or files that were not, each with the reason.
        doubts: Lines about what is odd.
        numbers: All that was read and decides the arrays, for a fingerprint: plain values in lists and dicts.
        has_test_file: Whether held-out views have a file of their own, of which a task may use every nth.
        num_absent: Frames that are left out, because their photographs are not there.
    """

    kind: str
    folder: pathlib.Path
    files: tuple[pathlib.Path, ...]
    frames: tuple[CapturedFrame, ...]
    points: SparsePoints | None
    bounds: Float[np.ndarray, "n 2"] | None
    world: World | None
    box: Float[np.ndarray, "2 3"] | None
    read: tuple[str, ...]
    ignored: tuple[str, ...]
    doubts: tuple[str, ...]
    numbers: Any
    has_test_file: bool = False
    num_absent: int = 0
