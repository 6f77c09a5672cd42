"""Writes embedded scenes as files that other NeRF codes read.

The layout is that of NeRF Realistic Synthetic: `OUT/castle/transforms_train.json`, `OUT/castle/train/r_0.png`, ...,
8-bit RGBA with straight alpha.
"""

from __future__ import annotations

import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

from PIL import Image

from bench.errors import UsageError
from tasks.cameras import BLENDER_FOV_DEG
from tasks.data_dir import location
from tasks.data_dir.atomic_files import write_file
from tasks.sparse_views import embedded, scene_views, transforms_json
from tasks.sparse_views.embedded import SparseViews
from tasks.sparse_views.scene_views import Split

MARK = "export.json"
"""Name of the file that describes an export."""


def export_scenes(
    out: pathlib.Path, scenes: Sequence[str], splits: Sequence[Split], *, image_px: int, num_spp: int
) -> None:
    """Render missing views and write the files.

    Args:
        out: Folder of the export, created if it is missing.
        scenes: Names of embedded scenes.
        splits: Splits to write.
        image_px: Width and height.
        num_spp: Samples a pixel.

    Raises:
        UsageError: The folder holds other files, or cannot be written.
    """
    tasks = [SparseViews(scene=name, image_px=image_px, num_spp=num_spp) for name in scenes]
    fingerprints = {task.scene: task.fingerprint() for task in tasks}
    _claim(out, {"format": "blender", "splits": list(splits), "scenes": fingerprints})
    if {"train", "test"} & {*splits}:
        embedded.prepare_all(tasks)
    if "val" in splits:
        embedded.prepare_all(tasks, validation=True)
    for task in tasks:
        for split in splits:
            _write_split(task, split, out / task.scene)


def _claim(out: pathlib.Path, contents: dict[str, Any]) -> None:
    """Create the folder and mark it as this export's, so that the same export may continue in it later.

    Raises:
        UsageError: The folder holds other files, or cannot be written.
    """
    mark = out / MARK
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()) and not (mark.exists() and _read_mark(mark) == contents):
            raise UsageError(
                f"{out}: expected an empty folder, or one with this very export, got other files; choose another"
            )
        write_file(mark, json.dumps(contents, indent=2) + "\n")
    except OSError as error:
        raise UsageError(
            f"{out}: expected a folder that can be written, got {error.strerror!r}; choose another"
        ) from error


def _read_mark(mark: pathlib.Path) -> Any:
    """Read the description of an export; None if the file is not JSON."""
    try:
        return json.loads(mark.read_text())
    except ValueError:
        return None


def _write_split(task: SparseViews, split: Split, place: pathlib.Path) -> None:
    """Write the images of a split first and their list last, so that a list never names a missing image."""
    from tasks.sparse_views import dataset as dataset_builder

    assert task.image_px and task.num_spp
    data = dataset_builder.embedded_scenes(
        task.scene, task.image_px, task.num_spp, location.folder(), validation=split == "val"
    )
    ids = tuple(range(scene_views.NUM_POSES[split]))
    images, poses = dataset_builder.read_split(data, split, ids)
    try:
        for i, image in zip(ids, images, strict=True):
            packed = io.BytesIO()
            Image.fromarray(image).save(packed, format="PNG")
            write_file(place / split / f"r_{i}.png", packed.getvalue())
        text = transforms_json.format_transforms(poses, [f"./{split}/r_{i}" for i in ids], BLENDER_FOV_DEG)
        write_file(place / f"transforms_{split}.json", text)
    except OSError as error:
        raise UsageError(f"{place}: expected a folder that can be written, got {error.strerror!r}; free it") from error
