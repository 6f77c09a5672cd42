"""Defines the sparse-view task on a user's photos: NeRF Realistic Synthetic, or any folder with `transforms.json`.

A scene is a folder. It has `transforms_train.json` and `transforms_test.json`, and every nth test view is used; or it
has one `transforms.json`, and every nth view is held out.

Scenes are looked for in `folder` (which `--scenes` fills), else in `BENCH_BLENDER_DIR`, else in the archive at
`BENCH_BLENDER_URL` with the hash `BENCH_BLENDER_SHA256`, which is downloaded once. There is no default address: that of
the original archive is dead. Training photographs that are listed and whose files are not there are left out.

n: views, h and w: pixels of a view.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from bench.errors import UsageError, nearest
from tasks.cameras import Intrinsics
from tasks.data_dir import download, location
from tasks.sparse_views import photo_checks, photo_files, transforms_json
from tasks.sparse_views.view_selection import (
    background_label,
    checked_num_views,
    choose_training_views,
    digest_parts,
    label,
)
from tasks.task import DataShapes, OriginalPhotos, PhotoExtent, Photos, SceneData, composite

Resize = Literal["premultiplied", "straight"]

SCENES = ("chair", "drums", "ficus", "hotdog", "lego", "materials", "mic", "ship")
"""The scenes of NeRF Realistic Synthetic."""


class SceneFrames(NamedTuple):
    """Photos of a scene that a task may use, by id, and the files that list them."""

    files: tuple[pathlib.Path, ...]
    train: dict[int, transforms_json.Frame]
    test: dict[int, transforms_json.Frame]

    def photographed(self) -> list[int]:
        """List the ids of training views whose photos are there; a listed view may have lost its file.

        Raises:
            UsageError: None is there.
        """
        found = [i for i, frame in self.train.items() if frame.image.exists()]
        if not found:
            transforms_json.image_size(next(iter(self.train.values())))  # raises the error that explains what is wrong
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlenderScene:
    """A sparse-view task on a folder of photos with a transforms file.

    Attributes:
        scene: Name of the scene, which is the name of its folder in `folder`.
        folder: Folder of all scenes; for None see the head of the file. It is not part of the task's identity.
        num_views: Number of training views; with explicit `views`, their number.
        subset_seed: Seed of the choice of views; 0 gives DietNeRF's if there are 100.
        views: Explicit ids, which are places in the transforms file, used instead of `num_views` and `subset_seed`.
        image_px: Width; the height follows. None until a budget fills it.
        test_every: Every nth test view is used; of a single `transforms.json`, every nth view is held out.
        resize: `premultiplied` averages colours multiplied by alpha, which is right; `straight` is DietNeRF's way.
        pixel_center: 0.5 is right; 0 is used by the released NeRF codes.
        background: Grey behind the object: 1 is white, 0 black.
        near: First `t` of interest.
        far: Last `t` of interest.
    """

    scene: str
    folder: str | None = dataclasses.field(default=None, metadata={"identity": False})
    num_views: int = 8
    subset_seed: int = 0
    views: tuple[int, ...] | None = None
    image_px: int | None = None
    test_every: int = 8
    resize: Resize = "premultiplied"
    pixel_center: float = 0.5
    background: float = 1.0
    near: float = 2.0
    far: float = 6.0

    def __post_init__(self) -> None:
        where = f"task {self.scene}"
        if not self.scene or pathlib.PurePath(self.scene).name != self.scene:
            raise UsageError(
                f"scene: expected the name of one folder, got {self.scene!r}; the path before it is `folder`"
            )
        object.__setattr__(self, "num_views", checked_num_views(where, self.num_views, self.views, default=8))
        if self.resize not in ("premultiplied", "straight"):
            raise UsageError(f"{where}: expected resize 'premultiplied' or 'straight', got {self.resize!r}; choose one")
        if self.test_every < 1 or (self.image_px is not None and self.image_px < 1):
            raise UsageError(
                f"{where}: expected test_every and image_px of at least 1, got {self.test_every}, {self.image_px}"
            )
        if not 0 <= self.background <= 1 or not 0 <= self.pixel_center <= 1:
            raise UsageError(
                f"{where}: expected background and pixel_center from 0 to 1, got {self.background}, {self.pixel_center}"
            )
        if not 0 < self.near < self.far:
            raise UsageError(f"{where}: expected 0 < near < far, got near={self.near}, far={self.far}")
        if not 0 <= self.subset_seed < 2**32:
            raise UsageError(f"{where}: expected a subset_seed from 0 to 2**32 - 1, got {self.subset_seed}")

    @property
    def name(self) -> str:
        """Readable name, for folders: `lego__8v`, followed by what differs from the default."""
        return f"{self.scene}__{label(self.num_views, self.subset_seed, self.views)}{background_label(self.background)}"

    @property
    def cluster(self) -> str:
        """Name of the scene."""
        return self.scene

    def extent(self) -> PhotoExtent:
        """Count the training photographs that there are, and measure the first one."""
        frames = self.frames()
        there = frames.photographed()
        return PhotoExtent(
            len(there), transforms_json.image_size(frames.train[there[0]])[0], len(frames.train) - len(there)
        )

    def original_photos(self) -> OriginalPhotos:
        """Measure the photographs at their full size, and count those that are listed and not there."""
        frames = self.frames()
        there = frames.photographed()
        width, height = transforms_json.image_size(frames.train[there[0]])
        return OriginalPhotos(width, height, len(frames.train) - len(there))

    def trained_photos(self) -> dict[int, str]:
        """Name the files of the photographs that are trained on, by id, in the order in which they were chosen."""
        frames = self.frames()
        place = self.place()
        chosen = self._view_ids(frames)
        return {number: photo_files.file_name(place, frames.train[number].image) for number in chosen}

    def held_out_photos(self) -> dict[int, str]:
        """Name the files of the photographs that are held out, by id."""
        place = self.place()
        return {number: photo_files.file_name(place, frame.image) for number, frame in self.frames().test.items()}

    def layout(self) -> DataShapes:
        """Return the shapes of the arrays, from the transforms files and the header of one image."""
        assert self.image_px, f"{self.name}: its size is open; give it to tasks.budgets.sized first"
        frames = self.frames()
        height, width = self._size(*transforms_json.image_size(frames.train[self._view_ids(frames)[0]]))
        return DataShapes(self.num_views, len(frames.test), height, width)

    def fingerprint(self) -> str:
        """Hash the bytes of the transforms files and of the photos in them; hashes of photos are kept for next time.

        Raises:
            UsageError: A file is missing, a photo is both trained on and held out, or nothing that the cameras look at
                lies between near and far.
        """
        frames = self.frames()
        told = [hashlib.sha256(file.read_bytes()).hexdigest() for file in frames.files]
        wanted = {*frames.photographed(), *(self.views or ())}
        train = {i: frame for i, frame in frames.train.items() if i in wanted}
        hashes = self._checked_hashes(frames, train)
        listed = (*train.values(), *frames.test.values())
        return digest_parts([*told, *(f"{frame.id} {hashes[frame.image]}" for frame in listed)])

    def load(self) -> SceneData:
        """Load the arrays, read-only."""
        assert self.image_px, f"{self.name}: its size is open; give it to tasks.budgets.sized first"
        return _load(dataclasses.replace(self, folder=str(self.place().parent)))

    def place(self) -> pathlib.Path:
        """Find the scene's folder.

        Raises:
            UsageError: There is none; the message gives the nearest name.
        """
        root = pathlib.Path(self.folder).expanduser() if self.folder else default_root()
        place = root / self.scene
        if not place.is_dir():
            known = [p.name for p in root.iterdir() if p.is_dir()] if root.is_dir() else []
            said = f"; {nearest(self.scene, known)}" if known else ", which holds no folders; correct `folder`"
            raise UsageError(f"scene: expected a folder {self.scene!r} in {root}{said}")
        return place

    def frames(self) -> SceneFrames:
        """List the views that may be trained on and those that are held out.

        Raises:
            UsageError: A transforms file is missing or wrong.
        """
        place = self.place()
        files = tuple(place / f"transforms_{split}.json" for split in ("train", "test"))
        if any(file.exists() for file in files):
            train, test = (transforms_json.read_frames(file) for file in files)
            held_out = test[:: self.test_every]
        else:
            files = (place / "transforms.json",)
            if not files[0].exists():
                raise UsageError(
                    f"{place}: expected transforms_train.json and transforms_test.json, or transforms.json, got "
                    "neither; see the head of tasks/sparse_views/nerf_synthetic.py"
                )
            every = transforms_json.read_frames(files[0])
            held_out = every[:: self.test_every]
            train = [frame for frame in every if frame.id % self.test_every]
            if not train:
                raise UsageError(
                    f"{files[0]}: expected views to train on, got none besides every {self.test_every}. view, which is "
                    "held out; raise test_every"
                )
        return SceneFrames(files, {frame.id: frame for frame in train}, {frame.id: frame for frame in held_out})

    def _checked_hashes(
        self, frames: SceneFrames, train: Mapping[int, transforms_json.Frame]
    ) -> dict[pathlib.Path, str]:
        """Hash photos; refuse those of both splits, cut ones, and cameras that see nothing between near and far."""
        where = str(self.place())
        poses = np.stack([frame.pose for frame in frames.train.values()])
        photo_checks.refuse_empty_range(where, poses, self.near, self.far)
        by_split = ({number: frame.image for number, frame in part.items()} for part in (train, frames.test))
        listed = (*train.values(), *frames.test.values())
        try:
            hashes = photo_checks.refuse_shared_photos(where, *by_split)
        except OSError:
            for frame in listed:
                transforms_json.image_size(frame)  # raises the error that explains what is wrong
            raise
        for frame in listed:
            photo_files.check_whole(frame.image, frame.where)
        return hashes

    def _view_ids(self, frames: SceneFrames) -> tuple[int, ...]:
        """Return the ids of the task's training views: the first of a permutation whose photos are there."""
        known = tuple(frames.train)
        if self.views is None:
            there = set(frames.photographed())
            if self.num_views > len(there):
                raise UsageError(
                    f"{frames.files[0]}: expected {self.num_views} training views, got {len(there)}; lower num_views"
                )
            order = choose_training_views(len(known), self.subset_seed, len(known))
            return tuple(known[i] for i in order if known[i] in there)[: self.num_views]
        for view in self.views:
            if view not in frames.train:
                why = "held out" if len(frames.files) == 1 and view in frames.test else "not there"
                raise UsageError(
                    f"{frames.files[0]}: expected view ids among its {len(known)} training views (from {known[0]} to "
                    f"{known[-1]}), got {view}, which is {why}; correct `views`"
                )
        return self.views

    def _size(self, width: int, height: int) -> tuple[int, int]:
        """Return the height and width that images of this size are shrunk to."""
        assert self.image_px
        if self.image_px > width:
            raise UsageError(
                f"task {self.scene}: expected image_px of at most {width}, the width of its images, got "
                f"{self.image_px}; images are only made smaller"
            )
        return max(1, round(height * self.image_px / width)), self.image_px


def default_root() -> pathlib.Path:
    """Find the folder of NeRF Realistic Synthetic by the environment variables, for a task without `folder`.

    Raises:
        UsageError: No variable is set, or the archive holds no scenes.
    """
    if folder := os.environ.get("BENCH_BLENDER_DIR"):
        return pathlib.Path(folder).expanduser()
    url = os.environ.get("BENCH_BLENDER_URL")
    sha256 = os.environ.get("BENCH_BLENDER_SHA256")
    if not url or not sha256:
        raise UsageError(
            "NeRF Realistic Synthetic: expected to be told where it is, got neither BENCH_BLENDER_DIR (a folder with "
            "chair, drums, ...) nor BENCH_BLENDER_URL and BENCH_BLENDER_SHA256 (a zip file); set one of them, "
            "or name your own folders with --scenes"
        )
    if not re.fullmatch("[0-9A-Fa-f]{64}", sha256):
        raise UsageError(
            f"BENCH_BLENDER_SHA256: expected 64 hexadecimal digits, got {sha256!r:.80}; sha256sum FILE prints them"
        )
    unpacked = download.download_archive(url, sha256, location.folder() / "nerf_synthetic")
    found = sorted(p for p in unpacked.rglob("transforms_train.json") if "__MACOSX" not in p.parts)
    if not found:
        raise UsageError(f"{url}: expected an archive with transforms_train.json in it, got none; try another one")
    return found[0].parent.parent


@functools.lru_cache(maxsize=16)
def _load(task: BlenderScene) -> SceneData:
    frames = task.frames()
    train = [frames.train[i] for i in task._view_ids(frames)]
    task._checked_hashes(frames, {frame.id: frame for frame in train})
    data = SceneData(
        train=_photos(task, train),
        test=_photos(task, list(frames.test.values())),
        near=task.near,
        far=task.far,
        pixel_center=task.pixel_center,
        all_train_poses=np.stack([frame.pose for frame in frames.train.values()]),
    )
    if data.train.colors.shape[1:] != data.test.colors.shape[1:]:
        sizes = [f"{p.colors.shape[2]} x {p.colors.shape[1]}" for p in (data.train, data.test)]
        raise UsageError(
            f"{task.place()}: expected training and test images of one shape, got {sizes[0]} and {sizes[1]}"
        )
    for leaf in jax.tree.leaves(data):
        if isinstance(leaf, np.ndarray):
            leaf.setflags(write=False)  # shared by all trials of a process
    return data


def _photos(task: BlenderScene, frames: list[transforms_json.Frame]) -> Photos:
    colors = []
    alphas = []
    cameras = []
    first = transforms_json.image_size(frames[0])
    for frame in frames:
        image = transforms_json.read_image(frame)
        height, width = image.shape[:2]
        if (width, height) != first:
            raise UsageError(
                f"{frame.where}: expected an image of {first[0]} x {first[1]} like the first one, got "
                f"{width} x {height} in {frame.image.name}; bring them to one size"
            )
        new_height, new_width = task._size(width, height)
        color, alpha = resized(image.astype(np.float32) / 255, new_height, new_width, task.resize, task.background)
        colors.append(color)
        alphas.append(alpha)
        scales = np.array([new_width / width, new_height / height] * 2)
        cameras.append(np.array(transforms_json.intrinsics(frame, width, height)) * scales)
    return Photos(
        ids=tuple(frame.id for frame in frames),
        colors=np.stack(colors),
        alphas=np.stack(alphas),
        poses=np.stack([frame.pose for frame in frames]),
        intrinsics=Intrinsics(*np.array(cameras, np.float32).T.copy()),
    )


def resized(
    image: Float[np.ndarray, "h w c"], height: int, width: int, resize: Resize, background: float
) -> tuple[Float[np.ndarray, "h2 w2 3"], Float[np.ndarray, "h2 w2"]]:
    """Shrink an image with straight alpha or without alpha; return colours on the background, and alphas.

    Args:
        image: Colours in [0, 1].
        height: New height.
        width: New width.
        resize: Way of averaging, see `BlenderScene`.
        background: Grey: 1 is white.
    """
    if image.shape[-1] == 3:
        return transforms_json.area_filter(image, height, width), np.ones((height, width), np.float32)
    if resize == "straight":
        small = transforms_json.area_filter(image, height, width)
        return composite(small, background), small[..., 3].copy()
    premultiplied = np.concatenate([image[..., :3] * image[..., 3:], image[..., 3:]], -1)
    small = transforms_json.area_filter(premultiplied, height, width)
    return small[..., :3] + background * (1 - small[..., 3:]), small[..., 3].copy()
