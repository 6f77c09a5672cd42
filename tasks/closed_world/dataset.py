"""How pictures of the closed world are taken in bulk and kept: pieces on disk, and a TFDS dataset.

`prepare` takes the pictures, `read_arrays` gives them back as plain arrays. Anyone may open the same data:

    import tensorflow_datasets as tfds
    import tasks.closed_world.dataset  # registers it
    pictures = tfds.data_source("closed_world/guide_30000x64px_64spp", split="train", data_dir=tasks.data_dir.location.folder())

Which picture shows what is said by `tasks.closed_world.pictures`, and does not depend on how many there are.

Pictures are rendered in pieces of 100, each a file that is written to a temporary name and renamed. An interrupted
`prepare` goes on where it was, and more pictures continue from fewer. The dataset is written from the pieces by TFDS,
which renames its folder at the end: pieces and datasets that are there are whole. The pieces stay: they are what
`read_arrays` reads, in a few seconds.

A thousand pictures of 64 pixels and 64 samples take 200 CPU-seconds, of 96 pixels 430; 30,000 of 64 pixels take some
7 minutes on 16 cores.

n: pictures, h and w: pixels.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import multiprocessing
import os
import pathlib
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple, cast

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Float, UInt8

from bench.errors import UsageError, nearest
from tasks.cameras import BLENDER_FOV_DEG
from tasks.closed_world import meanings as meanings_module
from tasks.closed_world.appearance import FAMILIES, Family
from tasks.closed_world.meanings import Meaning, Split
from tasks.closed_world.pictures import PictureSpec, fingerprint, picture, shot
from tasks.data_dir import location
from tasks.data_dir.atomic_files import write_file
from tasks.data_dir.locking import folder_lock, unwritable
from tasks.path_tracing import mitsuba_renderer

PIECE = 100
"""Pictures in a piece: twenty seconds of a core. An interruption loses what its processes have begun."""


class PictureArrays(NamedTuple):
    """Pictures as arrays.

    Attributes:
        numbers: Their places in their family.
        images: sRGB with straight alpha.
        poses: Cameras to world.
        meanings: What they show.
    """

    numbers: tuple[int, ...]
    images: UInt8[np.ndarray, "n h w 4"]
    poses: Float[np.ndarray, "n 4 4"]
    meanings: tuple[Meaning, ...]


@dataclasses.dataclass(kw_only=True)
class PicturesConfig(tfds.core.BuilderConfig):
    """So many pictures of a family at a size; made by `config`, which names and numbers it.

    Attributes:
        family: Of pictures: what they show, their cameras and lights.
        num_renders: How many, both splits together.
        image_px: Width and height.
        num_spp: Samples a pixel of a matte thing.
    """

    family: Family = "guide"
    num_renders: int = 0
    image_px: int = 0
    num_spp: int = 0


@functools.cache  # TFDS wants one object a config
def config(family: str, num_renders: int, image_px: int, num_spp: int) -> PicturesConfig:
    """The config of so many pictures.

    Args:
        family: Of pictures.
        num_renders: How many, both splits together.
        image_px: Width and height.
        num_spp: Samples a pixel of a matte thing; other finishes take more, see `tasks.closed_world.appearance.NOISE_SAMPLES`.

    Raises:
        UsageError: No such family, or a number below its least.
    """
    if family not in FAMILIES:
        raise UsageError(f"closed world: expected a family, got {family!r}; {nearest(family, FAMILIES)}")
    for name, value, least in (("num_renders", num_renders, 20), ("image_px", image_px, 1), ("num_spp", num_spp, 1)):
        if value < least:
            raise UsageError(f"closed world: expected {name} of at least {least}, got {value}")
    return PicturesConfig(
        name=f"{family}_{num_renders}x{image_px}px_{num_spp}spp",
        version=tfds.core.Version(f"1.0.{int(fingerprint(cast(Family, family), image_px, num_spp)[:6], 16)}"),
        family=cast(Family, family),
        num_renders=num_renders,
        image_px=image_px,
        num_spp=num_spp,
    )


class LazyBuilderConfigs(Mapping[str, PicturesConfig]):
    """Every config by its name, made when asked for; listed are those that encoders are trained on."""

    def __getitem__(self, name: str) -> PicturesConfig:
        match = re.fullmatch(r"([a-z]+)_(\d+)x(\d+)px_(\d+)spp", name)
        if not match or match[1] not in FAMILIES:
            raise KeyError(name)
        return config(match[1], *(int(number) for number in match.groups()[1:]))

    def __iter__(self) -> Iterator[str]:
        return (f"{family}_30000x{px}px_64spp" for family in FAMILIES for px in (64, 96))

    def __len__(self) -> int:
        return 2 * len(FAMILIES)


class ClosedWorld(tfds.core.GeneratorBasedBuilder):
    """Pictures of the closed world: straight RGBA with pose and meaning."""

    VERSION = tfds.core.Version("1.0.0")  # each config has its own; TFDS wants one all the same
    builder_configs = LazyBuilderConfigs()

    def _info(self) -> tfds.core.DatasetInfo:
        size: PicturesConfig | None = self.builder_config
        if size is None:
            raise UsageError(
                f"{self.name}: expected a config, got none; for example {self.name}/{next(iter(LazyBuilderConfigs()))}"
            )
        image = tfds.features.Tensor(
            shape=(size.image_px, size.image_px, 4), dtype=np.uint8, encoding="zlib", doc="sRGB, straight alpha."
        )
        return tfds.core.DatasetInfo(
            builder=self,
            description="Path-traced pictures of things and pairs of things in colours and finishes.",
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Scalar(dtype=np.int32, doc="Place in its family."),
                    "image": image,
                    "pose": tfds.features.Tensor(shape=(4, 4), dtype=np.float32, doc="Camera to world, OpenGL."),
                    "meaning": tfds.features.Text(
                        doc="Such as red-metallic-chair; see tasks.closed_world.meanings.meaning_of."
                    ),
                }
            ),
            metadata=tfds.core.MetadataDict(family=size.family, num_spp=size.num_spp, fov_deg=BLENDER_FOV_DEG),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        size: PicturesConfig = self.builder_config
        _render(size, None, show=True)  # for those who come by way of TFDS
        return {split: self._generate_examples(split) for split in meanings_module.SPLITS}

    def _generate_examples(self, split: Split) -> Iterator[tuple[int, dict[str, Any]]]:
        size: PicturesConfig = self.builder_config
        for first, images in _pieces(size):
            for image, planned in zip(images, _planned(size, first), strict=False):  # the last piece may hold more
                if planned.split == split:
                    yield (
                        planned.number,
                        {"id": planned.number, "image": image, "pose": planned.pose, "meaning": planned.meaning.id},
                    )


def prepare(
    num_renders: int,
    image_px: int = 64,
    num_spp: int = 64,
    family: str = "guide",
    num_workers: int | None = None,
    *,
    dataset: bool = True,
    show: bool = True,
) -> pathlib.Path:
    """Takes the pictures that are not there yet and writes their dataset; may be interrupted, and then goes on.

    Args:
        num_renders: How many, both splits together.
        image_px: Width and height.
        num_spp: Samples a pixel of a matte thing.
        family: "guide", or "judge" for other pictures in other light.
        num_workers: Processes; None takes one a core, 1 stays in this process. They are spawned, so a script that calls
            this needs `if __name__ == "__main__":`.
        dataset: Whether to write the TFDS dataset too; `read_arrays` does not need it.
        show: Whether to draw a progress bar, on stderr.

    Returns:
        The dataset's folder, or that of the pieces.

    Raises:
        UsageError: A number that cannot be, or a folder that cannot be written.
    """
    size = config(family, num_renders, image_px, num_spp)
    _render(size, num_workers, show=show)
    if not dataset:
        return _folder(size)
    builder = ClosedWorld(config=size, data_dir=location.folder(), file_format="array_record")
    place = pathlib.Path(builder.data_dir)
    with folder_lock(place.parents[1], f"writing {size.name}") as held:
        if (place / "dataset_info.json").exists():
            return place
        if held:
            for left in place.parent.glob("incomplete.*"):  # of a process that was killed
                shutil.rmtree(left)
        try:
            tfds.disable_progress_bar()
            with contextlib.redirect_stdout(io.StringIO()):
                builder.download_and_prepare(file_format="array_record")
        except (OSError, RuntimeError) as error:  # ArrayRecord tells of a full disk with a RuntimeError
            raise unwritable(place, error) from error
    return place


def read_arrays(
    num_renders: int, image_px: int = 64, num_spp: int = 64, family: str = "guide", split: str | None = "train"
) -> PictureArrays:
    """The pictures of a split, as `prepare` was asked for them; those of both, if none is named.

    Raises:
        UsageError: They are not there, or their files are damaged.
    """
    if split is not None:
        meanings_module.things(split)  # tells of a split that does not exist
    size = config(family, num_renders, image_px, num_spp)
    chosen: list[PictureSpec] = []
    images = []
    for first, piece in _pieces(size):
        planned = _planned(size, first)
        keep = [i for i, p in enumerate(planned) if split in (None, p.split)]
        chosen += [planned[i] for i in keep]
        images.append(piece[keep])
    return PictureArrays(
        numbers=tuple(p.number for p in chosen),
        images=np.concatenate(images),
        poses=np.stack([p.pose for p in chosen]),
        meanings=tuple(p.meaning for p in chosen),
    )


# ---- pieces ----------------------------------------------------------------------------------------------------------


def _folder(size: PicturesConfig) -> pathlib.Path:
    """Of the pieces, whatever the number of pictures."""
    name = f"{size.family}_{size.image_px}px_{size.num_spp}spp"
    return location.folder() / "closed_world_pieces" / f"{name}_{fingerprint(size.family, size.image_px, size.num_spp)}"


def _paths(size: PicturesConfig) -> dict[int, pathlib.Path]:
    """The file of each piece, by its first picture."""
    folder = _folder(size)
    return {first: folder / f"{first // PIECE:05d}.safetensors" for first in range(0, size.num_renders, PIECE)}


def _planned(size: PicturesConfig, first: int) -> list[PictureSpec]:
    """The pictures of a piece that count: the last piece may hold more of them."""
    return [picture(size.family, number) for number in range(first, min(first + PIECE, size.num_renders))]


def _render(size: PicturesConfig, num_workers: int | None, *, show: bool) -> None:
    """Takes the pictures of the pieces that are missing."""
    folder = _folder(size)
    if all(path.exists() for path in _paths(size).values()):
        return
    with folder_lock(folder, f"rendering {size.name}") as held:
        missing = {first: path for first, path in _paths(size).items() if not path.exists()}
        if held:
            for left in folder.glob("*.tmp"):  # of a process that was killed
                left.unlink()
        _check_free(folder, len(missing) * PIECE * size.image_px**2 * 4)
        if num_workers is None:
            num_workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        with _bar(f"rendering {size.name}", PIECE * len(missing), show) as advance:
            # Results come in order, one a piece: what is interrupted loses what its processes had begun.
            for path, images in zip(missing.values(), _taken(size, list(missing), num_workers), strict=True):
                _write(path, images, size)
                advance(PIECE)


def _taken(size: PicturesConfig, firsts: Sequence[int], num_workers: int) -> Iterator[UInt8[np.ndarray, "n h w 4"]]:
    """The images of some pieces, a piece a process at a time."""
    pieces = (
        [shot(picture(size.family, first + i), size.image_px, size.num_spp) for i in range(PIECE)] for first in firsts
    )
    take = functools.partial(mitsuba_renderer.photograph_all, num_workers=1)
    if min(num_workers, len(firsts)) <= 1:
        yield from map(take, pieces)
        return
    # Spawned, not forked, see `tasks.path_tracing.mitsuba_renderer`; what is sent there imports neither JAX nor TFDS.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(num_workers, len(firsts)), context, mitsuba_renderer._start_worker) as pool:
        try:
            yield from pool.map(take, pieces)
        except BrokenProcessPool as error:
            raise RuntimeError(
                "prepare: expected worker processes to stay alive, one ended; is the calling script's start under "
                '`if __name__ == "__main__":`, and is there memory? The same call goes on where this one was'
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _write(path: pathlib.Path, images: UInt8[np.ndarray, "n h w 4"], size: PicturesConfig) -> None:
    import safetensors.numpy

    first = int(path.stem) * PIECE
    meanings = [picture(size.family, first + i).meaning.id for i in range(len(images))]
    content = safetensors.numpy.save({"images": images}, {"meanings": json.dumps(meanings)})
    try:
        write_file(path, content)
    except OSError as error:
        raise unwritable(path.parent, error) from error


def _pieces(size: PicturesConfig) -> Iterator[tuple[int, UInt8[np.ndarray, "n h w 4"]]]:
    """The first picture of each piece, and its images."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    for first, path in _paths(size).items():
        try:
            yield first, load_file(path)["images"]
        except FileNotFoundError:
            raise UsageError(
                f"{path.parent}: expected {size.num_renders} pictures, got no {path.name}; do tasks.closed_world.dataset."
                f"prepare({size.num_renders}, {size.image_px}, {size.num_spp}, {size.family!r})"
            ) from None
        except (OSError, SafetensorError, KeyError) as error:
            raise UsageError(
                f"{path}: expected {PIECE} pictures, got {str(error)!r}; delete this file and prepare again: only it "
                "is rendered anew"
            ) from error


def _check_free(folder: pathlib.Path, needed: int) -> None:
    """Says that a disk is too full before an hour of rendering, not after it."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UsageError(
            f"{folder}: expected {needed / 1e6:.0f} MB free, got {free / 1e6:.0f} MB; free some, or choose another "
            "folder with BENCH_DATA_DIR"
        )


@contextlib.contextmanager
def _bar(title: str, total: int, show: bool) -> Iterator[Any]:
    """A progress bar on stderr; gives the function that moves it on."""
    import rich.console
    import rich.progress as bars

    columns = (
        bars.TextColumn("{task.description}"), bars.BarColumn(), bars.MofNCompleteColumn(), bars.TimeRemainingColumn()
    )  # fmt: skip
    with bars.Progress(*columns, console=rich.console.Console(stderr=True), disable=not show) as progress:
        bar = progress.add_task(title, total=total)
        yield lambda num: progress.advance(bar, num)
