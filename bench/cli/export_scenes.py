"""`export-scenes`: the embedded scenes as files that other NeRF codes read.

The layout is that of NeRF Realistic Synthetic: `OUT/castle/transforms_train.json`, `OUT/castle/train/r_0.png`, ...,
8-bit RGBA with straight alpha.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from typing import Any, get_args

from bench.errors import UsageError, nearest
from tasks.cameras import BLENDER_FOV_DEG
from tasks.data_dir import location
from tasks.data_dir.atomic_files import write_file
from tasks.scenes import scenes
from tasks.sparse_views import embedded, scene_views, transforms_json
from tasks.sparse_views.embedded import SparseViews
from tasks.sparse_views.scene_views import Split

HELP = "write the embedded scenes in the layout of NeRF Realistic Synthetic"
EXAMPLE = "python -m bench export-scenes --format blender /data/embedded --scenes castle --image-px 400"

_MARK = "export.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("out", type=pathlib.Path, metavar="OUT", help="folder; made if it is not there")
    parser.add_argument("--format", choices=("blender",), default="blender", help="layout of the files")
    parser.add_argument("--scenes", metavar="A,B", help="names of scenes (default: all)")
    parser.add_argument("--splits", metavar="A,B", default="train,val,test", help="splits (default: %(default)s)")
    parser.add_argument(
        "--image-px", type=int, default=400, metavar="N", help="width and height (default: %(default)s)"
    )
    parser.add_argument("--spp", type=int, default=64, metavar="N", help="samples a pixel (default: %(default)s)")


def main(args: argparse.Namespace) -> int:
    """Renders what is not rendered yet and writes the files."""
    names = _chosen("--scenes", args.scenes or ",".join(scenes.SCENES), tuple(scenes.SCENES))
    splits: list[Split] = _chosen("--splits", args.splits, get_args(Split))  # type: ignore[assignment]
    tasks = [SparseViews(scene=name, image_px=args.image_px, num_spp=args.spp) for name in names]
    _claim(
        args.out,
        {"format": args.format, "splits": splits, "scenes": {task.scene: task.fingerprint() for task in tasks}},
    )
    if {"train", "test"} & {*splits}:
        embedded.prepare_all(tasks)
    if "val" in splits:
        embedded.prepare_all(tasks, validation=True)
    for task in tasks:
        for split in splits:
            _write_split(task, split, args.out / task.scene)
    print(f"{args.out}: {', '.join(names)} ({', '.join(splits)}; {args.image_px} px, {args.spp} samples a pixel)")
    return 0


def _chosen(option: str, text: str, known: tuple[str, ...]) -> list[str]:
    """Names of a comma-separated list, each once."""
    names = list(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in known:
            raise UsageError(f"{option}: expected one of {', '.join(known)}, got {name!r}; {nearest(name, known)}")
    return names


def _claim(out: pathlib.Path, told: dict[str, Any]) -> None:
    """Makes the folder this export's; an export that was interrupted, or is repeated, may go on in it.

    Raises:
        UsageError: The folder holds something else, or cannot be written.
    """
    mark = out / _MARK
    try:
        out.mkdir(parents=True, exist_ok=True)
        if any(out.iterdir()) and not (mark.exists() and _told(mark) == told):
            raise UsageError(
                f"{out}: expected an empty folder, or one with this very export, got other files; choose another"
            )
        write_file(mark, json.dumps(told, indent=2) + "\n")
    except OSError as error:
        raise UsageError(
            f"{out}: expected a folder that can be written, got {error.strerror!r}; choose another"
        ) from error


def _told(mark: pathlib.Path) -> Any:
    try:
        return json.loads(mark.read_text())
    except ValueError:  # somebody else's export.json
        return None


def _write_split(task: SparseViews, split: Split, place: pathlib.Path) -> None:
    """Images first, their list last: a list that is there has all its images."""
    import io

    from PIL import Image

    from tasks.sparse_views import dataset as builder

    assert task.image_px and task.num_spp
    data = builder.embedded_scenes(
        task.scene, task.image_px, task.num_spp, location.folder(), validation=split == "val"
    )
    ids = tuple(range(scene_views.NUM_POSES[split]))
    images, poses = builder.read(data, split, ids)
    try:
        for i, image in zip(ids, images, strict=True):
            packed = io.BytesIO()
            Image.fromarray(image).save(packed, format="PNG")
            write_file(place / split / f"r_{i}.png", packed.getvalue())
        text = transforms_json.written(poses, [f"./{split}/r_{i}" for i in ids], BLENDER_FOV_DEG)
        write_file(place / f"transforms_{split}.json", text)
    except OSError as error:
        raise UsageError(f"{place}: expected a folder that can be written, got {error.strerror!r}; free it") from error
