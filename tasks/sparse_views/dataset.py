"""Keeps rendered views of the embedded scenes as a TFDS dataset in ArrayRecord files, one config for a scene and size.

TensorFlow is not needed. Other programs can open the same data:

    import tensorflow_datasets as tfds
    from tasks.data_dir import location
    from tasks.sparse_views import dataset  # registers the dataset
    views = tfds.data_source("embedded_scenes/castle_48px_64spp", split="train", data_dir=location.folder())

A config has the splits `train` and `test`. The validation views are a config of their own, `castle_48px_64spp_val`,
because nothing here trains or scores on them: they are rendered only on request. (`tfds.load` makes `tf.data`
pipelines, which cannot read ArrayRecord. With TensorFlow installed, give it another `data_dir`, and it prepares the
same views as TFRecord files.)

The fingerprint of scene, renderer and poses is the last part of a config's version, so that a changed scene is
rendered again. TFDS writes into a folder `incomplete.*` and renames it, so a dataset is always complete.

Importing this file imports TFDS, which takes a second. So other modules import it only when they need data.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import pathlib
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from google.protobuf import json_format
from jaxtyping import Float, UInt8

from bench.errors import MACHINE_ERRORS, DamagedFile, UsageError, machine_fault
from tasks.budgets import BUDGETS
from tasks.cameras import BLENDER_FOV_DEG, intrinsics_from_fov
from tasks.data_dir.folder_checksums import find_folder_damage, write_checksums
from tasks.data_dir.lazy_builder_configs import LazyBuilderConfigs
from tasks.data_dir.locking import check_writable, folder_lock, unwritable
from tasks.scenes import scenes
from tasks.sparse_views.scene_views import FAR, NEAR, NUM_POSES, POSES_VERSION, Split, scene_fingerprint, split_poses
from tasks.sparse_views.view_selection import digest_parts

# Seeds of the renderer: no two views of a scene share their noise.
_FIRST_SEED: dict[Split, int] = {"train": 0, "test": NUM_POSES["train"], "val": NUM_POSES["train"] + NUM_POSES["test"]}


@dataclasses.dataclass(kw_only=True)
class ViewsConfig(tfds.core.BuilderConfig):
    """Config of one scene at one size; `config` makes it with its name and version.

    Attributes:
        scene: Name of the scene.
        image_px: Width and height.
        num_spp: Samples a pixel.
        splits: Splits of the dataset.
    """

    scene: str = ""
    image_px: int = 0
    num_spp: int = 0
    splits: tuple[Split, ...] = ("train", "test")


@functools.cache  # TFDS wants one object a config
def config(scene: str, image_px: int, num_spp: int, validation: bool = False) -> ViewsConfig:
    """Make the config of a scene at a size.

    Args:
        scene: Name of the scene.
        image_px: Width and height.
        num_spp: Samples a pixel.
        validation: Whether it holds the validation views, instead of the training and test views.
    """
    number = int(digest_parts([scene_fingerprint(scene, image_px, num_spp), POSES_VERSION])[:6], 16)
    return ViewsConfig(
        name=f"{scene}_{image_px}px_{num_spp}spp" + ("_val" if validation else ""),
        version=tfds.core.Version(f"1.0.{number}"),
        scene=scene,
        image_px=image_px,
        num_spp=num_spp,
        splits=("val",) if validation else ("train", "test"),
    )


def parse_config(name: str) -> ViewsConfig:
    """Make the config with a name.

    Raises:
        KeyError: No config can have this name.
    """
    match = re.fullmatch(r"(\w+)_(\d+)px_(\d+)spp(_val)?", name)
    if not match or match[1] not in scenes.SCENES or min(int(match[2]), int(match[3])) < 1:
        raise KeyError(name)
    return config(match[1], int(match[2]), int(match[3]), bool(match[4]))


CONFIG_NAMES = tuple(
    f"{scene}_{budget.image_px}px_{budget.num_spp}spp{end}"
    for scene in scenes.SCENES
    for budget in BUDGETS.values()
    for end in ("", "_val")
)
"""Names of the configs of the budgets; other sizes are possible too."""


class EmbeddedScenes(tfds.core.GeneratorBasedBuilder):
    """Views of the embedded scenes: straight RGBA, pose and intrinsics; an id is a place in a split."""

    VERSION = tfds.core.Version("1.0.0")  # TFDS requires one here, although each config has its own
    builder_configs = LazyBuilderConfigs(parse_config, CONFIG_NAMES)

    rendered: dict[Split, UInt8[np.ndarray, "n h w 4"]] | None = None

    def _info(self) -> tfds.core.DatasetInfo:
        size: ViewsConfig | None = self.builder_config
        if size is None:
            raise UsageError(f"{self.name}: expected a config, got none; for example {self.name}/{CONFIG_NAMES[0]}")
        return tfds.core.DatasetInfo(
            builder=self,
            description="Path-traced views of small scenes, for radiance fields from few photos.",
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Scalar(dtype=np.int32, doc="Place in its split."),
                    "image": tfds.features.Tensor(
                        shape=(size.image_px, size.image_px, 4),
                        dtype=np.uint8,
                        encoding="zlib",
                        doc="sRGB, straight alpha.",
                    ),
                    "pose": tfds.features.Tensor(shape=(4, 4), dtype=np.float32, doc="Camera to world, OpenGL."),
                    "intrinsics": tfds.features.Tensor(
                        shape=(4,), dtype=np.float32, doc="Focal lengths x, y and centre x, y, in pixels."
                    ),
                }
            ),
            metadata=tfds.core.MetadataDict(
                near=NEAR, far=FAR, pixel_center=0.5, scene=size.scene, num_spp=size.num_spp
            ),
            disable_shuffling=True,
        )

    def render(self, on_view: Callable[[int], None] | None = None) -> None:
        """Render the views that `download_and_prepare` will write: all at once, on all cores."""
        size: ViewsConfig = self.builder_config
        images = scenes.render_scene(
            size.scene,
            np.concatenate([split_poses(split) for split in size.splits]),
            image_px=size.image_px,
            num_spp=size.num_spp,
            first_seed=_FIRST_SEED[size.splits[0]],
            on_view=on_view,
        )
        ends = np.cumsum([NUM_POSES[split] for split in size.splits])
        self.rendered = dict(zip(size.splits, np.split(images, ends[:-1]), strict=True))

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        if self.rendered is None:
            self.render()
        return {split: self._generate_examples(split) for split in self.builder_config.splits}

    def _generate_examples(self, split: Split) -> Iterator[tuple[int, dict[str, Any]]]:
        assert self.rendered is not None
        camera = intrinsics_from_fov(BLENDER_FOV_DEG, *[self.builder_config.image_px] * 2)
        intrinsics = np.array([camera.focal_x, camera.focal_y, camera.center_x, camera.center_y], np.float32)
        for i, (image, pose) in enumerate(zip(self.rendered[split], split_poses(split), strict=True)):
            yield i, {"id": i, "image": image, "pose": pose, "intrinsics": intrinsics}


def embedded_scenes(
    scene: str, image_px: int, num_spp: int, folder: pathlib.Path, validation: bool = False
) -> EmbeddedScenes:
    """Open the dataset of a scene at a size, prepared or not.

    Args:
        scene: Name of the scene.
        image_px: Width and height.
        num_spp: Samples a pixel.
        folder: Folder of all datasets.
        validation: Whether to open the validation views, instead of the training and test views.

    Raises:
        UsageError: The files in the folder are not a dataset.
    """
    try:
        return EmbeddedScenes(
            config=config(scene, image_px, num_spp, validation), data_dir=folder, file_format="array_record"
        )
    except (OSError, ValueError, json_format.Error) as error:  # its description is incomplete or unreadable
        name = config(scene, image_px, num_spp, validation).name
        raise _broken(folder / EmbeddedScenes.name / name, error) from error


def is_prepared(builder: EmbeddedScenes) -> bool:
    """Tell whether all views of a dataset are on disk."""
    return (pathlib.Path(builder.data_dir) / "dataset_info.json").exists()


def discard_damaged(builder: EmbeddedScenes) -> bool:
    """Remove a dataset whose files are not those that were written, and say so; it is rendered again then."""
    place = pathlib.Path(builder.data_dir)
    if not is_prepared(builder) or not find_folder_damage(place):
        return False
    with folder_lock(place.parents[1], f"rendering {builder.builder_config.scene}"):
        damage = find_folder_damage(place) if is_prepared(builder) else ""  # another process may have seen it too
        if damage:
            print(f"{place}: {damage}: these views are rendered again", file=sys.stderr)
            shutil.rmtree(place)
    return True


def num_views(builder: EmbeddedScenes) -> int:
    """Count the views of a dataset."""
    return sum(NUM_POSES[split] for split in builder.builder_config.splits)


def prepare_scene(builder: EmbeddedScenes, on_view: Callable[[int], None] | None = None) -> None:
    """Render and write a dataset, unless it is already there.

    Args:
        builder: Dataset from `embedded_scenes`.
        on_view: Function that is called with the index of each finished view.

    Raises:
        UsageError: The folder cannot be written, or the disk is full.
    """
    place = pathlib.Path(builder.data_dir)
    # One lock for all scenes: each rendering uses all cores, so two at once would not be faster.
    with folder_lock(place.parents[1], f"rendering {builder.builder_config.scene}") as held:
        if is_prepared(builder):
            return
        if held:
            for left in place.parent.glob("incomplete.*"):  # from a process that was killed
                shutil.rmtree(left, ignore_errors=True)  # another user's stays, and does no harm
        check_writable(place.parents[1])
        _check_free(builder)
        builder.render(on_view)
        try:
            tfds.disable_progress_bar()
            with contextlib.redirect_stdout(io.StringIO()):  # the progress bar already says what TFDS prints
                builder.download_and_prepare(file_format="array_record")
            write_checksums(place)
        except (OSError, RuntimeError) as error:  # ArrayRecord raises RuntimeError if the disk is full
            if not is_prepared(builder):  # without locks another process may have written the same data
                raise unwritable(place, error) from error
        finally:
            builder.rendered = None


def read_split(
    builder: EmbeddedScenes, split: Split, ids: tuple[int, ...]
) -> tuple[UInt8[np.ndarray, "n h w 4"], Float[np.ndarray, "n 4 4"]]:
    """Read images and poses of some views of a prepared dataset.

    Raises:
        UsageError: The files are damaged.
    """
    try:
        source = builder.as_data_source(split=split)
        if len(source) != NUM_POSES[split]:
            raise ValueError(f"{len(source)} views in {split}")
        examples = [source[i] for i in ids]
        if any(example["id"] != i for example, i in zip(examples, ids, strict=True)):
            raise ValueError("views of other numbers")
    except Exception as error:  # of ArrayRecord, TFDS and zlib, as it comes, on a file that is cut or flipped
        raise _broken(pathlib.Path(builder.data_dir), error) from error
    images = np.stack([example["image"] for example in examples])
    poses = np.stack([example["pose"] for example in examples])
    return images, poses


def _check_free(builder: EmbeddedScenes) -> None:
    """Raise an error if the disk is too full, before an hour of rendering instead of after it."""
    place = pathlib.Path(builder.data_dir).parents[1]
    needed = num_views(builder) * builder.builder_config.image_px**2 * 4
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UsageError(
            f"{place}: expected {needed / 1e6:.0f} MB free for {builder.builder_config.name}, got {free / 1e6:.0f} MB; "
            "free some, or choose another folder with BENCH_DATA_DIR"
        )


def _broken(place: pathlib.Path, error: Exception) -> UsageError:
    if isinstance(error, OSError) and error.errno in MACHINE_ERRORS:
        return machine_fault(error, place)
    said = (str(error).splitlines() or [type(error).__name__])[0]
    return DamagedFile(f"{place}: expected rendered views, got {said!r}; delete this folder, they are rendered again")
