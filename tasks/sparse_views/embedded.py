"""Defines the sparse-view task on an embedded scene: a few of 100 training views, and 25 held-out views.

The cameras are like those of NeRF Realistic Synthetic: on the upper half of a sphere of radius 4, looking at its
centre, with a field of view of 39.6 degrees. The views are rendered on first use (`tasks.sparse_views.dataset`).

n: views, h and w: pixels of a view.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Iterable

import jax
import numpy as np
from jaxtyping import Float, UInt8

from bench.errors import UsageError, nearest
from tasks.cameras import BLENDER_FOV_DEG, intrinsics_from_fov
from tasks.data_dir import location
from tasks.data_dir.locking import check_writable
from tasks.data_dir.progress_bar import progress_bar
from tasks.scenes import scenes
from tasks.sparse_views.scene_views import FAR, NEAR, NUM_POSES, POSES_VERSION, Split, scene_fingerprint, split_poses
from tasks.sparse_views.view_selection import (
    background_label,
    checked_num_views,
    choose_training_views,
    digest_parts,
    label,
)
from tasks.task import DataShapes, Photos, SceneData, composite


@dataclasses.dataclass(frozen=True, kw_only=True)
class SparseViews:
    """A sparse-view task on an embedded scene.

    Attributes:
        scene: Name of the scene.
        num_views: Number of training views, of 100; with explicit `views`, their number.
        subset_seed: Seed of the choice of views; 0 gives DietNeRF's.
        views: Explicit ids, used instead of `num_views` and `subset_seed`.
        image_px: Width and height; None until a budget fills it.
        num_spp: Samples a pixel of the rendering; None until a budget fills it.
        background: Grey behind the object: 1 is white, 0 black.
    """

    scene: str
    num_views: int = 8
    subset_seed: int = 0
    views: tuple[int, ...] | None = None
    image_px: int | None = None
    num_spp: int | None = None
    background: float = 1.0

    def __post_init__(self) -> None:
        if self.scene not in scenes.SCENES:
            raise UsageError(
                f"scene: expected an embedded one, got {self.scene!r}; " + nearest(self.scene, scenes.SCENES)
            )
        where = f"task {self.scene}"
        num_train = NUM_POSES["train"]
        object.__setattr__(self, "num_views", checked_num_views(where, self.num_views, self.views, default=8))
        if self.num_views > num_train:
            raise UsageError(f"{where}: expected num_views from 1 to {num_train}, got {self.num_views}")
        if self.views and max(self.views) >= num_train:
            raise UsageError(f"{where}: expected view ids from 0 to {num_train - 1}, got {max(self.views)}")
        if not 0 <= self.background <= 1:
            raise UsageError(f"{where}: expected a background from 0 (black) to 1 (white), got {self.background}")
        if not 0 <= self.subset_seed < 2**32:
            raise UsageError(f"{where}: expected a subset_seed from 0 to 2**32 - 1, got {self.subset_seed}")
        for name in ("image_px", "num_spp"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{where}: expected {name} of at least 1, got {value}")

    @property
    def name(self) -> str:
        """Readable name, for folders: `castle__8v`, followed by what differs from the default."""
        return f"{self.scene}__{label(self.num_views, self.subset_seed, self.views)}{background_label(self.background)}"

    @property
    def cluster(self) -> str:
        """Name of the scene."""
        return self.scene

    @property
    def view_ids(self) -> tuple[int, ...]:
        """Ids of the training views of this task."""
        return self.views or choose_training_views(self.num_views, self.subset_seed, NUM_POSES["train"])

    def layout(self) -> DataShapes:
        """Return the shapes of the arrays, without rendering or loading."""
        image_px, _ = self._sizes()
        return DataShapes(self.num_views, NUM_POSES["test"], image_px, image_px)

    def fingerprint(self) -> str:
        """Hash the scene's source, the renderer, the poses and the choice of views; never pixels."""
        image_px, num_spp = self._sizes()
        return digest_parts([scene_fingerprint(self.scene, image_px, num_spp), POSES_VERSION, self.view_ids])

    def load(self) -> SceneData:
        """Load the arrays, read-only; render the scene first if necessary."""
        self._sizes()
        return _load(self, location.folder())

    def _sizes(self) -> tuple[int, int]:
        assert self.image_px and self.num_spp, f"{self.name}: its sizes are open; give it to tasks.budgets.sized first"
        return self.image_px, self.num_spp


@functools.lru_cache(maxsize=16)  # a suite's scenes; at 400 px one holds 85 MB
def _load(task: SparseViews, folder: pathlib.Path) -> SceneData:
    assert task.image_px and task.num_spp
    prepare_all([task])
    from tasks.sparse_views import dataset as builder  # TFDS takes a second to import

    data = builder.embedded_scenes(task.scene, task.image_px, task.num_spp, folder)

    def photos(split: Split, ids: tuple[int, ...]) -> Photos:
        images, poses = builder.read_split(data, split, ids)
        return photos_from_rgba(ids, images, poses, task.background)

    loaded = SceneData(
        train=photos("train", task.view_ids),
        test=photos("test", tuple(range(NUM_POSES["test"]))),
        near=NEAR,
        far=FAR,
        pixel_center=0.5,
        all_train_poses=split_poses("train"),
    )
    for leaf in jax.tree.leaves(loaded):
        if isinstance(leaf, np.ndarray):
            leaf.setflags(write=False)  # shared by all trials of a process
    return loaded


def photos_from_rgba(
    ids: tuple[int, ...], images: UInt8[np.ndarray, "n h w 4"], poses: Float[np.ndarray, "n 4 4"], background: float
) -> Photos:
    """Make photos of the embedded cameras from straight 8-bit RGBA, composited in float without rounding."""
    rgba = images.astype(np.float32) / 255
    height, width = images.shape[1:3]
    one = intrinsics_from_fov(BLENDER_FOV_DEG, width, height)
    return Photos(
        ids=ids,
        colors=composite(rgba, background),
        alphas=rgba[..., 3].copy(),
        poses=poses,
        intrinsics=jax.tree.map(lambda x: np.full(len(ids), x, np.float32), one),
    )


def prepare_all(tasks: Iterable[object], *, validation: bool = False, show: bool = True) -> None:
    """Render the missing views of all embedded tasks, with one progress bar.

    Args:
        tasks: Sized tasks of any kind.
        validation: Whether to render the validation views of their scenes, not the training and test views.
        show: Whether to draw the bar, on stderr.

    Raises:
        UsageError: The cache cannot be written, or the disk is full.
    """
    wanted = {t._sizes() + (t.scene,): None for t in tasks if isinstance(t, SparseViews)}
    if not wanted:
        return
    from tasks.sparse_views import dataset as builder

    folder = location.folder()
    datasets = []
    for image_px, num_spp, scene in wanted:
        dataset = builder.embedded_scenes(scene, image_px, num_spp, folder, validation)
        if builder.discard_damaged(dataset):
            dataset = builder.embedded_scenes(scene, image_px, num_spp, folder, validation)
        datasets.append(dataset)
    missing = [dataset for dataset in datasets if not builder.is_prepared(dataset)]
    if not missing:
        return
    check_writable(pathlib.Path(missing[0].data_dir).parents[1])  # before a bar that would stand there unfinished
    with progress_bar("rendering", sum(builder.num_views(dataset) for dataset in missing), show=show) as advance:
        for dataset in missing:
            advance(0, f"rendering {dataset.builder_config.scene}")
            builder.prepare_scene(dataset, on_view=lambda _: advance())
