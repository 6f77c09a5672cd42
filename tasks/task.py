"""What a task gives to a method: photographs with their cameras, as plain arrays.

n: views, h and w: pixels of a view.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from tasks.cameras import Intrinsics


class Photos(NamedTuple):
    """Views of one scene with their cameras; all of one size.

    Attributes:
        ids: Index of each view in its split.
        colors: In [0, 1], on the task's background, float32.
        alphas: In [0, 1]: 1 on the object; all 1 where the images bring no alpha.
        poses: Camera to world, see `tasks.cameras`.
        intrinsics: In pixels; a number a view.
    """

    ids: tuple[int, ...]
    colors: Float[np.ndarray, "n h w 3"]
    alphas: Float[np.ndarray, "n h w"]
    poses: Float[np.ndarray, "n 4 4"]
    intrinsics: Intrinsics


class SceneData(NamedTuple):
    """All arrays of a sparse-view task.

    Attributes:
        train: What a method may see.
        test: What it is scored on.
        near: First `t` of interest along every ray.
        far: Last `t` of interest.
        pixel_center: Where in a pixel its ray goes, see `tasks.cameras.view_rays`.
        all_train_poses: Poses of every training camera, seen or not: what interpolated poses may be drawn from.
    """

    train: Photos
    test: Photos
    near: float
    far: float
    pixel_center: float
    all_train_poses: Float[np.ndarray, "k 4 4"]


@runtime_checkable
class CameraViews(Protocol):
    """Views with their cameras, of any kind of task: `Photos`, for one."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Index of each view."""

    @property
    def poses(self) -> Float[np.ndarray, "n 4 4"]:
        """Camera to world, see `tasks.cameras`."""

    @property
    def intrinsics(self) -> Intrinsics:
        """In pixels; a number a view."""


@runtime_checkable
class TaskData(Protocol):
    """What every kind of task loads: `SceneData`, for one."""

    @property
    def test(self) -> CameraViews:
        """The views that a trial is scored on."""

    @property
    def near(self) -> float:
        """First `t` of interest along every ray."""

    @property
    def far(self) -> float:
        """Last `t` of interest."""

    @property
    def pixel_center(self) -> float:
        """Where in a pixel its ray goes, see `tasks.cameras.view_rays`."""


class DataShapes(NamedTuple):
    """Shapes of a task's arrays, known without loading them: trials of one pack have the same."""

    num_train: int
    num_test: int
    height: int
    width: int


@runtime_checkable
class Task(Protocol):
    """What every task offers: a frozen dataclass with these."""

    @property
    def num_views(self) -> int:
        """How many training views are seen; 0 where there are no photographs."""

    @property
    def name(self) -> str:
        """Readable, for folder names: `chair__8v`."""

    @property
    def cluster(self) -> str:
        """What is paired and what intervals are taken over: the scene, or the caption."""

    def layout(self) -> DataShapes:
        """Shapes, without loading."""

    def fingerprint(self) -> str:
        """Of the data's source, never of pixels, which differ in the last bit between machines."""

    def load(self) -> Any:
        """What it holds, with the cameras that it is scored from; cached, so that it is cheap to call again."""


@runtime_checkable
class SceneTask(Task, Protocol):
    """What every sparse-view task offers besides."""

    @property
    def scene(self) -> str:
        """What is photographed."""

    @property
    def image_px(self) -> int | None:
        """Width of the views; None until a budget fills it."""

    def load(self) -> SceneData:
        """The arrays; cached, so that it is cheap to call again."""


def composite(straight_rgba: Float[np.ndarray, "*b 4"], background: float) -> Float[np.ndarray, "*b 3"]:
    """Puts an image with straight (not premultiplied) alpha on a grey background: 1 is white, 0 black."""
    alpha = straight_rgba[..., 3:]
    return straight_rgba[..., :3] * alpha + background * (1 - alpha)


def replace_views(photos: Photos, chosen: tuple[int, ...]) -> Photos:
    """The photos at the given places, in that order."""
    index = np.asarray(chosen)
    return Photos(
        ids=tuple(photos.ids[i] for i in chosen),
        colors=photos.colors[index],
        alphas=photos.alphas[index],
        poses=photos.poses[index],
        intrinsics=Intrinsics(*(x[index] for x in photos.intrinsics)),
    )


def is_frozen_dataclass(value: object) -> bool:
    """Whether a value may be a task or a method: an instance of a frozen dataclass."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type) and value.__dataclass_params__.frozen  # type: ignore[attr-defined]
