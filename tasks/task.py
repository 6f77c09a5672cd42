"""Defines the interface of a task and the arrays that it gives to a method: photographs with their cameras.

n: views, h and w: pixels of a view.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from tasks.cameras import Intrinsics, select_cameras

World = Literal["bounded", "unbounded", "forward-facing"]
"""What lies around a scene: nothing; more of the world, without an end; or a view in one direction."""


class Photos(NamedTuple):
    """Views of one scene with their cameras; all of one size.

    Attributes:
        ids: Index of each view in its split.
        colors: In [0, 1], on the task's background, float32.
        alphas: In [0, 1]: 1 on the object; all 1 if the images have no alpha.
        poses: Camera to world, see `tasks.cameras`.
        intrinsics: In pixels, one of each number for each view.
        masks: 1 where a pixel counts, 0 where it takes no part in losses and scores; None if all count.
    """

    ids: tuple[int, ...]
    colors: Float[np.ndarray, "n h w 3"]
    alphas: Float[np.ndarray, "n h w"]
    poses: Float[np.ndarray, "n 4 4"]
    intrinsics: Intrinsics
    masks: Float[np.ndarray, "n h w"] | None = None


class SceneData(NamedTuple):
    """All arrays of a sparse-view task.

    Attributes:
        train: Views that a method may be trained on.
        test: Views that it is scored on.
        near: First `t` of interest along every ray.
        far: Last `t` of interest.
        pixel_center: Position of a ray in its pixel, see `tasks.cameras.view_rays`.
        all_train_poses: Poses of every training camera, also of those whose photos are not used; interpolated poses
            may be drawn from them.
    """

    train: Photos
    test: Photos
    near: float
    far: float
    pixel_center: float
    all_train_poses: Float[np.ndarray, "k 4 4"]


@runtime_checkable
class CameraViews(Protocol):
    """Views with their cameras, of any kind of task; `Photos` is one example."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Index of each view."""

    @property
    def poses(self) -> Float[np.ndarray, "n 4 4"]:
        """Poses, camera to world; see `tasks.cameras`."""

    @property
    def intrinsics(self) -> Intrinsics:
        """Intrinsics in pixels, one of each number for each view."""


@runtime_checkable
class TaskData(Protocol):
    """Data that every kind of task loads; `SceneData` is one example."""

    @property
    def test(self) -> CameraViews:
        """Views that a trial is scored on."""

    @property
    def near(self) -> float:
        """First `t` of interest along every ray."""

    @property
    def far(self) -> float:
        """Last `t` of interest."""

    @property
    def pixel_center(self) -> float:
        """Position of a ray in its pixel, see `tasks.cameras.view_rays`."""


class DataShapes(NamedTuple):
    """Shapes of a task's arrays, known without loading them; all trials of a pack have equal shapes."""

    num_train: int
    num_test: int
    height: int
    width: int


@runtime_checkable
class Task(Protocol):
    """Interface of every task, which is a frozen dataclass."""

    @property
    def num_views(self) -> int:
        """Number of photographs that training sees; 0 for a task without photographs."""

    @property
    def name(self) -> str:
        """Readable name, for folders: `chair__8v`."""

    @property
    def cluster(self) -> str:
        """Scene or caption: trials of one cluster are paired, and intervals are taken over clusters."""

    def layout(self) -> DataShapes:
        """Return the shapes of the arrays, without loading them."""

    def fingerprint(self) -> str:
        """Hash the source of the data, never its pixels: these differ in the last bit between machines."""

    def load(self) -> Any:
        """Load the data, with the cameras that a trial is scored from; a second call is cheap."""


@runtime_checkable
class SceneTask(Task, Protocol):
    """Interface of every sparse-view task."""

    @property
    def scene(self) -> str:
        """Name of the scene in the photographs."""

    @property
    def image_px(self) -> int | None:
        """Width of the views; None until a budget fills it."""

    def load(self) -> SceneData:
        """Load the arrays; a second call is cheap."""


class PhotoExtent(NamedTuple):
    """Counts the photographs in a scene's folder, before a task chooses from them.

    Attributes:
        num_train: Photographs that a method may be trained on.
        image_px: Width of the photographs.
        num_absent: Further photographs for training that are listed, but whose files are not there; they are left out.
    """

    num_train: int
    image_px: int
    num_absent: int = 0


@runtime_checkable
class FolderScene(SceneTask, Protocol):
    """Interface of a sparse-view task on a folder of photographs."""

    def extent(self) -> PhotoExtent:
        """Count the photographs and measure the first one, from the files that list them and one header."""


class OriginalPhotos(NamedTuple):
    """Describes the photographs of a folder as they lie there.

    Attributes:
        width: Pixels across of the first one.
        height: Pixels down.
        num_absent: Frames that the files of cameras list, and whose photographs are not there.
    """

    width: int
    height: int
    num_absent: int


@runtime_checkable
class NamedPhotos(FolderScene, Protocol):
    """Interface of a task on a folder whose photographs can be named."""

    def original_photos(self) -> OriginalPhotos:
        """Measure the photographs at their full size, and count those that are listed and not there."""

    def trained_photos(self) -> dict[int, str]:
        """Name the files of the photographs that are trained on, by id, in the order in which they were chosen."""

    def held_out_photos(self) -> dict[int, str]:
        """Name the files of the photographs that are held out, by id."""


def scene_surroundings(task: Task) -> World:
    """Name what lies around a task's scene: "bounded" (nothing), "unbounded" or "forward-facing".

    A task on a captured scene says so in a property `surroundings`; any other scene is bounded.
    """
    return getattr(task, "surroundings", "bounded")


def photos_have_alpha(task: Task) -> bool | None:
    """Tell whether a task's photographs have alpha; None if the task has no property `has_alpha`, which says it."""
    return getattr(task, "has_alpha", None)


def optional_arrays(task: Task) -> tuple[str, ...]:
    """Name the arrays that a task's photographs have and others lack: "distortion", "masks".

    A task whose photographs have some says so in a property `optional_arrays`, without loading them. Only trials that
    agree in it share a program.
    """
    return tuple(getattr(task, "optional_arrays", ()))


def composite(straight_rgba: Float[np.ndarray, "*b 4"], background: float) -> Float[np.ndarray, "*b 3"]:
    """Composite an image with straight (not premultiplied) alpha over a grey background: 1 is white, 0 black."""
    alpha = straight_rgba[..., 3:]
    return straight_rgba[..., :3] * alpha + background * (1 - alpha)


def replace_views(photos: Photos, chosen: tuple[int, ...]) -> Photos:
    """Select photos by their places, in the order given."""
    index = np.asarray(chosen)
    return Photos(
        ids=tuple(photos.ids[i] for i in chosen),
        colors=photos.colors[index],
        alphas=photos.alphas[index],
        poses=photos.poses[index],
        intrinsics=select_cameras(photos.intrinsics, index),
        masks=None if photos.masks is None else photos.masks[index],
    )


def is_frozen_dataclass(value: object) -> bool:
    """Tell whether a value is an instance of a frozen dataclass, as a task or a method must be."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type) and value.__dataclass_params__.frozen  # type: ignore[attr-defined]
