"""Defines the sparse-view task on a scene that somebody photographed: transforms.json, LLFF or COLMAP.

The folder is read in the format that it has. Poses are brought to the world of `tasks.cameras` (see `placement`), and
near and far are estimated unless they are given. `python -m bench scene FOLDER` shows all of it before anything is
trained.

n: views, h and w: pixels of a view.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import pathlib
from typing import Any, get_args

import jax
import numpy as np

from bench.errors import UsageError, nearest
from tasks.sparse_views import photo_files
from tasks.sparse_views.captured.capture import Capture
from tasks.sparse_views.captured.capture_split import CaptureSplit, split_capture
from tasks.sparse_views.captured.doubts import Doubts
from tasks.sparse_views.captured.opening import open_capture
from tasks.sparse_views.captured.photo_arrays import check_lenses, has_distortion, read_photos, view_size
from tasks.sparse_views.captured.placement import ScenePlacement, estimate_placement, place_poses
from tasks.sparse_views.captured.scene_checks import check_alpha, doubt_cameras, doubt_photos
from tasks.sparse_views.photo_checks import refuse_shared_photos
from tasks.sparse_views.photo_files import file_name
from tasks.sparse_views.view_selection import (
    background_label,
    checked_num_views,
    choose_training_views,
    digest_parts,
    label,
)
from tasks.task import DataShapes, OriginalPhotos, PhotoExtent, SceneData, World

ESTIMATES_VERSION = 1
"""Part of every fingerprint; raise it when `placement` or `scene_range` place a scene elsewhere than before."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CapturedScene:
    """A sparse-view task on a folder of photographs with their cameras.

    Attributes:
        scene: Name of the scene, which is the name of its folder in `folder`.
        folder: Folder that the scene's folder lies in. It is not part of the task's identity.
        num_views: Number of training views; with explicit `views`, their number.
        subset_seed: Seed of the choice of views.
        views: Explicit ids, as `python -m bench scene` prints them, used instead of `num_views` and `subset_seed`.
        image_px: Width; the height follows. Photographs that are smaller keep their size. None until a budget fills it.
        near: First depth of interest, in the unit of the file's poses; None estimates it.
        far: Last depth of interest, likewise.
        test_every: Every nth photograph is held out where the files do not say which, and every nth of a test file is
            used.
        background: Grey behind photographs that have alpha: 1 is white, 0 black.
        world: What lies around the scene; None decides by the photographs and cameras.
        center: Point of the file's world that becomes the origin; None takes the place that the cameras look at.
        scale: Factor from the file's unit to the field's; None brings the cameras to a common distance.
    """

    scene: str
    folder: str = dataclasses.field(metadata={"identity": False})
    num_views: int = 8
    subset_seed: int = 0
    views: tuple[int, ...] | None = None
    image_px: int | None = None
    near: float | None = None
    far: float | None = None
    test_every: int = 8
    background: float = 1.0
    world: World | None = None
    center: tuple[float, float, float] | None = None
    scale: float | None = None

    def __post_init__(self) -> None:
        where = f"task {self.scene}"
        if not self.scene or pathlib.PurePath(self.scene).name != self.scene:
            raise UsageError(
                f"scene: expected the name of one folder, got {self.scene!r}; the path before it is `folder`"
            )
        object.__setattr__(self, "num_views", checked_num_views(where, self.num_views, self.views, default=8))
        if self.test_every < 2 or (self.image_px is not None and self.image_px < 1):
            raise UsageError(
                f"{where}: expected test_every of at least 2 and image_px of at least 1, got {self.test_every}, "
                f"{self.image_px}"
            )
        if not 0 <= self.background <= 1:
            raise UsageError(f"{where}: expected a background from 0 (black) to 1 (white), got {self.background}")
        if not 0 <= self.subset_seed < 2**32:
            raise UsageError(f"{where}: expected a subset_seed from 0 to 2**32 - 1, got {self.subset_seed}")
        if self.world is not None and self.world not in get_args(World):
            raise UsageError(
                f"{where}: expected a world among {', '.join(get_args(World))}, got {self.world!r}; "
                + nearest(self.world, get_args(World))
            )
        for name in ("near", "far", "scale"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise UsageError(f"{where}: expected {name} above 0, got {value}; leave it out to have it estimated")
        if self.center is not None and len(self.center) != 3:
            raise UsageError(f"{where}: expected center as three numbers, got {self.center}; write task.center=0,0,0.5")
        if self.near is not None and self.far is not None and self.near >= self.far:
            raise UsageError(f"{where}: expected near below far, got near={self.near}, far={self.far}")

    @property
    def name(self) -> str:
        """Readable name, for folders: `fox__8v`, followed by what differs from the default."""
        return f"{self.scene}__{label(self.num_views, self.subset_seed, self.views)}{background_label(self.background)}"

    @property
    def cluster(self) -> str:
        """Name of the scene."""
        return self.scene

    @property
    def surroundings(self) -> World:
        """Tell whether the scene is bounded, unbounded or forward-facing, as given or estimated."""
        return self.world or self.placement().world

    @property
    def has_alpha(self) -> bool:
        """Whether the photographs have alpha, so that nothing is seen behind the scene."""
        return all(frame.has_alpha for frame in self.capture().frames)

    @property
    def optional_arrays(self) -> tuple[str, ...]:
        """Arrays that the scene's photographs have and others lack."""
        split = self.split(self.capture())
        frames = [*split.train.values(), *split.test.values()]
        names = ["distortion"] if any(map(has_distortion, frames)) else []
        return tuple(names + (["masks"] if any(frame.mask for frame in frames) else []))

    def place(self) -> pathlib.Path:
        """Return the scene's folder."""
        return pathlib.Path(self.folder).expanduser() / self.scene

    def capture(self) -> Capture:
        """Read the folder: cameras, headers of the photographs, sparse points.

        Raises:
            UsageError: Something in it is not what it should be; the message says what to do.
        """
        return open_capture(self.place(), self.image_px)

    def extent(self) -> PhotoExtent:
        """Count the training photographs that there are, and measure the first one at its full size."""
        capture = open_capture(self.place(), None)
        return PhotoExtent(len(self.split(capture).train), capture.frames[0].camera.width)

    def layout(self) -> DataShapes:
        """Return the shapes of the arrays, from the files of cameras and the headers of photographs."""
        assert self.image_px, f"{self.name}: its size is open; give it to tasks.budgets.sized first"
        capture = self.capture()
        split = self.split(capture)
        self.chosen_views(split)
        return DataShapes(self.num_views, len(split.test), *view_size(capture, self.image_px))

    def placement(self) -> ScenePlacement:
        """Estimate where the scene lies, its scale, near and far, as far as the task does not give them."""
        return _placement(dataclasses.replace(self, num_views=8, views=None, subset_seed=0, background=1.0))

    def describe_placement(self) -> dict[str, Any]:
        """Write down as plain values where the scene lies, estimated or given, and which photographs are used."""
        placement = self.placement()
        return {
            "world": placement.world,
            "near": placement.near / placement.scale,
            "far": placement.far / placement.scale,
            "center": placement.center.tolist(),
            "scale": placement.scale,
            "rotation": placement.rotation.tolist(),
            "reasons": placement.reasons,
            "trained_on": {str(number): name for number, name in self.trained_photos().items()},
            "held_out": {str(number): name for number, name in self.held_out_photos().items()},
        }

    def fingerprint(self) -> str:
        """Hash what was read of the cameras, the bytes of photographs and masks, and the version of the estimates.

        Raises:
            UsageError: A file is missing, or a photograph is both trained on and held out.
        """
        capture = self.capture()
        split = self.split(capture)
        hashes = self.photo_hashes(split)
        told = [ESTIMATES_VERSION, json.dumps(capture.numbers, sort_keys=True), split.source]
        for name, frames in (("train", split.train), ("test", split.test)):
            told += [f"{name} {number} {hashes[frame.image]}" for number, frame in frames.items()]
            masks = [frame.mask for frame in frames.values() if frame.mask is not None]
            told += [hashlib.sha256(mask.read_bytes()).hexdigest() for mask in masks]
        if capture.points is not None:
            told.append(hashlib.sha256(np.ascontiguousarray(capture.points.positions).tobytes()).hexdigest())
            told += [hashlib.sha256(seen.tobytes()).hexdigest() for seen in capture.points.seen_by or ()]
        return digest_parts(told)

    def load(self) -> SceneData:
        """Load the arrays, read-only."""
        assert self.image_px, f"{self.name}: its size is open; give it to tasks.budgets.sized first"
        return _load(self)

    def split(self, capture: Capture) -> CaptureSplit:
        """Decide which photographs may be trained on and which are held out."""
        return split_capture(capture, self.test_every)

    def chosen_views(self, split: CaptureSplit) -> tuple[int, ...]:
        """Return the ids of the task's training views.

        Raises:
            UsageError: There are not so many, or one of them is not there.
        """
        known = tuple(split.train)
        if self.views is None:
            if self.num_views > len(known):
                raise UsageError(
                    f"{self.place()}: expected {self.num_views} photos to train on, got {len(known)}, besides "
                    f"{len(split.test)} that are held out; lower num_views (--set task.num_views={len(known)})"
                )
            return tuple(known[i] for i in choose_training_views(self.num_views, self.subset_seed, len(known)))
        for view in self.views:
            if view not in split.train:
                why = "held out" if view in split.test else "not there"
                raise UsageError(
                    f"{self.place()}: expected view ids among its {len(known)} training views (from {known[0]} to "
                    f"{known[-1]}), got {view}, which is {why}; correct `views`"
                )
        return self.views

    def original_photos(self) -> OriginalPhotos:
        """Measure the photographs at their full size, and count those that are listed and not there."""
        capture = open_capture(self.place(), None)
        camera = capture.frames[0].camera
        return OriginalPhotos(camera.width, camera.height, capture.num_absent)

    def trained_photos(self) -> dict[int, str]:
        """Name the files of the photographs that are trained on, by id, in the order in which they were chosen."""
        split = self.split(self.capture())
        place = self.place()
        return {number: file_name(place, split.train[number].image) for number in self.chosen_views(split)}

    def held_out_photos(self) -> dict[int, str]:
        """Name the files of the photographs that are held out, by id."""
        place = self.place()
        return {number: file_name(place, frame.image) for number, frame in self.split(self.capture()).test.items()}

    def photo_hashes(self, split: CaptureSplit) -> dict[pathlib.Path, str]:
        """Hash the photographs, and refuse those that are cut, or both trained on and held out."""
        for frame in (*split.train.values(), *split.test.values()):
            photo_files.check_whole(frame.image, frame.where)
            if frame.mask is not None:
                photo_files.check_whole(frame.mask, frame.where)
        train = {number: frame.image for number, frame in split.train.items()}
        test = {number: frame.image for number, frame in split.test.items()}
        return refuse_shared_photos(str(self.place()), train, test)

    def doubts(self) -> tuple[str, ...]:
        """Say what is odd about the scene, a line each; nothing of it keeps the task from being trained.

        Raises:
            UsageError: Something does.
        """
        capture = self.capture()
        split = self.split(capture)
        found = Doubts()
        doubt_cameras(capture, self.placement(), found)
        check_lenses([*split.train.values(), *split.test.values()])
        check_alpha(capture, [*split.train.values(), *split.test.values()], found)
        train = list(split.train.values())
        doubt_photos(capture, train, list(split.test.values()), self.photo_hashes(split), found)
        return (*capture.doubts, *found.lines())


@functools.lru_cache(maxsize=64)
def _placement(task: CapturedScene) -> ScenePlacement:
    return estimate_placement(
        task.capture(), world=task.world, center=task.center, scale=task.scale, near=task.near, far=task.far
    )


@functools.lru_cache(maxsize=16)
def _load(task: CapturedScene) -> SceneData:
    assert task.image_px
    capture = task.capture()
    split = task.split(capture)
    task.photo_hashes(split)
    chosen = [split.train[i] for i in task.chosen_views(split)]
    held_out = list(split.test.values())
    check_alpha(capture, [*chosen, *held_out], Doubts())
    check_lenses([*chosen, *held_out])
    placement = task.placement()
    size = view_size(capture, task.image_px)
    optional = task.optional_arrays
    data = SceneData(
        train=read_photos(chosen, placement, size, task.background, optional),
        test=read_photos(held_out, placement, size, task.background, optional),
        near=placement.near,
        far=placement.far,
        pixel_center=0.5,
        all_train_poses=place_poses(placement, np.stack([frame.pose for frame in split.train.values()])),
    )
    for leaf in jax.tree.leaves(data):
        if isinstance(leaf, np.ndarray):
            leaf.setflags(write=False)  # shared by all trials of a process
    return data
